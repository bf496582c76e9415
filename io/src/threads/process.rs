//! The process that threads were started in.
//!
//! A child that is forked, without an exec, has the memory of its parent and none of its threads:
//! what it hands to them is never done, and what it awaits never ends. So whatever hands work to a
//! thread, or is about to wait for one, compares the process first. The question costs a system
//! call that does nothing, which is little beside the transfer that follows.

use std::io;

/// Made where threads are started, asked where they are needed.
#[derive(Clone, Copy, Debug)]
pub struct Birthplace {
    process: u32,
}

impl Birthplace {
    /// This process.
    #[must_use]
    pub fn here() -> Self {
        Self { process: std::process::id() }
    }

    /// Says whether this is the process still.
    ///
    /// # Errors
    /// In a process that was forked since: the threads are not in it.
    pub fn check(self) -> io::Result<()> {
        // A process id is not given to a child while its parent has it.
        if !cfg!(unix) || std::process::id() == self.process { Ok(()) } else { Err(forked()) }
    }
}

#[cold]
fn forked() -> io::Error {
    io::Error::other(
        "this process was forked from the one that opened the directory, whose threads do the \
         work: open the directory in this process",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_another_process_are_out_of_reach() {
        assert!(Birthplace::here().check().is_ok());
        let parent = Birthplace { process: std::process::id() ^ 1 };
        assert_eq!(parent.check().is_err(), cfg!(unix));
    }
}

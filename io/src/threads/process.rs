//! The process in which threads were started.
//!
//! A child that is forked without an exec has the memory of its parent and none of its threads.
//! Jobs that it queues never run, and a wait for a thread never ends. So code compares the process
//! before it gives work to a thread or waits for a thread. The comparison costs one trivial system
//! call, which is little compared with the transfer that follows.

use std::io;

/// The process in which some threads were started. Code that needs the threads checks it.
#[derive(Clone, Copy, Debug)]
pub struct Birthplace {
    process: u32,
}

impl Birthplace {
    /// Returns the current process.
    #[must_use]
    pub fn here() -> Self {
        Self { process: std::process::id() }
    }

    /// Checks that this is still the same process.
    ///
    /// # Errors
    /// In a process that was forked since: it does not have the threads.
    pub fn check(self) -> io::Result<()> {
        // A child never gets the process id of its living parent.
        if !cfg!(unix) || std::process::id() == self.process { Ok(()) } else { Err(forked()) }
    }
}

#[cold]
fn forked() -> io::Error {
    io::Error::other(
        "this process was forked after the directory was opened, and the threads stayed in the \
         parent process; open it after the fork, in one of the two processes",
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

//! Starts threads on which no signal handler of the application runs.
//!
//! The kernel delivers a signal of the process on any thread that does not block it. A new thread
//! inherits the blocked signals of the thread that starts it. An application may leave its signals
//! to one thread of its own. Without this module its handlers could run on our threads and hold up
//! the transfers of all directories.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Thread};

/// Starts a thread that blocks every signal except the faults that the thread itself causes.
///
/// # Errors
/// If the system refuses a thread.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let builder = Builder::new().name(name.to_owned());
    let thread = without_signals(|| builder.spawn(work))??;
    Ok(thread.thread().clone())
}

/// Runs work that may call a waker. A waker is foreign code: its panic must not stop the transfers
/// of all directories.
pub(crate) fn unharmed(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("a job or a waker panicked on a thread of the backend");
    }
}

/// Runs `start` while this thread blocks the signals that the new thread must block.
#[cfg(unix)]
fn without_signals<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    // A fault cannot be blocked. The kernel would end the process at once, without the message
    // about a stack overflow and without a crash reporter.
    let faults = [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
        Signal::SIGSYS,
    ];
    let mut blocked = SigSet::all();
    faults.into_iter().for_each(|fault| blocked.remove(fault));
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let started = start();
    before.thread_set_mask()?;
    Ok(started)
}

/// Runs `start`: this system has no signals to block.
#[cfg(not(unix))]
fn without_signals<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    Ok(start())
}

#[cfg(all(test, not(loom), target_os = "linux"))]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use nix::sys::signal::Signal;

    use super::*;

    /// Returns the signals that this thread blocks, as bits.
    fn blocked() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").expect("Linux says");
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        u64::from_str_radix(line.expect("Linux says").trim(), 16).expect("a mask is in hex")
    }

    /// An application opened a store and then blocked SIGALRM for a thread of its own. More than
    /// half of its handlers ran on the driver of io_uring.
    #[test]
    fn a_thread_of_ours_blocks_all_signals_but_faults() {
        let before = blocked();
        let (report, reported) = mpsc::channel();
        spawn("kvick-test", move || report.send(blocked()).unwrap()).unwrap();
        let on_thread = reported.recv().unwrap();
        let is_blocked = |signal: &Signal| on_thread & 1 << (*signal as u32 - 1) != 0;
        let theirs = [Signal::SIGALRM, Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1];
        assert!(theirs.iter().all(is_blocked) && is_blocked(&Signal::SIGXFSZ));
        assert!(![Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGSYS].iter().any(is_blocked));
        assert_eq!(blocked(), before, "the thread that starts it goes on as before");
    }
}

//! Starts threads that no signal handler of the application runs on.
//!
//! A signal for the process is delivered on any thread that does not block it, and a new thread
//! blocks what the one that starts it blocks. An application that leaves its signals to one thread
//! of its own would find its handlers on ours, where they hold up the transfers of all directories.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Thread};

/// Starts a thread that blocks every signal but those that the thread itself causes by a fault.
///
/// # Errors
/// If the system refuses a thread.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let builder = Builder::new().name(name.to_owned());
    let thread = without_signals(|| builder.spawn(work))??;
    Ok(thread.thread().clone())
}

/// Runs what may end in a waker, which is a stranger's code: its panic must not stop the transfers
/// of all directories.
pub(crate) fn unharmed(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("a job or a waker panicked on a thread of the backend");
    }
}

/// Runs `start` while this thread blocks the signals that the thread it starts is to block.
#[cfg(unix)]
fn without_signals<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    // A fault cannot be blocked: the kernel ends the process then, and neither the message about
    // an overflowed stack nor a reporter of crashes has a chance.
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

/// There are no signals that could be blocked.
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

    /// The signals that this thread blocks, as bits.
    fn blocked() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").expect("Linux says");
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        u64::from_str_radix(line.expect("Linux says").trim(), 16).expect("a mask is in hex")
    }

    /// An application that blocked SIGALRM for a thread of its own, after it had opened a store,
    /// found more than half of its handlers run on the driver of io_uring.
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

//! The ring's calls to the kernel and to the clock. Tests inject refusals here.

use std::fmt::Debug;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use io_uring::IoUring;

/// The calls of a ring that can fail, and the clock of its waits.
///
/// No buffer's life depends on it: the ring itself reports when the kernel is done.
pub(super) trait Kernel: Debug + Send {
    /// Submits the prepared entries and waits for `want` completion entries.
    fn enter(&mut self, ring: &IoUring, want: usize) -> io::Result<usize> {
        ring.submit_and_wait(want)
    }

    /// Returns the result of a completion entry, given the result from the kernel.
    fn answer(&mut self, result: i32) -> i32 {
        result
    }

    fn now(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "how long the kernel refuses is real time")]
        Instant::now()
    }

    /// Waits for `time`, or less.
    fn pause(&mut self, time: Duration) {
        thread::park_timeout(time);
    }
}

/// The real kernel.
#[derive(Debug)]
pub(super) struct RealKernel;

impl Kernel for RealKernel {}

//! What the ring asks of the kernel and of the clock. Tests put refusals in between.

use std::fmt::Debug;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use io_uring::IoUring;

/// The calls of a ring that can fail, and what it waits by.
///
/// Nothing that a buffer's life depends on: the ring itself says when the kernel is done.
pub(super) trait Kernel: Debug + Send {
    /// Submits what was prepared and waits for `want` completion entries.
    fn enter(&mut self, ring: &IoUring, want: usize) -> io::Result<usize> {
        ring.submit_and_wait(want)
    }

    /// The result that a completion entry has, given the one that the kernel put there.
    fn answer(&mut self, result: i32) -> i32 {
        result
    }

    fn now(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "how long the kernel refuses is real time")]
        Instant::now()
    }

    /// Waits, maybe less.
    fn pause(&mut self, time: Duration) {
        thread::park_timeout(time);
    }
}

/// The kernel as it is.
#[derive(Debug)]
pub(super) struct RealKernel;

impl Kernel for RealKernel {}

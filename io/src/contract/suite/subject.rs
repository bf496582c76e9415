//! The directory under test, and its driver.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::contract::buf::AlignedBuf;
use crate::contract::device::Device;
use crate::contract::directory::{DeviceOptions, Directory};
use crate::contract::event_source::EventSource;

/// A fresh, empty directory that should keep the contract.
pub struct Subject {
    pub(super) directory: Arc<dyn Directory>,
    /// The source that a test must drive, if operations do not end by themselves.
    source: Option<Arc<dyn EventSource>>,
    _kept: Option<Box<dyn Any>>,
}

impl Subject {
    /// Wraps a directory whose operations end by themselves, on threads of its own.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory, source: None, _kept: None }
    }

    /// Sets the source that ends the operations when driven, such as a simulated disk.
    #[must_use]
    pub fn driven_by(self, source: Arc<dyn EventSource>) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Keeps a value, such as the place of the directory, for as long as the test runs.
    #[must_use]
    pub fn keeping(self, place: impl Any) -> Self {
        Self { _kept: Some(Box::new(place)), ..self }
    }

    /// Polls `future` to its end.
    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        let parker = Arc::new(Parker { thread: thread::current(), woken: AtomicBool::new(true) });
        let waker = Waker::from(Arc::clone(&parker));
        let mut future = pin!(future);
        loop {
            while parker.woken.swap(false, Ordering::Acquire) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return output;
                }
            }
            match &self.source {
                Some(source) => {
                    let due = source.next_event().expect("something is going to happen");
                    source.run_event(due);
                }
                None => thread::park(),
            }
        }
    }

    /// Returns whether operations end only while [`run`](Self::run) drives them.
    pub(super) fn is_simulated(&self) -> bool {
        self.source.is_some()
    }

    /// Opens a device of small segments.
    pub(super) async fn device(&self) -> Arc<dyn Device> {
        let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
        self.directory.open_device("log", options).await.expect(SOUND)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Small, so that most checks cross a boundary.
pub(super) const SEGMENT: u64 = 64 << 10;
/// [`SEGMENT`] as a length.
pub(super) const SEGMENT_LEN: usize = 64 << 10;
/// The message of a check when an operation fails that must succeed.
pub(super) const SOUND: &str = "a sound directory does this";
/// The message of a check when an operation succeeds that must fail.
pub(super) const REFUSED: &str = "a sound directory refuses this";

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Returns bytes that encode their own offset.
pub(super) fn pattern(offset: u64, len: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(len);
    fill(offset, &mut buf);
    buf
}

pub(super) fn fill(offset: u64, bytes: &mut [u8]) {
    for (index, word) in bytes.chunks_mut(8).enumerate() {
        let stamp = (offset / 8 + index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word.copy_from_slice(&stamp.to_le_bytes()[..word.len()]);
    }
}

/// Checks that `bytes` belong at `offset`.
#[track_caller]
pub(super) fn check(offset: u64, bytes: &[u8]) {
    let mut expected = vec![0; bytes.len()];
    fill(offset, &mut expected);
    assert!(bytes == expected, "{} bytes at {offset} differ from the written bytes", bytes.len());
}

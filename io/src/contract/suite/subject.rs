//! The backends under test, and how to run a test on each of them.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use kvick_io::sim::{SimDisk, SimOptions};
use kvick_io::{
    AlignedBuf, BackendChoice, Device, DeviceOptions, Directory, EventSource, IoConfig,
    MemoryDirectory, open_directory,
};
use tempfile::TempDir;

/// A fresh directory of one kind.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) directory: Arc<dyn Directory>,
    /// What must be driven for anything to happen, if it does not happen by itself.
    source: Option<Arc<dyn EventSource>>,
    _place: Option<TempDir>,
}

/// Small enough that most tests cross a boundary.
pub(crate) const SEGMENT: u64 = 64 << 10;
/// The same as a length.
pub(crate) const SEGMENT_LEN: usize = 64 << 10;

/// A fresh directory of every kind that works on this machine.
pub(crate) fn backends() -> Vec<Backend> {
    let config = IoConfig { depth: 8, threads: 4, ..IoConfig::default() };
    let buffered = IoConfig { direct: false, ..config.clone() };
    let memory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let mut backends = vec![
        Backend { name: "memory", directory: memory, source: None, _place: None },
        real("threads", "/tmp", BackendChoice::Threads, &config).expect("threads always work"),
        real("threads, buffered", "/tmp", BackendChoice::Threads, &buffered).expect("as above"),
    ];
    backends.push(simulated());
    backends.extend(real("uring", "/tmp", BackendChoice::Uring, &config));
    backends.extend(real("uring, buffered", "/tmp", BackendChoice::Uring, &buffered));
    if std::path::Path::new("/dev/shm").is_dir() {
        backends.extend(real("uring, tmpfs", "/dev/shm", BackendChoice::Uring, &config));
        backends.extend(real("threads, tmpfs", "/dev/shm", BackendChoice::Threads, &config));
    }
    backends
}

fn simulated() -> Backend {
    // The audit is stricter than the contract: it panics where a device returns an error.
    let options = SimOptions { audit: false, ..SimOptions::default() };
    let disk = SimDisk::new(1, options);
    let directory = disk.directory("store");
    Backend { name: "sim", directory, source: Some(Arc::new(disk)), _place: None }
}

fn real(
    name: &'static str,
    root: &str,
    backend: BackendChoice,
    config: &IoConfig,
) -> Option<Backend> {
    let place = TempDir::new_in(root).expect("a directory for scratch");
    let config = IoConfig { backend, ..config.clone() };
    match open_directory(&place.path().join("store"), &config) {
        Ok(directory) => Some(Backend { name, directory, source: None, _place: Some(place) }),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            println!("skipped {name}: {error}");
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Runs a test on a fresh directory of every kind.
pub(crate) fn on_every_backend(test: impl AsyncFn(&Backend)) {
    for backend in backends() {
        println!("backend: {}", backend.name);
        backend.run(test(&backend));
    }
}

impl Backend {
    /// Polls `future` to its end.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
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

    /// Whether nothing happens unless [`run`](Self::run) drives it.
    pub(crate) fn is_simulated(&self) -> bool {
        self.source.is_some()
    }

    /// A device of small segments.
    pub(crate) async fn device(&self) -> Arc<dyn Device> {
        let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
        let opened = self.directory.open_device("log", options).await;
        opened.expect("a device can be created")
    }
}

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

/// Bytes that say where they belong.
pub(crate) fn pattern(offset: u64, len: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(len);
    fill(offset, &mut buf);
    buf
}

pub(crate) fn fill(offset: u64, bytes: &mut [u8]) {
    for (index, word) in bytes.chunks_mut(8).enumerate() {
        let stamp = (offset / 8 + index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word.copy_from_slice(&stamp.to_le_bytes()[..word.len()]);
    }
}

/// Checks that `bytes` belong at `offset`.
#[track_caller]
pub(crate) fn check(offset: u64, bytes: &[u8]) {
    let mut expected = vec![0; bytes.len()];
    fill(offset, &mut expected);
    assert!(bytes == expected, "{} bytes at {offset} are not what was written", bytes.len());
}

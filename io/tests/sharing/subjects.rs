//! The subjects of the contract: each backend, in a fresh directory.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use kvick_io::sim::{SimDisk, SimOptions};
use kvick_io::{
    BackendChoice, DeviceOptions, Directory, EventSource, IoConfig, MemoryDirectory, SharedIo,
    open_directory,
};
use tempfile::TempDir;

/// A directory, a way to open it again, and an executor that suits it.
pub(crate) struct Subject {
    place: Place,
    run_on: RunOn,
}

enum Place {
    Files { path: TempDir, config: IoConfig },
    OneBackend { path: TempDir, io: SharedIo },
    Memory(MemoryDirectory),
    Simulated(SimDisk),
}

enum RunOn {
    Thread,
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    Glommio(Box<glommio::LocalExecutor>),
}

/// Small, so that tests cross many boundaries.
pub(crate) const SEGMENT: u64 = 16 << 10;

impl Subject {
    fn new(place: Place) -> io::Result<Self> {
        let subject = Self { place, run_on: RunOn::Thread };
        // Fails at once if the backend is not available.
        subject.directory()?;
        Ok(subject)
    }

    fn files(path: TempDir, backend: BackendChoice) -> io::Result<Self> {
        Self::new(Place::Files { path, config: tiny(backend) })
    }

    /// Opens the directory: each call returns another handle of the same files.
    pub(crate) fn directory(&self) -> io::Result<Arc<dyn Directory>> {
        match &self.place {
            // One level down: missing directories are created.
            Place::Files { path, config } => open_directory(&path.path().join("store"), config),
            Place::OneBackend { path, io } => io.open_directory(&path.path().join("store")),
            Place::Memory(directory) => Ok(Arc::new(directory.clone())),
            Place::Simulated(disk) => Ok(disk.directory("store")),
        }
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        match &self.run_on {
            // Nothing happens on a simulated disk unless it is driven.
            RunOn::Thread if let Place::Simulated(disk) = &self.place => drive(disk, future),
            RunOn::Thread => pollster::block_on(future),
            #[cfg(all(feature = "glommio", target_os = "linux"))]
            RunOn::Glommio(executor) => executor.run(async {
                let _attachment = kvick_io::attach_glommio();
                future.await
            }),
        }
    }
}

/// Polls `future` to its end, and runs the next event whenever the future waits.
fn drive<F: Future>(disk: &SimDisk, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut nobody = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut nobody) {
            return output;
        }
        let due = disk.next_event().expect("something is going to happen");
        disk.run_event(due);
    }
}

/// Settings under which queues fill and limits apply.
fn tiny(backend: BackendChoice) -> IoConfig {
    IoConfig { backend, depth: 8, threads: 3, ..IoConfig::default() }
}

/// Returns the options of a device with small segments.
pub(crate) fn options() -> DeviceOptions {
    DeviceOptions { segment_bytes: SEGMENT, create: true }
}

pub(crate) fn threads() -> io::Result<Subject> {
    Subject::files(tempfile::tempdir()?, BackendChoice::Threads)
}

/// Opens every handle of the directory on one backend.
pub(crate) fn one_backend() -> io::Result<Subject> {
    let io = SharedIo::new(tiny(BackendChoice::Auto))?;
    Subject::new(Place::OneBackend { path: tempfile::tempdir()?, io })
}

pub(crate) fn memory() -> io::Result<Subject> {
    Subject::new(Place::Memory(MemoryDirectory::new()))
}

pub(crate) fn simulated() -> io::Result<Subject> {
    // Some tests write the same place twice at once, with the same bytes: not misuse here.
    let options = SimOptions { audit: false, ..SimOptions::default() };
    let disk = SimDisk::new(1, options);
    Subject::new(Place::Simulated(disk))
}

/// Skipped if the kernel denies io_uring.
#[cfg(target_os = "linux")]
pub(crate) fn uring() -> io::Result<Subject> {
    Subject::files(tempfile::tempdir()?, BackendChoice::Uring)
}

/// A file system in memory: some versions refuse direct I/O.
#[cfg(target_os = "linux")]
pub(crate) fn shared_memory() -> io::Result<Subject> {
    let path = tempfile::tempdir_in("/dev/shm")
        .map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))?;
    Subject::files(path, BackendChoice::Auto)
}

/// Skipped if the kernel denies io_uring, or denies an executor the memory that it locks.
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub(crate) fn glommio() -> io::Result<Subject> {
    let mut subject = Subject::files(tempfile::tempdir()?, BackendChoice::Glommio)?;
    // After our own probe: glommio's probe ends the process if it fails.
    let executor = glommio::LocalExecutorBuilder::default()
        .make()
        .map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error.to_string()))?;
    subject.run_on = RunOn::Glommio(Box::new(executor));
    Ok(subject)
}

//! What keeps the contract: each backend, in a fresh directory.

use std::future::Future;
use std::io;
use std::sync::Arc;

use kvick_io::{
    BackendChoice, DeviceOptions, Directory, IoConfig, MemoryDirectory, open_directory,
};
use tempfile::TempDir;

/// A directory, a way to open it again, and an executor that suits it.
pub(crate) struct Subject {
    place: Place,
    run_on: RunOn,
}

enum Place {
    Files { path: TempDir, config: IoConfig },
    Memory(MemoryDirectory),
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
        let subject = Self {
            place,
            run_on: RunOn::Thread,
        };
        // Says at once if the backend is not to be had.
        subject.directory()?;
        Ok(subject)
    }

    fn files(path: TempDir, backend: BackendChoice) -> io::Result<Self> {
        let config = IoConfig {
            backend,
            depth: 8,
            threads: 3,
            ..IoConfig::default()
        };
        Self::new(Place::Files { path, config })
    }

    /// Opens the directory: each time another handle of the same files.
    pub(crate) fn directory(&self) -> io::Result<Arc<dyn Directory>> {
        match &self.place {
            // One level down: missing directories are created.
            Place::Files { path, config } => open_directory(&path.path().join("store"), config),
            Place::Memory(directory) => Ok(Arc::new(directory.clone())),
        }
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        match &self.run_on {
            RunOn::Thread => pollster::block_on(future),
            #[cfg(all(feature = "glommio", target_os = "linux"))]
            RunOn::Glommio(executor) => executor.run(async {
                let _attachment = kvick_io::attach_glommio();
                future.await
            }),
        }
    }
}

/// Options of a device with small segments.
pub(crate) fn options() -> DeviceOptions {
    DeviceOptions {
        segment_bytes: SEGMENT,
        create: true,
    }
}

pub(crate) fn threads() -> io::Result<Subject> {
    Subject::files(tempfile::tempdir()?, BackendChoice::Threads)
}

pub(crate) fn memory() -> io::Result<Subject> {
    Subject::new(Place::Memory(MemoryDirectory::new()))
}

/// Skipped where the kernel denies it.
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

/// Skipped where the kernel denies io_uring, or an executor the memory it wants to lock.
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub(crate) fn glommio() -> io::Result<Subject> {
    let mut subject = Subject::files(tempfile::tempdir()?, BackendChoice::Glommio)?;
    // After the probe of ours: glommio's own ends the process if it fails.
    let executor = glommio::LocalExecutorBuilder::default()
        .make()
        .map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error.to_string()))?;
    subject.run_on = RunOn::Glommio(Box::new(executor));
    Ok(subject)
}

//! The backend that carries out the operations of all directories of one
//! [`SharedIo`](crate::SharedIo), and its selection.

pub(crate) mod config;
#[cfg(target_os = "linux")]
mod direct;
#[cfg(target_os = "linux")]
mod doorbell;
pub(crate) mod engine;
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub(crate) mod glommio;
pub(crate) mod threads;
#[cfg(target_os = "linux")]
mod uring;

use std::io;
use std::sync::Arc;

use crate::backends::config::{BackendChoice, IoConfig};
use crate::backends::threads::Threads;
use crate::contract::completion::{OpTable, SharedTable};
use crate::error::with_context;
use crate::files::medium::{Detected, Medium};
use crate::files::operation::Engine;
use crate::threads::blocking::Blocking;

/// A handle of the backend's threads and of the table of operations in flight. The threads end when
/// the last handle is dropped and their work is done.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) table: SharedTable,
    pub(crate) blocking: Arc<Blocking>,
    /// The engine of files that bypass the page cache, if they have one of their own.
    direct: Option<Arc<dyn Engine>>,
    /// Whether a read may use the executor that issues it.
    on_executors: bool,
}

impl Backend {
    /// Starts the backend of `choice`. `Auto` and `Glommio` try io_uring with a real read of a
    /// scratch file, and fall back to threads if it is denied.
    pub(crate) fn start(
        choice: BackendChoice,
        config: &IoConfig,
        detected: &Detected,
    ) -> io::Result<Self> {
        let blocking = Arc::new(Blocking::start()?);
        if choice == BackendChoice::Threads {
            return Ok(Self::new(threads(config)?, blocking));
        }
        match uring(config, detected, &blocking) {
            Ok((engine, direct)) => {
                let on_executors = choice == BackendChoice::Glommio;
                Ok(Self { direct, on_executors, ..Self::new(engine, blocking) })
            }
            Err(error) if choice != BackendChoice::Uring && is_denial(&error) => {
                tracing::info!(%error, "io_uring is not available; using threads");
                Ok(Self::new(threads(config)?, blocking))
            }
            Err(error) if is_denial(&error) => {
                let message =
                    format!("io_uring is not available, use the backend threads: {error}");
                Err(io::Error::new(io::ErrorKind::Unsupported, message))
            }
            Err(error) => Err(with_context(error, "starting io_uring".to_owned())),
        }
    }

    pub(crate) fn new(engine: Arc<dyn Engine>, blocking: Arc<Blocking>) -> Self {
        Self { engine, table: OpTable::new(), blocking, direct: None, on_executors: false }
    }

    /// Returns the handle for a directory on `medium`. glommio is used only with direct I/O.
    pub(crate) fn on(&self, medium: Medium) -> Self {
        let mut backend = self.clone();
        if let Some(direct) = self.direct.as_ref().filter(|_| medium.direct) {
            backend.engine = Arc::clone(direct);
        }
        if self.on_executors && medium.direct {
            backend.engine = glommio(backend.engine, &backend.blocking);
        }
        backend
    }
}

/// Fails if this build does not include the backend of `choice`.
pub(crate) fn check_built(choice: BackendChoice) -> io::Result<()> {
    if choice != BackendChoice::Glommio || cfg!(all(feature = "glommio", target_os = "linux")) {
        return Ok(());
    }
    let message = "this build has no glommio; enable the feature glommio on Linux";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// The engine of all files, and that of files that bypass the page cache.
type Engines = (Arc<dyn Engine>, Option<Arc<dyn Engine>>);

/// The most reads that callers give to the kernel by themselves.
#[cfg(target_os = "linux")]
const DIRECT_READS: u32 = 32;

fn threads(config: &IoConfig) -> io::Result<Arc<dyn Engine>> {
    let limit = config.class_limit(config.threads);
    Ok(Arc::new(Threads::start(config.threads as usize, limit)?))
}

#[cfg(target_os = "linux")]
fn uring(config: &IoConfig, detected: &Detected, files: &Arc<Blocking>) -> io::Result<Engines> {
    // Together the two have at most as many operations in the kernel as the settings say.
    let direct = DIRECT_READS.min(config.depth / 4);
    let depth = config.depth - direct;
    let limits = uring::Limits { depth: depth as usize, class: config.class_limit(depth) };
    let probe = detected.scratch.file.try_clone()?;
    let (block, files) = (detected.medium.block as usize, Arc::clone(files));
    let ring = Arc::new(uring::Uring::start(limits, probe, block, files)?);
    let direct: Option<Arc<dyn Engine>> = match direct::Direct::start(&ring, direct) {
        Ok(direct) => Some(Arc::new(direct)),
        Err(error) => {
            tracing::debug!(%error, "all reads go through the ring");
            None
        }
    };
    Ok((ring, direct))
}

#[cfg(not(target_os = "linux"))]
fn uring(_config: &IoConfig, _detected: &Detected, _files: &Arc<Blocking>) -> io::Result<Engines> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(feature = "glommio", target_os = "linux"))]
fn glommio(driver: Arc<dyn Engine>, closer: &Arc<Blocking>) -> Arc<dyn Engine> {
    Arc::new(glommio::Glommio::new(driver, Arc::clone(closer)))
}

#[cfg(not(all(feature = "glommio", target_os = "linux")))]
fn glommio(_driver: Arc<dyn Engine>, _closer: &Arc<Blocking>) -> Arc<dyn Engine> {
    unreachable!("the choice was checked against the build")
}

/// Returns whether the system denies io_uring: ENOSYS, EPERM, EACCES, EINVAL, ENOMEM. They mean an
/// old kernel, a sandbox, or a limit. Any other error is a fault of the disk or of this program,
/// which a fallback would hide.
fn is_denial(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::OutOfMemory
    )
}

//! Opens a directory of real files: creates it, finds out what works, picks the backend.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::{BackendChoice, IoConfig};
use crate::directory::Directory;
use crate::engine::Engine;
use crate::medium::{self, Medium, Scratch};
use crate::operation::with_context;
use crate::os_directory::OsDirectory;
use crate::threads::Threads;

/// Opens a directory of real files, creating it (mode 0700) and its parents if absent.
///
/// Picks the backend: `Auto` tries io_uring, with a real operation, and falls back to threads
/// where the kernel or a sandbox denies it. The choice is logged once.
///
/// Blocks for some file operations: call it when starting up.
///
/// # Errors
/// `InvalidInput` for settings out of range or an unknown `KVICK_IO`; `Unsupported` if the
/// backend was asked for by name and is denied; otherwise what the operating system reports.
///
/// ```
/// # let path = tempfile::tempdir().unwrap();
/// # let path = path.path().join("store");
/// let directory = kvick_io::open_directory(&path, &kvick_io::IoConfig::default())?;
/// println!("files are in {}", directory.describe());
/// # std::io::Result::Ok(())
/// ```
pub fn open_directory(path: &Path, config: &IoConfig) -> io::Result<Arc<dyn Directory>> {
    config.check()?;
    let choice = config.choice()?;
    // Absolute, so that a later change of the working directory does not move the store.
    let path = std::path::absolute(path)?;
    let explain = |error| with_context(error, format!("opening {}", path.display()));
    medium::create_directories(&path).map_err(explain)?;
    let (medium, scratch) = Medium::detect(&path, config.direct).map_err(explain)?;
    let engine = pick(choice, config, medium, &scratch)?;
    drop(scratch);
    let backend = engine.name();
    let Medium { direct, block } = medium;
    tracing::info!(path = %path.display(), backend, direct, block, "opened a directory");
    Ok(Arc::new(OsDirectory::new(path, medium, engine)?))
}

fn pick(
    choice: BackendChoice,
    config: &IoConfig,
    medium: Medium,
    scratch: &Scratch<'_>,
) -> io::Result<Arc<dyn Engine>> {
    if choice == BackendChoice::Threads {
        return Ok(threads(config));
    }
    match uring(config, medium, scratch) {
        // glommio reads directly or not at all.
        Ok(engine) if choice == BackendChoice::Glommio && medium.direct => glommio(engine),
        Ok(engine) => Ok(engine),
        Err(error) if choice != BackendChoice::Uring && is_denial(&error) => {
            tracing::info!(%error, "io_uring is not available: using threads");
            Ok(threads(config))
        }
        Err(error) if is_denial(&error) => {
            let message = format!("io_uring is not available: {error}");
            Err(io::Error::new(io::ErrorKind::Unsupported, message))
        }
        Err(error) => Err(with_context(error, "starting io_uring".to_owned())),
    }
}

fn threads(config: &IoConfig) -> Arc<dyn Engine> {
    let limit = config.class_limit(config.threads);
    Arc::new(Threads::new(config.threads as usize, limit))
}

#[cfg(target_os = "linux")]
fn uring(config: &IoConfig, medium: Medium, scratch: &Scratch<'_>) -> io::Result<Arc<dyn Engine>> {
    let limits = crate::uring::Limits {
        depth: config.depth as usize,
        class: config.class_limit(config.depth),
    };
    let probe = scratch.file.try_clone()?;
    Ok(Arc::new(crate::uring::Uring::start(limits, probe, medium.block as usize)?))
}

#[cfg(not(target_os = "linux"))]
fn uring(
    _config: &IoConfig,
    _medium: Medium,
    _scratch: &Scratch<'_>,
) -> io::Result<Arc<dyn Engine>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(feature = "glommio", target_os = "linux"))]
fn glommio(driver: Arc<dyn Engine>) -> io::Result<Arc<dyn Engine>> {
    Ok(Arc::new(crate::glommio::Glommio::new(driver)))
}

#[cfg(not(all(feature = "glommio", target_os = "linux")))]
fn glommio(_driver: Arc<dyn Engine>) -> io::Result<Arc<dyn Engine>> {
    let message = "this build of kvick-io is without the feature glommio";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// ENOSYS, EPERM, EACCES, EINVAL, ENOMEM: an old kernel, a sandbox, a limit. Anything else is a
/// fault of the disk or of this program, and falling back would hide it.
fn is_denial(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::OutOfMemory
    )
}

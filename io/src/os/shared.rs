//! Opens directories of real files on one backend.
//!
//! The first directory that can be opened starts the backend, and its trial selects the backend.
//! The abilities of each file system are tried once and remembered.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backends::config::{BackendChoice, IoConfig};
use crate::backends::{self, Backend};
use crate::contract::directory::Directory;
use crate::error::with_context;
use crate::files::medium::{self, FileSystem, Medium};
use crate::files::root::Root;
use crate::os::directory::OsDirectory;

/// One backend for many directories: one set of threads, however many directories are open.
///
/// A clone is another handle of the same backend. The backend starts with the first directory. It
/// ends when the handles, the directories and their devices are all dropped and no operation is in
/// flight.
///
/// # Shared state
/// * The driver thread of io_uring, and a thread that wakes the tasks of small reads; or the pool
///   of threads. `depth` and `threads` of the [`IoConfig`] hold for all directories together.
///   Operations of one class (reads; writes and syncs) start in the order in which they came,
///   whatever their device. So no device starves, and a burst of one device delays the others at
///   most by its length.
/// * At most four threads for blocking calls: opening, renaming, deleting, whole small files. Jobs
///   that a transfer waits for, such as the creation of a segment, come first, and one thread is
///   reserved for them. A hanging file system can occupy all four.
/// * A failure of the ring. If the kernel fails the ring, every operation of every directory fails
///   with the cause. A directory that is opened afterwards, or again, starts a new backend:
///   io_uring if the kernel allows it by then, else threads if the choice is `Auto`.
///
/// # Costs of a directory A directory takes a file descriptor, a second for a
/// [lock](Directory::lock), and another for each open segment of a device. A store or log of one
/// segment takes three; 1,000 such directories need a limit (`ulimit -n`) above the usual 1,024.
///
/// One device keeps as many segments open as a quarter of the limit, from 8 to 1,024, and opens
/// others when needed. With one device of one segment, an idle directory takes about 1 KiB of
/// memory. Creating a directory waits for the disk once, to make its name durable. Opening an
/// existing directory does not wait, except the first on each file system.
///
/// ```
/// # let place = tempfile::tempdir().unwrap();
/// let shared = kvick_io::SharedIo::new(kvick_io::IoConfig::default())?;
/// let users = shared.open_directory(&place.path().join("users"))?;
/// let orders = shared.open_directory(&place.path().join("orders"))?;
/// # drop((users, orders));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedIo {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Fixed.
    config: IoConfig,
    choice: BackendChoice,
    // Under the lock.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None` until a directory could be opened.
    backend: Option<Backend>,
    /// The known abilities of file systems.
    media: BTreeMap<FileSystem, Medium>,
}

impl State {
    /// Returns the backend, unless it has failed. Then the next directory starts another backend.
    fn living(&self) -> Option<&Backend> {
        self.backend.as_ref().filter(|backend| !backend.engine.is_dead())
    }
}

impl SharedIo {
    /// Checks the settings and reads `KVICK_IO`. Starts nothing yet.
    ///
    /// # Errors
    /// `InvalidInput` for settings out of range or an unknown `KVICK_IO`; `Unsupported` if this
    /// build does not include the requested backend.
    pub fn new(config: IoConfig) -> io::Result<Self> {
        config.check()?;
        let choice = config.choice()?;
        backends::check_built(choice)?;
        Ok(Self { shared: Arc::new(Shared { config, choice, state: Mutex::default() }) })
    }

    /// Opens a directory of real files, creating it (mode 0700) and its parents if absent.
    ///
    /// Blocks for some file operations, so call it at startup. Several threads may open directories
    /// at once.
    ///
    /// # Errors
    /// `Unsupported` if the settings name a backend that is denied; others as the operating system
    /// reports them. A directory that cannot be opened does not affect the others; the next
    /// directory then starts the backend. Only the first directory on each file system tests that
    /// files can be created. In another directory the first creation fails instead.
    pub fn open_directory(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        // Absolute, so that a later change of the working directory does not move the store.
        let path = std::path::absolute(path)?;
        let opened = self.shared.open(&path);
        opened.map_err(|error| with_context(error, format!("opening {}", path.display())))
    }
}

impl Shared {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        medium::create_directories(path)?;
        let root = Root::open(path)?;
        let file_system = FileSystem::of(&root);
        if let Some((backend, medium)) = self.known(file_system) {
            tracing::debug!(path = %path.display(), "opened a directory");
            return Ok(Arc::new(OsDirectory::new(root, medium, backend)));
        }
        let (backend, medium, certain) = self.try_out(&root)?;
        if let Some(file_system) = file_system.filter(|_| certain) {
            self.lock().media.insert(file_system, medium);
        }
        let (name, Medium { direct, block, .. }) = (backend.engine.name(), medium);
        tracing::info!(path = %path.display(), backend = name, direct, block, "opened a directory");
        Ok(Arc::new(OsDirectory::new(root, medium, backend)))
    }

    /// Returns the needs of a directory, if it needs no trial.
    fn known(&self, file_system: Option<FileSystem>) -> Option<(Backend, Medium)> {
        let state = self.lock();
        let medium = *state.media.get(&file_system?)?;
        Some((state.living()?.on(medium), medium))
    }

    /// Detects the abilities of `root`, and starts the backend unless it runs. The last value tells
    /// whether the result holds for the whole file system.
    fn try_out(&self, root: &Root) -> io::Result<(Backend, Medium, bool)> {
        let detected = Medium::detect(root, self.config.direct)?;
        let (medium, certain) = (detected.medium, detected.certain);
        // Locked during the start: two first directories must not start two backends.
        let mut state = self.lock();
        let backend = match state.living() {
            Some(backend) => backend.on(medium),
            None => {
                let started = Backend::start(self.choice, &self.config, &detected)?;
                state.backend.insert(started).on(medium)
            }
        };
        Ok((backend, medium, certain))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every update is one assignment or map call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens one directory of real files, creating it (mode 0700) and its parents if absent.
///
/// Selects the backend. `Auto` tries io_uring with a real operation, and falls back to threads if
/// the kernel or a sandbox denies it. The choice is logged once.
///
/// This directory has its own backend, with its own threads. For many directories use [`SharedIo`],
/// on which this function is built.
///
/// Blocks for some file operations, so call it at startup.
///
/// # Errors
/// `InvalidInput` for settings out of range or an unknown `KVICK_IO`; `Unsupported` if the named
/// backend is denied or not built. Others as the operating system reports them.
///
/// ```
/// # let path = tempfile::tempdir().unwrap();
/// # let path = path.path().join("store");
/// let directory = kvick_io::open_directory(&path, &kvick_io::IoConfig::default())?;
/// println!("files are in {}", directory.describe());
/// # std::io::Result::Ok(())
/// ```
pub fn open_directory(path: &Path, config: &IoConfig) -> io::Result<Arc<dyn Directory>> {
    SharedIo::new(config.clone())?.open_directory(path)
}

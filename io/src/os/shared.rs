//! Opens directories of real files on one backend.
//!
//! The first directory that can be opened starts the backend; which one it becomes is tried out
//! there. What a file system can do is tried out once for each, and remembered.

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

/// One backend for many directories: the threads of one, however many are opened.
///
/// A clone is another handle of the same. The backend starts with the first directory and ends
/// when the handles, the directories and their devices are all dropped and what is in flight is
/// done.
///
/// # What is shared
/// * The driver thread of io_uring, or the pool of threads: `depth` and `threads` of the
///   [`IoConfig`] hold for all directories together. Operations of one class (reads; writes and
///   syncs) are begun in the order in which they came, whatever their device, so none starves,
///   and a burst of one device delays the others by no more than its length.
/// * At most four threads for what blocks: opening, renaming, deleting, whole small files. What a
///   transfer waits for, such as the creation of a segment, comes first, and one thread is left to
///   it. A file system that hangs can occupy them all.
/// * The end: if the kernel fails the ring, every operation of every directory fails, and says
///   why. A directory that is opened afterwards, or again, starts a new backend: io_uring if the
///   kernel allows it by then, else threads if that is left to `Auto`.
///
/// # What a directory costs
/// One file descriptor, one more for a [lock](Directory::lock) and one for each open segment of a
/// device: three for a store or log of one segment. 1,000 of those need a limit (`ulimit -n`) above
/// the usual 1,024. Of the segments of one device at most a quarter of the limit stay open, 8 to
/// 1,024; others are opened when they are needed. With one device of one segment a directory costs
/// about 1 KiB of memory while idle. Creating one waits for the disk once, to make its name
/// durable; opening one that exists does not, apart from the first on each file system.
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
    /// Nothing until a directory could be opened.
    backend: Option<Backend>,
    /// What was found out about file systems.
    media: BTreeMap<FileSystem, Medium>,
}

impl State {
    /// The backend, unless it has failed: then the next directory starts another.
    fn living(&self) -> Option<&Backend> {
        self.backend.as_ref().filter(|backend| !backend.engine.is_dead())
    }
}

impl SharedIo {
    /// Checks the settings, and starts nothing yet. `KVICK_IO` is looked at here.
    ///
    /// # Errors
    /// `InvalidInput` for settings out of range or an unknown `KVICK_IO`; `Unsupported` if this
    /// build is without the backend that was asked for.
    pub fn new(config: IoConfig) -> io::Result<Self> {
        config.check()?;
        let choice = config.choice()?;
        backends::check_built(choice)?;
        Ok(Self { shared: Arc::new(Shared { config, choice, state: Mutex::default() }) })
    }

    /// Opens a directory of real files, creating it (mode 0700) and its parents if absent.
    ///
    /// Blocks for some file operations: call it when starting up. Several threads may open
    /// directories at once.
    ///
    /// # Errors
    /// `Unsupported` if the backend was asked for by name and is denied; otherwise what the
    /// operating system reports. A directory that cannot be opened leaves the others as they are,
    /// and the next one may start the backend if this one was to. That files can be created is
    /// tried for the first directory on each file system; in another it fails when one is.
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

    /// What a directory needs, if nothing has to be tried out for it.
    fn known(&self, file_system: Option<FileSystem>) -> Option<(Backend, Medium)> {
        let state = self.lock();
        let medium = *state.media.get(&file_system?)?;
        Some((state.living()?.on(medium), medium))
    }

    /// Finds out what works in `root`, and starts the backend unless it runs. Says whether it holds
    /// for the file system.
    fn try_out(&self, root: &Root) -> io::Result<(Backend, Medium, bool)> {
        let detected = Medium::detect(root, self.config.direct)?;
        let (medium, certain) = (detected.medium, detected.certain);
        // Locked while it starts: two first directories must not start two.
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
/// Picks the backend: `Auto` tries io_uring, with a real operation, and falls back to threads
/// where the kernel or a sandbox denies it. The choice is logged once.
///
/// The backend is this directory's own, with threads of its own: for many directories there is
/// [`SharedIo`], of which this is one use.
///
/// Blocks for some file operations: call it when starting up.
///
/// # Errors
/// `InvalidInput` for settings out of range or an unknown `KVICK_IO`; `Unsupported` if the
/// backend was asked for by name and is denied or not built; otherwise what the operating system
/// reports.
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

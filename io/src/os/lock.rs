//! The lock of a directory. It lasts until no operation changes its files any more.
//!
//! A free lock means that another store may use the directory. Transfers belong to the kernel and
//! to threads. They may continue after the future that waited for them, the device and the lock's
//! owner are gone. So every operation that changes a file has a [`Hold`] until it ends. A dropped
//! lock is released with the last hold that was taken before the drop.
//!
//! After the death of a process the kernel releases its locks at once, and ends the direct
//! transfers of its ring later. So after taking a lock, and before any read, this module makes a
//! call on each segment that waits for the transfers in flight there.
//!
//! The lock covers the file with the lock's name and the directory itself, because a deleted file
//! locks nothing.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contract::directory::Lock;
use crate::contract::names;
use crate::error::naming;
use crate::files::hold::Hold;
use crate::files::root::{Access, Creation, Root};

/// The locks of one open directory, and the operations in progress there.
#[derive(Debug)]
pub(crate) struct Locks {
    root: Arc<Root>,
    names: Arc<Names>,
    current: Arc<Mutex<Arc<Hold>>>,
}

type Names = Mutex<BTreeSet<String>>;

impl Locks {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self { root, names: Arc::default(), current: Arc::default() }
    }

    /// Returns the hold that an operation keeps while it changes a file.
    pub(crate) fn hold(&self) -> Arc<Hold> {
        Arc::clone(&unpoisoned(&self.current))
    }

    /// Takes the lock, or fails with `WouldBlock`. `direct` tells whether a dead process may have
    /// left transfers in flight.
    pub(crate) fn take(&self, name: &str, direct: bool) -> io::Result<Box<dyn Lock>> {
        let mut names = unpoisoned(&self.names);
        if names.contains(name) {
            return Err(self.is_locked(name));
        }
        let file = self.lock_file(name)?;
        if names.is_empty() {
            self.lock_directory(name)?;
        }
        names.insert(name.to_owned());
        drop(names);
        let (root, names) = (Arc::clone(&self.root), Arc::clone(&self.names));
        let held = Held { file, root, names, name: name.to_owned(), owner: std::process::id() };
        #[cfg(target_os = "linux")]
        crate::files::medium::scratch::sweep(&self.root);
        // If this fails, the drop of `held` releases the lock.
        if direct {
            self.wait_for_transfers_of_the_dead()?;
        }
        Ok(Box::new(OsLock { held: Some(held), current: Arc::clone(&self.current) }))
    }

    /// Opens the file of a lock. Returns `None` on a read-only medium without such a file.
    fn lock_file(&self, name: &str) -> io::Result<Option<File>> {
        let opened = self.root.open_file(name, Access::write(Creation::IfAbsent));
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                match self.root.open_file(name, Access::READ) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    opened => opened.map_err(naming(name))?,
                }
            }
            opened => opened.map_err(naming(name))?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(self.is_locked(name)),
            Err(TryLockError::Error(error)) => Err(naming(name)(error)),
        }
    }

    #[cfg(unix)]
    fn lock_directory(&self, name: &str) -> io::Result<()> {
        match self.root.directory().try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(self.is_locked(name)),
            Err(TryLockError::Error(error)) => {
                // Some network file systems lock only files.
                tracing::debug!(%error, "cannot lock the directory itself; its file is locked");
                Ok(())
            }
        }
    }

    #[cfg(not(unix))]
    fn lock_directory(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn is_locked(&self, name: &str) -> io::Error {
        let message = format!(
            "{} is locked by another handle; close it first",
            self.root.path().join(name).display()
        );
        io::Error::new(io::ErrorKind::WouldBlock, message)
    }

    /// Waits for the transfers of dead processes.
    ///
    /// It allocates space for the first block of each segment, which has it already. `ext4`, `xfs`
    /// and `btrfs` wait for the direct transfers of a file before that. The call changes neither
    /// bytes nor length.
    #[cfg(target_os = "linux")]
    fn wait_for_transfers_of_the_dead(&self) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};

        for name in self.root.list()?.iter().filter(|name| names::is_segment(name)) {
            let file = match self.root.open_file(name, Access::write(Creation::Never)) {
                Ok(file) => file,
                Err(error) if is_harmless(&error) => continue,
                Err(error) => return Err(naming(name)(error)),
            };
            // The call has waited even if it then finds no room.
            if let Err(error) = fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 512) {
                tracing::debug!(%error, name, "no barrier against the transfers of a dead process");
            }
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn wait_for_transfers_of_the_dead(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether no transfer can be in flight: the file cannot be written, or is gone.
#[cfg(target_os = "linux")]
fn is_harmless(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | ReadOnlyFilesystem | PermissionDenied | InvalidInput)
}

/// The handle that the owner of a lock has.
#[derive(Debug)]
struct OsLock {
    /// `Some` until this value is dropped.
    held: Option<Held>,
    current: Arc<Mutex<Arc<Hold>>>,
}

impl Lock for OsLock {}

impl Drop for OsLock {
    fn drop(&mut self) {
        let ending = std::mem::take(&mut *unpoisoned(&self.current));
        if let Some(held) = self.held.take() {
            ending.leave(held);
        }
        // Released here, unless an operation is in progress.
        drop(ending);
    }
}

/// The lock of the operating system, through descriptors. The system also releases it when the
/// process dies.
#[derive(Debug)]
struct Held {
    file: Option<File>,
    root: Arc<Root>,
    names: Arc<Names>,
    name: String,
    /// The process that took the lock. A forked child has the descriptors, but not the lock.
    owner: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        let mut names = unpoisoned(&self.names);
        names.remove(&self.name);
        // Explicitly: descriptors that a forked child inherited would keep the lock.
        let file = self.file.as_ref().map_or(Ok(()), File::unlock);
        let directory = if names.is_empty() { unlock_directory(&self.root) } else { Ok(()) };
        if let Err(error) = file.and(directory) {
            tracing::debug!(%error, name = self.name, "the lock ends with its descriptors");
        }
    }
}

#[cfg(unix)]
fn unlock_directory(root: &Root) -> io::Result<()> {
    root.directory().unlock()
}

#[cfg(not(unix))]
fn unlock_directory(_root: &Root) -> io::Result<()> {
    Ok(())
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every update is one call or assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn locks(place: &tempfile::TempDir) -> Locks {
        Locks::new(Arc::new(Root::open(place.path()).expect("it is there")))
    }

    fn is_locked(locks: &Locks) -> bool {
        match locks.take("lock", true) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                true
            }
        }
    }

    /// A runtime was dropped with writes of log pages in flight. The lock was free at once, and
    /// another store recovered the directory. Then the pages of the first store were written.
    #[test]
    fn a_lock_lasts_until_what_was_in_progress_has_ended() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (locks(&place), locks(&place));
        let held = one.take("lock", true).unwrap();
        let transfers = [one.hold(), one.hold()];
        drop(held);
        let later = one.hold();
        for transfer in transfers {
            assert!(is_locked(&one) && is_locked(&other));
            drop(transfer);
        }
        assert!(!is_locked(&other), "a later operation does not keep the lock");
        let held = other.take("lock", true).unwrap();
        drop(later);
        assert!(is_locked(&one));
        drop(held);
        assert!(!is_locked(&one));
    }

    /// The file `lock` of a running store was deleted, and a second store opened the directory.
    /// Both wrote checkpoints. Afterwards every cold read of the first store returned a wrong
    /// value.
    #[cfg(unix)]
    #[test]
    fn the_lock_holds_without_its_file() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (locks(&place), locks(&place));
        let held = one.take("lock", true).unwrap();
        for name in ["lock", "other"] {
            std::fs::remove_file(place.path().join("lock")).unwrap();
            assert!(is_locked(&one), "{name}");
            let refused = other.take(name, true).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::WouldBlock, "{name}");
            std::fs::write(place.path().join("lock"), b"").unwrap();
        }
        let second = one.take("other", true).unwrap();
        drop(held);
        assert!(is_locked(&other), "the directory is locked as long as one of its locks is");
        drop(second);
        assert!(!is_locked(&other));
    }

    #[test]
    fn waiting_for_transfers_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        for (name, bytes) in [("log.000000", 4096_usize), ("log.000001", 0), ("log.000002", 100)] {
            std::fs::write(place.path().join(name), vec![7; bytes]).unwrap();
        }
        drop(locks(&place).take("lock", true).unwrap());
        for (name, bytes) in [("log.000000", 4096_usize), ("log.000001", 0), ("log.000002", 100)] {
            assert_eq!(std::fs::read(place.path().join(name)).unwrap(), vec![7; bytes]);
        }
    }
}

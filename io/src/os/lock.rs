//! The lock of a directory, which lasts until nothing changes its files any more.
//!
//! A lock says that another may use the directory once it is free. Transfers belong to the kernel
//! and to threads, and may go on when the future that waited for them, the device and the lock's
//! owner are gone. So whatever changes a file has a [`Hold`] until it ends, and a lock that is
//! dropped is released with the last hold that was taken before.
//!
//! After the death of a process the kernel releases its locks at once, and the direct transfers of
//! its ring later. So after a lock is taken each segment is asked for something that waits for the
//! transfers in flight there, before anything is read.
//!
//! Locked are the file of the lock's name and the directory itself: a file that was deleted locks
//! nothing.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contract::directory::Lock;
use crate::contract::names;
use crate::error::naming;
use crate::files::hold::Hold;
use crate::files::root::{Access, Creation, Root};

/// What is locked in one open directory, and what is in progress there.
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

    /// To be kept by what changes a file.
    pub(crate) fn hold(&self) -> Arc<Hold> {
        Arc::clone(&unpoisoned(&self.current))
    }

    /// Takes the lock, or fails with `WouldBlock`. `direct` says whether a process that died may
    /// have left transfers in flight.
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
        // Dropped, and so released, if this fails.
        if direct {
            self.wait_for_transfers_of_the_dead()?;
        }
        Ok(Box::new(OsLock { held: Some(held), current: Arc::clone(&self.current) }))
    }

    /// Nothing on a medium that cannot be written and has no such file.
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
                // Some network file systems lock files alone.
                tracing::debug!(%error, "the directory itself cannot be locked: its file is");
                Ok(())
            }
        }
    }

    #[cfg(not(unix))]
    fn lock_directory(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn is_locked(&self, name: &str) -> io::Error {
        let message = format!("{} is locked", self.root.path().join(name).display());
        io::Error::new(io::ErrorKind::WouldBlock, message)
    }

    /// Room for the first block, which is there: `ext4`, `xfs` and `btrfs` wait for the direct
    /// transfers of a file before they look. It changes neither bytes nor length.
    #[cfg(target_os = "linux")]
    fn wait_for_transfers_of_the_dead(&self) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};

        for name in self.root.list()?.iter().filter(|name| names::is_segment(name)) {
            let file = match self.root.open_file(name, Access::write(Creation::Never)) {
                Ok(file) => file,
                Err(error) if is_harmless(&error) => continue,
                Err(error) => return Err(naming(name)(error)),
            };
            // It has waited also if it then finds that there is no room.
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

/// No transfer can be in flight to a file that cannot be written, or that is gone.
#[cfg(target_os = "linux")]
fn is_harmless(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | ReadOnlyFilesystem | PermissionDenied | InvalidInput)
}

/// A lock as its owner has it.
#[derive(Debug)]
struct OsLock {
    /// There until this is dropped.
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
        // Released here, unless something is in progress.
        drop(ending);
    }
}

/// A lock as the operating system has it, through descriptors: it releases it also when the
/// process dies.
#[derive(Debug)]
struct Held {
    file: Option<File>,
    root: Arc<Root>,
    names: Arc<Names>,
    name: String,
    /// The process that took it: a fork has the descriptors, and not the lock.
    owner: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        let mut names = unpoisoned(&self.names);
        names.remove(&self.name);
        // By hand: descriptors that a fork inherited would keep it.
        let file = self.file.as_ref().map_or(Ok(()), File::unlock);
        let directory = if names.is_empty() { unlock_directory(&self.root) } else { Ok(()) };
        if let Err(error) = file.and(directory) {
            tracing::debug!(%error, name = self.name, "a lock ends with its descriptors only");
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

    /// A runtime was dropped with pages of a log under way. The lock was free at once, another
    /// store recovered the directory, and then the pages of the first were written.
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
        assert!(!is_locked(&other), "what began without the lock does not keep it");
        let held = other.take("lock", true).unwrap();
        drop(later);
        assert!(is_locked(&one));
        drop(held);
        assert!(!is_locked(&one));
    }

    /// The file `lock` of a running store was deleted, and a second one opened the directory. Both
    /// wrote checkpoints; afterwards every cold read of the first gave a wrong value.
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

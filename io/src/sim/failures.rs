//! Which files of one handle had a sync that failed: their later syncs fail too.
//!
//! They belong to the handle that was opened, not to the file: as with an operating system, what
//! opens the file again does not hear of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::durability::lost_writes;

/// The first failure of each file, by its number, and of the names of the directory.
#[derive(Debug, Default)]
pub(super) struct Failures {
    first: Mutex<BTreeMap<u64, Arc<io::Error>>>,
}

/// What stands for the names of a directory; files are numbered from 1.
pub(super) const NAMES: u64 = 0;

impl Failures {
    /// Fails if a sync of one of these did before.
    pub(super) fn check(&self, files: impl IntoIterator<Item = u64>) -> io::Result<()> {
        let first = self.lock();
        match files.into_iter().find_map(|file| first.get(&file)) {
            Some(failure) => Err(lost_writes(failure)),
            None => Ok(()),
        }
    }

    /// A sync of these has failed: gives the error to fail with.
    pub(super) fn note(&self, files: &[u64], error: io::Error) -> io::Error {
        let error = Arc::new(error);
        let mut first = self.lock();
        for &file in files {
            first.entry(file).or_insert_with(|| Arc::clone(&error));
        }
        lost_writes(&error)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<io::Error>>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

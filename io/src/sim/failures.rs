//! The files of one handle with a failed sync. Their later syncs fail too.
//!
//! The failures belong to the open handle, not to the file. As with an operating system, a handle
//! that opens the file again does not see them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::durability::lost_writes;

/// The first failure of each file, by its number, and of the names of the directory.
#[derive(Debug, Default)]
pub(super) struct Failures {
    first: Mutex<BTreeMap<u64, Arc<io::Error>>>,
}

/// The number of the names of a directory. Files are numbered from 1.
pub(super) const NAMES: u64 = 0;

impl Failures {
    /// Fails if an earlier sync of one of these files failed.
    pub(super) fn check(&self, files: impl IntoIterator<Item = u64>) -> io::Result<()> {
        let first = self.lock();
        match files.into_iter().find_map(|file| first.get(&file)) {
            Some(failure) => Err(lost_writes(failure)),
            None => Ok(()),
        }
    }

    /// Records that a sync of these files has failed. Returns the error of that sync.
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

//! The segments of a device that a sync must cover.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The segments with a write since their last sync.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    indices: Mutex<BTreeSet<u64>>,
}

impl Unsynced {
    /// Records that a write to this segment has completed.
    pub(crate) fn insert(&self, index: u64) {
        self.lock().insert(index);
    }

    /// Returns the results of `file` for all segments. Removes each segment for which it returns
    /// `None`.
    pub(crate) fn retain<T>(&self, mut file: impl FnMut(u64) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        self.lock().retain(|&index| {
            let file = file(index);
            let is_found = file.is_some();
            found.extend(file);
            is_found
        });
        found
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // Every update is one call.
        self.indices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

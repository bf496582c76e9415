//! Which segments of a device are to be synced.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The segments in which something was written since their last sync.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    indices: Mutex<BTreeSet<u64>>,
}

impl Unsynced {
    /// A write to this segment has completed.
    pub(crate) fn insert(&self, index: u64) {
        self.lock().insert(index);
    }

    /// Gives what `file` finds for each; those for which it finds nothing are taken off.
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

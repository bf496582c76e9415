//! The index entry of a key that is about to be written.

use crate::base::error::{Error, Result};
use crate::base::hash::KeyHash;
use crate::hash_index::{FoundEntry, Refused};
use crate::store::table::TableRef;

/// Returns the entry of a key's hash, and creates it if needed. Returns `None` if other operations
/// were changing its bucket.
///
/// # Errors
/// `InvalidArgument` if the table was dropped: its keys get no entries. `Io` if the system has no
/// memory for the entry.
#[inline(always)]
pub(in crate::store) fn entry_of(core: TableRef<'_>, hash: KeyHash) -> Result<Option<FoundEntry>> {
    // A second look is no use here: to create an entry is to look for it, too.
    if let Some(entry) = core.index.find_at_once(hash) {
        return Ok(Some(entry));
    }
    core.table.check()?;
    match core.index.create(hash) {
        Ok(entry) => Ok(Some(entry)),
        Err(Refused::Contended) => Ok(None),
        Err(Refused::NoMemory(error)) => Err(no_index_memory(error)),
    }
}

/// The hash of a key that an operation has not written. Its drop gives up the entry, if there is
/// one that leads to no record. So a write that is refused, waits or panics leaves no entry, and
/// keys that are never written do not fill the index.
pub(in crate::store) struct UnwrittenKey<'t> {
    core: TableRef<'t>,
    hash: KeyHash,
}

impl<'t> UnwrittenKey<'t> {
    #[inline(always)]
    pub(in crate::store) fn new(core: TableRef<'t>, hash: KeyHash) -> Self {
        Self { core, hash }
    }

    /// Records that the operation has ended, or is about to try again.
    #[inline(always)]
    pub(in crate::store) fn written(self) {
        std::mem::forget(self);
    }
}

impl Drop for UnwrittenKey<'_> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(entry) = self.core.index.find(self.hash) {
            self.core.index.give_up(entry);
        }
    }
}

#[cold]
pub(in crate::store) fn no_index_memory(error: std::io::Error) -> Error {
    Error::io("growing the hash index, nothing was changed", error)
}

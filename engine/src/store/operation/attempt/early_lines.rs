//! The cache lines of one key, asked for before an operation needs them.
//!
//! They are hints: nothing is kept of what a search finds, and the operation searches again.

use crate::base::address::Address;
use crate::base::hash::KeyHash;
use crate::codec::Key;
use crate::store::operation::upsert::hashed;
use crate::store::record::encoding::encode_key;
use crate::store::table::TableRef;

/// The line of the index that was asked for.
pub(crate) struct EarlyLines<'a> {
    core: TableRef<'a>,
    hash: KeyHash,
}

impl<'a> EarlyLines<'a> {
    /// Asks for the line of the index. Returns `None` for a key that no record can have, which the
    /// operation reports.
    #[inline(always)]
    pub(crate) fn ask<K: Key + ?Sized>(core: TableRef<'a>, key: &K::Item) -> Option<Self> {
        let bytes = encode_key::<K>(key).ok()?;
        let hash = hashed::<K>(core, bytes.as_ref()).ok()?.hash;
        core.index.prefetch(hash);
        Some(Self { core, hash })
    }

    /// Asks for the line of the newest record of the chain. Returns whether there is one.
    #[inline(always)]
    pub(crate) fn ask_for_record(self) -> bool {
        let newest = self.core.index.newest_at_once(self.hash);
        self.core.log.pages().prefetch(newest);
        newest != Address::NONE
    }
}

//! Moves an old record of a cache to the tail when it is read: its second chance.
//!
//! A cache drops its oldest records. A record that was read stays, because its copy is new. The
//! copy is linked as any copy of a compaction is: under the entry that led to the record. So it is
//! never in front of a newer record of its key.
//!
//! A record that takes changes in place is new enough, so a key has one copy for each way of a
//! record through the mutable region, however often it is read. The copy is best effort: if there
//! is no room, or the entry has changed, or a version ends, or a scan is in progress, the read does
//! without it.

use crate::base::address::Address;
use crate::base::weak_spot;
use crate::codec::{Key, Value};
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::hybrid_log::Region;
use crate::record::{ExpiryWord, NewRecord, RecordKind};
use crate::statistics::{Counter, Counters};
use crate::store::compaction::{Copied, chain_behind, link_copy};
use crate::store::operation::attempt::{Types, layout};
use crate::store::operation::pending::PendingState;
use crate::store::record::append::Link;
use crate::store::record::find::{InMemory, RecordSource, find_record};
use crate::store::table::TableRef;
use kvick_io::sync::atomic::Ordering;

/// An old record, as it will ever be.
struct OldRecord<'r> {
    address: Address,
    previous: Address,
    value: &'r [u8],
    expiry: ExpiryWord,
}

/// Appends a copy of the newest record of `key`, if it is old.
///
/// It looks for the record again, so that a read keeps nothing for it.
#[cold]
#[inline(never)]
pub(super) fn promote<K: Key + ?Sized, V: Value + ?Sized>(
    core: TableRef<'_>,
    key: &[u8],
    guard: &Guard<'_>,
    counters: &Counters,
    pending: &PendingState,
) {
    let Some(entry) = core.index.find(core.table.hasher.hash(key)) else {
        return;
    };
    let (newest, mut word) = (entry.address(), [0; 8]);
    let old = match find_record::<Types<K, V>>(core, newest, key, guard) {
        RecordSource::InMemory(found) => in_memory::<K, V>(core, found, &mut word, guard),
        RecordSource::OnDevice(from) => stored::<K, V>(core, from, pending),
        RecordSource::Absent => None,
    };
    let Some(old) = old.filter(|_| core.check_write().is_ok()) else {
        return;
    };
    let entry = entry_for_copy(core, key, entry);
    let chain = chain_behind(core.store, entry.address(), (old.address, old.previous));
    let OldRecord { value, expiry, .. } = old;
    let record = NewRecord { key, value, content: RecordKind::Value, expiry };
    let table = (core.table.number, core.table.layout);
    let copied = link_copy(core.store, table, (entry, chain), record, guard);
    if let Copied::Tried(Link::Linked) = copied {
        counters.add(Counter::Promotions, 1);
        counters.add(Counter::AppendedBytes, record.bytes(core.table.layout) as u64);
    }
}

/// Returns the entry under which a copy is linked: it led to the record.
fn entry_for_copy(core: TableRef<'_>, key: &[u8], entry: FoundEntry) -> FoundEntry {
    if weak_spot::is_copied_anew() {
        weak_spot::pause();
        return core.index.find(core.table.hasher.hash(key)).unwrap_or(entry);
    }
    entry
}

/// Returns a record in memory, if no operation changes it any more. A value in pieces stays where
/// it is.
fn in_memory<'r, K: Key + ?Sized, V: Value + ?Sized>(
    core: TableRef<'r>,
    InMemory { address, record, region, .. }: InMemory<'r>,
    word: &'r mut [u8; 8],
    guard: &'r Guard<'_>,
) -> Option<OldRecord<'r>> {
    if region != Region::ReadOnly {
        return None;
    }
    // The record was mutable before the region was looked up, so it may have changed since the
    // value was read. It has not since the lookup.
    let (layout, info) = (layout::<K, V>(), record.info());
    if info.is_tombstone() || info.is_in_pieces(layout) {
        return None;
    }
    let value = match V::WIDTH {
        Some(width) if layout.value_is_word() => {
            // Acquire: pairs with the Release of the writer that stored the value.
            *word = record.value_word(layout).load(Ordering::Acquire).to_le_bytes();
            &word[..width]
        }
        _ => core.store.log.pages().immutable_value(layout, address, guard),
    };
    let (previous, expiry) = (info.previous(), record.expiry(layout));
    Some(OldRecord { address, previous, value, expiry })
}

/// Returns a record on the device, if a wait has read it.
fn stored<'r, K: Key + ?Sized, V: Value + ?Sized>(
    core: TableRef<'_>,
    from: Address,
    pending: &'r PendingState,
) -> Option<OldRecord<'r>> {
    let layout = layout::<K, V>();
    let stored = pending.chain_from(from, core.log.pages())??;
    let (address, info) = (stored.address(), stored.info());
    let (value, expiry) = (stored.value(layout), stored.expiry(layout));
    let takes_copies = !info.is_tombstone() && !info.is_in_pieces(layout);
    takes_copies.then_some(OldRecord { address, previous: info.previous(), value, expiry })
}

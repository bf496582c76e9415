//! Appends a record and makes it the newest of its chain, in one stretch under one guard.

use crate::base::address::Address;
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::hybrid_log::{Claim, NoRoom, Room};
use crate::record::{
    HasLayout, Layout, NewRecord, RecordInfo, RecordKind, TableNumber, ValueState,
};
use crate::statistics::{Counter, Counters};
use crate::store::inner::StoreInner;
use crate::store::operation::attempt::{Attempt, Blocked};
use crate::store::table::TableRef;
use crate::store::wal::TakesEffect;
use kvick_io::sync::atomic::AtomicU64;

/// The result of linking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::store) enum Link {
    /// The record is the newest of its chain.
    Linked,
    /// The chain has changed since its entry was found. The operation starts again from the entry.
    Lost,
    /// The log has no space for it.
    NoRoom(Room),
}

impl Link {
    /// Returns the step of an attempt whose computed record was linked or not.
    pub(in crate::store) fn attempt(self) -> Attempt<bool> {
        match self {
            Self::Linked => Attempt::Done(true),
            Self::Lost => Attempt::Blocked(Blocked::Overtaken),
            Self::NoRoom(room) => Attempt::Blocked(Blocked::NoSpace(room)),
        }
    }
}

impl TakesEffect for Link {
    fn took_effect(&self) -> bool {
        *self == Self::Linked
    }
}

/// The number of tries of one attempt, and of attempts of an overtaken operation. Then the
/// operation lets other tasks run.
pub(in crate::store) const TRIES: usize = 64;

/// Appends `record` in front of the chain of `entry`. Links the record if the entry has not
/// changed since it was found.
#[inline(always)]
pub(in crate::store) fn append_record<S: HasLayout>(
    core: TableRef<'_>,
    entry: FoundEntry,
    record: NewRecord<'_>,
    guard: &Guard<'_>,
    counters: &Counters,
) -> Link {
    append_in(core, S::LAYOUT, (entry, record), guard, counters)
}

/// As [`append_record`], in a table of any types with this layout.
#[inline(always)]
pub(in crate::store) fn append_in(
    core: TableRef<'_>,
    layout: Layout,
    (entry, record): (FoundEntry, NewRecord<'_>),
    guard: &Guard<'_>,
    counters: &Counters,
) -> Link {
    let previous = match entry.address() {
        Address::UNSET => Address::NONE,
        newest => chain_to_keep(core, layout, (newest, record.key), guard),
    };
    let table = (core.table.number, layout);
    let claim = claim_of(&record);
    match link_record(core.store, table, (entry, previous), (record, claim), guard) {
        Ok(address) => {
            counters.add(Counter::Appends, 1);
            counters.add(Counter::AppendedBytes, record.bytes(layout) as u64);
            if record.content == RecordKind::Tombstone {
                note_removal(core.store, counters);
                if previous == Address::NONE {
                    core.index.forget(entry.moved_to(address));
                }
            }
            Link::Linked
        }
        Err(link) => link,
    }
}

/// Counts a removal that has taken effect and left something to compact: a tombstone was linked, a
/// record that was alive was deleted in place, or has expired by a change of its expiry.
#[inline(always)]
pub(in crate::store) fn note_removal(store: &StoreInner, counters: &Counters) {
    counters.add(Counter::Removals, 1);
    store.removals.note();
}

#[inline(always)]
fn claim_of(record: &NewRecord<'_>) -> Claim {
    match record.content {
        RecordKind::Tombstone => Claim::Removal,
        RecordKind::Value | RecordKind::InPieces | RecordKind::Piece => Claim::Value,
    }
}

/// Links a copy of a mutable value while the value is sealed. Removes the seal if linking fails.
pub(in crate::store) fn sealed(
    state: ValueState,
    word: &AtomicU64,
    link: impl FnOnce() -> Link,
) -> Attempt<bool> {
    if state.transition_to_sealed(word).is_err() {
        return Attempt::Blocked(Blocked::Overtaken);
    }
    let link = link();
    if link != Link::Linked {
        state.unseal(word);
    }
    link.attempt()
}

/// Returns the room that a record needs in the log of the store, if that has none now.
pub(in crate::store) fn lacking_room(
    core: TableRef<'_>,
    layout: Layout,
    record: &NewRecord<'_>,
) -> Option<Room> {
    lacking_bytes(core, record.bytes(layout), claim_of(record))
}

/// As [`lacking_room`], for a record of this number of bytes.
pub(in crate::store) fn lacking_bytes(
    core: TableRef<'_>,
    bytes: usize,
    claim: Claim,
) -> Option<Room> {
    let room = Room::new(bytes as u64, claim);
    (!core.log.allocator().has_room(room)).then_some(room)
}

/// Appends `record` in front of `previous`, and makes it the newest of the chain of `entry`, which
/// has not changed since it was found. Returns its address, or why it is not linked.
#[inline(always)]
pub(in crate::store) fn link_record(
    store: &StoreInner,
    table: (TableNumber, Layout),
    (entry, previous): (FoundEntry, Address),
    record: (NewRecord<'_>, Claim),
    guard: &Guard<'_>,
) -> Result<Address, Link> {
    // Otherwise each try beside a task that holds the entry would leave a record that is invalid.
    if !store.index.is_unchanged(entry) {
        return Err(Link::Lost);
    }
    match store.log.append(table, previous, record, guard) {
        Err(NoRoom(room)) => Err(Link::NoRoom(room)),
        Ok((address, _)) if store.index.try_update(entry, address) => Ok(address),
        Ok((_, appended)) => {
            // No operation will find it. Readers of whole pages pass over it.
            RecordInfo::transition_to_invalid(appended.info_word());
            Err(Link::Lost)
        }
    }
}

/// Returns the chain for the next record of an entry that leads to `newest`, a record of `key`.
///
/// It is empty if all that there is is one record, which is deleted or has the same key. So a key
/// that comes and goes is alone in its chain each time, and its entry is given up in the end. A
/// scan may still need the record if it is below the scan's moment. Records below the begin of the
/// log are gone.
#[inline(always)]
pub(in crate::store) fn chain_to_keep(
    core: TableRef<'_>,
    layout: Layout,
    (newest, key): (Address, &[u8]),
    guard: &Guard<'_>,
) -> Address {
    let pages = core.store.log.pages();
    let begin = pages.begin();
    if newest < pages.head(guard) {
        return if newest < begin { Address::NONE } else { newest };
    }
    let record = pages.record(newest, guard);
    let info = record.info();
    // A deleted record stays deleted.
    let is_needless = info.previous() < begin
        && (info.is_tombstone()
            || (info.is_of(core.table.word()) && record.key_equals(layout, key)));
    if is_needless && newest >= core.scans.kept_below() { Address::NONE } else { newest }
}

/// Repeats `once` while it loses races, at most [`TRIES`] times. Usually another operation makes
/// progress meanwhile.
#[inline(always)]
pub(in crate::store) fn with_retries<T>(
    mut once: impl FnMut() -> crate::base::error::Result<Option<Attempt<T>>>,
) -> crate::base::error::Result<Attempt<T>> {
    for _ in 0..TRIES {
        if let Some(step) = once()? {
            return Ok(step);
        }
        kvick_io::sync::hint::spin_loop();
    }
    Ok(Attempt::Blocked(Blocked::Contended))
}

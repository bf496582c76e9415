//! Delete: makes a key absent.

use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::hybrid_log::{Region, Room};
use crate::record::{
    ExpiryWord, Layout, NewRecord, RecordInfo, RecordKind, RecordRef, Shape, ValueState,
};
use crate::statistics::Counter;
use crate::store::answers::Previous;
use crate::store::context::OperationContext;
use crate::store::moment::Moment;
use crate::store::operation::attempt::operation::{BlindWrite, OnKey, Operation};
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey, Types};
use crate::store::operation::upsert::hashed;
use crate::store::record::append::{Link, append_in, lacking_room, note_removal, with_retries};
use crate::store::record::encoding::{encode_key, owned_key};
use crate::store::record::find::{InMemory, RecordSource, find_in};
use crate::store::table::TableRef;
use crate::store::wal::{KeyChange, logged_try};
use std::marker::PhantomData;

/// The number of records of a chain that are looked at before its entry is given up.
const LOOKED_AT: usize = 8;

/// Deletes one key.
pub(crate) struct Delete<'k, K: Key + ?Sized, V: Value + ?Sized> {
    key: &'k K::Item,
    value: PhantomData<fn(&V)>,
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized> Delete<'k, K, V> {
    #[inline(always)]
    pub(crate) fn new(key: &'k K::Item) -> Self {
        Self { key, value: PhantomData }
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Operation for Delete<'_, K, V> {
    type Output = Previous;

    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<Previous>> {
        let bytes = encode_key::<K>(self.key)?;
        let key = hashed::<K>(core, bytes.as_ref())?;
        Self::new(self.key).attempt_hashed(core, key, tools, &Moment::new(core))
    }

    fn key(&self) -> Result<Vec<u8>> {
        owned_key::<K>(self.key)
    }
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized> OnKey<'k, K> for Delete<'k, K, V> {
    #[inline(always)]
    fn key_item(&self) -> &'k K::Item {
        self.key
    }
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized> BlindWrite<'k, K> for Delete<'k, K, V> {
    fn attempt_hashed(
        self,
        core: TableRef<'_>,
        key: HashedKey<'_>,
        tools: OperationContext<'_>,
        moment: &Moment<'_>,
    ) -> Result<Attempt<Previous>> {
        core.check_write()?;
        if core.must_wait(&tools) {
            return Ok(Attempt::Blocked(Blocked::VersionBarrier));
        }
        let step = delete_in(core, Types::<K, V>::default(), key, (&tools, moment))?;
        if let Attempt::Done(_) = step {
            tools.counters.add(Counter::Deletes, 1);
            tools.serial.advance();
        }
        Ok(step)
    }
}

/// Deletes one key, in a table of any types with this layout.
#[inline(always)]
pub(in crate::store) fn delete_in(
    core: TableRef<'_>,
    shape: impl Shape,
    key: HashedKey<'_>,
    (tools, moment): (&OperationContext<'_>, &Moment<'_>),
) -> Result<Attempt<Previous>> {
    with_retries(|| {
        let change = move || delete_once(core, shape, key, tools, moment);
        let lacks = move || {
            let (layout, tombstone) = (shape.layout(), tombstone_of(key.bytes));
            let is_needed =
                |_room: &Room| needs_tombstone(core, layout, key, (tools.guard, moment));
            lacking_room(core, layout, &tombstone).filter(is_needed)
        };
        logged_try(core, tools.logger(), key, (KeyChange::Remove, lacks, moment), change)
    })
}

/// Tries once. Returns `None` if another operation was faster.
#[inline(always)]
fn delete_once(
    core: TableRef<'_>,
    shape: impl Shape,
    HashedKey { bytes: key, hash }: HashedKey<'_>,
    tools: &OperationContext<'_>,
    moment: &Moment<'_>,
) -> Result<Option<Attempt<Previous>>> {
    let Some(entry) = core.index.find(hash) else {
        core.table.check()?;
        RecordSource::Absent.count(tools.counters);
        return Ok(Some(Attempt::Done(Previous::Absent)));
    };
    let layout = shape.layout();
    let found = find_in(core, layout, (entry.address(), key), tools.guard);
    found.check_table(core)?;
    let done = match found {
        RecordSource::Absent => Some(Previous::Absent),
        RecordSource::InMemory(found) if found.record.info().is_tombstone() => {
            Some(Previous::Absent)
        }
        RecordSource::InMemory(found @ InMemory { record, region: Region::Mutable, .. })
            if !record.info().is_final(layout) =>
        {
            let Some(was_alive) = delete_in_place(record, layout, moment) else {
                return Ok(None);
            };
            core.version_tag(record);
            forget_if_dead(core, entry, tools.guard);
            Some(if was_alive {
                note_removal(core.store, tools.counters);
                found.previous(core, layout)
            } else {
                Previous::Absent
            })
        }
        // It is as good as a tombstone.
        RecordSource::InMemory(found) if found.has_expired(layout, moment) => {
            Some(Previous::Absent)
        }
        // A newer tombstone hides a record that is immutable, frozen or on the device. Nothing
        // reads that record.
        RecordSource::InMemory(_) | RecordSource::OnDevice(_) => None,
    };
    if let Some(previous) = done {
        found.count(tools.counters);
        return Ok(Some(Attempt::Done(previous)));
    }
    let tombstone = tombstone_of(key);
    Ok(match append_in(core, layout, (entry, tombstone), tools.guard, tools.counters) {
        Link::Linked => {
            found.count(tools.counters);
            Some(Attempt::Done(found.previous(core, layout, moment)))
        }
        Link::Lost => None,
        Link::NoRoom(room) => Some(Attempt::Blocked(Blocked::NoSpace(room))),
    })
}

#[inline(always)]
fn tombstone_of(key: &[u8]) -> NewRecord<'_> {
    let (content, expiry) = (RecordKind::Tombstone, ExpiryWord::NEVER);
    NewRecord { key, value: &[], content, expiry }
}

/// Returns whether a deletion would append a record now.
#[cold]
fn needs_tombstone(
    core: TableRef<'_>,
    layout: Layout,
    HashedKey { bytes: key, hash }: HashedKey<'_>,
    (guard, moment): (&Guard<'_>, &Moment<'_>),
) -> bool {
    let Some(entry) = core.index.find(hash) else {
        return false;
    };
    match find_in(core, layout, (entry.address(), key), guard) {
        RecordSource::Absent => false,
        RecordSource::InMemory(found) => {
            let is_in_place = found.region == Region::Mutable && !found.info.is_final(layout);
            !is_in_place && !found.info.is_tombstone() && !found.has_expired(layout, moment)
        }
        RecordSource::OnDevice(_) => true,
    }
}

/// Gives up an entry after a record of its chain was deleted in place, if all records of the chain
/// are deleted and in memory. So keys that come and go do not fill the index. The records stay
/// deleted: operations that find them change nothing in place. They may link a newer record, and
/// then the entry stays.
///
/// Of two tasks that delete the last two records of a chain, each may miss the other. Then the
/// entry stays until compaction.
pub(in crate::store) fn forget_if_dead(core: TableRef<'_>, entry: FoundEntry, guard: &Guard<'_>) {
    let pages = core.log.pages();
    let (head, begin) = (pages.head(guard), pages.begin());
    let mut address = entry.address();
    for _ in 0..LOOKED_AT {
        if address < head {
            return;
        }
        let info = pages.record(address, guard).info();
        if !info.is_tombstone() {
            return;
        }
        address = info.previous();
        if address < begin {
            return core.index.forget(entry);
        }
    }
}

/// Sets the tombstone of a mutable record. Returns whether the record was alive; `None` if another
/// operation is changing or copying its value.
fn delete_in_place(record: RecordRef<'_>, layout: Layout, moment: &Moment<'_>) -> Option<bool> {
    let has_expired = || layout.has_expiry && moment.has_passed(record.expiry(layout));
    if layout.value_is_word() {
        let had_expired = has_expired();
        // Values of one word are never copied while they are mutable, so this needs no lock.
        let was_alive = RecordInfo::transition_to_tombstone(record.info_word());
        return Some(was_alive && !had_expired);
    }
    let state = ValueState::observe(record.state_word(layout)).ok()?;
    // It belongs to the observed state if that can be locked.
    let had_expired = has_expired();
    delete_observed(record, layout, state).map(|was_alive| was_alive && !had_expired)
}

/// Sets the tombstone of a mutable record whose value is still as observed. Returns whether the
/// record was alive; `None` if another operation has changed the value, or is changing it.
pub(in crate::store) fn delete_observed(
    record: RecordRef<'_>,
    layout: Layout,
    state: ValueState,
) -> Option<bool> {
    let word = record.state_word(layout);
    state.transition_to_locked(word).ok()?;
    let was_alive = RecordInfo::transition_to_tombstone(record.info_word());
    state.unlock(word, state.length());
    Some(was_alive)
}

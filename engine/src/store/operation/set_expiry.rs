//! Sets when a key expires: the value stays, with another expiry.
//!
//! | newest record of the key | the operation |
//! |---|---|
//! | mutable, a value of bytes | changes the expiry in place, under the lock of the value |
//! | mutable, a value of one word | freezes the record, waits until its word is final, copies it |
//! | fuzzy | waits until it is immutable: another operation may still change it in place |
//! | read-only | copies it to the tail |
//! | on the device | reads it first, then copies it to the tail |
//! | absent, deleted, expired or cut | changes nothing |
//!
//! A lock keeps all other writers and copies out, and readers look again after it. The version tag
//! of the record counts as for a change of the value, so an incremental checkpoint has the record.
//! A value of one word has no lock, so it is copied like a value that is removed: see
//! [`removal`](super::modify) for the reason to freeze it. A copy is linked only if the index entry
//! is as it was, so it never hides a newer value.
//!
//! A value in pieces keeps them: the copy has their list. It is the list of the newest record of
//! the key, and is linked only under the entry that led to it. So a compaction, which moves the
//! pieces of the newest list, sees this list or the copy, or is overtaken and looks again.

use crate::base::error::Result;
use crate::codec::{Expires, Key, Value};
use crate::hash_index::FoundEntry;
use crate::hybrid_log::{Claim, Region};
use crate::record::{
    ExpiryWord, Layout, NewRecord, RecordInfo, RecordKind, RecordRef, StoredRecord, ValueState,
};
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::expiry::Expiry;
use crate::store::moment::Moment;
use crate::store::operation::attempt::operation::Operation;
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey, layout};
use crate::store::operation::upsert::hashed;
use crate::store::record::append::{Link, append_in, lacking_bytes, note_removal, with_retries};
use crate::store::record::encoding::{encode_key, owned_key};
use crate::store::record::find::{InMemory, RecordSource, find_in};
use crate::store::record::pieces::is_cut;
use crate::store::table::TableRef;
use crate::store::wal::{KeyChange, WriteAheadLog, logged_try, needs_no_room};
use kvick_io::sync::atomic::Ordering;
use std::cell::RefCell;
use std::marker::PhantomData;

/// Sets the expiry of one key.
pub(crate) struct SetExpiry<'k, K: Key + ?Sized, V: Value + ?Sized> {
    key: &'k K::Item,
    expiry: Expiry,
    value: PhantomData<fn(&V)>,
}

impl<'k, K: Key + ?Sized, V: Expires + ?Sized> SetExpiry<'k, K, V> {
    pub(crate) fn new(key: &'k K::Item, expiry: Expiry) -> Self {
        const { assert!(V::HAS_EXPIRY, "a value type that expires has a word for it") };
        Self { key, expiry, value: PhantomData }
    }
}

impl<K: Key + ?Sized, V: Expires + ?Sized> Operation for SetExpiry<'_, K, V> {
    type Output = bool;

    fn attempt(
        &mut self,
        core: TableRef<'_>,
        mut tools: OperationContext<'_>,
    ) -> Result<Attempt<bool>> {
        let bytes = encode_key::<K>(self.key)?;
        let key = hashed::<K>(core, bytes.as_ref())?;
        core.check_write()?;
        if core.must_wait(&tools) {
            return Ok(Attempt::Blocked(Blocked::VersionBarrier));
        }
        let moment = Moment::new(core);
        let expiry = self.expiry.word(&moment);
        let step = set_expiry_in(core, layout::<K, V>(), (key, expiry), (&mut tools, &moment))?;
        if let Attempt::Done(was_there) = step {
            if was_there && moment.has_passed(expiry) {
                note_removal(core.store, tools.counters);
            }
            tools.counters.add(Counter::Modifies, 1);
            tools.serial.advance();
        }
        Ok(step)
    }

    fn key(&self) -> Result<Vec<u8>> {
        owned_key::<K>(self.key)
    }
}

/// Sets the expiry of one key, in a table of any types with this layout.
pub(in crate::store) fn set_expiry_in(
    core: TableRef<'_>,
    layout: Layout,
    (key, expiry): (HashedKey<'_>, ExpiryWord),
    (tools, moment): (&mut OperationContext<'_>, &Moment<'_>),
) -> Result<Attempt<bool>> {
    let logger = tools.logger();
    let tools = &RefCell::new(tools);
    with_retries(|| {
        let change = move || {
            let tools = &mut **tools.borrow_mut();
            // Under the stripe of the key: it is the entry of the newest change.
            let Some(entry) = core.index.find(key.hash) else {
                core.table.check()?;
                RecordSource::Absent.count(tools.counters);
                return Ok(Some(Attempt::Done(false)));
            };
            Once { core, layout, tools, key, entry, expiry }.run(moment)
        };
        if core.store.wal.as_ref().is_some_and(WriteAheadLog::is_live)
            && let Some(step) = waits(core, layout, (key, expiry), (&tools.borrow(), moment))
        {
            return Ok(Some(Attempt::Blocked(step)));
        }
        logged_try(core, logger, key, (KeyChange::Expire(expiry), needs_no_room, moment), change)
    })
}

/// Returns what a change of an expiry would wait for now. A try that waits, or is refused, would
/// leave an entry of zeros.
#[cold]
fn waits(
    core: TableRef<'_>,
    layout: Layout,
    (key, expiry): (HashedKey<'_>, ExpiryWord),
    (tools, moment): (&OperationContext<'_>, &Moment<'_>),
) -> Option<Blocked> {
    let room = |value: usize| {
        let bytes = layout.record_bytes(layout.extents(key.bytes.len(), value));
        lacking_bytes(core, bytes, Claim::Value).map(Blocked::NoSpace)
    };
    let entry = core.index.find(key.hash)?;
    match find_in(core, layout, (entry.address(), key.bytes), tools.guard) {
        RecordSource::Absent => None,
        RecordSource::InMemory(found) => {
            let InMemory { address, record, info, region } = found;
            let is_done = info.is_tombstone()
                || found.has_expired(layout, moment)
                || record.expiry(layout) == expiry;
            if is_done {
                return None;
            }
            match (region, layout.value_width.filter(|_| layout.value_is_word())) {
                (Region::Fuzzy, _) => Some(Blocked::Fuzzy(address)),
                (Region::Mutable, None) => None,
                (Region::Mutable, Some(_)) if tools.pending.drained != Some(address) => {
                    RecordInfo::transition_to_frozen(record.info_word());
                    Some(Blocked::Frozen(address))
                }
                (_, Some(width)) => room(width),
                (_, None) => room(ValueState::observe(record.state_word(layout)).ok()?.length()),
            }
        }
        RecordSource::OnDevice(from) => {
            let Some(chain) = tools.pending.chain_from(from, core.log.pages()) else {
                return Some(Blocked::OnDevice(from));
            };
            let stored = chain?;
            let is_done = stored.info().is_tombstone()
                || moment.has_passed(stored.expiry(layout))
                || stored.expiry(layout) == expiry;
            if is_done { None } else { room(stored.value(layout).len()) }
        }
    }
}

/// One try.
struct Once<'t, 's> {
    core: TableRef<'t>,
    layout: Layout,
    tools: &'t mut OperationContext<'s>,
    key: HashedKey<'t>,
    entry: FoundEntry,
    expiry: ExpiryWord,
}

impl Once<'_, '_> {
    /// Tries once. Returns `None` if another operation was faster.
    fn run(&mut self, moment: &Moment<'_>) -> Result<Option<Attempt<bool>>> {
        let newest = self.entry.address();
        let layout = self.layout;
        let found = find_in(self.core, layout, (newest, self.key.bytes), self.tools.guard);
        found.check_table(self.core)?;
        let step = match found {
            RecordSource::Absent => Some(Attempt::Done(false)),
            RecordSource::InMemory(found) if found.record.info().is_tombstone() => {
                Some(Attempt::Done(false))
            }
            RecordSource::InMemory(found) if found.has_expired(layout, moment) => {
                Some(Attempt::Done(false))
            }
            RecordSource::InMemory(found) if layout.value_is_word() => self.change_word(found),
            RecordSource::InMemory(found) => self.change_bytes(found, moment),
            RecordSource::OnDevice(from) => {
                match self.tools.pending.chain_from(from, self.core.log.pages()) {
                    None => Some(Attempt::Blocked(Blocked::OnDevice(from))),
                    Some(Some(stored)) => self.change_stored(stored, moment),
                    Some(None) => Some(Attempt::Done(false)),
                }
            }
        };
        if let Some(Attempt::Done(_)) = step {
            found.count(self.tools.counters);
        }
        Ok(step)
    }

    /// Copies a value of one word, once it is final.
    fn change_word(&self, found: InMemory<'_>) -> Option<Attempt<bool>> {
        let InMemory { address, record, info, region } = found;
        if record.expiry(self.layout) == self.expiry {
            return Some(Attempt::Done(true));
        }
        let is_final = region == Region::ReadOnly || self.tools.pending.drained == Some(address);
        if !is_final {
            if !info.is_final(self.layout) {
                if region == Region::Fuzzy {
                    return Some(Attempt::Blocked(Blocked::Fuzzy(address)));
                }
                RecordInfo::transition_to_frozen(record.info_word());
            }
            return Some(Attempt::Blocked(Blocked::Frozen(address)));
        }
        let width = self.layout.value_width.expect("a word has a width");
        // Acquire: pairs with the Release of the writer that stored the value.
        let word = record.value_word(self.layout).load(Ordering::Acquire).to_le_bytes();
        self.append(RecordKind::Value, &word[..width])
    }

    /// Changes the expiry of a value of bytes: in place if it is mutable, otherwise in a copy.
    fn change_bytes(&mut self, found: InMemory<'_>, moment: &Moment<'_>) -> Option<Attempt<bool>> {
        if found.info.is_in_pieces(self.layout) {
            let mut list = self.tools.scratch.take();
            let copied = found.record.copy_value(self.layout, &mut list);
            let is_cut = is_cut(&list, self.core.readable_from());
            self.tools.scratch.give_back(list);
            copied.ok()?;
            if is_cut {
                return Some(Attempt::Done(false));
            }
        }
        match found.region {
            Region::Mutable => self.change_in_place(found.record, moment),
            Region::Fuzzy => Some(Attempt::Blocked(Blocked::Fuzzy(found.address))),
            _ if found.record.expiry(self.layout) == self.expiry => Some(Attempt::Done(true)),
            _ => {
                let mut value = self.tools.scratch.take();
                let copied = found.record.copy_value(self.layout, &mut value);
                let content = kind(self.layout, found.info);
                let step = copied.ok().and_then(|_| self.append(content, &value));
                self.tools.scratch.give_back(value);
                step
            }
        }
    }

    fn change_in_place(&self, record: RecordRef<'_>, moment: &Moment<'_>) -> Option<Attempt<bool>> {
        let word = record.state_word(self.layout);
        let state = ValueState::observe(word).ok()?;
        // It belongs to the observed state if that is unchanged, or can be locked.
        let expiry = record.expiry(self.layout);
        let has_expired = moment.has_passed(expiry);
        let is_alive = || !has_expired && !record.info().is_tombstone();
        if expiry == self.expiry && !state.is_sealed() {
            // A new state would look like a change to a task that copies the value.
            let step = Attempt::Done(is_alive());
            return state.is_unchanged(word).then_some(step);
        }
        state.transition_to_locked(word).ok()?;
        // The tombstone cannot change under the lock, because deleting takes the lock too.
        let is_alive = is_alive();
        if is_alive {
            self.core.version_tag(record);
            record.write_expiry(self.layout, self.expiry);
        }
        state.unlock(word, state.length());
        Some(Attempt::Done(is_alive))
    }

    /// Copies a record that a wait has read from the device.
    fn change_stored(&self, stored: &StoredRecord, moment: &Moment<'_>) -> Option<Attempt<bool>> {
        let expiry = stored.expiry(self.layout);
        let is_cut = stored.info().is_in_pieces(self.layout)
            && is_cut(stored.value(self.layout), self.core.readable_from());
        if stored.info().is_tombstone() || moment.has_passed(expiry) || is_cut {
            return Some(Attempt::Done(false));
        }
        if expiry == self.expiry {
            return Some(Attempt::Done(true));
        }
        self.append(kind(self.layout, stored.info()), stored.value(self.layout))
    }

    /// Appends a copy with the new expiry.
    fn append(&self, content: RecordKind, value: &[u8]) -> Option<Attempt<bool>> {
        let record = NewRecord { key: self.key.bytes, value, content, expiry: self.expiry };
        let OperationContext { guard, counters, .. } = *self.tools;
        match append_in(self.core, self.layout, (self.entry, record), guard, counters) {
            Link::Linked => Some(Attempt::Done(true)),
            Link::Lost => None,
            Link::NoRoom(room) => Some(Attempt::Blocked(Blocked::NoSpace(room))),
        }
    }
}

/// Returns the content of a copy of a record that is alive.
fn kind(layout: Layout, info: RecordInfo) -> RecordKind {
    if info.is_in_pieces(layout) { RecordKind::InPieces } else { RecordKind::Value }
}

//! Modify: reads, computes and writes as one step. `rmw`, `insert_if_absent`, `compare_and_swap`,
//! `update`, `take` and others differ only in their [`Change`].
//!
//! | newest record of the key | the operation |
//! |---|---|
//! | mutable | changes it in place by a CAS or its lock; seals and copies it if it does not fit |
//! | fuzzy | waits until it is immutable: another operation may still change it in place |
//! | read-only | copies it to the tail |
//! | on the device | reads it first, then copies it to the tail |
//! | absent or deleted | creates it at the tail |
//! | frozen ([`removal`]) | waits until its word is final, then copies it to the tail |
//!
//! A record that has expired is no value: the change is computed from none, and the new record
//! never expires. Otherwise the new record expires when the old one would have.
//!
//! A copy is linked only if the entry is as it was when the old value was found, so no update is
//! lost. The change may be computed several times; it takes effect once.
//!
//! A change is code of the user, and may take long. So an attempt computes it once. The attempt
//! ends ([`Blocked::Overtaken`]) if another operation was faster meanwhile, and the next one has a
//! guard of its own. Otherwise a task that waits for guards to end would wait for all attempts.

mod copies;
#[cfg(all(test, not(loom)))]
mod expiry_tests;
mod hit;
mod long_values;
mod removal;

use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::hash_index::FoundEntry;
use crate::hybrid_log::Region;
use crate::record::{ExpiryWord, Layout, NewRecord, RecordInfo, RecordKind, RecordRef, ValueState};
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::moment::Moment;
use crate::store::operation::attempt::EntrySnapshot;
use crate::store::operation::attempt::operation::{OnKey, Operation};
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey, Types, layout};
use crate::store::operation::changes::{Change, without_entry};
use crate::store::operation::delete::{delete_observed, forget_if_dead};
use crate::store::operation::upsert::{at_newest, check_value, hashed, is_too_long};
use crate::store::record::append::{
    append_record, lacking_room, note_removal, sealed, with_retries,
};
use crate::store::record::encoding::{encode_key, owned_key};
use crate::store::record::entry::{UnwrittenKey, entry_of};
use crate::store::record::find::{InMemory, RecordSource, find_record};
use crate::store::record::overwrite::{overwrite_observed, word_of};
use crate::store::table::{TableInner, TableRef};
use crate::store::wal::{KeyChange, TakesEffect, logged, logged_step, needs_no_room};
pub(in crate::store) use hit::modify_hit;
use kvick_io::sync::atomic::Ordering;
use long_values::{long_put, scattered, too_long};
use std::marker::PhantomData;

/// Modifies the value of one key.
pub(crate) struct Modify<'k, K: Key + ?Sized, V: Value + ?Sized, C> {
    key: &'k K::Item,
    change: C,
    value: PhantomData<fn(&V)>,
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized, C> Modify<'k, K, V, C> {
    #[inline(always)]
    pub(crate) fn new(key: &'k K::Item, change: C) -> Self {
        Self { key, change, value: PhantomData }
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>> Operation for Modify<'_, K, V, C> {
    type Output = C::Output;

    #[inline(always)]
    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<C::Output>> {
        let bytes = encode_key::<K>(self.key)?;
        let key = hashed::<K>(core, bytes.as_ref())?;
        Ok(match modify_hashed::<K, V, C>(core, key, &mut self.change, tools)? {
            Attempt::Done(wrote) => Attempt::Done(self.change.answer(wrote)),
            Attempt::Blocked(blocked) => Attempt::Blocked(blocked),
        })
    }

    const HITS: bool = !C::REMOVES;

    #[inline(always)]
    fn hit(
        &mut self,
        core: TableRef<'_>,
        tools: &mut OperationContext<'_>,
    ) -> Option<Result<C::Output>> {
        let wrote = at_newest::<K, _>(
            core,
            self.key,
            #[inline(always)]
            |found| modify_hit::<K, V, C>(core, found, &mut self.change, tools),
        )?;
        Some(wrote.map(|wrote| self.change.answer(wrote)))
    }

    fn key(&self) -> Result<Vec<u8>> {
        owned_key::<K>(self.key)
    }
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized, C> OnKey<'k, K> for Modify<'k, K, V, C> {
    #[inline(always)]
    fn key_item(&self) -> &'k K::Item {
        self.key
    }
}

/// The state of one try.
pub(in crate::store) struct RmwAttempt<'t, 's> {
    table: &'t TableInner,
    pub(in crate::store) tools: &'t mut OperationContext<'s>,
    key: HashedKey<'t>,
    entry: FoundEntry,
}

/// A record in memory, as it was observed.
struct Current<'c> {
    /// `None` if the record has expired.
    value: Option<&'c [u8]>,
    state: ValueState,
    /// Never if the record has expired.
    expiry: ExpiryWord,
    /// The number of bytes to which it may grow in place. `None` if it is in pieces.
    capacity: Option<usize>,
}

/// A value that a newer record replaces, and the expiry of its record, which passes on.
#[derive(Clone, Copy)]
pub(in crate::store) struct Replaced<'c> {
    value: &'c [u8],
    expiry: ExpiryWord,
}

/// Returns whether the change wrote.
#[inline(always)]
pub(in crate::store) fn modify_hashed<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
    core: TableRef<'_>,
    key: HashedKey<'_>,
    change: &mut C,
    mut tools: OperationContext<'_>,
) -> Result<Attempt<bool>> {
    core.check_write()?;
    if core.must_wait(&tools) {
        return Ok(Attempt::Blocked(Blocked::VersionBarrier));
    }
    let moment = &Moment::new(core);
    change.begin(moment);
    let unwritten = UnwrittenKey::new(core, key.hash);
    let step = with_retries(|| {
        let entry = if C::CREATES && !C::REMOVES {
            match entry_of(core, key.hash)? {
                Some(entry) => entry,
                None => return Ok(None),
            }
        } else if let Some(entry) = core.index.find(key.hash) {
            entry
        } else if C::CREATES {
            core.table.check()?;
            return without_entry::<V, C>(core, key.hash, change, tools.counters).map(Some);
        } else {
            core.table.check()?;
            RecordSource::Absent.count(tools.counters);
            return Ok(Some(Attempt::Done(false)));
        };
        RmwAttempt { table: core.table, tools: &mut tools, key, entry }
            .once::<K, V, C>(change, moment)
    })?;
    match step {
        Attempt::Done(_) => {
            unwritten.written();
            tools.counters.add(Counter::Modifies, 1);
            tools.serial.advance();
        }
        Attempt::Blocked(Blocked::Overtaken) => unwritten.written(),
        Attempt::Blocked(_) => drop(unwritten),
    }
    Ok(step)
}

impl<'t> RmwAttempt<'t, '_> {
    #[inline(always)]
    fn core(&self) -> TableRef<'t> {
        self.table.with_store()
    }

    /// Tries once. Returns `None` if another operation was faster before the change was computed.
    #[inline(always)]
    fn once<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        change: &mut C,
        moment: &Moment<'_>,
    ) -> Result<Option<Attempt<bool>>> {
        let layout = layout::<K, V>();
        let found = find_record::<Types<K, V>>(
            self.core(),
            self.entry.address(),
            self.key.bytes,
            self.tools.guard,
        );
        let step = match found {
            RecordSource::Absent => {
                self.table.check()?;
                self.copy::<K, V, C>(None, change)
            }
            RecordSource::InMemory(found) if found.has_expired(layout, moment) => {
                self.copy::<K, V, C>(None, change)
            }
            RecordSource::InMemory(found) if found.info.is_final(layout) => {
                self.change_final::<K, V, C>(found, change, moment)
            }
            RecordSource::InMemory(InMemory { address, region: Region::Fuzzy, .. }) => {
                Ok(Some(Attempt::Blocked(Blocked::Fuzzy(address))))
            }
            RecordSource::InMemory(InMemory { address, record, info, region: Region::Mutable })
                if layout.value_is_word() =>
            {
                self.core().stamp_observed(record, info);
                self.change_word::<K, V, C>((address, record), change)
            }
            RecordSource::InMemory(found) => self.change_bytes::<K, V, C>(found, change, moment),
            RecordSource::OnDevice(from) => self.change_stored::<K, V, C>(from, change, moment),
        }?;
        if let Some(Attempt::Done(_)) = step {
            found.count(self.tools.counters);
        }
        Ok(step)
    }

    /// Returns whether the record that was found is still the newest of its key, and takes changes
    /// in place. In a store with a write-ahead log the caller holds the stripe of the key, so this
    /// stays so: no other change gets an entry meanwhile.
    ///
    /// Without that log a change of a record that was replaced meanwhile counts as made before.
    /// With it, the entry of the newer change is there already.
    #[inline(always)]
    fn may_change_in_place(&self, record: RecordRef<'_>, layout: Layout) -> bool {
        let core = self.core();
        core.store.wal.is_none() || (!record.info().is_final(layout) && self.is_newest())
    }

    /// Returns whether the entry of the index still leads to the same record.
    #[inline(never)]
    fn is_newest(&self) -> bool {
        let entry = self.core().index.find(self.key.hash);
        entry.map(FoundEntry::address) == Some(self.entry.address())
    }

    /// Changes a value of one word in place.
    #[inline(always)]
    fn change_word<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        (address, record): (Address, RecordRef<'_>),
        change: &mut C,
    ) -> Result<Option<Attempt<bool>>> {
        let word = record.value_word(layout::<K, V>());
        let width = V::WIDTH.expect("a word has a width");
        let (core, key, logger) = (self.core(), self.key, self.tools.logger());
        let this = &*self;
        // Acquire: pairs with the Release of the writer that stored the value.
        let current = word.load(Ordering::Acquire);
        let (bytes, kept) = (current.to_le_bytes(), record.expiry(layout::<K, V>()));
        let step = change.apply_expiring(Some(&bytes[..width]), kept, |new, next| {
            let Some(new) = new.filter(|_| next == kept) else {
                // A removal, or another expiry: that of a word is final.
                RecordInfo::transition_to_frozen(record.info_word());
                return Ok(WordChange::Frozen);
            };
            check_value::<V>(core, new)?;
            let swap = move || {
                if !this.may_change_in_place(record, layout::<K, V>()) {
                    return WordChange::Overtaken;
                }
                // Release: pairs with the Acquire of readers.
                let new = word_of(new);
                let swap = word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Relaxed);
                if swap.is_ok() { WordChange::Done } else { WordChange::Overtaken }
            };
            let description = move || KeyChange::Put(new, next);
            match logged(core, logger, key, (description, needs_no_room, swap)) {
                Ok(changed) => Ok(changed),
                Err(why) => why.blocked().map(WordChange::Blocked),
            }
        })?;
        Ok(Some(match step {
            None => Attempt::Done(false),
            Some(WordChange::Done) => Attempt::Done(true),
            Some(WordChange::Overtaken) => Attempt::Blocked(Blocked::Overtaken),
            Some(WordChange::Frozen) => Attempt::Blocked(Blocked::Frozen(address)),
            Some(WordChange::Blocked(blocked)) => Attempt::Blocked(blocked),
        }))
    }

    /// Changes a value in memory: in place if it is mutable and the new value fits, otherwise as a
    /// copy.
    pub(in crate::store) fn change_bytes<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        found: InMemory<'_>,
        change: &mut C,
        moment: &Moment<'_>,
    ) -> Result<Option<Attempt<bool>>> {
        let InMemory { address, record, .. } = found;
        let layout = layout::<K, V>();
        if layout.value_is_word() {
            let width = V::WIDTH.expect("a word has a width");
            let current = record.value_word(layout).load(Ordering::Acquire).to_le_bytes();
            let replaced = Replaced { value: &current[..width], expiry: record.expiry(layout) };
            return self.copy::<K, V, C>(Some(replaced), change);
        }
        let mut bytes = self.tools.scratch.take();
        let Ok((state, expiry)) = record.copy_with_expiry(layout, &mut bytes) else {
            self.tools.scratch.give_back(bytes);
            return Ok(None);
        };
        let in_pieces = record.info().is_in_pieces(layout);
        let capacity = (!in_pieces).then(|| record.extents(layout).capacity);
        let mut current = Current { value: Some(&bytes), state, expiry, capacity };
        let result = if record.info().is_tombstone() {
            // Another operation deleted the record between the walk and the copy.
            Ok(None)
        } else if layout.has_expiry && moment.has_passed(expiry) {
            (current.value, current.expiry) = (None, ExpiryWord::NEVER);
            self.replace::<K, V, C>(found, current, change)
        } else if in_pieces {
            match self.tools.pending.gathered_at(address) {
                Some(gathered) => {
                    current.value = gathered.value();
                    if current.value.is_none() {
                        current.expiry = ExpiryWord::NEVER;
                    }
                    self.replace::<K, V, C>(found, current, change)
                }
                None => {
                    let list = Box::new((address, bytes.clone()));
                    Ok(Some(Attempt::Blocked(Blocked::OverflowValue(list))))
                }
            }
        } else {
            self.replace::<K, V, C>(found, current, change)
        };
        self.tools.scratch.give_back(bytes);
        result
    }

    /// Replaces the observed value of a record in memory.
    fn replace<K: Key + ?Sized, V: Value + ?Sized, C: Change<V>>(
        &mut self,
        found: InMemory<'_>,
        Current { value, state, expiry, capacity }: Current<'_>,
        change: &mut C,
    ) -> Result<Option<Attempt<bool>>> {
        let InMemory { record, region, .. } = found;
        let layout = layout::<K, V>();
        let (seen, next) = (value.map(|_| state.raw()), change.expiry(expiry));
        if region != Region::Mutable {
            let replaced = value.map(|value| Replaced { value, expiry });
            return self.copy_of::<K, V, C>(replaced, seen, change);
        }
        if state.is_sealed() {
            // Another operation is about to link a copy of it.
            return Ok(None);
        }
        let word = record.state_word(layout);
        let Self { key: logged_key, entry, .. } = *self;
        let (core, key, tools) = (self.core(), logged_key.bytes, &*self.tools);
        let logger = tools.logger();
        let OperationContext { guard, counters, .. } = *tools;
        let version = EntrySnapshot { newest: entry.address(), state: seen };
        let link = |record: NewRecord<'_>| {
            let link = || append_record::<Types<K, V>>(core, entry, record, guard, counters);
            sealed(state, word, link)
        };
        if let Some((record, computed)) = scattered(core.log.pages(), tools, version, (key, next)) {
            change.recall(value, computed)?;
            let put = (long_put(core, computed, next), || lacking_room(core, layout, &record));
            return logged_step(core, logger, logged_key, put, || link(record)).map(Some);
        }
        let step = change.apply_expiring(value, expiry, |new, next| {
            let Some(new) = new else {
                let remove = || {
                    if !self.may_change_in_place(record, layout) {
                        return Attempt::Blocked(Blocked::Overtaken);
                    }
                    core.version_tag(record);
                    let step = removed(record, layout, state);
                    if let Attempt::Done(_) = step {
                        note_removal(core.store, counters);
                        forget_if_dead(core, entry, guard);
                    }
                    step
                };
                let removal = (KeyChange::Remove, needs_no_room);
                return logged_step(core, logger, logged_key, removal, remove);
            };
            check_value::<V>(core, new)?;
            let put = KeyChange::Put(new, next);
            if capacity.is_some_and(|capacity| new.len() <= capacity) {
                let overwrite = || {
                    if self.may_change_in_place(record, layout)
                        && overwrite_observed(core, (record, state), layout, (new, next))
                    {
                        Attempt::Done(true)
                    } else {
                        Attempt::Blocked(Blocked::Overtaken)
                    }
                };
                return logged_step(core, logger, logged_key, (put, needs_no_room), overwrite);
            }
            if is_too_long(core, layout, key, new) {
                return Ok(too_long::<V, C>(core, version, new));
            }
            let record = NewRecord { key, value: new, content: RecordKind::Value, expiry: next };
            let put = (put, || lacking_room(core, layout, &record));
            logged_step(core, logger, logged_key, put, || link(record))
        })?;
        Ok(Some(step.unwrap_or(Attempt::Done(false))))
    }
}

/// The result of a change of one word.
#[derive(Debug)]
enum WordChange {
    Done,
    Overtaken,
    Frozen,
    Blocked(Blocked),
}

impl TakesEffect for WordChange {
    fn took_effect(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// Removes the observed value of a mutable record.
fn removed(record: RecordRef<'_>, layout: Layout, state: ValueState) -> Attempt<bool> {
    match delete_observed(record, layout, state) {
        Some(was_alive) => {
            debug_assert!(was_alive, "a deletion would have changed the state");
            Attempt::Done(true)
        }
        None => Attempt::Blocked(Blocked::Overtaken),
    }
}

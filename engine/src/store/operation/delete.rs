//! Delete: makes a key absent.

use crate::codec::{Key, Value};
use crate::error::Result;
use crate::hybrid_log::Region;
use crate::record::{Content, Layout, NewRecord, RecordInfo, RecordRef, Shape, ValueState};
use crate::statistics::Counter;
use crate::store::answers::Previous;
use crate::store::inner::Core;
use crate::store::operation::attempt::{Blocked, HashedKey, Step, Types};
use crate::store::operation::future::Operation;
use crate::store::record::encoding::{encode_key, owned_key};
use crate::store::record::link::{Link, until_settled};
use crate::store::record::trace::{Found, InMemory};
use crate::store::seat::Tools;
use std::marker::PhantomData;

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

    fn attempt(&mut self, core: &Core, tools: Tools<'_>) -> Result<Step<Previous>> {
        core.check_write()?;
        if core.must_wait(&tools) {
            return Ok(Step::Blocked(Blocked::Cut));
        }
        let bytes = encode_key::<K>(self.key)?;
        let key = core.hashed::<K>(bytes.as_ref())?;
        let step = until_settled(|| core.delete_once::<Types<K, V>>(key, &tools))?;
        if let Step::Done(_) = step {
            tools.counters.add(Counter::Deletes, 1);
            tools.counters.advance();
        }
        Ok(step)
    }

    fn key(&self) -> Result<Vec<u8>> {
        owned_key::<K>(self.key)
    }
}

impl Core {
    /// Tries once. Returns `None` if another operation was faster.
    fn delete_once<S: Shape>(
        &self,
        HashedKey { bytes: key, hash }: HashedKey<'_>,
        tools: &Tools<'_>,
    ) -> Result<Option<Step<Previous>>> {
        let Some(entry) = self.index.find(hash) else {
            Found::Absent.count(tools.counters);
            return Ok(Some(Step::Done(Previous::Absent)));
        };
        let found = self.trace::<S>(entry.address(), key, tools.guard);
        let done = match found {
            Found::Absent => Some(Previous::Absent),
            Found::InMemory(found) if found.record.info().is_tombstone() => Some(Previous::Absent),
            Found::InMemory(InMemory { record, region: Region::Mutable, .. })
                if !record.info().is_final(S::LAYOUT) =>
            {
                let Some(previous) = delete_in_place(record, S::LAYOUT) else {
                    return Ok(None);
                };
                self.stamp(record);
                Some(previous)
            }
            // A newer tombstone hides a record that is immutable, frozen or on the device. Nothing
            // reads that record.
            Found::InMemory(_) | Found::OnDevice(_) => None,
        };
        if let Some(previous) = done {
            found.count(tools.counters);
            return Ok(Some(Step::Done(previous)));
        }
        let tombstone = NewRecord { key, value: &[], content: Content::Tombstone };
        Ok(match self.link::<S>(entry, tombstone, tools.guard, tools.counters) {
            Link::Linked => {
                found.count(tools.counters);
                Some(Step::Done(found.previous()))
            }
            Link::Lost => None,
            Link::NoRoom(bytes) => Some(Step::Blocked(Blocked::Room(bytes))),
        })
    }
}

/// Sets the tombstone of a mutable record. Returns `None` if another operation is changing or
/// copying its value.
fn delete_in_place(record: RecordRef<'_>, layout: Layout) -> Option<Previous> {
    if layout.value_is_word() {
        // Values of one word are never copied while they are mutable, so this needs no lock.
        return Some(previous(RecordInfo::transition_to_tombstone(record.info_word())));
    }
    let state = ValueState::observe(record.state_word(layout)).ok()?;
    delete_observed(record, layout, state).map(previous)
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

fn previous(was_alive: bool) -> Previous {
    if was_alive { Previous::Present } else { Previous::Absent }
}

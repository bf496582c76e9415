//! Delete: makes a key absent.

use crate::codec::{Key, Value};
use crate::error::Result;
use crate::hybrid_log::Region;
use crate::record::{Content, Layout, NewRecord, RecordInfo, RecordRef, Shape, ValueState};
use crate::statistics::Counter;
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
    type Output = ();

    fn attempt(&mut self, core: &Core, tools: Tools<'_>) -> Result<Step<()>> {
        core.check_write()?;
        if core.must_wait(&tools) {
            return Ok(Step::Blocked(Blocked::Cut));
        }
        let bytes = encode_key::<K>(self.key)?;
        let key = core.hashed::<K>(bytes.as_ref())?;
        let step = until_settled(|| core.delete_once::<Types<K, V>>(key, &tools))?;
        if let Step::Done(()) = step {
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
    ) -> Result<Option<Step<()>>> {
        let Some(entry) = self.index.find(hash) else {
            Found::Absent.count(tools.counters);
            return Ok(Some(Step::Done(())));
        };
        let found = self.trace::<S>(entry.address(), key, tools.guard);
        let is_done = match found {
            Found::Absent => true,
            Found::InMemory(found) if found.record.info().is_tombstone() => true,
            Found::InMemory(InMemory { record, region: Region::Mutable, .. }) => {
                if !delete_in_place(record, S::LAYOUT) {
                    return Ok(None);
                }
                self.stamp(record);
                true
            }
            // A newer tombstone hides a record that is immutable or on the device. Nothing reads
            // that record.
            Found::InMemory(_) | Found::OnDevice(_) => false,
        };
        if is_done {
            found.count(tools.counters);
            return Ok(Some(Step::Done(())));
        }
        let tombstone = NewRecord { key, value: &[], content: Content::Tombstone };
        Ok(match self.link::<S>(entry, tombstone, tools.guard, tools.counters) {
            Link::Linked => {
                found.count(tools.counters);
                Some(Step::Done(()))
            }
            Link::Lost => None,
            Link::NoRoom(bytes) => Some(Step::Blocked(Blocked::Room(bytes))),
        })
    }
}

/// Sets the tombstone of a mutable record. Returns `false` if another operation is changing or
/// copying its value.
fn delete_in_place(record: RecordRef<'_>, layout: Layout) -> bool {
    if layout.value_is_word() {
        // Values of one word are never copied while they are mutable, so this needs no lock.
        RecordInfo::transition_to_tombstone(record.info_word());
        return true;
    }
    let word = record.state_word(layout);
    let Ok(state) = ValueState::observe(word) else {
        return false;
    };
    if state.transition_to_locked(word).is_err() {
        return false;
    }
    RecordInfo::transition_to_tombstone(record.info_word());
    state.unlock(word, state.length());
    true
}

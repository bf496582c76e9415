//! Upsert: sets a value without reading the old value.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::hash::KeyHash;
use crate::codec::{Expires, Key, Value};
use crate::epoch::Guard;
use crate::hybrid_log::Region;
use crate::record::{ExpiryWord, Layout, NewRecord, RecordKind, Shape};
use crate::statistics::Counter;
use crate::store::answers::Previous;
use crate::store::context::OperationContext;
use crate::store::expiry::Expiry;
use crate::store::limits::{key_too_long, value_too_long};
use crate::store::moment::Moment;
use crate::store::operation::attempt::EntrySnapshot;
use crate::store::operation::attempt::operation::{BlindWrite, OnKey, Operation};
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey, LongValue, Types, layout};
use crate::store::operation::pending::Scattered;
use crate::store::record::append::{Link, append_in, lacking_room, with_retries};
use crate::store::record::encoding::{encode_key, encode_value, owned_key};
use crate::store::record::entry::entry_of;
use crate::store::record::find::{InMemory, RecordSource, find_in};
use crate::store::record::hit::{Newest, changeable, count_change, takes_changes};
use crate::store::record::overwrite::{InPlace, overwrite_bytes, overwrite_word};
use crate::store::table::TableRef;
use crate::store::wal::{KeyChange, logged_try};

/// Sets the value of one key.
pub(crate) struct Upsert<'k, K: Key + ?Sized, V: Value + ?Sized> {
    key: &'k K::Item,
    value: &'k V::Item,
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized> Upsert<'k, K, V> {
    #[inline(always)]
    pub(crate) fn new(key: &'k K::Item, value: &'k V::Item) -> Self {
        Self { key, value }
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Operation for Upsert<'_, K, V> {
    type Output = Previous;

    #[inline(always)]
    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<Previous>> {
        let bytes = encode_key::<K>(self.key)?;
        let key = hashed::<K>(core, bytes.as_ref())?;
        let value = (self.value, ExpiryWord::NEVER);
        upsert_hashed::<K, V>(core, key, value, tools, &Moment::new(core))
    }

    const HITS: bool = true;

    #[inline(always)]
    fn hit(
        &mut self,
        core: TableRef<'_>,
        tools: &mut OperationContext<'_>,
    ) -> Option<Result<Previous>> {
        blind_hit(self, core, tools)
    }

    fn key(&self) -> Result<Vec<u8>> {
        owned_key::<K>(self.key)
    }
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized> OnKey<'k, K> for Upsert<'k, K, V> {
    #[inline(always)]
    fn key_item(&self) -> &'k K::Item {
        self.key
    }
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized> BlindWrite<'k, K> for Upsert<'k, K, V> {
    #[inline(always)]
    fn hit_at(
        &self,
        core: TableRef<'_>,
        found: (&[u8], Address),
        tools: &OperationContext<'_>,
    ) -> Option<Result<Previous>> {
        let moment = &Moment::new(core);
        upsert_hit::<K, V>(core, found, (self.value, ExpiryWord::NEVER), (tools, moment))
    }

    #[inline(always)]
    fn attempt_hashed(
        self,
        core: TableRef<'_>,
        key: HashedKey<'_>,
        tools: OperationContext<'_>,
        moment: &Moment<'_>,
    ) -> Result<Attempt<Previous>> {
        upsert_hashed::<K, V>(core, key, (self.value, ExpiryWord::NEVER), tools, moment)
    }
}

/// Sets the value of one key, and its expiry.
pub(crate) struct UpsertWith<'k, K: Key + ?Sized, V: Value + ?Sized> {
    key: &'k K::Item,
    value: &'k V::Item,
    expiry: Expiry,
}

impl<'k, K: Key + ?Sized, V: Expires + ?Sized> UpsertWith<'k, K, V> {
    #[inline(always)]
    pub(crate) fn new(key: &'k K::Item, value: &'k V::Item, expiry: Expiry) -> Self {
        const { assert!(V::HAS_EXPIRY, "a value type that expires has a word for it") };
        Self { key, value, expiry }
    }
}

impl<K: Key + ?Sized, V: Expires + ?Sized> Operation for UpsertWith<'_, K, V> {
    type Output = Previous;

    #[inline(always)]
    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<Previous>> {
        let bytes = encode_key::<K>(self.key)?;
        let key = hashed::<K>(core, bytes.as_ref())?;
        Self { ..*self }.attempt_hashed(core, key, tools, &Moment::new(core))
    }

    // A word keeps its expiry, and a new one is hardly ever the same.
    const HITS: bool = !layout::<K, V>().value_is_word();

    #[inline(always)]
    fn hit(
        &mut self,
        core: TableRef<'_>,
        tools: &mut OperationContext<'_>,
    ) -> Option<Result<Previous>> {
        blind_hit(self, core, tools)
    }

    fn key(&self) -> Result<Vec<u8>> {
        owned_key::<K>(self.key)
    }
}

impl<'k, K: Key + ?Sized, V: Expires + ?Sized> OnKey<'k, K> for UpsertWith<'k, K, V> {
    #[inline(always)]
    fn key_item(&self) -> &'k K::Item {
        self.key
    }
}

impl<'k, K: Key + ?Sized, V: Expires + ?Sized> BlindWrite<'k, K> for UpsertWith<'k, K, V> {
    #[inline(always)]
    fn hit_at(
        &self,
        core: TableRef<'_>,
        found: (&[u8], Address),
        tools: &OperationContext<'_>,
    ) -> Option<Result<Previous>> {
        if layout::<K, V>().value_is_word() {
            return None;
        }
        let moment = &Moment::new(core);
        let value = (self.value, self.expiry.word(moment));
        upsert_hit::<K, V>(core, found, value, (tools, moment))
    }

    #[inline(always)]
    fn attempt_hashed(
        self,
        core: TableRef<'_>,
        key: HashedKey<'_>,
        tools: OperationContext<'_>,
        moment: &Moment<'_>,
    ) -> Result<Attempt<Previous>> {
        let value = (self.value, self.expiry.word(moment));
        upsert_hashed::<K, V>(core, key, value, tools, moment)
    }
}

/// Hashes an encoded key. Refuses a key that no record can hold.
#[inline(always)]
pub(in crate::store) fn hashed<'k, K: Key + ?Sized>(
    core: TableRef<'_>,
    key: &'k [u8],
) -> Result<HashedKey<'k>> {
    if K::WIDTH.is_some_and(|width| width != key.len()) {
        return Err(wrong_width(&K::type_name(), K::WIDTH, key.len()));
    }
    if K::WIDTH.is_none() && key.len() > core.table.limits.key {
        return Err(key_too_long(key.len(), &core.table.limits));
    }
    Ok(HashedKey { bytes: key, hash: core.table.hasher.hash(key) })
}

/// Passes the bytes of a key, and the begin of its chain, to `hit`. The general attempt reports a
/// key that no record can hold.
#[inline(always)]
pub(in crate::store) fn at_newest<K: Key + ?Sized, R>(
    core: TableRef<'_>,
    key: &K::Item,
    hit: impl FnOnce((&[u8], Address)) -> Option<R>,
) -> Option<R> {
    let bytes = encode_key::<K>(key).ok()?;
    let key = hashed::<K>(core, bytes.as_ref()).ok()?;
    hit((key.bytes, core.index.newest_at_once(key.hash)))
}

/// Does a write that needs no old value, if it is a hit.
#[inline(always)]
fn blind_hit<'k, K: Key + ?Sized + 'k, O: BlindWrite<'k, K>>(
    write: &O,
    core: TableRef<'_>,
    tools: &OperationContext<'_>,
) -> Option<Result<O::Output>> {
    at_newest::<K, _>(
        core,
        write.key_item(),
        #[inline(always)]
        |found| write.hit_at(core, found, tools),
    )
}

/// Refuses a value that does not match its type, or is too long.
#[inline(always)]
pub(in crate::store) fn check_value<V: Value + ?Sized>(
    core: TableRef<'_>,
    value: &[u8],
) -> Result<()> {
    if V::WIDTH.is_some_and(|width| width != value.len()) {
        return Err(wrong_width(&V::type_name(), V::WIDTH, value.len()));
    }
    if V::WIDTH.is_none() && value.len() > core.table.limits.value {
        return Err(value_too_long(value.len(), &core.table.limits));
    }
    Ok(())
}

/// Returns whether a record of these bytes has its value in pieces.
#[inline(always)]
pub(in crate::store) fn is_too_long(
    core: TableRef<'_>,
    layout: Layout,
    key: &[u8],
    value: &[u8],
) -> bool {
    layout.value_width.is_none()
        && layout.record_bytes(layout.extents(key.len(), value.len())) > core.table.limits.inline
}

#[inline(always)]
pub(in crate::store) fn upsert_hashed<K: Key + ?Sized, V: Value + ?Sized>(
    core: TableRef<'_>,
    key: HashedKey<'_>,
    (value, expiry): (&V::Item, ExpiryWord),
    tools: OperationContext<'_>,
    moment: &Moment<'_>,
) -> Result<Attempt<Previous>> {
    core.check_write()?;
    if core.must_wait(&tools) {
        return Ok(Attempt::Blocked(Blocked::VersionBarrier));
    }
    let value = encode_value::<V>(value)?;
    let value = value.as_ref();
    check_value::<V>(core, value)?;
    let step = upsert_in(core, Types::<K, V>::default(), key, (value, expiry), (&tools, moment))?;
    if let Attempt::Done(_) = step {
        tools.counters.add(Counter::Upserts, 1);
        tools.serial.advance();
    }
    Ok(step)
}

/// Sets the value of `key` if this is a hit.
#[inline(always)]
fn upsert_hit<K: Key + ?Sized, V: Value + ?Sized>(
    core: TableRef<'_>,
    found: (&[u8], Address),
    (value, expiry): (&V::Item, ExpiryWord),
    (tools, moment): (&OperationContext<'_>, &Moment<'_>),
) -> Option<Result<Previous>> {
    let layout = layout::<K, V>();
    if !takes_changes(core, tools) {
        return None;
    }
    let value = encode_value::<V>(value).ok()?;
    let value = value.as_ref();
    check_value::<V>(core, value).ok()?;
    let newest = changeable(core, layout, found, tools.guard)?;
    let previous = if layout.value_is_word() {
        overwrite_word(core, newest, layout, (value, expiry), moment)
    } else {
        overwrite_bytes(core, newest, layout, (value, expiry), moment)
    };
    let InPlace::Done(previous) = previous else {
        return None;
    };
    count_change(tools, Counter::Upserts);
    Some(Ok(previous))
}

/// Sets the value of one key, in a table of any types with this layout.
#[inline(always)]
pub(in crate::store) fn upsert_in(
    core: TableRef<'_>,
    shape: impl Shape,
    key: HashedKey<'_>,
    (value, expiry): (&[u8], ExpiryWord),
    (tools, moment): (&OperationContext<'_>, &Moment<'_>),
) -> Result<Attempt<Previous>> {
    let mut record = NewRecord { key: key.bytes, value, content: RecordKind::Value, expiry };
    if is_too_long(core, shape.layout(), key.bytes, value) {
        // A blind write does not depend on the old value, so it uses the same version for all
        // states.
        let version = EntrySnapshot { newest: Address::NONE, state: None };
        match tools.pending.scattered_for(version, core.log.pages(), tools.guard) {
            Some(Scattered { pieces, .. }) => {
                record = NewRecord {
                    key: key.bytes,
                    value: pieces,
                    content: RecordKind::InPieces,
                    expiry,
                };
            }
            None => {
                let long = LongValue { version, bytes: value.to_vec(), is_answer: false };
                return Ok(Attempt::Blocked(Blocked::NeedsOverflow(Box::new(long))));
            }
        }
    }
    with_retries(|| {
        let layout = shape.layout();
        let fits = move || fits_in_place(core, layout, (key.hash, record), tools.guard);
        let lacks = move || lacking_room(core, layout, &record).filter(|_room| !fits());
        let put = (KeyChange::Put(value, expiry), lacks, moment);
        let change = move || upsert_once(core, shape, (key.hash, record), tools, moment);
        logged_try(core, tools.logger(), key, put, change)
    })
}

/// Tries once. Returns `None` if another operation was faster.
#[inline(always)]
fn upsert_once(
    core: TableRef<'_>,
    shape: impl Shape,
    (hash, record): (KeyHash, NewRecord<'_>),
    tools: &OperationContext<'_>,
    moment: &Moment<'_>,
) -> Result<Option<Attempt<Previous>>> {
    let Some(entry) = entry_of(core, hash)? else {
        return Ok(None);
    };
    let layout = shape.layout();
    let found = find_in(core, layout, (entry.address(), record.key), tools.guard);
    if let RecordSource::InMemory(current @ InMemory { region: Region::Mutable, .. }) = found
        && record.content == RecordKind::Value
    {
        match update_in_place(core, current, layout, record, moment) {
            InPlace::Done(previous) => {
                found.count(tools.counters);
                return Ok(Some(Attempt::Done(previous)));
            }
            InPlace::Contended => return Ok(None),
            InPlace::Unfit => {}
        }
    }
    found.check_table(core)?;
    Ok(match append_in(core, layout, (entry, record), tools.guard, tools.counters) {
        Link::Linked => {
            found.count(tools.counters);
            Some(Attempt::Done(found.previous(core, layout, moment)))
        }
        Link::Lost => None,
        Link::NoRoom(room) => {
            core.index.give_up(entry);
            Some(Attempt::Blocked(Blocked::NoSpace(room)))
        }
    })
}

/// Returns whether a record would now be written over the newest record of its key.
#[cold]
fn fits_in_place(
    core: TableRef<'_>,
    layout: Layout,
    (hash, new): (KeyHash, NewRecord<'_>),
    guard: &Guard<'_>,
) -> bool {
    let Some(entry) = core.index.find(hash) else {
        return false;
    };
    match find_in(core, layout, (entry.address(), new.key), guard) {
        RecordSource::InMemory(InMemory { record, info, region: Region::Mutable, .. })
            if new.content == RecordKind::Value && !info.is_final(layout) =>
        {
            if layout.value_is_word() {
                return record.expiry(layout) == new.expiry;
            }
            !info.is_in_pieces(layout) && new.value.len() <= record.extents(layout).capacity
        }
        _ => false,
    }
}

/// Overwrites the value of a mutable record, and its expiry with it. The record must be alive, not
/// frozen and large enough. The expiry of a value of one word must stay the same.
#[inline(always)]
fn update_in_place(
    core: TableRef<'_>,
    InMemory { record, info, .. }: InMemory<'_>,
    layout: Layout,
    new: NewRecord<'_>,
    moment: &Moment<'_>,
) -> InPlace {
    let current = Newest { record, info };
    if info.is_final(layout) {
        InPlace::Unfit
    } else if layout.value_is_word() {
        overwrite_word(core, current, layout, (new.value, new.expiry), moment)
    } else {
        overwrite_bytes(core, current, layout, (new.value, new.expiry), moment)
    }
}

#[cold]
fn wrong_width(name: &str, expected: Option<usize>, got: usize) -> Error {
    let expected = expected.unwrap_or_default();
    Error::invalid(format!(
        "{name} was encoded in {got} bytes, but its type says that all take {expected}"
    ))
}

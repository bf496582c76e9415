//! Read: returns the value of the newest record.

mod hit;
mod promotion;

use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::{Expires, Key, Value};
use crate::hybrid_log::Region;
use crate::record::{ExpiryWord, Layout, RecordRef, StoredRecord};
use crate::statistics::{Counter, Counters};
use crate::store::context::OperationContext;
use crate::store::expiry::Expiry;
use crate::store::moment::Moment;
use crate::store::operation::attempt::operation::{OnKey, Operation};
use crate::store::operation::attempt::{Attempt, Blocked, Types, layout};
use crate::store::operation::pending::{Gathered, PendingState};
use crate::store::operation::upsert::{at_newest, hashed};
use crate::store::record::encoding::{
    decode_boxed, decode_value, encode_key, owned_key, view_value,
};
use crate::store::record::find::{InMemory, RecordSource, find_record};
use crate::store::record::pieces::is_cut;
use crate::store::table::TableRef;
pub(in crate::store) use hit::read_hit;
use kvick_io::sync::atomic::Ordering;
use promotion::promote;
use std::marker::PhantomData;

/// The use of the bytes of a value. `read` is called at most once, as the last step.
pub(crate) trait Reader<V: Value + ?Sized> {
    type Output;

    /// Whether it needs the bytes.
    const LOOKS: bool = true;

    /// Whether the statistics count it. The second look of an operation does not count.
    const COUNTS: bool = true;

    fn read(&mut self, bytes: &[u8]) -> Result<Self::Output>;

    /// Makes the answer without the bytes, for a reader that does not need them.
    #[inline(always)]
    fn read_header(&mut self, _expiry: ExpiryWord) -> Result<Self::Output> {
        self.read(&[])
    }
}

/// Decodes the value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeValue;

impl<V: Value + ?Sized> Reader<V> for DecodeValue {
    type Output = V::Owned;

    #[inline(always)]
    fn read(&mut self, bytes: &[u8]) -> Result<V::Owned> {
        decode_value::<V>(bytes)
    }
}

/// Decodes a large value onto the heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boxed;

impl<V: Value + ?Sized> Reader<V> for Boxed {
    type Output = Box<V::Owned>;

    fn read(&mut self, bytes: &[u8]) -> Result<Box<V::Owned>> {
        decode_boxed::<V>(bytes)
    }
}

/// Decodes the value for an operation that has looked for it before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecondLook;

impl<V: Value + ?Sized> Reader<V> for SecondLook {
    type Output = Box<V::Owned>;

    const COUNTS: bool = false;

    fn read(&mut self, bytes: &[u8]) -> Result<Box<V::Owned>> {
        decode_boxed::<V>(bytes)
    }
}

/// Passes a view of the value to a closure.
#[derive(Debug)]
pub(crate) struct ViewValue<F, R>(Option<F>, PhantomData<fn() -> R>);

impl<F, R> ViewValue<F, R> {
    #[inline(always)]
    pub(crate) fn new(look: F) -> Self {
        Self(Some(look), PhantomData)
    }
}

impl<V: Value + ?Sized, R, F: FnOnce(V::View<'_>) -> R> Reader<V> for ViewValue<F, R> {
    type Output = R;

    #[inline(always)]
    fn read(&mut self, bytes: &[u8]) -> Result<R> {
        let view = view_value::<V>(bytes)?;
        let look = self.0.take().expect("a value is read once");
        Ok(look(view))
    }
}

/// Reports only that there is a value.
#[derive(Debug)]
pub(crate) struct KeyExists;

impl<V: Value + ?Sized> Reader<V> for KeyExists {
    type Output = ();

    const LOOKS: bool = false;

    #[inline(always)]
    fn read(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Reports the expiry of a record that has not expired.
#[derive(Debug)]
pub(crate) struct KeyExpiry;

impl<V: Expires + ?Sized> Reader<V> for KeyExpiry {
    type Output = Expiry;

    const LOOKS: bool = false;

    fn read(&mut self, _bytes: &[u8]) -> Result<Expiry> {
        unreachable!("the expiry is in the header")
    }

    fn read_header(&mut self, expiry: ExpiryWord) -> Result<Expiry> {
        Ok(Expiry::of_word(expiry))
    }
}

/// Reads one key.
pub(crate) struct Read<'k, K: Key + ?Sized, V: Value + ?Sized, R> {
    key: &'k K::Item,
    reader: R,
    value: PhantomData<fn(&V)>,
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized, R> Read<'k, K, V, R> {
    #[inline(always)]
    pub(crate) fn new(key: &'k K::Item, reader: R) -> Self {
        Self { key, reader, value: PhantomData }
    }

    /// Returns the same operation with its answer on the heap.
    pub(crate) fn boxed(&self) -> Read<'k, K, V, Boxed> {
        Read::new(self.key, Boxed)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>> Operation for Read<'_, K, V, R> {
    type Output = Option<R::Output>;

    const WRITES: bool = false;

    #[inline(always)]
    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<Self::Output>> {
        core.check_read()?;
        let bytes = encode_key::<K>(self.key)?;
        let key = hashed::<K>(core, bytes.as_ref())?;
        let newest = core.index.find(key.hash).map_or(Address::NONE, |entry| entry.address());
        let moment = Moment::new(core);
        read_from::<K, V, R>(core, (key.bytes, newest), &mut self.reader, tools, &moment)
    }

    const HITS: bool = R::LOOKS && R::COUNTS;

    #[inline(always)]
    fn hit(
        &mut self,
        core: TableRef<'_>,
        tools: &mut OperationContext<'_>,
    ) -> Option<Result<Self::Output>> {
        core.check_read().ok()?;
        at_newest::<K, _>(
            core,
            self.key,
            #[inline(always)]
            |found| read_hit::<K, V, R>(core, found, &mut self.reader, tools),
        )
    }

    fn key(&self) -> Result<Vec<u8>> {
        owned_key::<K>(self.key)
    }
}

impl<'k, K: Key + ?Sized, V: Value + ?Sized, R> OnKey<'k, K> for Read<'k, K, V, R> {
    #[inline(always)]
    fn key_item(&self) -> &'k K::Item {
        self.key
    }
}

/// Reads `key` from the chain that begins at `newest`.
#[inline(always)]
pub(in crate::store) fn read_from<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>>(
    core: TableRef<'_>,
    (key, newest): (&[u8], Address),
    reader: &mut R,
    tools: OperationContext<'_>,
    moment: &Moment<'_>,
) -> Result<Attempt<Option<R::Output>>> {
    let found = find_record::<Types<K, V>>(core, newest, key, tools.guard);
    found.check_table(core)?;
    // Rare cases are calls that get single words of `tools`. A reference to `tools` itself would
    // keep it in memory, and every read would write it there.
    let OperationContext { guard, counters, pending, .. } = tools;
    let step = match found {
        RecordSource::InMemory(found) if found.info.is_tombstone() => Attempt::Done(None),
        RecordSource::InMemory(found) => {
            read_in_memory::<K, V, R>(core, found, reader, tools, moment)?
        }
        RecordSource::OnDevice(from) => match pending.chain_from(from, core.log.pages()) {
            None => Attempt::Blocked(Blocked::OnDevice(from)),
            Some(None) => Attempt::Done(None),
            Some(Some(stored)) => {
                let begin = core.readable_from();
                read_stored::<K, V, R>((stored, begin), reader, (counters, pending), moment)?
            }
        },
        RecordSource::Absent => Attempt::Done(None),
    };
    let answer = match step {
        Attempt::Done(answer) => answer,
        Attempt::Blocked(blocked) => return Ok(Attempt::Blocked(blocked)),
    };
    if R::COUNTS {
        counters.add(Counter::Reads, 1);
        found.count(counters);
        if answer.is_none() {
            counters.add(Counter::Misses, 1);
        }
    }
    if found.is_old() && answer.is_some() && core.config.cache {
        promote::<K, V>(core, key, guard, counters, pending);
    }
    Ok(Attempt::Done(answer))
}

#[inline(always)]
fn read_in_memory<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>>(
    core: TableRef<'_>,
    InMemory { address, record, info, region }: InMemory<'_>,
    reader: &mut R,
    tools: OperationContext<'_>,
    moment: &Moment<'_>,
) -> Result<Attempt<Option<R::Output>>> {
    let layout = layout::<K, V>();
    let expiry = record.expiry(layout);
    if layout.has_expiry && moment.has_passed(expiry) {
        return Ok(expired(tools.counters));
    }
    let in_pieces = info.is_in_pieces(layout);
    if !R::LOOKS && !in_pieces {
        return Ok(Attempt::Done(Some(reader.read_header(expiry)?)));
    }
    if let Some(width) = V::WIDTH
        && layout.value_is_word()
    {
        // Acquire: pairs with the Release of the writer that stored the value.
        let word = record.value_word(layout).load(Ordering::Acquire).to_le_bytes();
        return Ok(Attempt::Done(Some(reader.read(&word[..width])?)));
    }
    if region == Region::ReadOnly && !in_pieces {
        let value = core.log.pages().immutable_value(core.table.layout, address, tools.guard);
        return Ok(Attempt::Done(Some(reader.read(value)?)));
    }
    match tools.pending.gathered_at(address) {
        Some(Gathered::Whole(value)) => return Ok(Attempt::Done(Some(reader.read(value)?))),
        Some(Gathered::Cut) => return Ok(Attempt::Done(None)),
        None => {}
    }
    let mut value = tools.scratch.take();
    let step = match copy_unchanged(record, layout, &mut value) {
        None => Ok(Attempt::Blocked(Blocked::Contended)),
        // The value may be a newer one than the one whose expiry was asked for above.
        Some(expiry) if layout.has_expiry && moment.has_passed(expiry) => {
            Ok(expired(tools.counters))
        }
        Some(_) if in_pieces && !R::LOOKS && is_cut(&value, core.readable_from()) => {
            Ok(Attempt::Done(None))
        }
        Some(expiry) if in_pieces && !R::LOOKS => {
            reader.read_header(expiry).map(|output| Attempt::Done(Some(output)))
        }
        Some(_) if in_pieces => {
            let list = Box::new((address, value.clone()));
            Ok(Attempt::Blocked(Blocked::OverflowValue(list)))
        }
        Some(_) => reader.read(&value).map(|output| Attempt::Done(Some(output))),
    };
    tools.scratch.give_back(value);
    step
}

/// Copies a value that writers may change. Returns its expiry, or `None` if writers were in the way
/// at each try.
#[inline(always)]
fn copy_unchanged(
    record: RecordRef<'_>,
    layout: Layout,
    value: &mut Vec<u8>,
) -> Option<ExpiryWord> {
    for _ in 0..TRIES {
        if let Ok((_, expiry)) = record.copy_with_expiry(layout, value) {
            return Some(expiry);
        }
        kvick_io::sync::hint::spin_loop();
    }
    None
}

#[cold]
fn read_stored<K: Key + ?Sized, V: Value + ?Sized, R: Reader<V>>(
    (stored, begin): (&StoredRecord, Address),
    reader: &mut R,
    (counters, pending): (&Counters, &PendingState),
    moment: &Moment<'_>,
) -> Result<Attempt<Option<R::Output>>> {
    let layout = layout::<K, V>();
    let expiry = stored.expiry(layout);
    if stored.info().is_tombstone() {
        return Ok(Attempt::Done(None));
    }
    if moment.has_passed(expiry) {
        return Ok(expired(counters));
    }
    let in_pieces = stored.info().is_in_pieces(layout);
    if !R::LOOKS {
        let is_cut = in_pieces && is_cut(stored.value(layout), begin);
        let answer = (!is_cut).then(|| reader.read_header(expiry));
        return answer.transpose().map(Attempt::Done);
    }
    if !in_pieces {
        return Ok(Attempt::Done(Some(reader.read(stored.value(layout))?)));
    }
    match pending.gathered_at(stored.address()) {
        Some(Gathered::Whole(value)) => Ok(Attempt::Done(Some(reader.read(value)?))),
        Some(Gathered::Cut) => Ok(Attempt::Done(None)),
        None => {
            let pieces = stored.value(layout).to_vec();
            Ok(Attempt::Blocked(Blocked::OverflowValue(Box::new((stored.address(), pieces)))))
        }
    }
}

/// Returns the step of a reader that has found an expired record.
fn expired<T>(counters: &Counters) -> Attempt<Option<T>> {
    counters.add(Counter::Expired, 1);
    Attempt::Done(None)
}

/// The number of tries against a writer in the middle of its few instructions, before a yield to
/// it.
const TRIES: usize = 64;

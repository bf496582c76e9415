//! Many operations under one guard.
//!
//! A single operation waits for two cache misses, of the bucket and then of the record. Here a
//! group of keys goes through three stages, so the misses of a group overlap:
//!
//! 1. hash the key and prefetch the bucket;
//! 2. find the entry and prefetch the record;
//! 3. finish.
//!
//! A key that cannot finish in memory is left to an ordinary operation. As many of these run at
//! once as keep the device busy and fit in the memory for I/O.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::hash::KeyHash;
use crate::codec::{Key, Value};
use crate::store::context::OperationContext;
use crate::store::inner::StoreInner;
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey};
use crate::store::operation::changes::Compute;
use crate::store::operation::future::{Operation, OperationFuture};
use crate::store::operation::modify::Modify;
use crate::store::operation::read::{Boxed, DecodeValue, Read, Reader};
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::Upsert;
use crate::store::record::append::TRIES;
use crate::store::record::encoding::{encode_key, is_large};
use crate::store::sessions::state::SessionState;
use futures::stream::{FuturesUnordered, TryStreamExt};
use std::borrow::Borrow;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of keys in a group. They hide the latency of memory, and fit in the first-level
/// cache.
const GROUP: usize = u32::BITS as usize;

/// A key between the stages.
struct Staged<'k, K: Key + ?Sized + 'k> {
    bytes: K::Bytes<'k>,
    hash: KeyHash,
    newest: Address,
}

impl<K: Key + ?Sized> Staged<'_, K> {
    fn hashed(&self) -> HashedKey<'_> {
        HashedKey { bytes: self.bytes.as_ref(), hash: self.hash }
    }
}

impl StoreInner {
    /// Runs stages 1 and 2 for a group of keys.
    #[inline(always)]
    fn stage<'k, K: Key + ?Sized, Q: Borrow<K::Item> + 'k>(
        &self,
        group: impl ExactSizeIterator<Item = &'k Q>,
    ) -> Result<[Option<Staged<'k, K>>; GROUP]> {
        debug_assert!(group.len() <= GROUP);
        let mut staged = [const { None }; GROUP];
        for (place, key) in staged.iter_mut().zip(group) {
            let bytes = encode_key::<K>(key.borrow())?;
            let hash = self.hashed::<K>(bytes.as_ref())?.hash;
            self.index.prefetch(hash);
            *place = Some(Staged { bytes, hash, newest: Address::NONE });
        }
        // About one key in ten is not in its first line. These keys come last, when their second
        // line has been prefetched too.
        let mut further = 0_u32;
        for (place, key) in staged.iter_mut().flatten().enumerate() {
            match self.index.find_or_prefetch(key.hash) {
                Some(entry) => {
                    key.newest = entry.address();
                    self.log.pages().prefetch(key.newest);
                }
                None => further |= 1 << place,
            }
        }
        while further != 0 {
            let place = further.trailing_zeros() as usize;
            further &= further - 1;
            if let Some(key) = &mut staged[place]
                && let Some(entry) = self.index.find(key.hash)
            {
                key.newest = entry.address();
                self.log.pages().prefetch(key.newest);
            }
        }
        Ok(staged)
    }
}

/// The operations of a batch that wait for the device, limited by the memory of the store.
struct Waiting<F> {
    operations: FuturesUnordered<F>,
    most: usize,
}

impl<T, F: Future<Output = Result<T>>> Waiting<F> {
    fn new(core: &StoreInner) -> Self {
        Self { operations: FuturesUnordered::new(), most: core.waits_at_once() }
    }

    /// Adds an operation. Waits until another operation ends if there are too many, and returns its
    /// output.
    async fn add(&mut self, operation: F) -> Result<Option<T>> {
        let is_full = self.operations.len() >= self.most;
        let ended = if is_full { self.operations.try_next().await? } else { None };
        self.operations.push(operation);
        Ok(ended)
    }

    /// Returns the output of the next operation that ends.
    async fn next(&mut self) -> Result<Option<T>> {
        self.operations.try_next().await
    }
}

/// Reads `keys`. The answers are in the order of the keys.
pub(crate) async fn read_many<K: Key + ?Sized, V: Value + ?Sized, Q: Borrow<K::Item>>(
    access: StoreRef<'_>,
    keys: &[Q],
) -> Result<Vec<Option<V::Owned>>> {
    if const { is_large::<V>() } {
        let boxed = Box::pin(read_each::<K, V, Q, Boxed>(access, keys, Boxed)).await?;
        return Ok(unboxed::<V>(boxed));
    }
    read_each::<K, V, Q, DecodeValue>(access, keys, DecodeValue).await
}

/// Moves large values out of their boxes. Each box is freed as soon as its value has been moved.
#[inline(never)]
fn unboxed<V: Value + ?Sized>(boxed: Vec<Option<Box<V::Owned>>>) -> Vec<Option<V::Owned>> {
    boxed.into_iter().map(|value| value.map(|value| *value)).collect()
}

/// Reads each of `keys` with a copy of `reader`.
async fn read_each<K, V, Q, R>(
    mut access: StoreRef<'_>,
    keys: &[Q],
    reader: R,
) -> Result<Vec<Option<R::Output>>>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    R: Reader<V> + Copy,
{
    let mut answers: Vec<Option<R::Output>> = Vec::with_capacity(keys.len());
    let core = access.core();
    let mut waiting = Waiting::new(core);
    let mut left: Vec<usize> = Vec::new();
    for group in keys.chunks(GROUP) {
        access.protected(|core, mut tools| -> Result<()> {
            core.check_read()?;
            let staged = core.stage::<K, Q>(group.iter())?;
            for key in staged.iter().flatten() {
                let bytes = key.bytes.as_ref();
                let tools = tools.again();
                let step = core.read_from::<K, V, R>(key.newest, bytes, &mut { reader }, tools)?;
                match step {
                    Attempt::Done(answer) => answers.push(answer),
                    Attempt::Blocked(_) => {
                        left.push(answers.len());
                        answers.push(None);
                    }
                }
            }
            Ok(())
        })?;
        for place in left.drain(..) {
            let read = async move {
                let read = Read::<K, V, R>::new(keys[place].borrow(), reader);
                OperationFuture::new(StoreRef::pooled(core), read)
                    .await
                    .map(|answer| (place, answer))
            };
            if let Some((place, answer)) = waiting.add(read).await? {
                answers[place] = answer;
            }
        }
    }
    while let Some((place, answer)) = waiting.next().await? {
        answers[place] = answer;
    }
    Ok(answers)
}

/// Sets `pairs` in their order. The later value stays if two pairs have the same key.
pub(crate) async fn upsert_many<K, V, Q, W>(
    mut access: StoreRef<'_>,
    pairs: &[(Q, W)],
) -> Result<()>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    W: Borrow<V::Item>,
{
    let mut done = 0;
    while done < pairs.len() {
        let group = &pairs[done..pairs.len().min(done + GROUP)];
        let blocked = access.protected(|core, mut tools| -> Result<bool> {
            core.check_write()?;
            let staged = core.stage::<K, Q>(group.iter().map(|(key, _)| key))?;
            for (key, (_, value)) in staged.iter().flatten().zip(group) {
                let step =
                    core.upsert_hashed::<K, V>(key.hashed(), value.borrow(), tools.again())?;
                match step {
                    Attempt::Done(()) => done += 1,
                    Attempt::Blocked(_) => return Ok(true),
                }
            }
            Ok(false)
        })?;
        if blocked {
            let (key, value) = &pairs[done];
            let upsert = Upsert::<K, V>::new(key.borrow(), value.borrow());
            OperationFuture::new(access.reborrow(), upsert).await?;
            done += 1;
        }
    }
    Ok(())
}

/// Modifies each of `keys` once. Keys with records on the device follow in no particular order.
pub(crate) async fn rmw_many<K, V, Q, F>(mut access: StoreRef<'_>, keys: &[Q], f: F) -> Result<()>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    F: FnMut(usize, Option<V::Owned>) -> V::Owned,
{
    // A closure that panicked has changed nothing, so other operations may continue to use it.
    let shared = &Mutex::new(f);
    let apply = |place: usize| {
        Compute(move |current| {
            shared.lock().unwrap_or_else(PoisonError::into_inner)(place, current)
        })
    };
    let (core, ledger) = (access.core(), access.ledger());
    let mut waiting = Waiting::new(core);
    let mut left: Vec<(usize, Option<DeferredSerial>)> = Vec::new();
    let (mut done, mut overtaken) = (0, 0);
    while done < keys.len() {
        let group = &keys[done..keys.len().min(done + GROUP)];
        let end = done + group.len();
        access.protected(|core, mut tools| -> Result<()> {
            core.check_write()?;
            let staged = core.stage::<K, Q>(group.iter())?;
            // One lock for the group. Nothing else takes it before the guard ends.
            let mut f = shared.lock().unwrap_or_else(PoisonError::into_inner);
            for key in staged.iter().flatten() {
                let place = done;
                let mut compute = Compute(|current| f(place, current));
                match core.modify_hashed::<K, V, _>(key.hashed(), &mut compute, tools.again())? {
                    Attempt::Done(_) => {}
                    // The batch continues here under another guard.
                    Attempt::Blocked(Blocked::Overtaken) if overtaken < TRIES => {
                        overtaken += 1;
                        return Ok(());
                    }
                    Attempt::Blocked(_) => {
                        let turn =
                            ledger.as_ref().map(|ledger| DeferredSerial::put_off(core, ledger));
                        left.push((place, turn));
                    }
                }
                done += 1;
            }
            Ok(())
        })?;
        if done == end {
            overtaken = 0;
        }
        for (place, turn) in left.drain(..) {
            let modify = Modify::<K, V, _>::new(keys[place].borrow(), apply(place));
            waiting
                .add(OperationFuture::new(StoreRef::pooled(core), InTurn { modify, turn }))
                .await?;
        }
    }
    while waiting.next().await?.is_some() {}
    Ok(())
}

/// The number of an operation that later operations of the session overtake. Another operation may
/// take the number if this value is dropped before the operation takes effect.
struct DeferredSerial {
    ledger: Arc<SessionState>,
    serial: Option<u64>,
}

impl DeferredSerial {
    fn put_off(core: &StoreInner, ledger: &Arc<SessionState>) -> Self {
        let serial = core.sessions.put_off(core.phase.version(), ledger);
        Self { ledger: Arc::clone(ledger), serial: Some(serial) }
    }

    /// Records that the operation has taken effect, under the guard that is still held.
    fn catch_up(&mut self, core: &StoreInner) {
        let serial = self.serial.take().expect("an operation takes effect once");
        core.sessions.catch_up(core.phase.version(), &self.ledger, serial);
    }
}

impl Drop for DeferredSerial {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            self.ledger.give_up(serial);
        }
    }
}

/// A modification that counts for its session when it takes effect, whatever its seat.
struct InTurn<M> {
    modify: M,
    turn: Option<DeferredSerial>,
}

impl<M: Operation> Operation for InTurn<M> {
    type Output = M::Output;

    fn attempt(
        &mut self,
        core: &StoreInner,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<M::Output>> {
        let step = self.modify.attempt(core, tools)?;
        if let (Attempt::Done(_), Some(turn)) = (&step, &mut self.turn) {
            turn.catch_up(core);
        }
        Ok(step)
    }

    fn key(&self) -> Result<Vec<u8>> {
        self.modify.key()
    }
}

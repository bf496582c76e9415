//! Many operations under one guard.
//!
//! A single operation waits for two cache misses, of the bucket and then of the record. Here a
//! group of keys goes through three stages, so the misses of a group overlap:
//!
//! 1. hash the key and prefetch the bucket;
//! 2. find the entry and prefetch the record;
//! 3. finish.
//!
//! A key that cannot finish in memory is left to an ordinary operation. Reads and modifications
//! wait beside each other: as many at once as keep the device busy and fit in the memory for I/O.
//! Blind writes wait one after the other.

mod blind;
mod each;
mod in_turn;
mod modify;
mod read;

pub(crate) use blind::{delete_many, upsert_many, upsert_many_with};
pub(crate) use each::{
    delete_each, insert_each, read_each, rmw_each, upsert_each, upsert_each_with,
};
pub(crate) use modify::{insert_many, rmw_many};
pub(crate) use read::read_many;

use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::hash::KeyHash;
use crate::codec::Key;
use crate::hash_index::FoundEntry;
use crate::store::operation::attempt::HashedKey;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::hashed;
use crate::store::record::encoding::encode_key;
use crate::store::table::TableRef;
use futures::stream::{FuturesUnordered, TryStreamExt};

/// Runs a batch of writes. What it has done is durable when this returns, also with an error, if
/// its session or the store acknowledges only durable writes.
///
/// # Errors
/// Those of the batch, and of [`sync`](crate::store::StoreInner::sync).
pub(crate) async fn acknowledged<T>(
    mut access: StoreRef<'_>,
    batch: impl AsyncFnOnce(StoreRef<'_>) -> Result<T>,
) -> Result<T> {
    let outcome = batch(access.reborrow()).await;
    if access.acknowledges_durably() {
        let ledger = access.ledger();
        let synced = access.core().store.sync(ledger.as_deref()).await;
        // The first error tells more than the second.
        return outcome.and_then(|answer| synced.map(|()| answer));
    }
    outcome
}

/// The number of keys in a group. They hide the latency of memory, and fit in the first-level
/// cache.
const GROUP: usize = u32::BITS as usize;

/// A key between the stages.
struct Staged<'k, K: Key + ?Sized + 'k> {
    bytes: K::Bytes<'k>,
    hash: KeyHash,
    /// The bucket of the index when the line was prefetched.
    bucket: u64,
    newest: Address,
}

impl<K: Key + ?Sized> Staged<'_, K> {
    fn hashed(&self) -> HashedKey<'_> {
        HashedKey { bytes: self.bytes.as_ref(), hash: self.hash }
    }
}

/// Runs stages 1 and 2 for a group of keys.
#[inline(always)]
fn stage<'k, K: Key + ?Sized>(
    core: TableRef<'_>,
    group: impl ExactSizeIterator<Item = &'k K::Item>,
) -> Result<[Option<Staged<'k, K>>; GROUP]> {
    debug_assert!(group.len() <= GROUP);
    let mut staged = [const { None }; GROUP];
    for (place, key) in staged.iter_mut().zip(group) {
        let bytes = encode_key::<K>(key)?;
        let hash = hashed::<K>(core, bytes.as_ref())?.hash;
        let bucket = core.index.prefetch(hash);
        *place = Some(Staged { bytes, hash, bucket, newest: Address::NONE });
    }
    // About one key in five is not in its first line, and half of those are in an overflow line.
    // These keys come later, when the next line has been prefetched too.
    let mut further = 0_u32;
    for (place, key) in staged.iter_mut().flatten().enumerate() {
        match core.index.find_or_prefetch(key.hash, key.bucket) {
            Some(entry) => prefetch_record(core, key, entry),
            None => further |= 1 << place,
        }
    }
    let mut furthest = 0_u32;
    each_of(further, &mut staged, |place, key| {
        match core.index.find_further_or_prefetch(key.hash, key.bucket) {
            Some(entry) => prefetch_record(core, key, entry),
            None => furthest |= 1 << place,
        }
    });
    each_of(furthest, &mut staged, |_, key| {
        if let Some(entry) = core.index.find(key.hash) {
            prefetch_record(core, key, entry);
        }
    });
    Ok(staged)
}

/// Calls `turn` for each key whose bit is set in `places`.
#[inline(always)]
fn each_of<'k, K: Key + ?Sized>(
    mut places: u32,
    staged: &mut [Option<Staged<'k, K>>; GROUP],
    mut turn: impl FnMut(usize, &mut Staged<'k, K>),
) {
    while places != 0 {
        let place = places.trailing_zeros() as usize;
        places &= places - 1;
        turn(place, staged[place].as_mut().expect("a key of the group"));
    }
}

#[inline(always)]
fn prefetch_record<K: Key + ?Sized>(
    core: TableRef<'_>,
    key: &mut Staged<'_, K>,
    entry: FoundEntry,
) {
    key.newest = entry.address();
    core.log.pages().prefetch(key.newest);
}

/// The operations of a batch that wait for the device, limited by the memory of the store.
struct Waiting<F> {
    operations: FuturesUnordered<F>,
    most: usize,
}

impl<T, F: Future<Output = Result<T>>> Waiting<F> {
    fn new(core: TableRef<'_>) -> Self {
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

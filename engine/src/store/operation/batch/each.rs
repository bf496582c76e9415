//! Batches of the items of an iterator. They collect a few items at a time, so an iterator may be
//! longer than memory.

use super::{GROUP, delete_many, insert_many, read_many, rmw_many, upsert_many, upsert_many_with};
use crate::base::error::Result;
use crate::codec::{Expires, Key, Value};
use crate::store::answers::Previous;
use crate::store::expiry::Expiry;
use crate::store::operation::store_ref::StoreRef;
use std::borrow::Borrow;
use std::iter::Fuse;

/// Returns the next items of `items`, at most `most`; `None` at the end.
fn next_items<T>(items: &mut Fuse<impl Iterator<Item = T>>, most: usize) -> Option<Vec<T>> {
    debug_assert!(most > 0);
    let next: Vec<T> = items.take(most).collect();
    (!next.is_empty()).then_some(next)
}

/// Reads keys. The answers are in the order of the keys.
pub(crate) async fn read_each<K, V, Q>(
    mut access: StoreRef<'_>,
    keys: impl IntoIterator<Item = Q>,
) -> Result<Vec<Option<V::Owned>>>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
{
    let (mut keys, most) = (keys.into_iter().fuse(), beside_each_other(&access));
    let mut answers = Vec::new();
    while let Some(next) = next_items(&mut keys, most) {
        answers.extend(read_many::<K, V, Q>(access.reborrow(), &next).await?);
    }
    Ok(answers)
}

/// Sets pairs in their order. The later value stays if two pairs have the same key.
pub(crate) async fn upsert_each<K, V, Q, W>(
    mut access: StoreRef<'_>,
    pairs: impl IntoIterator<Item = (Q, W)>,
) -> Result<()>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    W: Borrow<V::Item>,
{
    let mut pairs = pairs.into_iter().fuse();
    while let Some(next) = next_items(&mut pairs, GROUP) {
        upsert_many::<K, V, Q, W>(access.reborrow(), &next).await?;
    }
    Ok(())
}

/// Sets values that expire, in their order. The later value stays if two have the same key.
pub(crate) async fn upsert_each_with<K, V, Q, W>(
    mut access: StoreRef<'_>,
    items: impl IntoIterator<Item = (Q, W, Expiry)>,
) -> Result<()>
where
    K: Key + ?Sized,
    V: Expires + ?Sized,
    Q: Borrow<K::Item>,
    W: Borrow<V::Item>,
{
    let mut items = items.into_iter().fuse();
    while let Some(next) = next_items(&mut items, GROUP) {
        upsert_many_with::<K, V, Q, W>(access.reborrow(), &next).await?;
    }
    Ok(())
}

/// Modifies the value of each key once.
pub(crate) async fn rmw_each<K, V, Q, F>(
    mut access: StoreRef<'_>,
    keys: impl IntoIterator<Item = Q>,
    mut update: F,
) -> Result<()>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    F: FnMut(usize, Option<V::Owned>) -> V::Owned,
{
    let (mut keys, most) = (keys.into_iter().fuse(), beside_each_other(&access));
    let mut done = 0;
    while let Some(next) = next_items(&mut keys, most) {
        let update = |place, current| update(done + place, current);
        rmw_many::<K, V, Q, _>(access.reborrow(), &next, update).await?;
        done += next.len();
    }
    Ok(())
}

/// Sets the values of keys that have none. The answers are in the order of the pairs.
pub(crate) async fn insert_each<K, V, Q, W>(
    mut access: StoreRef<'_>,
    pairs: impl IntoIterator<Item = (Q, W)>,
) -> Result<Vec<bool>>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    W: Borrow<V::Item>,
{
    let (mut pairs, mut answers) = (pairs.into_iter().fuse(), Vec::new());
    while let Some(next) = next_items(&mut pairs, GROUP) {
        answers.extend(insert_many::<K, V, Q, W>(access.reborrow(), &next).await?);
    }
    Ok(answers)
}

/// Deletes keys in their order. The answers are in the same order.
pub(crate) async fn delete_each<K, V, Q>(
    mut access: StoreRef<'_>,
    keys: impl IntoIterator<Item = Q>,
) -> Result<Vec<Previous>>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
{
    let mut keys = keys.into_iter().fuse();
    let mut answers = Vec::new();
    while let Some(next) = next_items(&mut keys, GROUP) {
        answers.extend(delete_many::<K, V, Q>(access.reborrow(), &next).await?);
    }
    Ok(answers)
}

/// Returns the number of operations that may wait for the device at once, at least a group.
fn beside_each_other(access: &StoreRef<'_>) -> usize {
    access.core().waits_at_once().max(GROUP)
}

//! Writes of many keys that need no old value. They take effect in their order.

use super::{GROUP, stage};
use crate::base::error::Result;
use crate::codec::{Expires, Key, Value};
use crate::store::answers::Previous;
use crate::store::context::OperationContext;
use crate::store::expiry::Expiry;
use crate::store::moment::Moment;
use crate::store::operation::attempt::Attempt;
use crate::store::operation::attempt::operation::BlindWrite;
use crate::store::operation::delete::Delete;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::{Upsert, UpsertWith};
use crate::store::table::TableRef;
use std::borrow::Borrow;

/// Sets `pairs` in their order. The later value stays if two pairs have the same key.
pub(crate) fn upsert_many<'p, K, V, Q, W>(
    access: StoreRef<'p>,
    pairs: &'p [(Q, W)],
) -> impl Future<Output = Result<()>> + use<'p, K, V, Q, W>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    Q: Borrow<K::Item>,
    W: Borrow<V::Item>,
{
    let upsert = |(key, value): &'p (Q, W)| Upsert::<K, V>::new(key.borrow(), value.borrow());
    write_each::<K, _, _>(access, pairs, upsert, |_| ())
}

/// Sets values that expire, in their order. The later value stays if two have the same key.
pub(crate) fn upsert_many_with<'p, K, V, Q, W>(
    access: StoreRef<'p>,
    items: &'p [(Q, W, Expiry)],
) -> impl Future<Output = Result<()>> + use<'p, K, V, Q, W>
where
    K: Key + ?Sized,
    V: Expires + ?Sized,
    Q: Borrow<K::Item>,
    W: Borrow<V::Item>,
{
    let upsert = |(key, value, expiry): &'p (Q, W, Expiry)| {
        UpsertWith::<K, V>::new(key.borrow(), value.borrow(), *expiry)
    };
    write_each::<K, _, _>(access, items, upsert, |_| ())
}

/// Deletes `keys` in their order. The answers are in the same order.
pub(crate) async fn delete_many<K: Key + ?Sized, V: Value + ?Sized, Q: Borrow<K::Item>>(
    access: StoreRef<'_>,
    keys: &[Q],
) -> Result<Vec<Previous>> {
    let mut answers = Vec::with_capacity(keys.len());
    let delete = |key| Delete::<K, V>::new(Q::borrow(key));
    write_each::<K, _, _>(access, keys, delete, |previous| answers.push(previous)).await?;
    Ok(answers)
}

/// Makes the write of each of `items`, and passes its answer on.
async fn write_each<'k, K, T, O>(
    mut access: StoreRef<'_>,
    items: &'k [T],
    write: impl Fn(&'k T) -> O,
    mut answer: impl FnMut(O::Output),
) -> Result<()>
where
    K: Key + ?Sized + 'k,
    O: BlindWrite<'k, K>,
{
    let mut done = 0;
    while done < items.len() {
        let group = &items[done..items.len().min(done + GROUP)];
        let written = access.protected(|core, tools| {
            write_group::<K, _, _>(core, tools, group, &write, &mut answer)
        })?;
        done += written;
        access.yield_after(written).await;
        if written < group.len() {
            answer(OperationFuture::of_part(access.reborrow(), write(&items[done])).await?);
            done += 1;
        }
    }
    Ok(())
}

/// Makes the writes of a group under one guard, up to the first blocked write. Returns their
/// number. Out of line, so that the code of the caller takes no registers from this loop.
#[inline(never)]
fn write_group<'k, K, T, O>(
    core: TableRef<'_>,
    mut tools: OperationContext<'_>,
    group: &'k [T],
    write: &impl Fn(&'k T) -> O,
    answer: &mut impl FnMut(O::Output),
) -> Result<usize>
where
    K: Key + ?Sized + 'k,
    O: BlindWrite<'k, K>,
{
    core.check_write()?;
    let Ok(staged) = stage::<K>(core, group.iter().map(|item| write(item).key_item())) else {
        // One of the keys is refused. The keys before it are written first, one by one.
        return Ok(0);
    };
    let moment = Moment::new(core);
    // The chains began at these records when the group was staged. A write of the group that is no
    // hit may have changed that for a key after it.
    let mut is_as_staged = true;
    for (done, (key, item)) in staged.iter().flatten().zip(group).enumerate() {
        let found = (key.bytes.as_ref(), key.newest);
        if is_as_staged && let Some(output) = write(item).hit_at(core, found, &tools) {
            answer(output?);
            continue;
        }
        is_as_staged = false;
        match write(item).attempt_hashed(core, key.hashed(), tools.again(), &moment)? {
            Attempt::Done(output) => answer(output),
            Attempt::Blocked(_) => return Ok(done),
        }
    }
    Ok(group.len())
}

//! Reads of many keys.

use super::{GROUP, Waiting, stage};
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::moment::Moment;
use crate::store::operation::attempt::Attempt;
use crate::store::operation::future::OperationFuture;
use crate::store::operation::read::{Boxed, DecodeValue, Read, Reader, read_from, read_hit};
use crate::store::operation::store_ref::StoreRef;
use crate::store::record::encoding::is_large;
use std::borrow::Borrow;

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
            let staged = stage::<K>(core, group.iter().map(Borrow::borrow))?;
            let moment = Moment::new(core);
            for key in staged.iter().flatten() {
                let found = (key.bytes.as_ref(), key.newest);
                let reader = &mut { reader };
                if let Some(answer) = read_hit::<K, V, R>(core, found, reader, &mut tools) {
                    answers.push(answer?);
                    continue;
                }
                match read_from::<K, V, R>(core, found, reader, tools.again(), &moment)? {
                    Attempt::Done(answer) => answers.push(answer),
                    Attempt::Blocked(_) => {
                        left.push(answers.len());
                        answers.push(None);
                    }
                }
            }
            Ok(())
        })?;
        access.yield_after(group.len()).await;
        for place in left.drain(..) {
            let read = async move {
                let read = Read::<K, V, R>::new(keys[place].borrow(), reader);
                OperationFuture::of_part(StoreRef::pooled(core.table), read)
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

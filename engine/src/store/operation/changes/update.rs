//! The change of `update`.

use super::Change;
use crate::base::error::Result;
use crate::codec::Value;
use crate::store::answers::Update;
use crate::store::record::encoding::{decode_boxed, decode_value, encode_value, is_large};
use std::borrow::Borrow;

/// A closure decides whether the value stays, is replaced or is removed, and answers the caller.
#[derive(Debug)]
pub(crate) struct Decide<F, R> {
    decide: F,
    /// The answer of the last decision. It stays valid while the new value is stored in pieces.
    answer: Option<R>,
}

impl<F, R> Decide<F, R> {
    #[inline(always)]
    pub(crate) fn new(decide: F) -> Self {
        Self { decide, answer: None }
    }

    /// Writes the decision and keeps its answer.
    #[inline(always)]
    fn carry_out<V: Value + ?Sized, T, W>(
        &mut self,
        update: Update<T, R>,
        has_value: bool,
        item: impl FnOnce(&T) -> &V::Item,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        let (answer, written) = match update {
            Update::Keep(answer) => (answer, None),
            Update::Remove(answer) if has_value => (answer, Some(write(None)?)),
            Update::Remove(answer) => (answer, None),
            Update::Put(new, answer) => {
                let bytes = encode_value::<V>(item(&new))?;
                (answer, Some(write(Some(bytes.as_ref()))?))
            }
        };
        self.answer = Some(answer);
        Ok(written)
    }
}

impl<V, F, R> Change<V> for Decide<F, R>
where
    V: Value + ?Sized,
    F: FnMut(Option<V::Owned>) -> Update<V::Owned, R>,
{
    type Output = R;

    const CREATES: bool = true;
    const REMOVES: bool = true;

    #[inline(always)]
    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        let has_value = current.is_some();
        if const { is_large::<V>() } {
            let update = decided::<V, R>(&mut self.decide, current)?;
            return self.carry_out::<V, _, W>(update, has_value, |new| (**new).borrow(), write);
        }
        let update = (self.decide)(current.map(decode_value::<V>).transpose()?);
        self.carry_out::<V, _, W>(update, has_value, |new| new.borrow(), write)
    }

    #[inline(always)]
    fn answer(&mut self, _wrote: bool) -> R {
        self.answer.take().expect("an attempt that is done has decided")
    }
}

/// Decides about a large value. The values are on the stack only while `decide` takes and returns
/// them.
#[inline(never)]
fn decided<V: Value + ?Sized, R>(
    decide: &mut impl FnMut(Option<V::Owned>) -> Update<V::Owned, R>,
    current: Option<&[u8]>,
) -> Result<Update<Box<V::Owned>, R>> {
    let update = match current {
        None => decide(None),
        Some(bytes) => {
            let current = decode_boxed::<V>(bytes)?;
            decide(Some(*current))
        }
    };
    Ok(match update {
        Update::Keep(answer) => Update::Keep(answer),
        Update::Remove(answer) => Update::Remove(answer),
        Update::Put(new, answer) => Update::Put(Box::new(new), answer),
    })
}

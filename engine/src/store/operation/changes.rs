//! The changes that [`modify`](super::modify) can make.

use crate::codec::Value;
use crate::error::Result;
use crate::store::operation::modify::Change;
use crate::store::record::encoding::{decode_boxed, decode_value, encode_value, is_large};
use std::borrow::Borrow;

/// The change of `rmw`: a closure computes the new value.
#[derive(Debug)]
pub(crate) struct Update<F>(pub(crate) F);

impl<V: Value + ?Sized, F: FnMut(Option<V::Owned>) -> V::Owned> Change<V> for Update<F> {
    const CREATES: bool = true;

    #[inline(always)]
    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(&[u8]) -> Result<W>,
    ) -> Result<Option<W>> {
        if const { is_large::<V>() } {
            let new = updated::<V>(&mut self.0, current)?;
            let bytes = encode_value::<V>((*new).borrow())?;
            return write(bytes.as_ref()).map(Some);
        }
        let current = current.map(decode_value::<V>).transpose()?;
        let new = (self.0)(current);
        let bytes = encode_value::<V>(new.borrow())?;
        write(bytes.as_ref()).map(Some)
    }
}

/// Computes a new large value. The values are on the stack only while `update` takes and returns
/// them, and not while the result is written.
#[inline(never)]
fn updated<V: Value + ?Sized>(
    update: &mut impl FnMut(Option<V::Owned>) -> V::Owned,
    current: Option<&[u8]>,
) -> Result<Box<V::Owned>> {
    Ok(match current {
        None => Box::new(update(None)),
        Some(bytes) => {
            let current = decode_boxed::<V>(bytes)?;
            Box::new(update(Some(*current)))
        }
    })
}

/// The change of `insert_if_absent`: it writes a value if there is none.
pub(crate) struct Insert<'v, V: Value + ?Sized>(pub(crate) &'v V::Item);

impl<V: Value + ?Sized> Change<V> for Insert<'_, V> {
    const CREATES: bool = true;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(&[u8]) -> Result<W>,
    ) -> Result<Option<W>> {
        if current.is_some() {
            return Ok(None);
        }
        write(encode_value::<V>(self.0)?.as_ref()).map(Some)
    }
}

/// The change of `compare_and_swap`: it replaces exactly the expected value. Values are equal if
/// their bytes are equal.
pub(crate) struct Swap<'v, V: Value + ?Sized> {
    pub(crate) expected: &'v V::Item,
    pub(crate) new: &'v V::Item,
}

impl<V: Value + ?Sized> Change<V> for Swap<'_, V> {
    const CREATES: bool = false;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(&[u8]) -> Result<W>,
    ) -> Result<Option<W>> {
        let expected = encode_value::<V>(self.expected)?;
        if current != Some(expected.as_ref()) {
            return Ok(None);
        }
        write(encode_value::<V>(self.new)?.as_ref()).map(Some)
    }
}

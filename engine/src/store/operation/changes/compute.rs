//! The change of `rmw`.

use super::Change;
use crate::base::error::Result;
use crate::codec::Value;
use crate::store::operation::read::{Boxed, DecodeValue, Reader};
use crate::store::record::encoding::{decode_boxed, decode_value, encode_value};
use std::borrow::Borrow;

/// The form in which a change holds an owned value: as it is, or a large one in a box.
pub(crate) trait Form<V: Value + ?Sized>: Reader<V> {
    /// Calls `update` with the decoded value, and holds the result.
    fn compute(
        update: &mut impl FnMut(Option<V::Owned>) -> V::Owned,
        current: Option<&[u8]>,
    ) -> Result<Self::Output>;

    /// Returns the value to encode.
    fn item(held: &Self::Output) -> &V::Item;
}

impl<V: Value + ?Sized> Form<V> for DecodeValue {
    #[inline(always)]
    fn compute(
        update: &mut impl FnMut(Option<V::Owned>) -> V::Owned,
        current: Option<&[u8]>,
    ) -> Result<V::Owned> {
        Ok(update(current.map(decode_value::<V>).transpose()?))
    }

    #[inline(always)]
    fn item(held: &V::Owned) -> &V::Item {
        held.borrow()
    }
}

impl<V: Value + ?Sized> Form<V> for Boxed {
    /// The values are on the stack only while `update` takes and returns them.
    #[inline(never)]
    fn compute(
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

    fn item(held: &Box<V::Owned>) -> &V::Item {
        (**held).borrow()
    }
}

/// A closure computes the new value, which is also the answer.
pub(crate) struct Compute<V: Value + ?Sized, F, R: Form<V>> {
    update: F,
    form: R,
    new: Option<R::Output>,
}

impl<V: Value + ?Sized, F, R: Form<V>> Compute<V, F, R> {
    #[inline(always)]
    pub(crate) fn new(update: F, form: R) -> Self {
        Self { update, form, new: None }
    }
}

impl<V, F, R> Change<V> for Compute<V, F, R>
where
    V: Value + ?Sized,
    F: FnMut(Option<V::Owned>) -> V::Owned,
    R: Form<V>,
{
    type Output = R::Output;

    const CREATES: bool = true;
    const ANSWERS_NEW: bool = true;

    #[inline(always)]
    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        let new = R::compute(&mut self.update, current)?;
        let written = write(Some(encode_value::<V>(R::item(&new))?.as_ref()))?;
        self.new = Some(new);
        Ok(Some(written))
    }

    fn recall(&mut self, _current: Option<&[u8]>, new: Option<&[u8]>) -> Result<()> {
        let new = new.expect("the bytes of an answer are kept");
        self.new = Some(self.form.read(new)?);
        Ok(())
    }

    #[inline(always)]
    fn answer(&mut self, _wrote: bool) -> R::Output {
        self.new.take().expect("an attempt that is done has computed")
    }
}

/// A change of which the caller wants no answer. So it keeps no value.
pub(crate) struct Unanswered<V: Value + ?Sized, F, R: Form<V>>(pub(crate) Compute<V, F, R>);

impl<V, F, R> Change<V> for Unanswered<V, F, R>
where
    V: Value + ?Sized,
    F: FnMut(Option<V::Owned>) -> V::Owned,
    R: Form<V>,
{
    type Output = ();

    const CREATES: bool = true;

    #[inline(always)]
    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        let written = self.0.apply(current, write);
        self.0.new = None;
        written
    }

    #[inline(always)]
    fn answer(&mut self, _wrote: bool) {}
}

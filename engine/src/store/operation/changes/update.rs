//! The changes of `update` and `update_with`.

use super::Change;
use crate::base::error::Result;
use crate::base::wall_clock::WallTime;
use crate::codec::{Expires, Value};
use crate::record::ExpiryWord;
use crate::store::answers::Update;
use crate::store::expiry::Expiry;
use crate::store::moment::Moment;
use crate::store::record::encoding::{decode_boxed, decode_value, encode_value, is_large};
use std::borrow::Borrow;
use std::cell::Cell;

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

/// A closure decides as in [`Decide`], and sees and sets the expiry together with the value.
#[derive(Debug)]
pub(crate) struct DecideExpiry<F, R> {
    decide: F,
    /// As in [`Decide`].
    answer: Option<R>,
    /// The expiry of the last decision. It stays valid as the answer does.
    expiry: Option<Expiry>,
    /// The time of the attempt.
    now: WallTime,
}

impl<F, R> DecideExpiry<F, R> {
    pub(crate) fn new(decide: F) -> Self {
        Self { decide, answer: None, expiry: None, now: WallTime { second: 0, nanos: 0 } }
    }
}

impl<V, F, R> Change<V> for DecideExpiry<F, R>
where
    V: Expires + ?Sized,
    F: FnMut(Option<(V::Owned, Expiry)>) -> Update<(V::Owned, Expiry), R>,
{
    type Output = R;

    const CREATES: bool = true;
    const REMOVES: bool = true;

    fn begin(&mut self, moment: &Moment<'_>) {
        const { assert!(V::HAS_EXPIRY, "a value type that expires has a word for it") };
        self.now = moment.time();
    }

    fn expiry(&self, kept: ExpiryWord) -> ExpiryWord {
        self.expiry.map_or(kept, |expiry| expiry.word_at(self.now))
    }

    /// Without a current value, as there is no expiry to see.
    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        debug_assert!(current.is_none(), "its expiry would be missing");
        let write = |new: Option<&[u8]>, _expiry| write(new);
        Change::<V>::apply_expiring(self, current, ExpiryWord::NEVER, write)
    }

    fn apply_expiring<W>(
        &mut self,
        current: Option<&[u8]>,
        kept: ExpiryWord,
        write: impl FnOnce(Option<&[u8]>, ExpiryWord) -> Result<W>,
    ) -> Result<Option<W>> {
        let Self { decide, now, .. } = self;
        let decided = Cell::new(None);
        let mut change = Decide::new(|value: Option<V::Owned>| {
            match decide(value.map(|value| (value, Expiry::of_word(kept)))) {
                Update::Keep(answer) => Update::Keep(answer),
                Update::Remove(answer) => Update::Remove(answer),
                Update::Put((new, expiry), answer) => {
                    decided.set(Some(expiry));
                    Update::Put(new, answer)
                }
            }
        });
        let written = Change::<V>::apply(&mut change, current, |new| {
            // A tombstone does not expire.
            write(new, decided.get().map_or(ExpiryWord::NEVER, |expiry| expiry.word_at(*now)))
        })?;
        (self.answer, self.expiry) = (change.answer, decided.get());
        Ok(written)
    }

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

//! The changes that [`modify`](super::modify) can make.

mod compute;
mod exchange;
mod removal;
mod update;

pub(crate) use compute::{Compute, Form, Unanswered};
pub(crate) use exchange::Exchange;
pub(crate) use removal::RemoveIf;
pub(crate) use update::{Decide, DecideExpiry};

use crate::base::error::Result;
use crate::base::hash::KeyHash;
use crate::codec::{Expires, Value};
use crate::record::ExpiryWord;
use crate::statistics::Counters;
use crate::store::expiry::Expiry;
use crate::store::moment::Moment;
use crate::store::operation::attempt::{Attempt, Blocked};
use crate::store::record::encoding::encode_value;
use crate::store::record::entry::entry_of;
use crate::store::record::find::RecordSource;
use crate::store::table::TableRef;

/// A change of a value.
pub(crate) trait Change<V: Value + ?Sized> {
    /// The answer of the operation.
    type Output;

    /// Whether it may write if there is no value yet.
    const CREATES: bool;

    /// Whether it may remove the value.
    const REMOVES: bool = false;

    /// Whether the answer is made of the new value.
    const ANSWERS_NEW: bool = false;

    /// Learns the time of an attempt, before the attempt computes anything.
    #[inline(always)]
    fn begin(&mut self, _moment: &Moment<'_>) {}

    /// Returns the expiry of the new value. A change that decides about it returns its decision
    /// about the value that it has computed last. `kept` is the expiry of the current value, or
    /// never.
    #[inline(always)]
    fn expiry(&self, kept: ExpiryWord) -> ExpiryWord {
        kept
    }

    /// Computes the new value from the current value and passes it to `write`, or `None` to remove
    /// the current value. Returns `None` if the current value stays. Runs without any lock, and may
    /// run more than once.
    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>>;

    /// As [`apply`](Self::apply), and passes the expiry of the new value to `write`. `kept` is the
    /// expiry of the current value, or never.
    #[inline(always)]
    fn apply_expiring<W>(
        &mut self,
        current: Option<&[u8]>,
        kept: ExpiryWord,
        write: impl FnOnce(Option<&[u8]>, ExpiryWord) -> Result<W>,
    ) -> Result<Option<W>> {
        let expiry = self.expiry(kept);
        self.apply(current, |new| write(new, expiry))
    }

    /// Prepares the answer again, for a value that an earlier attempt computed from `current`:
    /// `new`, if the answer is made of it. A change that keeps its answer from one attempt to the
    /// next has nothing to prepare.
    fn recall(&mut self, _current: Option<&[u8]>, _new: Option<&[u8]>) -> Result<()> {
        Ok(())
    }

    /// Returns the answer, after the change has taken effect. `wrote` tells whether it wrote.
    fn answer(&mut self, wrote: bool) -> Self::Output;
}

/// Makes a change that may keep the absence of a key whose hash has no entry. So looking for
/// absent keys does not fill the index. A change that writes gets an entry, and starts again.
#[cold]
pub(crate) fn without_entry<V: Value + ?Sized, C: Change<V>>(
    core: TableRef<'_>,
    hash: KeyHash,
    change: &mut C,
    counters: &Counters,
) -> Result<Attempt<bool>> {
    Ok(match change.apply(None, |_| Ok(()))? {
        None => {
            RecordSource::Absent.count(counters);
            Attempt::Done(false)
        }
        Some(()) => {
            _ = entry_of(core, hash)?;
            Attempt::Blocked(Blocked::Overtaken)
        }
    })
}

/// The change of `insert_if_absent`: it writes a value if there is none.
pub(crate) struct Insert<'v, V: Value + ?Sized>(pub(crate) &'v V::Item);

impl<V: Value + ?Sized> Change<V> for Insert<'_, V> {
    type Output = bool;

    const CREATES: bool = true;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        if current.is_some() {
            return Ok(None);
        }
        write(Some(encode_value::<V>(self.0)?.as_ref())).map(Some)
    }

    fn answer(&mut self, wrote: bool) -> bool {
        wrote
    }
}

/// The change of `insert_with`: it writes a value that expires if there is none.
pub(crate) struct InsertWith<'v, V: Value + ?Sized> {
    insert: Insert<'v, V>,
    expiry: Expiry,
    /// The expiry at the time of the attempt.
    word: ExpiryWord,
}

impl<'v, V: Value + ?Sized> InsertWith<'v, V> {
    pub(crate) fn new(value: &'v V::Item, expiry: Expiry) -> Self {
        Self { insert: Insert(value), expiry, word: ExpiryWord::NEVER }
    }
}

impl<V: Expires + ?Sized> Change<V> for InsertWith<'_, V> {
    type Output = bool;

    const CREATES: bool = true;

    fn begin(&mut self, moment: &Moment<'_>) {
        const { assert!(V::HAS_EXPIRY, "a value type that expires has a word for it") };
        self.word = self.expiry.word(moment);
    }

    fn expiry(&self, _kept: ExpiryWord) -> ExpiryWord {
        self.word
    }

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        self.insert.apply(current, write)
    }

    fn answer(&mut self, wrote: bool) -> bool {
        wrote
    }
}

/// The change of `compare_and_swap` and `compare_and_delete`: it replaces or removes exactly the
/// expected value. Values are equal if their bytes are equal.
pub(crate) struct Swap<'v, V: Value + ?Sized> {
    pub(crate) expected: &'v V::Item,
    /// `None` removes the value.
    pub(crate) new: Option<&'v V::Item>,
}

impl<V: Value + ?Sized> Change<V> for Swap<'_, V> {
    type Output = bool;

    const CREATES: bool = false;
    const REMOVES: bool = true;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        let expected = encode_value::<V>(self.expected)?;
        if current != Some(expected.as_ref()) {
            return Ok(None);
        }
        let new = self.new.map(encode_value::<V>).transpose()?;
        write(new.as_ref().map(AsRef::as_ref)).map(Some)
    }

    fn answer(&mut self, wrote: bool) -> bool {
        wrote
    }
}

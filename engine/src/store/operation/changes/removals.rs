//! The changes that only remove.

use super::Change;
use crate::base::error::Result;
use crate::codec::Value;
use crate::store::operation::read::Reader;
use crate::store::record::encoding::{encode_value, view_value};

/// The change of `take`: it removes the value, and reads it first.
pub(crate) struct Take<V: Value + ?Sized, R: Reader<V>> {
    reader: R,
    taken: Option<R::Output>,
}

impl<V: Value + ?Sized, R: Reader<V>> Take<V, R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, taken: None }
    }
}

impl<V: Value + ?Sized, R: Reader<V>> Change<V> for Take<V, R> {
    type Output = Option<R::Output>;

    const CREATES: bool = false;
    const REMOVES: bool = true;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        // A value that cannot be decoded stays: the error comes before the removal.
        self.taken = current.map(|bytes| self.reader.read(bytes)).transpose()?;
        current.map(|_| write(None)).transpose()
    }

    fn answer(&mut self, wrote: bool) -> Self::Output {
        self.taken.take().filter(|_| wrote)
    }
}

/// The change of `delete_if`: it removes the value if a closure says so.
#[derive(Debug)]
pub(crate) struct RemoveIf<F>(pub(crate) F);

impl<V: Value + ?Sized, F: FnMut(V::View<'_>) -> bool> Change<V> for RemoveIf<F> {
    type Output = bool;

    const CREATES: bool = false;
    const REMOVES: bool = true;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        match current {
            Some(bytes) if (self.0)(view_value::<V>(bytes)?) => write(None).map(Some),
            _ => Ok(None),
        }
    }

    fn answer(&mut self, wrote: bool) -> bool {
        wrote
    }
}

/// The change of `compare_and_delete`: it removes exactly the expected value. Values are equal if
/// their bytes are equal.
pub(crate) struct RemoveExpected<'v, V: Value + ?Sized>(pub(crate) &'v V::Item);

impl<V: Value + ?Sized> Change<V> for RemoveExpected<'_, V> {
    type Output = bool;

    const CREATES: bool = false;
    const REMOVES: bool = true;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        let expected = encode_value::<V>(self.0)?;
        if current != Some(expected.as_ref()) {
            return Ok(None);
        }
        write(None).map(Some)
    }

    fn answer(&mut self, wrote: bool) -> bool {
        wrote
    }
}

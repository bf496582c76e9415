//! The change of `take` and `replace`.

use super::Change;
use crate::base::error::Result;
use crate::codec::Value;
use crate::store::operation::read::Reader;
use crate::store::record::encoding::encode_value;

/// Reads the old value, and then sets a new value (`PUTS`) or removes the old one.
pub(crate) struct Exchange<'v, V: Value + ?Sized, R: Reader<V>, const PUTS: bool> {
    /// `Some` if it puts.
    new: Option<&'v V::Item>,
    reader: R,
    old: Option<R::Output>,
}

impl<'v, V: Value + ?Sized, R: Reader<V>, const PUTS: bool> Exchange<'v, V, R, PUTS> {
    pub(crate) fn new(new: Option<&'v V::Item>, reader: R) -> Self {
        debug_assert_eq!(new.is_some(), PUTS);
        Self { new, reader, old: None }
    }

    fn read_old(&mut self, current: Option<&[u8]>) -> Result<()> {
        self.old = current.map(|bytes| self.reader.read(bytes)).transpose()?;
        Ok(())
    }
}

impl<V: Value + ?Sized, R: Reader<V>, const PUTS: bool> Change<V> for Exchange<'_, V, R, PUTS> {
    type Output = Option<R::Output>;

    const CREATES: bool = PUTS;
    const REMOVES: bool = !PUTS;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        // A value that cannot be decoded stays: the error comes before the write.
        self.read_old(current)?;
        match self.new {
            Some(new) => write(Some(encode_value::<V>(new)?.as_ref())).map(Some),
            None => current.map(|_| write(None)).transpose(),
        }
    }

    fn recall(&mut self, current: Option<&[u8]>, _new: Option<&[u8]>) -> Result<()> {
        self.read_old(current)
    }

    fn answer(&mut self, wrote: bool) -> Self::Output {
        // An earlier attempt may have read a value that another operation has removed since.
        self.old.take().filter(|_| wrote)
    }
}

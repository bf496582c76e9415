//! The change of `replace`.

use super::Change;
use crate::base::error::Result;
use crate::codec::Value;
use crate::store::operation::read::Reader;
use crate::store::record::encoding::encode_value;

/// Sets a value, and reads the old value first.
pub(crate) struct Replace<'v, V: Value + ?Sized, R: Reader<V>> {
    new: &'v V::Item,
    reader: R,
    old: Option<R::Output>,
}

impl<'v, V: Value + ?Sized, R: Reader<V>> Replace<'v, V, R> {
    pub(crate) fn new(new: &'v V::Item, reader: R) -> Self {
        Self { new, reader, old: None }
    }
}

impl<V: Value + ?Sized, R: Reader<V>> Change<V> for Replace<'_, V, R> {
    type Output = Option<R::Output>;

    const CREATES: bool = true;

    fn apply<W>(
        &mut self,
        current: Option<&[u8]>,
        write: impl FnOnce(Option<&[u8]>) -> Result<W>,
    ) -> Result<Option<W>> {
        // A value that cannot be decoded stays: the error comes before the write.
        Change::<V>::recall(self, current)?;
        write(Some(encode_value::<V>(self.new)?.as_ref())).map(Some)
    }

    fn recall(&mut self, current: Option<&[u8]>) -> Result<()> {
        self.old = current.map(|bytes| self.reader.read(bytes)).transpose()?;
        Ok(())
    }

    fn answer(&mut self, _wrote: bool) -> Self::Output {
        self.old.take()
    }
}

//! The change of `delete_if`.

use super::Change;
use crate::base::error::Result;
use crate::codec::Value;
use crate::store::record::encoding::view_value;

/// Removes the value if a closure says so.
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

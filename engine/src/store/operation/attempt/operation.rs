//! Operations that are made in synchronous attempts.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::codec::Key;
use crate::store::context::OperationContext;
use crate::store::moment::Moment;
use crate::store::operation::attempt::{Attempt, HashedKey};
use crate::store::table::TableRef;

/// An operation that is made in synchronous attempts.
pub(crate) trait Operation {
    type Output;

    /// Whether it may change the store, so that its answer may wait until it is durable.
    const WRITES: bool = true;

    /// Returns the number of keys that it counts for in the turn of its task.
    #[inline(always)]
    fn keys(&self) -> u32 {
        1
    }

    /// Tries to do the whole operation now.
    fn attempt(
        &mut self,
        core: TableRef<'_>,
        tools: OperationContext<'_>,
    ) -> Result<Attempt<Self::Output>>;

    /// Whether it may be a hit.
    const HITS: bool = false;

    /// Does the operation if it is a [hit](crate::store::record::hit). Otherwise it returns `None`,
    /// and the general attempt begins anew.
    #[inline(always)]
    fn hit(
        &mut self,
        _core: TableRef<'_>,
        _tools: &mut OperationContext<'_>,
    ) -> Option<Result<Self::Output>> {
        None
    }

    /// Returns the encoded key, for comparison with records on the device.
    fn key(&self) -> Result<Vec<u8>>;
}

/// An operation on one key, or the parts of one.
pub(crate) trait OnKey<'k, K: Key + ?Sized + 'k> {
    /// Returns the key.
    fn key_item(&self) -> &'k K::Item;
}

impl<'k, K: Key + ?Sized + 'k, T> OnKey<'k, K> for (&'k K::Item, T) {
    #[inline(always)]
    fn key_item(&self) -> &'k K::Item {
        self.0
    }
}

/// A write that needs no old value, and so never waits for the device to read.
pub(crate) trait BlindWrite<'k, K: Key + ?Sized + 'k>:
    Operation + OnKey<'k, K> + Sized
{
    /// Does the operation if it is a [hit](crate::store::record::hit), in the chain that begins at
    /// `newest`.
    #[inline(always)]
    fn hit_at(
        &self,
        _core: TableRef<'_>,
        (_key, _newest): (&[u8], Address),
        _tools: &OperationContext<'_>,
    ) -> Option<Result<Self::Output>> {
        None
    }

    /// Tries like [`attempt`](Operation::attempt), with the key encoded and hashed.
    fn attempt_hashed(
        self,
        core: TableRef<'_>,
        key: HashedKey<'_>,
        tools: OperationContext<'_>,
        moment: &Moment<'_>,
    ) -> Result<Attempt<Self::Output>>;
}

//! The stream of the changes in the write-ahead log.

use super::{Change, ChangeKind, ChangeToken, Start};
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::lifecycle::StoreLifecycle;
use crate::store::encoding::{decode_key, decode_value};
use crate::store::expiry::Expiry;
use crate::store::wal::{KeyChange, LoggedChange, LoggedChanges};
use crate::store::{TableInner, Types};
use futures::Stream;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Stream of the durable changes of a store, or of one of its tables, in their order.
///
/// An error ends it, except that of a key or value that does not decode (`Codec`).
#[must_use = "streams do nothing unless they are polled"]
pub struct Changes<K: Key + ?Sized, V: Value + ?Sized> {
    changes: LoggedChanges,
    /// The place at which it began, in the log of its tokens.
    start: ChangeToken,
    /// The store does not end before it.
    _lifecycle: Arc<StoreLifecycle>,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> Changes<K, V> {
    /// Begins at a place of the write-ahead log.
    ///
    /// # Errors
    /// As for [`Start::find`]; `InvalidArgument` if the table was dropped; `Closed`.
    pub(crate) fn new(
        lifecycle: &Arc<StoreLifecycle>,
        table: Option<&Arc<TableInner>>,
        start: Start,
    ) -> Result<Self> {
        let start = start.find(lifecycle)?;
        let changes = LoggedChanges::new(lifecycle.checkpoints.core(), table, start.address())?;
        Ok(Self { changes, start, _lifecycle: Arc::clone(lifecycle), _types: PhantomData })
    }

    /// Returns the next change that is durable by now; `None` if every one was shown.
    ///
    /// It does not wait for a commit. After `None` a copy makes what it has taken in durable, and
    /// then waits with `next` of the stream.
    ///
    /// # Errors
    /// As the items of the stream.
    ///
    /// # Cancel safety
    /// A future that is dropped loses no change.
    pub async fn next_durable(&mut self) -> Result<Option<Change<K::Owned, V::Owned>>> {
        let next = poll_fn(|context| match Pin::new(&mut *self).poll_next(context) {
            Poll::Pending if self.lag() == 0 => Poll::Ready(None),
            next => next,
        });
        next.await.transpose()
    }

    /// Returns the place after everything that was shown; at first the start. Within a batch, until
    /// its last change was shown, that is the place before the batch.
    ///
    /// Another stream from this token goes on where this one stands. It also goes past changes of
    /// other tables, and past what changes no key.
    pub fn token(&self) -> ChangeToken {
        self.start.at(self.changes.position())
    }

    /// Returns the bytes of the write-ahead log from here to its last durable entry: 0 if every
    /// durable change was shown.
    pub fn lag(&self) -> u64 {
        self.changes.lag()
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Stream for Changes<K, V> {
    type Item = Result<Change<K::Owned, V::Owned>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let start = self.start;
        let show = |change: LoggedChange<'_>, next| shown::<K, V>(change, start.at(next));
        let next = ready!(self.changes.poll_next(context, show));
        Poll::Ready(next.map(Result::flatten))
    }
}

/// Returns a change as users see it.
fn shown<K: Key + ?Sized, V: Value + ?Sized>(
    LoggedChange { table, key, change }: LoggedChange<'_>,
    token: ChangeToken,
) -> Result<Change<K::Owned, V::Owned>> {
    let kind = match change {
        KeyChange::Put(value, expiry) => ChangeKind::Upsert {
            value: decode_value::<V>(value)?,
            expires_at: Expiry::of_word(expiry).time(),
        },
        KeyChange::Remove => ChangeKind::Delete,
        KeyChange::Expire(expiry) => ChangeKind::SetExpiry(Expiry::of_word(expiry).time()),
    };
    Ok(Change { token, table: table.raw(), key: decode_key::<K>(key)?, kind })
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Changes<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Changes").field(&self.changes).finish()
    }
}

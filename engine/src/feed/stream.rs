//! The stream of a reader of the log.

use super::{Address, Content, LogRecord};
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::lifecycle::StoreLifecycle;
use crate::store::Types;
use crate::store::encoding::{decode_key, decode_value};
use crate::store::feed::{FoundRecords, LogReader, LongValue, ShownRecord};
use futures::Stream;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

/// Stream of the records of the log of a store, in its order.
///
/// An error ends it, except that of a key or value that does not decode (`Codec`).
#[must_use = "streams do nothing unless they are polled"]
pub struct LogRecords<K: Key + ?Sized, V: Value + ?Sized> {
    records: FoundRecords,
    /// The store does not end before it.
    _lifecycle: Arc<StoreLifecycle>,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> LogRecords<K, V> {
    pub(crate) fn new(reader: LogReader, lifecycle: &Arc<StoreLifecycle>) -> Self {
        let (records, _lifecycle) = (FoundRecords::new(reader), Arc::clone(lifecycle));
        Self { records, _lifecycle, _types: PhantomData }
    }

    /// Returns the address below which every record was shown; at first the start.
    ///
    /// A reader that begins there shows the records that follow. It is the end of the record that
    /// was shown last. When the reader finds no further one, it is the place up to which it has
    /// looked: it goes past records of other tables.
    pub fn position(&self) -> Address {
        self.records.position().into()
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Stream for LogRecords<K, V> {
    type Item = Result<LogRecord<K::Owned, V::Owned>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.records.poll_next(context));
        Poll::Ready(next.map(|found| shown::<K, V>(found?)))
    }
}

/// Returns a record as users see it.
fn shown<K: Key + ?Sized, V: Value + ?Sized>(
    ShownRecord { record, long }: ShownRecord<'_>,
) -> Result<LogRecord<K::Owned, V::Owned>> {
    let content = if record.info.is_tombstone() {
        Content::Tombstone
    } else if record.info.is_piece() {
        Content::Piece(record.value().to_vec())
    } else {
        match long {
            Some(LongValue::Whole(value)) => Content::Value(decode_value::<V>(&value)?),
            Some(LongValue::Gone) => Content::Gone,
            None if record.is_in_pieces() => Content::InPieces {
                bytes: record.long_bytes(),
                pieces: record.pieces().map(Address::from).collect(),
            },
            None => Content::Value(decode_value::<V>(record.value())?),
        }
    };
    let expiry = record.expiry().second();
    Ok(LogRecord {
        address: record.address.into(),
        next: record.end().into(),
        table: record.table().raw(),
        key: decode_key::<K>(record.key())?,
        content,
        expires_at: expiry.map(|second| UNIX_EPOCH + Duration::from_secs(second.into())),
        is_invalid: record.info.is_invalid(),
    })
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for LogRecords<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LogRecords").field(&self.records).finish()
    }
}

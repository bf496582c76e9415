//! The streams of scans.

use super::records::Records;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::store::Types;
use crate::store::encoding::{decode_key, decode_value, view_key, view_value};
use crate::store::scan::{Cursor, LiveRecord};
use futures::Stream;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Stream of [`FasterKv::scan`](crate::FasterKv::scan): all keys and values of a table as of one
/// moment.
///
/// An error ends it, except that of a key or value that does not decode (`Codec`).
#[must_use = "streams do nothing unless they are polled"]
pub struct Scan<K: Key + ?Sized, V: Value + ?Sized> {
    records: Records,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> Scan<K, V> {
    pub(crate) fn new(records: Records) -> Self {
        Self { records, _types: PhantomData }
    }

    /// Returns the place at which [`scan_from`](crate::FasterKv::scan_from) continues after this
    /// scan is dropped, or has failed.
    ///
    /// It is before the next key: keys may come again, of 64 KiB of the log after the first keys,
    /// and of up to a 16th of the log, or a MiB, later; and all those that compaction moves in
    /// between. A scan that was not polled yet has the cursor of a whole scan.
    pub fn cursor(&self) -> Cursor {
        self.records.cursor()
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Stream for Scan<K, V> {
    type Item = Result<(K::Owned, V::Owned)>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.records.poll_next(context));
        Poll::Ready(next.map(|record| {
            let LiveRecord { key, value, .. } = record?;
            Ok((decode_key::<K>(key)?, decode_value::<V>(value)?))
        }))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Scan<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Scan").field(&self.records).finish()
    }
}

/// Stream of [`FasterKv::scan_with`](crate::FasterKv::scan_with): the results of a closure for the
/// keys and values of a table as of one moment.
///
/// An error ends it, except that of a key or value that does not decode (`Codec`).
#[must_use = "streams do nothing unless they are polled"]
pub struct ScanWith<K: Key + ?Sized, V: Value + ?Sized, F> {
    records: Records,
    look: F,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized, F> ScanWith<K, V, F> {
    pub(crate) fn new(records: Records, look: F) -> Self {
        Self { records, look, _types: PhantomData }
    }
}

// Nothing is pinned structurally: the closure is only called.
impl<K: Key + ?Sized, V: Value + ?Sized, F> Unpin for ScanWith<K, V, F> {}

impl<K: Key + ?Sized, V: Value + ?Sized, F, T> Stream for ScanWith<K, V, F>
where
    F: FnMut(K::View<'_>, V::View<'_>) -> Option<T>,
{
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { records, look, .. } = self.get_mut();
        loop {
            let LiveRecord { key, value, .. } = match ready!(records.poll_next(context)) {
                Some(Ok(record)) => record,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            match view_key::<K>(key).and_then(|key| Ok(look(key, view_value::<V>(value)?))) {
                Ok(None) => {}
                Ok(Some(shown)) => return Poll::Ready(Some(Ok(shown))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, F> fmt::Debug for ScanWith<K, V, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ScanWith").field(&self.records).finish()
    }
}

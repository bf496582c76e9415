//! Requests for compactions.

use super::Compacted;
use super::driver::Compaction;
use super::wish::Wish;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::config::ByteSize;
use crate::store::encoding::{view_key, view_value};
use crate::store::{Filter, TableInner, Types};
use kvick_io::BoxFuture;
use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

/// Options for a compaction. Await the request to compact.
///
/// By default it compacts the whole log but its last page, which is begun, and keeps every key.
///
/// ```
/// # use kvick::{Config, FasterKv};
/// # use kvick::config::{Backend, ByteSize};
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// # for key in 0..100_000 {
/// #     store.upsert(&key, &1).await?;
/// # }
/// let some = store.compact().oldest(ByteSize::mib(1)).await?;
/// assert!(some.log_bytes <= 1 << 20);
/// // Only even keys stay, among those that were written before the last page.
/// let even = store.compact().keep(|key, _value| key % 2 == 0).await?;
/// assert!(even.removed_keys <= 50_000);
/// # store.close().await
/// # }).unwrap();
/// ```
#[must_use = "a compaction begins when the request is awaited"]
pub struct CompactionRequest<'s, K: Key + ?Sized, V: Value + ?Sized> {
    whole: DatabaseRequest<'s>,
    table: &'s Arc<TableInner>,
    _types: Types<K, V>,
}

impl<'s, K: Key + ?Sized, V: Value + ?Sized> CompactionRequest<'s, K, V> {
    pub(crate) fn new(compaction: &'s Compaction, table: &'s Arc<TableInner>) -> Self {
        Self { whole: DatabaseRequest::new(compaction), table, _types: PhantomData }
    }

    /// Compacts only about the oldest `bytes` of the log, in whole pages.
    pub fn oldest(mut self, bytes: ByteSize) -> Self {
        self.whole = self.whole.oldest(bytes);
        self
    }

    /// Removes the keys of this table for which `keep` returns false, if their newest record is in
    /// the compacted part of the log. Keys that are written meanwhile stay, and so do those of the
    /// last page of the log. [`retain`](crate::FasterKv::retain) looks at all keys.
    ///
    /// Hardly anything is appended for that, unlike a deletion. A removed key may be seen until its
    /// part of the log is compacted, and a recovery of a checkpoint before that brings it back. The
    /// closure runs in the maintenance of the store, so it should be short. It may get a key
    /// twice, if that is written meanwhile. If it panics, the awaiting task gets the panic.
    pub fn keep<F>(mut self, mut keep: F) -> Self
    where
        F: FnMut(K::View<'_>, V::View<'_>) -> bool + Send + 'static,
    {
        let keeps =
            move |key: &[u8], value: &[u8]| Ok(keep(view_key::<K>(key)?, view_value::<V>(value)?));
        self.whole.wish.filter = Some(Filter::new(Arc::clone(self.table), Box::new(keeps)));
        self
    }
}

impl<'s, K: Key + ?Sized, V: Value + ?Sized> IntoFuture for CompactionRequest<'s, K, V> {
    type Output = Result<Compacted>;
    type IntoFuture = BoxFuture<'s, Result<Compacted>>;

    /// Compacts.
    ///
    /// # Errors
    /// As for [`compact`](crate::FasterKv::compact). `Codec` of a key or value that `keep` should
    /// see: then its page stays.
    ///
    /// # Cancel safety
    /// The compaction continues if the future is dropped.
    fn into_future(self) -> BoxFuture<'s, Result<Compacted>> {
        self.whole.into_future()
    }
}

/// Options for a compaction of all tables of a database. Await the request to compact.
///
/// By default it compacts the whole log but its last page, which is begun.
#[derive(Debug)]
#[must_use = "a compaction begins when the request is awaited"]
pub struct DatabaseRequest<'s> {
    compaction: &'s Compaction,
    wish: Wish,
}

impl<'s> DatabaseRequest<'s> {
    pub(crate) fn new(compaction: &'s Compaction) -> Self {
        Self { compaction, wish: Wish::ALL }
    }

    /// Compacts only about the oldest `bytes` of the log, in whole pages.
    pub fn oldest(mut self, bytes: ByteSize) -> Self {
        self.wish.bytes = bytes.bytes();
        self
    }
}

impl<'s> IntoFuture for DatabaseRequest<'s> {
    type Output = Result<Compacted>;
    type IntoFuture = BoxFuture<'s, Result<Compacted>>;

    /// Compacts.
    ///
    /// # Errors
    /// As for [`compact`](crate::FasterKv::compact).
    ///
    /// # Cancel safety
    /// The compaction continues if the future is dropped.
    fn into_future(self) -> BoxFuture<'s, Result<Compacted>> {
        Box::pin(self.compaction.compact(self.wish))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for CompactionRequest<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("CompactionRequest").field(&self.whole.wish).finish()
    }
}

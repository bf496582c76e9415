//! Scans of the table of a handle.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::scan::{Records, Scan, ScanWith};
use crate::store::Types;
use crate::store::encoding::{view_key, view_value};
use crate::store::operation::batch;
use crate::store::operation::store_ref::StoreRef;
use crate::store::scan::{Cursor, LiveRecord, Wish};
use std::sync::Arc;

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Returns a stream of all keys of the table with their values, as of one moment.
    ///
    /// Each key that had a value at that moment comes exactly once, with that value, in no order.
    /// The moment is after the first poll of the stream. Operations continue. Writes after the
    /// moment do not show, and keys that had expired do not either. See [`scan`](crate::scan) for
    /// its memory and its cost.
    ///
    /// While writers wait for space within [`disk`](crate::Config::disk), compaction waits for the
    /// scans that have begun. Then a new one has its moment only after these have ended, or one of
    /// them was not used for 5 seconds.
    ///
    /// The stream owns all it needs, so another task can have it. The store stays open for it, like
    /// for a session.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// use futures::TryStreamExt;
    ///
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// store.upsert("apples", &3).await?;
    /// store.upsert("pears", &4).await?;
    /// let mut scan = store.scan();
    /// let mut sum = 0;
    /// while let Some((_fruit, count)) = scan.try_next().await? {
    ///     sum += count;
    /// }
    /// assert_eq!(sum, 7);
    /// # drop(scan);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The items are results. `Corrupt` names the file and the offset of damage, which is never
    /// passed over; `Io`. `Codec` is of one key or value, and the stream continues after it; any
    /// other error ends it. `InvalidArgument` if the table is dropped. `Poisoned` before the
    /// moment: a store that lost its maintenance has none. `Truncated` if the scan was not polled
    /// for a minute while compaction waited for it. `Unsupported` in a cache without a device.
    /// `Closed`.
    pub fn scan(&self) -> Scan<K, V> {
        Scan::new(self.records(Wish::Values))
    }

    /// Returns a stream that continues a [`scan`](Self::scan) at its [`cursor`](Scan::cursor).
    ///
    /// So a scan can pause for long and hold up nothing meanwhile. The stream shows a later moment
    /// than the first scan. Both together show
    ///
    /// * each key that is in the table the whole time, at least once;
    /// * with a value that it had at the moment of the scan that showed it.
    ///
    /// A key comes again if it was shown shortly before the cursor, or if its record was appended
    /// anew after the first scan: by a write, or by [compaction](crate::compaction), which moves
    /// records that no task writes. So after a compaction of the whole log all keys may come again.
    /// In a [cache](crate::Config::cache) a read may have the same effect.
    ///
    /// A key that was deleted after the first scan showed it does not show as deleted. A cursor of
    /// a [part](Self::scan_in_parts) continues this part, and shows all later writes. That of a
    /// part that was not polled yet is the cursor of a whole scan.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// use futures::TryStreamExt;
    /// use kvick::scan::Cursor;
    ///
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.upsert_each((0..1000).map(|n| (n, n))).await?;
    /// let mut scan = store.scan();
    /// let first = scan.try_next().await?;
    /// let page = scan.cursor().to_bytes(); // for a client that asks for more later
    /// drop(scan);
    /// let rest = store.scan_from(Cursor::from_bytes(&page)?)?;
    /// let rest: Vec<_> = rest.try_collect().await?;
    /// assert!(first.is_some() && rest.len() >= 999);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` if the cursor is of another table, or of an earlier opening of the store:
    /// a recovery may have truncated the log. The items are results, as for [`scan`](Self::scan).
    pub fn scan_from(&self, cursor: Cursor) -> Result<Scan<K, V>> {
        let (table, lifecycle) = (Arc::clone(&self.core), self.database.lifecycle());
        Records::from(table, Arc::clone(lifecycle), cursor).map(Scan::new)
    }

    /// Returns `count` streams that together are a [`scan`](Self::scan), for as many tasks.
    ///
    /// Each key comes in one of them. They have the same moment, shortly after this call, or after
    /// the wait for compaction that [`scan`](Self::scan) describes. Keys that had expired by then
    /// do not show. Each part reads a range of the log of about the same size, so some have more
    /// keys than others. Poll all of them, or drop them: records that were mutable stay frozen
    /// until each part has read its share, see [`scan`](crate::scan#a-slow-scan).
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// use futures::{TryStreamExt, stream};
    ///
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.upsert_each((0..1000).map(|n| (n, n))).await?;
    /// let parts = store.scan_in_parts(4); // one for each of four tasks
    /// let pairs: Vec<_> = stream::select_all(parts).try_collect().await?;
    /// assert_eq!(pairs.len(), 1000);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`scan`](Self::scan), in each part. An error of one part does not end the others.
    pub fn scan_in_parts(&self, count: usize) -> Vec<Scan<K, V>> {
        let parts = Records::in_parts(&self.core, self.database.lifecycle(), count);
        parts.map(Scan::new).collect()
    }

    /// Returns a stream of the results of `look` for all keys and values of the table, as of one
    /// moment. It passes over those for which `look` returns `None`.
    ///
    /// As [`scan`](Self::scan), but without owned copies of keys and values. The closure runs
    /// within the poll of the stream, on a copy of the log: no lock is held, and it delays no other
    /// task of the store. If it panics, the panic passes through, and the stream continues with the
    /// next key.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// use futures::TryStreamExt;
    ///
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, str> = FasterKv::open("unused", config).await?;
    /// store.upsert(&1, "short").await?;
    /// store.upsert(&2, "a longer text").await?;
    /// let long = store.scan_with(|key, text| (text.len() > 5).then_some(key));
    /// assert_eq!(long.try_collect::<Vec<u64>>().await?, [2]);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`scan`](Self::scan).
    pub fn scan_with<F, T>(&self, look: F) -> ScanWith<K, V, F>
    where
        F: FnMut(K::View<'_>, V::View<'_>) -> Option<T>,
    {
        ScanWith::new(self.records(Wish::Values), look)
    }

    /// Counts the keys of the table, as of one moment during the call.
    ///
    /// It is exact, and costs as much as a [`scan`](Self::scan) without the values that are stored
    /// in pieces. [`estimated_len`](Self::estimated_len) is free.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.upsert_each((0..1000).map(|n| (n, n))).await?;
    /// store.delete(&7).await?;
    /// assert_eq!(store.count().await?, 999);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`scan`](Self::scan), without `Codec`.
    ///
    /// # Cancel safety
    /// Has no effect; can be dropped at any time.
    pub async fn count(&self) -> Result<u64> {
        self.records(Wish::Keys).count().await
    }

    /// Deletes the keys for which `keep` returns false, and returns their number.
    ///
    /// `keep` is called once for each key that the table had at one moment during the call, with
    /// the value of that moment, as by [`scan_with`](Self::scan_with). A key that was written since
    /// is not deleted, even if it was written with the same value. `keep` is called for up to a
    /// page of keys before the first of them is deleted.
    ///
    /// Memory is bounded as for a scan. Most deletions read nothing more than the scan, but those
    /// of overwritten keys look their chains up again. A deleted key costs a small record at the
    /// tail of the log. To drop most of a large table without these, use [`compact`](Self::compact)
    /// with `keep`.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.upsert_each((0..1000).map(|n| (n, n))).await?;
    /// let removed = store.retain(|_key, value| value % 10 == 0).await?;
    /// assert_eq!((removed, store.count().await?), (900, 100));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`scan`](Self::scan), but `Codec` ends it too. `StorageFull`, `ReadOnly`, `Poisoned`.
    /// The keys that were deleted before stay deleted.
    ///
    /// # A full budget
    /// Compaction makes the space for the deletions, and waits for scans. So within a full
    /// [`disk`](crate::Config::disk) budget the scan ends while a deletion waits for space, and
    /// goes on as of a later moment. Then `keep` gets some keys again, and keys and values that
    /// were written meanwhile.
    ///
    /// # Cancel safety
    /// Each key is deleted or not. The keys that were deleted stay deleted. A panic of `keep` has
    /// the same effect.
    pub async fn retain<F>(&self, mut keep: F) -> Result<u64>
    where
        F: FnMut(K::View<'_>, V::View<'_>) -> bool,
    {
        let keeps = |record: LiveRecord<'_>| {
            Ok(keep(view_key::<K>(record.key)?, view_value::<V>(record.value)?))
        };
        let retain = async |_access: StoreRef<'_>| {
            self.records(Wish::Values).retain::<Types<K, V>>(&self.core, keeps).await
        };
        batch::acknowledged(self.access(), retain).await
    }

    /// Deletes all keys that the table had at one moment during the call, and returns their number.
    ///
    /// A key that was written since that moment is not deleted. So the table is empty afterwards if
    /// no task writes meanwhile. Within a full budget it is the last of several moments, as
    /// [`retain`](Self::retain) describes, and a key that was deleted, written and deleted again
    /// counts twice. To delete a whole table at once, use
    /// [`drop_table`](crate::Database::drop_table).
    ///
    /// Memory is bounded as for a [`scan`](Self::scan). A deleted key costs a small record at the
    /// tail of the log.
    ///
    /// # Errors
    /// As for [`retain`](Self::retain), without `Codec`.
    ///
    /// # Cancel safety
    /// Each key is deleted or not. The keys that were deleted stay deleted.
    pub async fn clear(&self) -> Result<u64> {
        let clear = async |_access: StoreRef<'_>| {
            self.records(Wish::Keys).retain::<Types<K, V>>(&self.core, |_record| Ok(false)).await
        };
        batch::acknowledged(self.access(), clear).await
    }

    /// Returns about how many keys the store has, in all of its tables together.
    ///
    /// It reads one counter: the entries of the hash index. Deleted keys whose records had left
    /// memory still count. Keys that share an entry count once together: of half as many keys as
    /// [`prefixes`](crate::stats::IndexStats::prefixes) a fifth is missing, of as many keys over a
    /// third. [`count`](Self::count) is exact, and of this table.
    pub fn estimated_len(&self) -> u64 {
        self.core.index.entries()
    }

    fn records(&self, wish: Wish) -> Records {
        Records::new(Arc::clone(&self.core), Arc::clone(self.database.lifecycle()), wish)
    }
}

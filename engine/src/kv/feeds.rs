//! The records of the log, of all tables and of one.

use super::FasterKv;
use crate::base::error::Result;
use crate::codec::{Key, Value};
use crate::database::Database;
use crate::feed::{Address, Changes, LogRecords, Start};
use crate::store::feed::{LogReader, Which};
use std::ops::RangeBounds;
use std::sync::Arc;

impl Database {
    /// Returns the records of the log whose addresses are in a range, as they are stored, in order.
    ///
    /// It shows the records of all tables, dropped ones included, that were appended before this
    /// call. So it shows pieces of long values, and records that never counted. The range may begin
    /// and end at any address. A range without a start begins with the log, and one without an end
    /// ends with it. Operations continue, and a record that is mutable shows as it is when it is
    /// read. See [`feed`](crate::feed) for its memory, and for compaction beside it.
    ///
    /// ```
    /// # use kvick::{Config, Database};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// use futures::TryStreamExt;
    /// use kvick::feed::Content;
    ///
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// let database = Database::open("unused", config).await?;
    /// let fruits = database.table::<str, u64>("fruits").await?;
    /// fruits.upsert("apples", &3).await?;
    /// fruits.upsert("pears", &4).await?;
    /// fruits.delete("pears").await?;
    ///
    /// let records: Vec<_> = database.log_records(..).try_collect().await?;
    /// assert_eq!(records[0].key, b"apples");
    /// assert_eq!(records[0].content, Content::Value(3_u64.to_le_bytes().to_vec()));
    /// assert!(records.last().expect("two keys").content.is_tombstone());
    /// let later = database.log_records(records[0].next..);
    /// assert_eq!(later.try_collect::<Vec<_>>().await?, records[1..]);
    /// # database.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The items are results, and an error is the last one. `Truncated` if the log begins after the
    /// start of the range, or after a record that was not read in time. `Corrupt` names the file
    /// and the offset of damage, which is never passed over; `Io`, `Closed`.
    pub fn log_records(&self, range: impl RangeBounds<Address>) -> LogRecords<[u8], [u8]> {
        let bounds = (Address::start_of(&range), Address::end_of(&range));
        let reader = LogReader::of_range(self.core(), Which::All, bounds);
        LogRecords::new(reader, self.lifecycle())
    }

    /// Returns the changes of all tables from now on, as they become immutable, each once.
    ///
    /// As [`FasterKv::subscribe`], with keys and values as bytes.
    ///
    /// # Errors
    /// As for [`FasterKv::subscribe`].
    pub fn subscribe(&self) -> LogRecords<[u8], [u8]> {
        LogRecords::new(LogReader::following(self.core(), Which::Changes, None), self.lifecycle())
    }

    /// Returns the changes of all tables from `address` on, as they become immutable, each once.
    ///
    /// As [`FasterKv::subscribe_from`], with keys and values as bytes.
    ///
    /// # Errors
    /// As for [`FasterKv::subscribe_from`].
    pub fn subscribe_from(&self, address: Address) -> LogRecords<[u8], [u8]> {
        let start = Some(address.inner());
        LogRecords::new(LogReader::following(self.core(), Which::Changes, start), self.lifecycle())
    }

    /// Returns the durable changes of all tables from a place on, each once, in the order in which
    /// they took effect.
    ///
    /// As [`FasterKv::changes`], with keys and values as bytes. [`tables`](Self::tables) has the
    /// names of the tables. Changes of a dropped table do not show.
    ///
    /// # Errors
    /// As for [`FasterKv::changes`].
    pub fn changes(&self, from: impl Into<Start>) -> Result<Changes<[u8], [u8]>> {
        Changes::new(self.lifecycle(), None, from.into())
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Returns the values and deletions of the table that are in a range of the log, in order.
    ///
    /// Older values of a key come before newer ones, and nothing tells that they are older. As
    /// [`Database::log_records`], but values in pieces are put together, and records that never
    /// counted do not show.
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
    /// store.flush().await?; // what follows is not in place
    /// store.upsert("apples", &5).await?;
    /// let mut records = store.log_records(..);
    /// let mut counts = Vec::new();
    /// while let Some(record) = records.try_next().await? {
    ///     counts.extend(record.content.into_value());
    /// }
    /// assert_eq!(counts, [3, 5]);
    /// # drop(records);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for [`Database::log_records`]. `Codec` is of one key or value, and the stream continues
    /// after it. `InvalidArgument` if the table is dropped.
    pub fn log_records(&self, range: impl RangeBounds<Address>) -> LogRecords<K, V> {
        let bounds = (Address::start_of(&range), Address::end_of(&range));
        let which = Which::ChangesOf(Arc::clone(&self.core));
        let reader = LogReader::of_range(self.core.store(), which, bounds);
        LogRecords::new(reader, self.database.lifecycle())
    }

    /// Returns the changes of the table from now on, as they become immutable, each once.
    ///
    /// A stream that never ends: it waits until the log is immutable beyond the last record. So it
    /// shows a change some time after it was made, and of several changes in place only the last.
    /// [`flush`](Self::flush) makes everything immutable that was written before.
    /// [Following the log](crate::feed#following-the-log) has the details: what is shown, and what
    /// comes twice.
    ///
    /// It shows every change after this call. It may begin with earlier ones, if their records are
    /// still mutable. So a [`scan`](Self::scan) that begins after this call, and then these
    /// changes, are a copy of the table that stays up to date.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// use futures::TryStreamExt;
    /// use kvick::feed::Content;
    ///
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// let mut changes = store.subscribe();
    /// store.upsert("apples", &3).await?;
    /// store.upsert("apples", &4).await?; // in place: only this value shows
    /// store.flush().await?;
    /// store.delete("apples").await?;
    /// store.flush().await?;
    ///
    /// let first = changes.try_next().await?.expect("it never ends");
    /// assert_eq!((&*first.key, first.content), ("apples", Content::Value(4)));
    /// let second = changes.try_next().await?.expect("it never ends");
    /// assert!(second.content.is_tombstone());
    /// # drop(changes);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The items are results. `Codec` is of one key or value, and the stream continues after it;
    /// any other error ends it. `Truncated` if it was not polled for a minute while compaction
    /// waited for it, and the log begins after its next record by now. `Corrupt` with file and
    /// offset, `Io`; `InvalidArgument` if the table is dropped; `Closed`. `ReadOnly` and `Poisoned`
    /// after the last record that is immutable: no further record will be.
    pub fn subscribe(&self) -> LogRecords<K, V> {
        self.following(None)
    }

    /// Returns the changes of the table from `address` on, as they become immutable, each once.
    ///
    /// As [`subscribe`](Self::subscribe), from the first record at or after `address`. It is a
    /// [`position`](LogRecords::position) of an earlier subscription, or the
    /// [`next`](crate::feed::LogRecord::next) of the last record that was processed. After a crash
    /// it may be of records that are lost: see [after a restart](crate::feed#after-a-restart).
    ///
    /// # Errors
    /// As for [`subscribe`](Self::subscribe). `Truncated` at once if the log begins after
    /// `address`. `InvalidArgument` if it ends before.
    pub fn subscribe_from(&self, address: Address) -> LogRecords<K, V> {
        self.following(Some(address))
    }

    /// Returns the durable changes of the table from a place on, each once, in the order in which
    /// they took effect.
    ///
    /// For a store with a write-ahead log
    /// ([`Config::durability`](crate::Config::durability)). A stream that never ends: it waits for
    /// the next commit of that log. It shows each change of a key when it is durable, and never
    /// one that a crash takes back. So the changes after a [token](Changes::token) are the same
    /// after any restart. See [changes](crate::feed#changes) for copies of a table, and for how
    /// long the log has a change.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::{Backend, DurableBy};
    /// # kvick::runtime::block_on(async {
    /// use futures::TryStreamExt;
    /// use kvick::feed::{ChangeKind, ChangeToken, Start};
    ///
    /// let config = Config::default().with_durability(DurableBy::Wal);
    /// # let config = config.with_backend(Backend::Memory);
    /// let store: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// let mut changes = store.changes(Start::Now)?;
    /// store.upsert("apples", &3).await?;
    /// store.rmw("apples", |count| count.unwrap_or(0) + 1).await?;
    /// store.delete("apples").durable().await?; // and with it all that was before
    ///
    /// let mut counts = Vec::new();
    /// while let Some(change) = changes.try_next().await? {
    ///     if change.kind == ChangeKind::Delete {
    ///         break;
    ///     }
    ///     counts.extend(change.kind.into_value());
    /// }
    /// assert_eq!(counts, [3, 4]);
    /// let place: [u8; 16] = changes.token().to_bytes(); // stored with what was done
    /// let changes = store.changes(ChangeToken::from_bytes(place))?;
    /// assert_eq!(changes.lag(), 0);
    /// # drop(changes);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` if the store has no write-ahead log, for a token of another store, and for
    /// a checkpoint that the store does not keep. `Truncated` if the log does not have the changes
    /// from there on any more, or the token is of changes that were [given up](crate::feed#tokens):
    /// the copy begins anew. `InvalidArgument` if the table is dropped; `Closed`.
    ///
    /// The items are results. `Codec` is of one key or value, and the stream continues after it;
    /// any other error ends it: those above, `Corrupt` with file and offset, `Io`. `ReadOnly` and
    /// `Poisoned` after the last durable change: there will be no further one.
    pub fn changes(&self, from: impl Into<Start>) -> Result<Changes<K, V>> {
        Changes::new(self.database.lifecycle(), Some(&self.core), from.into())
    }

    fn following(&self, start: Option<Address>) -> LogRecords<K, V> {
        let (which, start) = (Which::ChangesOf(Arc::clone(&self.core)), start.map(Address::inner));
        let reader = LogReader::following(self.core.store(), which, start);
        LogRecords::new(reader, self.database.lifecycle())
    }
}

//! The handle of a store, and the functions that open a store.

mod backups;
mod computed;
mod expiry;
mod feeds;
mod iterators;
mod operations;
mod owned;
mod scans;
mod sessions;
mod tables;

use crate::base::error::Result;
use crate::base::health::Health;
use crate::checkpoint::{Info, Request, Token};
use crate::codec::{Key, Value};
use crate::compaction;
use crate::config::{ByteSize, Config};
use crate::database::Database;
use crate::recovery::Report;
use crate::statistics::{Stats, TableStats};
use crate::store::operation::store_ref::StoreRef;
use crate::store::{TableInner, Types};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A handle of a larger-than-memory key-value store: cheap, `Clone + Send + Sync`.
///
/// Operations on the handle borrow a place in the epoch table for each poll and have no order among
/// themselves. A [`Session`](crate::Session) has its own place and is a sequence.
///
/// # One table or all
/// A handle is of one table of a [`Database`]. Its operations on keys and its
/// [`table_stats`](Self::table_stats) concern this table. All else concerns the whole store with
/// all of its tables and sessions: [`close`](Self::close), [`checkpoint`](Self::checkpoint),
/// [`flush`](Self::flush), [`set_memory`](Self::set_memory), [`stats`](Self::stats),
/// [`health`](Self::health) and so on.
///
/// # Code within operations
/// Closures, views and [codecs](crate::Value) run within the poll of their operation. During that
/// poll the store can free no memory and end no version. So they must not block, and must not wait
/// for the store. They must not wait for a [`checkpoint`](Self::checkpoint), [`flush`](Self::flush)
/// or [`close`](Self::close). They must not use `block_on` for an operation that may wait for a
/// device or for room. A closure that does may stop all writers forever. Operations that are ready
/// at once, and [`try_read`](Self::try_read), are allowed there, also on this store.
///
/// # Forked processes
/// A child that is forked without an exec has a copy of the store's memory, but none of its
/// threads. An operation that needs a file, room or maintenance fails there with an error that says
/// so. [`close`](Self::close) ends the copy; changes to the copy are lost with the child. The child
/// may open its own stores. A lock of the C library or of this crate that another thread held
/// during the fork is never released in the child. So fork before there are threads, or exec.
///
/// # Durability
/// The next opening of the store recovers the contents of a [`checkpoint`](Self::checkpoint). With
/// a [write-ahead log](Config::durability) it also repeats the operations after the checkpoint that
/// are durable. [`close`](Self::close) takes a last checkpoint. Dropping the last handle and
/// session ends the store in the background without a checkpoint, like a crash.
///
/// ```
/// # use kvick::{Config, FasterKv};
/// # use kvick::config::Backend;
/// # kvick::runtime::block_on(async {
/// let config = Config::default().with_backend(Backend::Memory);
/// let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
/// let mut session = store.session()?;
/// session.upsert(&42, &100).await?;
/// session.rmw(&42, |v| v.unwrap_or(0) + 1).await?;
/// assert_eq!(session.read(&42).await?, Some(101));
/// session.delete(&42).await?;
/// assert_eq!(session.read_many(&[1, 42]).await?, [None, None]);
/// # drop(session);
/// store.close().await
/// # }).unwrap();
/// ```
pub struct FasterKv<K: Key + ?Sized, V: Value + ?Sized> {
    core: Arc<TableInner>,
    database: Database,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    pub(crate) fn new(core: Arc<TableInner>, database: Database) -> Self {
        Self { core, database, _types: PhantomData }
    }

    pub(crate) fn table(&self) -> &TableInner {
        &self.core
    }

    /// Returns the database of this table, which leads to its other tables.
    ///
    /// A store that [`FasterKv::open`](Self::open) has created is a database with the one table
    /// `default`.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the report of the recovery when the store was opened; `None` if it was created.
    pub fn recovery(&self) -> Option<&Report> {
        self.database.recovery()
    }

    /// Makes the present state of the store durable, while operations continue.
    ///
    /// Await the request, or set the options of the checkpoint first.
    ///
    /// For each session a checkpoint has everything up to some operation and nothing after it. It
    /// has an operation through a handle if that operation ended before the request.
    ///
    /// Do not wait for it within the closure of an operation: it waits for the operation to end.
    pub fn checkpoint(&self) -> Request<'_> {
        self.database.checkpoint()
    }

    /// Returns the kept checkpoints, oldest first.
    pub fn checkpoints(&self) -> Vec<Info> {
        self.database.checkpoints()
    }

    /// Removes a checkpoint, and the files that only it needs. Waits until no checkpoint is being
    /// taken.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such checkpoint, or if it is the newest (sessions rely on
    /// its durable contents). `InvalidArgument` also if no other checkpoint survives power cuts.
    /// `StorageFull`, but not merely because the device
    /// is full. `Poisoned`; `Closed`.
    ///
    /// # Cancel safety
    /// Once begun, the removal continues even if the future is dropped.
    pub async fn delete_checkpoint(&self, token: Token) -> Result<()> {
        self.database.delete_checkpoint(token).await
    }

    /// Removes all but the `keep` newest checkpoints, and the newest that survives power cuts.
    ///
    /// # Errors
    /// As for [`delete_checkpoint`](Self::delete_checkpoint); `InvalidArgument` if `keep` is 0.
    ///
    /// # Cancel safety
    /// As for [`delete_checkpoint`](Self::delete_checkpoint).
    pub async fn prune_checkpoints(&self, keep: usize) -> Result<()> {
        self.database.prune_checkpoints(keep).await
    }

    /// Frees the space of records that are no longer needed: deleted keys, older values, expired
    /// values, dropped tables.
    ///
    /// It writes everything to the device, copies the records that are still needed to the end of
    /// the log, and lets the log begin after the rest. Only the last [page](Config::page_size) of
    /// the log, which is begun, stays as it is. Then it takes a checkpoint. The files before the
    /// begin of the log are deleted when no kept checkpoint needs them any more: see
    /// [`Config::keep_checkpoints`] and [`prune_checkpoints`](Self::prune_checkpoints). A file has
    /// [`Config::segment_size`] bytes and goes as a whole.
    ///
    /// All operations continue meanwhile. The records of all tables are compacted. A
    /// [scan](Self::scan) in progress holds compaction up. So does a [reader of the
    /// log](crate::feed#a-slow-reader), from the first record on that it has yet to read.
    ///
    /// [`oldest`](compaction::Request::oldest) compacts less, and
    /// [`keep`](compaction::Request::keep) also removes keys of this table by a closure.
    ///
    /// Records that were copied leave memory, as if they had been written just now and others had
    /// not been used for long. So compact a store that is much larger than its live records.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// for key in 0..100_000 {
    ///     store.upsert(&key, &1).await?;
    /// }
    /// for key in 1..100_000 {
    ///     store.delete(&key).await?;
    /// }
    /// let compacted = store.compact().await?;
    /// assert!(compacted.copied_records <= 1);
    /// assert_eq!(store.read(&0).await?, Some(1));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Unsupported` in a [cache](Config::cache), which drops its oldest part by itself. `Busy`
    /// while a scan is in progress, which expires a minute after it was polled last, or if a
    /// reader of the log has not read that far; what was compacted until then stays so. `Corrupt`
    /// with file and offset: then the log begins with the page that is damaged, and nothing is
    /// lost. `StorageFull`, `Io`, `Poisoned`, `Closed`.
    ///
    /// # Cancel safety
    /// The compaction continues if the future is dropped.
    pub fn compact(&self) -> compaction::Request<'_, K, V> {
        compaction::Request::new(&self.database.lifecycle().compaction, &self.core)
    }

    /// Writes everything to the device and waits until it is there.
    ///
    /// Records written before the call stay in memory but are no longer updated in place.
    ///
    /// It takes no checkpoint, so the next opening does not find these records. As for a
    /// checkpoint, do not wait for it within the closure of an operation.
    ///
    /// # Errors
    /// `StorageFull`, `Poisoned`, `Io`, `Closed`.
    ///
    /// # Cancel safety
    /// The writing continues.
    pub async fn flush(&self) -> Result<()> {
        self.database.flush().await
    }

    /// Flushes like [`flush`](Self::flush), and evicts everything from memory.
    ///
    /// The next read of each key awaits the device.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// The writing continues.
    pub async fn flush_and_evict(&self) -> Result<()> {
        self.database.flush_and_evict().await
    }

    /// Sets the memory of the store, which was [`Config::memory`] when it was opened.
    ///
    /// More memory is used from now on, as the log grows. If there is less than before, older pages
    /// leave memory: pages that are not on the device yet are written first, and their memory then
    /// goes back to the system. The call waits until the store takes no more than `memory`.
    /// Operations continue meanwhile. The next opening uses its own configuration. As for a
    /// checkpoint, do not wait for it within the closure of an operation.
    ///
    /// The prefixes of the index stay as they are. So with less memory than at the creation, more
    /// keys may take the index and the store beyond `memory` again: the
    /// [floor](crate::stats::MemoryBytes::floor) is above the budget then. See
    /// [`Config::index_max`] for a store that begins small, or stays small later.
    ///
    /// ```
    /// # use kvick::config::{Backend, ByteSize};
    /// # use kvick::{Config, FasterKv};
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.set_memory(ByteSize::gib(1)).await?;
    /// assert_eq!(store.stats().memory.budget, 1 << 30);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` if `memory` exceeds [`Config::memory_max`], or is below the
    /// [floor](crate::stats::MemoryBytes::floor); the message names its parts. Nothing has changed
    /// then. An opening accepts less than the floor, so even the present budget may be refused.
    /// `StorageFull` while the device accepts no page: the pages leave memory once it does.
    /// `Poisoned`, `Closed`.
    ///
    /// # Cancel safety
    /// The new memory stays set, and pages continue to leave memory.
    pub async fn set_memory(&self, memory: ByteSize) -> Result<()> {
        self.database.set_memory(memory).await
    }

    /// Closes the store, with all its handles and sessions.
    ///
    /// It takes a last checkpoint if anything has changed since the newest checkpoint that survives
    /// power cuts, or if that checkpoint was removed (see [`Config::checkpoint_on_close`]). Then it
    /// refuses every operation, and waits until the store has released its directory.
    ///
    /// A second call, also at the same time, is fine. Every call waits for the same end and returns
    /// the same result.
    ///
    /// Operations that end while the store closes may or may not be in the last checkpoint.
    ///
    /// # Errors
    /// Returns the error of the checkpoint; the store is closed even so, its directory is free, and
    /// changes are lost that neither a checkpoint has nor the write-ahead log, durably. On a medium
    /// that may be full, take a [`checkpoint`](Self::checkpoint) first, free space until it
    /// succeeds, and close then.
    /// `Poisoned` if no checkpoint was possible, because a write had failed or the runtime had
    /// ended.
    ///
    /// # Cancel safety
    /// Once begun, closing continues even if the future is dropped.
    pub async fn close(&self) -> Result<()> {
        self.database.close().await
    }

    /// Returns the statistics of the store's work and contents.
    pub fn stats(&self) -> Stats {
        self.database.stats()
    }

    /// Returns the statistics of the operations on this table alone, by all handles and sessions.
    ///
    /// ```
    /// # use kvick::{Config, Database};
    /// # use kvick::config::Backend;
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// let database = Database::open("unused", config).await?;
    /// let users = database.table::<u64, u64>("users").await?;
    /// users.upsert(&1, &10).await?;
    /// users.upsert(&1, &11).await?; // in place
    /// let stats = users.table_stats();
    /// assert_eq!((stats.operations.upserts, stats.appended_records), (2, 1));
    /// # database.close().await
    /// # }).unwrap();
    /// ```
    pub fn table_stats(&self) -> TableStats {
        self.core.table_stats()
    }

    /// Makes all changes durable whose operations have ended, of all tasks and tables, by one
    /// commit of the write-ahead log.
    ///
    /// Of a session it has all changes, but only [`Session::sync`](crate::Session::sync) has its
    /// offset, and its last operations that changed nothing.
    ///
    /// Each write has a [form](crate::futures::Upsert::durable) that does this for itself. `sync`
    /// is for the end of a batch, or of several writes.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::{Backend, DurableBy};
    /// # kvick::runtime::block_on(async {
    /// let config = Config::default().with_durability(DurableBy::Wal);
    /// # let config = config.with_backend(Backend::Memory);
    /// let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.upsert(&1, &10).durable().await?; // survives a crash from here on
    /// store.upsert_many(&[(2, 20), (3, 30)]).await?;
    /// store.sync().await?; // so do these
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` if the store has no write-ahead log
    /// ([`Config::durability`](crate::Config::durability)). `StorageFull` if its device is full,
    /// and the checkpoint that relieves it fails, too.
    /// `Poisoned` if a write or sync of it has failed: it is unknown what survives. `Closed`.
    ///
    /// # Cancel safety
    /// A commit that was begun continues when the future is dropped.
    pub async fn sync(&self) -> Result<()> {
        self.database.sync().await
    }

    /// Returns the present problems, if any, of the device and of the checkpoints.
    ///
    /// It also reports failed checkpoints that were taken by time or by growth of the log. They
    /// have no caller to report to.
    pub fn health(&self) -> Health {
        self.database.health()
    }

    /// Returns the configuration of this opening.
    ///
    /// `page_size` and `segment_size` of an existing store are those of its creation. `memory` is
    /// as at the opening; see [`set_memory`](Self::set_memory).
    pub fn config(&self) -> &Config {
        self.database.config()
    }

    #[inline(always)]
    fn access(&self) -> StoreRef<'_> {
        StoreRef::pooled(&self.core)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Clone for FasterKv<K, V> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.core), self.database.clone())
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for FasterKv<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("FasterKv");
        debug.field("key", &K::type_name()).field("value", &V::type_name());
        debug.field("log_end", &self.core.log_end()).finish_non_exhaustive()
    }
}

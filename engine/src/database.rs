//! A store of many tables, and the descriptions of its tables.

use crate::backup;
use crate::base::error::{Error, Result};
use crate::base::health::Health;
use crate::checkpoint::{Info, RemovalJob, Request, StoreFormat, TableChange, TableFormat, Token};
use crate::compaction::DatabaseRequest;
use crate::config::{ByteSize, Config};
use crate::lifecycle::StoreLifecycle;
use crate::record::TableNumber;
use crate::recovery::{Report, TypeNames};
use crate::statistics::Stats;
use crate::store::sessions::identity::{CommitPoint, SessionId as Id};
use crate::store::{StoreInner, TableInner};
use kvick_io::Directory;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tracing::Instrument;

/// A larger-than-memory store of named tables with different key and value types: a cheap handle,
/// `Clone + Send + Sync`.
///
/// All tables share one log, one index, one memory budget and one set of threads. One checkpoint
/// covers them all. [`table`](Self::table) returns the handle of a table; it has the operations,
/// and its sessions work [on](crate::Session::on) every table. Sessions begin on any table, and
/// [`resume_session`](crate::FasterKv::resume_session) of any table resumes them.
///
/// Operations on keys and `table_stats` of a handle concern its table, all else the database: see
/// [one table or all](crate::FasterKv#one-table-or-all).
///
/// A database has up to 127 tables over its life. A dropped table counts too, empty or not:
/// its number is not used again.
///
/// ```
/// # use kvick::{Config, Database};
/// # use kvick::config::Backend;
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// let database = Database::open("unused", config).await?;
/// let users = database.table::<u64, str>("users").await?;
/// let visits = database.table::<(u64, u64), u32>("visits").await?;
/// users.upsert(&7, "ada").await?;
/// visits.rmw(&(7, 2026), |count| count.unwrap_or(0) + 1).await?;
///
/// database.checkpoint().await?; // of both tables
/// assert_eq!(database.tables().len(), 2);
/// database.close().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Database {
    lifecycle: Arc<StoreLifecycle>,
}

/// The description of a table of a [`Database`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// The name of the table.
    pub name: String,
    /// The number of the table in the files of the store. It stays if the table is renamed.
    pub number: u8,
    /// The name of the key type.
    pub key: String,
    /// The name of the value type, without [`Expiring`](crate::codec::Expiring).
    pub value: String,
    /// Whether its records have room for a time of expiry: see
    /// [`Expiring`](crate::codec::Expiring).
    pub has_expiry: bool,
}

impl Database {
    pub(crate) fn new(lifecycle: Arc<StoreLifecycle>) -> Self {
        Self { lifecycle }
    }

    pub(crate) fn core(&self) -> &Arc<StoreInner> {
        self.lifecycle.checkpoints.core()
    }

    pub(crate) fn lifecycle(&self) -> &Arc<StoreLifecycle> {
        &self.lifecycle
    }

    /// Returns the tables, by number.
    pub fn tables(&self) -> Vec<Table> {
        let tables = self.lifecycle.checkpoints.tables();
        tables.into_iter().map(Table::of).collect()
    }

    /// Renames a table. Its handles stay valid, and its contents unchanged.
    ///
    /// The new name is durable when this returns. It waits for a checkpoint in progress.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no table `old`, if there is another table `new`, or if `new`
    /// is no name. `StorageFull`, `Poisoned`, `ReadOnly`, `Closed`.
    ///
    /// # Cancel safety
    /// Once begun, the change continues even if the future is dropped.
    pub async fn rename_table(&self, old: &str, new: &str) -> Result<()> {
        let names = [old.to_owned(), new.to_owned()];
        let change = move || {
            let [old, new] = names.clone();
            TableChange::new(move |store| store.rename_table(&old, &new), |_table| {})
        };
        self.lifecycle.checkpoints.change_tables(change).await.map(drop)
    }

    /// Drops a table with all its keys.
    ///
    /// It is gone durably when this returns, also for the recovery of an older checkpoint. It waits
    /// for a checkpoint in progress.
    ///
    /// Operations on keys of the table fail from then on with `InvalidArgument`, by all handles and
    /// sessions. The name is free at once, for a table of any type; older handles do not lead to
    /// it.
    ///
    /// The space of its records comes back with [`compact`](Self::compact). The table keeps one of
    /// the 127 numbers of the database. So make no table for each period or tenant.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such table. `StorageFull`, `Poisoned`, `ReadOnly`,
    /// `Closed`.
    ///
    /// # Cancel safety
    /// Once begun, the change continues even if the future is dropped.
    pub async fn drop_table(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        let change = move || {
            let (name, open_tables) = (name.clone(), Arc::clone(&self.lifecycle.open_tables));
            TableChange::new(
                move |store| store.drop_table(&name),
                move |table| open_tables.close(table.number()),
            )
        };
        self.lifecycle.checkpoints.change_tables(change).await.map(drop)
    }

    /// Returns the table of this name and of these types, and creates it if there is none.
    pub(crate) async fn open_table(
        &self,
        name: &str,
        types: &TypeNames,
    ) -> Result<Arc<TableInner>> {
        loop {
            let table = self.find_or_create(name, types).await?;
            let opened = self.lifecycle.open_table(&table, types)?;
            // A task that dropped the table meanwhile may have missed the handle.
            if self.is_live(table.number()) {
                return Ok(opened);
            }
            self.lifecycle.open_tables.close(table.number());
        }
    }

    /// Returns the table of a store that was opened as a store of one table.
    pub(crate) fn only_table(&self, types: &TypeNames) -> Result<Arc<TableInner>> {
        let tables = self.lifecycle.checkpoints.tables();
        assert_eq!(tables.len(), 1, "the opening has checked it");
        self.lifecycle.open_table(&tables[0], types)
    }

    /// Returns a table that exists, for these types. `None` is the only table of the store, which
    /// was opened for them.
    ///
    /// # Errors
    /// `InvalidArgument` for a table of other types, and if there is no such table.
    pub(crate) fn present_table(
        &self,
        name: Option<&str>,
        types: &TypeNames,
    ) -> Result<Arc<TableInner>> {
        let Some(name) = name else {
            return self.only_table(types);
        };
        let mut table = self.lifecycle.checkpoints.table(name)?;
        types.adopt(&mut table, self.lifecycle.accepts_type_change)?;
        self.lifecycle.open_table(&table, types)
    }

    fn is_live(&self, number: TableNumber) -> bool {
        self.lifecycle.checkpoints.tables().iter().any(|table| table.number() == number)
    }

    async fn find_or_create(&self, name: &str, types: &TypeNames) -> Result<TableFormat> {
        self.core().log.health().check_read()?;
        let accepts_change = self.lifecycle.accepts_type_change;
        let mut found = self.lifecycle.checkpoints.tables();
        if let Some(mut table) = found.drain(..).find(|table| table.name == name)
            && !types.adopt(&mut table, accepts_change)?
        {
            return Ok(table);
        }
        // Before anything is published.
        types.check_limits(&self.core().config)?;
        let change = || {
            let (name, types) = (name.to_owned(), types.clone());
            let open = move |store: &mut StoreFormat| match store.table_mut(&name) {
                Some(table) => {
                    types.adopt(table, accepts_change)?;
                    Ok(table.clone())
                }
                None => store.add_table(&name, |number| types.table(number, &name)),
            };
            TableChange::new(open, |_table| {})
        };
        self.lifecycle.checkpoints.change_tables(change).await
    }

    /// See [`FasterKv::recovered_sessions`](crate::FasterKv::recovered_sessions).
    pub fn recovered_sessions(&self) -> BTreeMap<Id, CommitPoint> {
        self.core().sessions.waiting()
    }

    /// See [`FasterKv::forget_session`](crate::FasterKv::forget_session).
    pub fn forget_session(&self, id: Id) -> bool {
        self.core().sessions.forget_one(id)
    }

    /// See [`FasterKv::forget_session_named`](crate::FasterKv::forget_session_named).
    pub fn forget_session_named(&self, name: &str) -> Result<bool> {
        self.core().sessions.forget_named(name)
    }

    /// See [`FasterKv::forget_sessions`](crate::FasterKv::forget_sessions).
    pub fn forget_sessions(&self, is_over: impl FnMut(Id, &CommitPoint) -> bool) -> usize {
        self.core().sessions.forget(is_over)
    }

    /// See [`FasterKv::recovery`](crate::FasterKv::recovery).
    pub fn recovery(&self) -> Option<&Report> {
        self.lifecycle.report.as_ref()
    }

    /// Makes the present state of all tables durable, while operations continue. See
    /// [`FasterKv::checkpoint`](crate::FasterKv::checkpoint).
    pub fn checkpoint(&self) -> Request<'_> {
        Request::new(&self.lifecycle.checkpoints)
    }

    /// See [`FasterKv::backup`](crate::FasterKv::backup).
    pub fn backup(&self, path: impl AsRef<Path>) -> backup::Request<'_> {
        backup::Request::to_path(&self.lifecycle.checkpoints, path.as_ref())
    }

    /// See [`FasterKv::backup_to_directory`](crate::FasterKv::backup_to_directory).
    pub fn backup_to_directory(&self, directory: Arc<dyn Directory>) -> backup::Request<'_> {
        backup::Request::to_directory(&self.lifecycle.checkpoints, directory)
    }

    /// See [`FasterKv::files_of`](crate::FasterKv::files_of).
    pub async fn files_of(&self, token: Token) -> Result<Vec<backup::File>> {
        backup::files_of(&self.lifecycle.checkpoints, token).await
    }

    /// See [`FasterKv::compact`](crate::FasterKv::compact).
    pub fn compact(&self) -> DatabaseRequest<'_> {
        DatabaseRequest::new(&self.lifecycle.compaction)
    }

    /// See [`FasterKv::checkpoints`](crate::FasterKv::checkpoints).
    pub fn checkpoints(&self) -> Vec<Info> {
        self.lifecycle.checkpoints.list()
    }

    /// See [`FasterKv::delete_checkpoint`](crate::FasterKv::delete_checkpoint).
    pub async fn delete_checkpoint(&self, token: Token) -> Result<()> {
        self.remove_checkpoints(RemovalJob::One(token)).await
    }

    /// See [`FasterKv::prune_checkpoints`](crate::FasterKv::prune_checkpoints).
    pub async fn prune_checkpoints(&self, keep: usize) -> Result<()> {
        if keep == 0 {
            return Err(Error::invalid("keep = 0: the last checkpoint is never removed"));
        }
        self.remove_checkpoints(RemovalJob::AllBut(keep)).await
    }

    async fn remove_checkpoints(&self, which: RemovalJob) -> Result<()> {
        self.lifecycle.checkpoints.remove_checkpoints(which).await
    }

    /// See [`FasterKv::flush`](crate::FasterKv::flush).
    pub async fn flush(&self) -> Result<()> {
        let span = tracing::debug_span!(target: "kvick::flush", "flush");
        self.core().flush().instrument(span).await
    }

    /// See [`FasterKv::flush_and_evict`](crate::FasterKv::flush_and_evict).
    pub async fn flush_and_evict(&self) -> Result<()> {
        let span = tracing::debug_span!(target: "kvick::flush", "flush_and_evict");
        self.core().flush_and_evict().instrument(span).await
    }

    /// See [`FasterKv::set_memory`](crate::FasterKv::set_memory).
    pub async fn set_memory(&self, memory: ByteSize) -> Result<()> {
        let span = tracing::info_span!(target: "kvick::memory", "set_memory", %memory);
        self.core().set_memory(memory).instrument(span).await
    }

    /// Closes the database with all its handles and sessions. See
    /// [`FasterKv::close`](crate::FasterKv::close).
    pub async fn close(&self) -> Result<()> {
        self.lifecycle.ending.close().await
    }

    /// See [`FasterKv::sync`](crate::FasterKv::sync).
    pub async fn sync(&self) -> Result<()> {
        self.core().sync(None).await
    }

    /// See [`FasterKv::stats`](crate::FasterKv::stats).
    pub fn stats(&self) -> Stats {
        let StoreLifecycle { checkpoints, compaction, .. } = &*self.lifecycle;
        let (wal, checkpoints) = (checkpoints.wal_stats(), checkpoints.stats());
        Stats { checkpoints, space: compaction.stats(), wal, ..self.core().stats() }
    }

    /// See [`FasterKv::health`](crate::FasterKv::health).
    pub fn health(&self) -> Health {
        let failure = self.lifecycle.checkpoints.failure();
        let core = self.core();
        let wal = || core.wal.as_ref().and_then(|wal| wal.log().health().cause);
        Health::new(core.log.health().cause().or_else(wal), failure)
    }

    /// See [`FasterKv::config`](crate::FasterKv::config).
    pub fn config(&self) -> &Config {
        &self.core().config
    }
}

impl Table {
    fn of(table: TableFormat) -> Self {
        let (key, value) = (table.key_type(), table.value_type());
        let has_expiry = table.has_expiry();
        let [key, value] = [key, value].map(|name| name.shown().to_owned());
        Self { number: table.number, key, value, has_expiry, name: table.name }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Database");
        debug.field("tables", &self.tables()).finish_non_exhaustive()
    }
}

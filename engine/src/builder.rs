//! Opens a store with custom components.

mod leaving;
mod read_only;
mod reading;
mod replacing;

use crate::backup::prepare_replacement;
use crate::base::error::Result;
use crate::base::wall_clock::WallClock;
use crate::checkpoint::{Token, maintain};
use crate::codec::{Key, Value};
use crate::compaction::Compaction;
use crate::config::{Config, Geometry};
use crate::database::Database;
use crate::kv::FasterKv;
use crate::lifecycle::StoreLifecycle;
use crate::opening::directory::Surroundings;
use crate::opening::ending::Ending;
use crate::recovery::{self, OnProgress, Opening, RecoveryProgress, RecoveryReport, TypeNames};
use futures::future::OptionFuture;
use kvick_io::{Directory, NullDirectory};
use kvick_runtime::Handle;
use read_only::BackupPlace;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::Instrument;

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Opens the store in `path` with the built-in background executor.
    ///
    /// `path` is a directory of the store alone. A store is created if there is none, with the
    /// parents of the directory. Otherwise its newest checkpoint is recovered, and
    /// [`recovery`](Self::recovery) reports it.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration that is out of bounds, for another
    /// [`page_size`](Config::page_size) than that of the store, for other types, and for a
    /// [`Database`] that has not exactly one table. The table may have any name; dropped tables do
    /// not count.
    /// `InUse` if another store has the directory open; after a process was killed this may last
    /// until the kernel has ended its transfers. `Corrupt` if the newest checkpoint is damaged (see
    /// [`Config::allow_fallback`]). `NotFound` if files are missing, such as the manifest beside a
    /// log. `Unsupported` for a store of another format. `AlreadyExists` if there is no store but
    /// there are foreign files; directories and hidden files do not count. `Io`, `StorageFull`.
    /// Existing files are unchanged.
    ///
    /// On a read-only file system a store that was closed opens for reading; everything else fails
    /// with `ReadOnly`.
    ///
    /// # Cancel safety
    /// A directory that was being created may keep a lock file. The next opening repeats an
    /// unfinished recovery.
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Opens the store like [`open`](Self::open), with the checkpoint that `token` names.
    ///
    /// Newer checkpoints are discarded.
    ///
    /// # Errors
    /// As for [`open`](Self::open); `InvalidArgument` if the store has no such checkpoint.
    ///
    /// # Cancel safety
    /// As for [`open`](Self::open).
    pub async fn recover(path: impl AsRef<Path>, config: Config, token: Token) -> Result<Self> {
        Self::builder(config).recover(token).open(path).await
    }

    /// Returns a builder for custom components: a runtime, a directory, a seed.
    pub fn builder(config: Config) -> Builder<Self> {
        Builder::new(config)
    }
}

impl Database {
    /// Opens the database in `path` with the built-in background executor. Its tables are opened by
    /// [`table`](Self::table).
    ///
    /// It also opens the directory of a [`FasterKv`], which has the one table `default`. The
    /// program must know the types of the tables: [`tables`](Self::tables) has only their names.
    ///
    /// # Errors
    /// As for [`FasterKv::open`], except for types.
    ///
    /// # Cancel safety
    /// As for [`FasterKv::open`].
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Opens the database like [`open`](Self::open), with the checkpoint that `token` names.
    ///
    /// Newer checkpoints are discarded. The list of tables belongs to no checkpoint: a dropped
    /// table stays dropped, and a table that is newer than the checkpoint is empty. Tables keep
    /// their present names and types.
    ///
    /// # Errors
    /// As for [`open`](Self::open); `InvalidArgument` if the store has no such checkpoint.
    ///
    /// # Cancel safety
    /// As for [`FasterKv::open`].
    pub async fn recover(path: impl AsRef<Path>, config: Config, token: Token) -> Result<Self> {
        Self::builder(config).recover(token).open(path).await
    }

    /// Returns a builder for custom components: a runtime, a directory, a seed.
    pub fn builder(config: Config) -> Builder<Self> {
        Builder::new(config)
    }
}

/// Opens a store with custom components. Settings are in the [`Config`]. `S` is the store to open:
/// [`FasterKv`] or [`Database`].
///
/// ```
/// # use kvick::{Config, FasterKv};
/// # use kvick::io::MemoryDirectory;
/// # use std::sync::Arc;
/// # kvick::runtime::block_on(async {
/// let store: FasterKv<u64, str> = FasterKv::builder(Config::default())
///     .directory(Arc::new(MemoryDirectory::new()))
///     .open_in_directory()
///     .await?;
/// store.upsert(&1, "one").await?;
/// assert_eq!(store.read(&1).await?.as_deref(), Some("one"));
/// # store.close().await
/// # }).unwrap();
/// ```
#[must_use]
pub struct Builder<S> {
    config: Config,
    surroundings: Surroundings,
    wal_directory: Option<Arc<dyn Directory>>,
    clock: Arc<WallClock>,
    seed: Option<u64>,
    token: Option<Token>,
    accepts_type_change: bool,
    on_progress: Option<OnProgress>,
    backup: Option<BackupPlace>,
    _store: PhantomData<fn() -> S>,
}

/// The directories of a store.
struct Places {
    store: Arc<dyn Directory>,
    /// The directory of the write-ahead log, if the store shall have one.
    wal: Option<Arc<dyn Directory>>,
    /// The directory in which it may have one that it shall not have.
    left: Option<Arc<dyn Directory>>,
}

impl<S> Builder<S> {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            surroundings: Surroundings::default(),
            wal_directory: None,
            clock: Arc::default(),
            seed: None,
            token: None,
            accepts_type_change: false,
            on_progress: None,
            backup: None,
            _store: PhantomData,
        }
    }

    /// Sets the runtime of the store's maintenance.
    ///
    /// By default it is a background thread of the store, which lasts as long as the store.
    ///
    /// Close the store before its runtime ends. If the runtime ends first, records in memory or on
    /// the device can still be read. Every task that waits for maintenance, then or later, gets
    /// `Poisoned`, which names the cause. The directory stays locked until the store is closed, or
    /// its last handle and session are dropped. Changes that no checkpoint has are lost. So do not
    /// run a store in a `static` on the runtime of one `#[tokio::test]`.
    ///
    /// A tokio runtime needs its time driver (`enable_all` or `enable_time`), or maintenance panics
    /// when it first sleeps. A `current_thread` runtime works only while something is driven on it:
    /// checkpoints and `close` wait until then. It ends when it is dropped or shut down. A glommio
    /// executor ends when it is dropped, and at the latest when its thread ends.
    pub fn runtime(mut self, runtime: impl Into<Option<Handle>>) -> Self {
        self.surroundings.runtime = runtime.into();
        self
    }

    /// Sets the directory of the store's files.
    ///
    /// By default it is the path of [`open`](Self::open), on the backend of the configuration.
    pub fn directory(mut self, directory: Arc<dyn Directory>) -> Self {
        self.surroundings.directory = Some(directory);
        self
    }

    /// Sets the directory of the files of the write-ahead log, for a store with
    /// [`durability`](Config::durability) by it.
    ///
    /// By default it is [`Config::wal_directory`]. A store in a [`directory`](Self::directory) of
    /// your own needs one for this log, too.
    pub fn wal_directory(mut self, directory: Arc<dyn Directory>) -> Self {
        self.wal_directory = Some(directory);
        self
    }

    /// Sets the wall clock of the store, for the expiry of records (see
    /// [`Expiring`](crate::codec::Expiring)).
    ///
    /// By default it is the time of the system, on Linux that of its last tick. A simulation has a
    /// time of its own. The function must not block.
    ///
    /// The store uses whole seconds, from 1970 to 2106. Its time never goes back. If the clock goes
    /// back, the time of the store stands still until the clock has caught up. Every manifest of a
    /// store with expiry records its time, and an opening begins from there. So a clock that was
    /// ahead once leaves the store ahead.
    ///
    /// The function runs within operations, at most once in each attempt. Only operations on tables
    /// with expiry call it, when they set an expiry or find a record that has one.
    ///
    /// ```
    /// # use kvick::{Config, Database};
    /// # use kvick::codec::Expiring;
    /// # use kvick::io::MemoryDirectory;
    /// # use std::sync::Arc;
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// # kvick::runtime::block_on(async {
    /// let directory = Arc::new(MemoryDirectory::new());
    /// let database = Database::builder(Config::default())
    ///     .clock(|| UNIX_EPOCH + Duration::from_secs(1_800_000_000))
    ///     .directory(directory.clone())
    ///     .open_in_directory()
    ///     .await?;
    /// database.table::<u64, Expiring<u64>>("tokens").await?;
    /// database.checkpoint().await?;
    ///
    /// let inspection = kvick::inspect(directory).await?;
    /// assert_eq!(inspection.store.map(|store| store.clock), Some(1_800_000_000));
    /// # database.close().await
    /// # }).unwrap();
    /// ```
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(WallClock::new(clock));
        self
    }

    /// Recovers this checkpoint, not the newest. `None` is the newest, the default.
    ///
    /// Newer checkpoints are discarded, together with their data on the device.
    pub fn recover(mut self, token: impl Into<Option<Token>>) -> Self {
        self.token = token.into();
        self
    }

    /// Opens the store even if the name of its key or value type differs from the recorded name.
    ///
    /// This admits a type that was renamed or moved to another module, and an encoding that reads
    /// the bytes of the other one. From then on the store records the new types.
    ///
    /// Only widths are compared then, and the versions of derived keys. The caller must know that
    /// bytes of the old type mean the same as bytes of the new type. By default a store of other
    /// types is refused.
    ///
    /// Changed fields need a `version` and a `from` of `derive(Value)` instead: see [Change a
    /// type](crate::guide::patterns#change-a-type). With other fields under the same bytes, reads
    /// fail or return values that were never written, and keys are absent.
    pub fn accept_type_change(mut self, accept: bool) -> Self {
        self.accepts_type_change = accept;
        self
    }

    /// Sets a function that is called with the progress of a recovery: once per page, and once per
    /// some hundred changes that are made again.
    ///
    /// It must not block.
    pub fn on_recovery_progress(
        mut self,
        tell: impl FnMut(RecoveryProgress) + Send + 'static,
    ) -> Self {
        self.on_progress = Some(OnProgress::new(tell));
        self
    }

    /// Fixes the values that are otherwise random, for tests that must replay.
    ///
    /// These are the seed of the key hash and the salt of the checksums of a created store. The
    /// first half of new session ids is fixed, too; it must differ between openings of a store.
    pub fn seed(mut self, seed: impl Into<Option<u64>>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Returns the directories of a store in `path`, or those that were set.
    fn places_of(&self, path: &Path) -> Result<Places> {
        let (store, path) = (self.directory_of(path)?, Some(path));
        Ok(Places { store, wal: self.wal_directory_of(path)?, left: self.left_directory_of(path)? })
    }

    /// Returns the directories that were set.
    fn given_places(&self) -> Result<Places> {
        let (store, wal) = (self.given_directory()?, self.wal_directory_of(None)?);
        Ok(Places { store, wal, left: self.left_directory_of(None)? })
    }

    /// Returns the directory of `path`, or the directory that was set.
    fn directory_of(&self, path: &Path) -> Result<Arc<dyn Directory>> {
        // A refused configuration leaves no directory.
        Geometry::of(&self.config)?;
        let (config, backend) = (&self.config, &self.config.backend);
        let io = || backend.io_config(config);
        if config.is_in_memory() {
            return Ok(Arc::new(NullDirectory::new()));
        }
        self.surroundings.directory(path, (backend, "store"), io)
    }

    /// Returns the directory that was set. A cache that keeps nothing on a device needs none.
    fn given_directory(&self) -> Result<Arc<dyn Directory>> {
        if self.config.is_in_memory() {
            return Ok(Arc::new(NullDirectory::new()));
        }
        self.surroundings.given_directory()
    }

    /// Returns the opening of these directories with these settings.
    fn opening(self, Places { store, wal, left: _ }: Places) -> Result<Opening> {
        let drawn = || RandomState::new().hash_one("kvick");
        let (seed, life) = (self.seed.unwrap_or_else(drawn), self.seed.unwrap_or_else(drawn));
        Ok(Opening {
            config: self.config,
            directory: store,
            wal_directory: wal,
            handle: self.surroundings.handle()?,
            clock: self.clock,
            seed,
            life,
            lost_lives: 0,
            replaces: false,
            replacement: None,
            token: self.token.map(|Token(token)| token),
            accepts_type_change: self.accepts_type_change,
            reads_only: false,
            is_lean: false,
            on_progress: self.on_progress.map(Arc::new),
        })
    }
}

/// Opens a store, with these types if it has one table. Its contents are replaced by those of
/// `backup`, if there is one. `first` is the report of the opening before, if this one is its
/// second part.
async fn launch(
    mut opening: Opening,
    types: Option<&TypeNames>,
    (backup, first): (Option<Arc<dyn Directory>>, Option<RecoveryReport>),
) -> Result<Database> {
    let accepts_type_change = opening.accepts_type_change;
    let reopening = Some(Box::new(opening.again()));
    let on_progress = opening.on_progress.clone();
    let place = opening.directory.describe();
    let span = tracing::info_span!(target: "kvick::open", "open", place);
    let handle = opening.handle.clone();
    let opening = async {
        if let Some(backup) = backup {
            prepare_replacement(&mut opening, types, &backup).await?;
        }
        recovery::open(opening, types).await
    };
    let opened = opening.instrument(span).await?;
    let recovery::Opened { checkpoints, lock, report, wal } = opened;
    let ending = Ending::new(checkpoints.clone(), lock);
    let compaction = Arc::new(Compaction::new(Arc::clone(&checkpoints)));
    let maintained = maintain(Arc::clone(&checkpoints), Arc::clone(&ending));
    let driven = Arc::clone(&compaction);
    let core = Arc::clone(checkpoints.core());
    let drivers = async move {
        let store = async {
            futures::join!(maintained, driven.drive());
            core.wal.iter().for_each(|wal| wal.log().forsake());
        };
        futures::join!(store, OptionFuture::from(wal));
    };
    handle.spawn("kvick-maintenance", ending.maintenance(drivers)).detach();
    ending.check_maintained()?;
    let open_tables = Arc::default();
    // It ends the store if the replay fails, or this future is dropped.
    let mut lifecycle = StoreLifecycle {
        checkpoints,
        compaction,
        ending,
        report,
        open_tables,
        accepts_type_change,
        reopening,
    };
    let begun = handle.now();
    let StoreLifecycle { checkpoints, report, .. } = &mut lifecycle;
    recovery::repeat_logged(checkpoints, report, on_progress.as_deref()).await?;
    if let Some(report) = &mut lifecycle.report {
        report.took += handle.now().saturating_sub(begun);
        if let Some(first) = first {
            report.join(first);
        }
    }
    Ok(Database::new(Arc::new(lifecycle)))
}

impl<K: Key + ?Sized, V: Value + ?Sized> Builder<FasterKv<K, V>> {
    /// Opens the store in `path`, or creates it there.
    ///
    /// The path is ignored if a directory was set.
    ///
    /// # Errors
    /// As for [`FasterKv::open`].
    ///
    /// # Cancel safety
    /// As for [`FasterKv::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<FasterKv<K, V>> {
        let places = self.places_of(path.as_ref())?;
        self.open_only_table(places).await
    }

    /// Opens the store in the directory that was set, or creates it there.
    ///
    /// # Errors
    /// As for [`FasterKv::open`]; `InvalidArgument` if no directory was set.
    ///
    /// # Cancel safety
    /// As for [`FasterKv::open`].
    pub async fn open_in_directory(self) -> Result<FasterKv<K, V>> {
        let places = self.given_places()?;
        self.open_only_table(places).await
    }

    async fn open_only_table(self, places: Places) -> Result<FasterKv<K, V>> {
        let types = TypeNames::of::<K, V>();
        let database = self.open_in(places, Some(&types)).await?;
        let table = database.only_table(&types)?;
        Ok(FasterKv::new(table, database))
    }
}

impl Builder<Database> {
    /// Opens the database in `path`, or creates it there.
    ///
    /// The path is ignored if a directory was set.
    ///
    /// # Errors
    /// As for [`Database::open`].
    ///
    /// # Cancel safety
    /// As for [`FasterKv::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<Database> {
        let places = self.places_of(path.as_ref())?;
        self.open_in(places, None).await
    }

    /// Opens the database in the directory that was set, or creates it there.
    ///
    /// # Errors
    /// As for [`Database::open`]; `InvalidArgument` if no directory was set.
    ///
    /// # Cancel safety
    /// As for [`FasterKv::open`].
    pub async fn open_in_directory(self) -> Result<Database> {
        let places = self.given_places()?;
        self.open_in(places, None).await
    }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("config", &self.config)
            .field("directory", &self.surroundings.directory)
            .finish_non_exhaustive()
    }
}

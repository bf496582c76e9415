//! Opening a store with components of one's own.

use crate::checkpoint::{CheckpointToken, maintain};
use crate::codec::{Key, Value};
use crate::config::{Config, Geometry};
use crate::ending::Ending;
use crate::error::Result;
use crate::kv::{FasterKv, Opened};
use crate::recovery::{self, OnProgress, Opening, RecoveryProgress};
use crate::store::Types;
use kvick_io::Directory;
use kvick_runtime::Handle;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tracing::Instrument;

/// Settings are in the [`Config`]; components are given here.
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
pub struct Builder<K: Key + ?Sized, V: Value + ?Sized> {
    config: Config,
    runtime: Option<Handle>,
    directory: Option<Arc<dyn Directory>>,
    seed: Option<u64>,
    token: Option<CheckpointToken>,
    accepts_type_change: bool,
    on_progress: Option<OnProgress>,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> Builder<K, V> {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            runtime: None,
            directory: None,
            seed: None,
            token: None,
            accepts_type_change: false,
            on_progress: None,
            _types: PhantomData,
        }
    }

    /// Where the store's maintenance runs; by default on a background thread of its own, which
    /// lasts as long as the store.
    ///
    /// Close the store before its runtime ends. If the runtime is first, what is in memory or on
    /// the device can still be read; whatever waits for maintenance, then or later, gets
    /// `Poisoned`, which names the cause; and the directory stays locked until the store is closed,
    /// or its last handle and session are dropped. What is in no checkpoint is lost. So it is best
    /// not to give a store in a `static` to the runtime of one `#[tokio::test]`.
    ///
    /// A tokio runtime ends when it is dropped or shut down. A glommio executor ends when it is
    /// dropped, and at the latest when its thread ends.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Where the store's files are; by default in the path given to [`open`](Self::open), by the
    /// backend of the configuration.
    pub fn directory(mut self, directory: Arc<dyn Directory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Recovers this checkpoint, not the newest. Newer ones are given up, and what they have on the
    /// device with them.
    pub fn recover(mut self, token: CheckpointToken) -> Self {
        self.token = Some(token);
        self
    }

    /// Opens the store also if its key or value type has another name than the store has on record:
    /// a type that was renamed or moved to another module, an encoding that reads what the other
    /// one wrote. From then on the store is one of the types that it is opened with now.
    ///
    /// Only widths are compared then: whether bytes of the one type mean the same as bytes of the
    /// other is the caller's to know. By default a store of other types is refused.
    pub fn accept_type_change(mut self, accept: bool) -> Self {
        self.accepts_type_change = accept;
        self
    }

    /// Is told how far a recovery is, a page at a time; must not block.
    pub fn on_recovery_progress(
        mut self,
        tell: impl FnMut(RecoveryProgress) + Send + 'static,
    ) -> Self {
        self.on_progress = Some(Box::new(tell));
        self
    }

    /// Fixes what is otherwise drawn at random: the seed of the key hash and the salt of the
    /// checksums of a store that is created, and the first half of new session ids, which must
    /// differ from one opening of a store to the next. For tests that must replay.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Opens the store in `path`, or creates it there; the path is not looked at if a directory was
    /// given.
    ///
    /// # Errors
    /// As [`FasterKv::open`].
    ///
    /// # Cancel safety
    /// As [`FasterKv::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<FasterKv<K, V>> {
        // A configuration that is refused leaves no directory behind.
        Geometry::of(&self.config)?;
        let directory = match self.directory {
            Some(ref directory) => Arc::clone(directory),
            None => recovery::directory(path.as_ref(), &self.config)?,
        };
        self.open_in(directory).await
    }

    /// Opens the store in the directory that was given, or creates it there.
    ///
    /// # Errors
    /// As [`FasterKv::open`]; `InvalidArgument` if no directory was given.
    ///
    /// # Cancel safety
    /// As [`FasterKv::open`].
    pub async fn open_in_directory(self) -> Result<FasterKv<K, V>> {
        let Some(directory) = self.directory.clone() else {
            return Err(crate::error::Error::invalid("open_in_directory needs `directory(..)`"));
        };
        self.open_in(directory).await
    }

    async fn open_in(self, directory: Arc<dyn Directory>) -> Result<FasterKv<K, V>> {
        let handle = match self.runtime {
            Some(handle) => handle,
            None => Handle::background().map_err(|error| {
                crate::error::Error::io("start of the background thread", error)
            })?,
        };
        let drawn = || RandomState::new().hash_one("kvick");
        let (seed, life) = (self.seed.unwrap_or_else(drawn), self.seed.unwrap_or_else(drawn));
        let span = tracing::info_span!(target: "kvick::open", "open", place = directory.describe());
        let opening = Opening {
            config: self.config,
            directory,
            handle: handle.clone(),
            seed,
            life,
            token: self.token.map(|CheckpointToken(token)| token),
            accepts_type_change: self.accepts_type_change,
            on_progress: self.on_progress.map(Mutex::new),
        };
        let opened = recovery::open::<K, V>(opening).instrument(span).await?;
        let recovery::Opened { core, checkpoints, lock, report } = opened;
        let ending = Ending::new(checkpoints.clone(), lock);
        let drivers = maintain(Arc::clone(&checkpoints), Arc::clone(&ending));
        handle.spawn("kvick-maintenance", ending.maintenance(drivers)).detach();
        ending.check_maintained()?;
        let opened = Opened { checkpoints, ending, report };
        Ok(FasterKv::new(core, Arc::new(opened)))
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for Builder<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("config", &self.config)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

//! Opening a log with your own components.

use super::commit::driver::CommitDriver;
use super::commit::manifest_driver::ManifestDriver;
use super::config::{Config, Geometry, MEMORY_SETTING};
use super::handle::FasterLog;
use super::lifecycle::LogLifecycle;
use super::memory::EpochContexts;
use super::recover::opening::{Continuation, LogOpener, RecoveredLog, Renews};
use crate::base::error::Result;
use crate::epoch::Epoch;
use crate::opening::directory::Surroundings;
use crate::opening::ending::{Ending, Maintenance};
use kvick_io::Directory;
use kvick_runtime::Handle;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use tracing::Instrument;

/// The seats of one log. It is unlikely that more threads are within a poll at the same time.
const SEATS: usize = 16;

/// Opens a log with your own components. Settings are in the [`log::Config`](Config).
#[must_use]
pub struct Builder {
    config: Config,
    surroundings: Surroundings,
    salt: Option<u64>,
    number: Option<u64>,
}

impl FasterLog {
    /// Opens the log in `path`, a directory of its own, with the built-in background executor.
    /// Creates the log if the directory has none. Otherwise recovers its newest commit, which
    /// [`recovery`](Self::recovery) describes.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration out of bounds, `InUse` if the directory is open
    /// elsewhere. `Corrupt` if durable data is damaged, `NotFound` if the manifest beside a log is
    /// missing. `Unsupported` for a directory of another format or of a store. `AlreadyExists` for
    /// files that belong to no log, `Io`, `StorageFull`. An error leaves the existing files as they
    /// are.
    ///
    /// On a read-only file system a log that was closed opens for reading; everything else fails
    /// with `ReadOnly`.
    ///
    /// # Cancel safety
    /// A directory that was being created may keep a lock file. The next opening repeats a recovery
    /// that was begun.
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::builder(config).open(path).await
    }

    /// Returns a builder that opens a log with your own components: a runtime, a directory.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }
}

impl Builder {
    fn new(config: Config) -> Self {
        Self { config, surroundings: Surroundings::default(), salt: None, number: None }
    }

    /// Sets the runtime of the log's maintenance. Default: a background thread of the log.
    ///
    /// Close the log before its runtime ends. If the runtime ends first, entries can still be read.
    /// Operations that wait for maintenance, then or later, fail with `Poisoned`, which names the
    /// cause. The directory stays locked until the log is closed, or its last handle is dropped.
    /// Entries that were not committed are lost.
    ///
    /// A tokio runtime needs its time driver (`enable_all` or `enable_time`). It ends when it is
    /// dropped or shut down. A glommio executor ends when it is dropped, and at the latest when its
    /// thread ends.
    pub fn runtime(mut self, runtime: impl Into<Option<Handle>>) -> Self {
        self.surroundings.runtime = runtime.into();
        self
    }

    /// Sets the directory of the log's files. Default: the path given to [`open`](Self::open), by
    /// the backend of the configuration.
    pub fn directory(mut self, directory: Arc<dyn Directory>) -> Self {
        self.surroundings.directory = Some(directory);
        self
    }

    /// Recovers the commit of this number instead of the newest, which is the default (`None`).
    /// Later commits are discarded, and their entries with them, although they were durable. The
    /// commit of the manifest must not be newer than it.
    pub fn recover(mut self, number: impl Into<Option<u64>>) -> Self {
        self.number = number.into();
        self
    }

    /// Fixes the salt of the checksums of a new log, which is otherwise random. For tests that must
    /// replay.
    pub fn seed(mut self, seed: impl Into<Option<u64>>) -> Self {
        self.salt = seed.into();
        self
    }

    /// Opens the log in `path`, or creates it there. Ignores the path if a directory was given.
    ///
    /// # Errors
    /// As [`FasterLog::open`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<FasterLog> {
        // A refused configuration leaves no directory.
        Geometry::of(&self.config, None)?;
        let (config, backend) = (&self.config, &self.config.backend);
        let io = || config.io();
        let directory = self.surroundings.directory(path.as_ref(), (backend, "log"), io)?;
        self.open_in(directory).await
    }

    /// Opens the log in the given directory, or creates it there.
    pub async fn open_in_directory(self) -> Result<FasterLog> {
        let directory = self.surroundings.given_directory()?;
        self.open_in(directory).await
    }

    async fn open_in(self, directory: Arc<dyn Directory>) -> Result<FasterLog> {
        let handle = self.surroundings.handle()?;
        let span = tracing::info_span!(target: "kvick::open", "open", place = directory.describe());
        let opening = LogOpener {
            config: self.config,
            directory,
            handle: handle.clone(),
            contexts: Arc::new(EpochContexts::new(SEATS)),
            buffers: None,
            salt: self.salt.unwrap_or_else(drawn),
            renews: Renews::Never,
            number: self.number,
            continues: None,
            memory_setting: MEMORY_SETTING,
        };
        let opened = opening.open().instrument(span).await?;
        let (log, maintenance) = maintained(opened);
        handle.spawn("kvick-log-maintenance", maintenance).detach();
        log.check_maintained()?;
        Ok(log)
    }
}

/// A log in the epoch of a store.
pub(crate) struct SharedLog {
    pub(crate) log: FasterLog,
    /// It tells the log from all others.
    pub(crate) salt: u64,
    /// The number of times that the log discarded commits.
    pub(crate) rewinds: u64,
    /// It must run until the log is closed.
    pub(crate) maintenance: Maintenance,
}

/// Opens the log in `directory`, or creates it there with this `salt`; `renews` says whether a
/// log without a commit gets it, too, and `continues` whether it may end before some place.
/// Operations under a guard of `epoch` may append to it. Its owner calls the memory of the log
/// `memory_setting`.
///
/// # Errors
/// As [`FasterLog::open`].
pub(crate) async fn open_on(
    epoch: Epoch,
    config: Config,
    (directory, handle): (Arc<dyn Directory>, Handle),
    (salt, renews, continues): (u64, Renews, Option<Continuation>),
    memory_setting: &'static str,
) -> Result<SharedLog> {
    let contexts = Arc::new(EpochContexts::on(epoch, SEATS));
    let (buffers, number) = (None, None);
    let opening = LogOpener {
        config,
        directory,
        handle,
        contexts,
        buffers,
        salt,
        renews,
        number,
        continues,
        memory_setting,
    };
    let opened = opening.open().await?;
    let (salt, rewinds) = (opened.identity.sizes.salt.0, opened.identity.rewinds);
    let (log, maintenance) = maintained(opened);
    Ok(SharedLog { log, salt, rewinds, maintenance })
}

/// Draws a salt for a new log.
pub(crate) fn drawn() -> u64 {
    RandomState::new().hash_one("kvick log")
}

/// Returns the handle of an opened log, and the maintenance that must run until it is closed.
pub(crate) fn maintained(opened: RecoveredLog) -> (FasterLog, Maintenance) {
    let RecoveredLog { inner, identity, published, lock, recovery } = opened;
    let inner = Arc::new(inner);
    let ending = Ending::new(inner.clone(), lock);
    let drivers = {
        let (inner, ending) = (Arc::clone(&inner), Arc::clone(&ending));
        async move {
            let driven = async {
                let drivers = futures::try_join!(
                    CommitDriver::new(&inner).drive(),
                    ManifestDriver::new(&inner, identity, published).drive()
                );
                if let Err(error) = drivers {
                    inner.memory.health().transition_to_poisoned(&error);
                }
            };
            let closing = ending.drive(inner.committer.save());
            futures::join!(inner.memory.log().maintain(), driven, closing);
        }
    };
    let maintenance = ending.maintenance(drivers);
    (FasterLog::new(inner, LogLifecycle::new(ending, recovery)), maintenance)
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("config", &self.config)
            .field("directory", &self.surroundings.directory)
            .finish_non_exhaustive()
    }
}

//! Many logs in one process that share an I/O driver, a maintenance task and a table of epochs.

use super::builder::{drawn, maintained};
use super::config::{Config, Geometry, MEMORY_SETTING};
use super::handle::FasterLog;
use super::memory::EpochContexts;
use super::recover::opening::{LogOpener, Renews};
use crate::base::error::{Error, Result};
use crate::config::Backend;
use crate::opening::directory::{background, check_named, not_opened};
use crate::opening::ending::{ENDED, Maintenance};
use futures::channel::mpsc;
use futures::stream::{FuturesUnordered, StreamExt};
use kvick_io::{Birthplace, BufPool, Directory, MemoryDirectory, NullDirectory, SharedIo};
use kvick_runtime::Handle;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tracing::Instrument;

/// The seats of all logs together.
const SEATS: usize = 16;

/// Many logs that share a thread for I/O, a maintenance task and buffers. A cheap handle.
///
/// Each log is a separate [`FasterLog`] in its own directory, and is closed by itself. The group
/// ends with its last handle and log. An idle log costs a few KiB, three file descriptors and no
/// processor time. A log with a failed driver does not affect the other logs. All logs share one
/// I/O backend.
///
/// ```
/// # use kvick::log;
/// # let place = tempfile::tempdir().unwrap();
/// # let path = place.path();
/// # kvick::runtime::block_on(async {
/// let group = log::Group::new(log::Config::small())?;
/// let users = group.open(path.join("users")).await?;
/// let orders = group.open(path.join("orders")).await?;
/// users.append_durable(b"ann").await?;
/// orders.append_durable(b"bread").await?;
/// users.close().await?;
/// orders.close().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Group {
    shared: Arc<GroupInner>,
}

struct GroupInner {
    config: Config,
    place: Place,
    handle: Handle,
    contexts: Arc<EpochContexts>,
    buffers: BufPool,
    logs: mpsc::UnboundedSender<Maintenance>,
    birthplace: Birthplace,
}

enum Place {
    Files(SharedIo),
    Memory,
    Nowhere,
}

impl Group {
    /// Makes a group of logs on its own background thread. The settings of the I/O hold for all
    /// logs together.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration out of bounds, `Unsupported`, `Io`.
    pub fn new(config: Config) -> Result<Self> {
        Self::on(config, background()?)
    }

    /// Makes a group like [`new`](Self::new), maintained by one task of `runtime`.
    /// [`log::Builder::runtime`](crate::log::Builder::runtime) describes the state of its logs when
    /// the runtime ends.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on(config: Config, runtime: Handle) -> Result<Self> {
        let geometry = Geometry::of(&config, None)?;
        let place = match config.backend {
            Backend::Memory => Place::Memory,
            Backend::Null => Place::Nowhere,
            _ => Place::Files(
                SharedIo::new(config.io()?).map_err(|error| Error::io("starting I/O", error))?,
            ),
        };
        let (logs, opened) = mpsc::unbounded();
        runtime.spawn("kvick-logs-maintenance", maintain(opened)).detach();
        if logs.is_closed() {
            return Err(Error::unmaintained("group of logs", ENDED));
        }
        let shared = GroupInner {
            config,
            place,
            handle: runtime,
            contexts: Arc::new(EpochContexts::new(SEATS)),
            buffers: BufPool::new(geometry.io_bytes),
            logs,
            birthplace: Birthplace::here(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens the log in `path`, or creates it there.
    ///
    /// # Errors
    /// As [`FasterLog::open`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::open`].
    pub async fn open(&self, path: impl AsRef<Path>) -> Result<FasterLog> {
        self.open_with(path, self.shared.config.clone()).await
    }

    /// Opens a log like [`open`](Self::open), with its own settings. It uses the I/O settings of
    /// the group.
    ///
    /// # Errors
    /// As [`FasterLog::open`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::open`].
    pub async fn open_with(&self, path: impl AsRef<Path>, config: Config) -> Result<FasterLog> {
        // A refused configuration leaves no directory.
        Geometry::of(&config, None)?;
        let path = path.as_ref();
        let directory: Arc<dyn Directory> = match &self.shared.place {
            Place::Memory => Arc::new(MemoryDirectory::new()),
            Place::Nowhere => Arc::new(NullDirectory::new()),
            Place::Files(io) => {
                check_named(path, "log")?;
                io.open_directory(path).map_err(|error| not_opened(path, "log", error))?
            }
        };
        self.open_in(directory, config).await
    }

    /// Opens a log like [`open_with`](Self::open_with), in your own directory.
    ///
    /// # Errors
    /// As [`FasterLog::open`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::open`].
    pub async fn open_in(
        &self,
        directory: Arc<dyn Directory>,
        config: Config,
    ) -> Result<FasterLog> {
        // A forked child does not have the task that maintains the logs.
        let here = self.shared.birthplace.check();
        here.map_err(|forked| Error::unmaintained("group of logs", forked))?;
        let span = tracing::info_span!(target: "kvick::open", "open", place = directory.describe());
        let opening = LogOpener {
            config,
            directory,
            handle: self.shared.handle.clone(),
            contexts: Arc::clone(&self.shared.contexts),
            buffers: Some(self.shared.buffers.clone()),
            salt: drawn(),
            renews: Renews::Never,
            number: None,
            continues: None,
            memory_setting: MEMORY_SETTING,
        };
        let opened = opening.open().instrument(span).await?;
        let (log, maintenance) = maintained(opened);
        // If the runtime has ended, the maintenance is dropped, and the log notes it.
        drop(self.shared.logs.unbounded_send(maintenance));
        log.check_maintained()?;
        Ok(log)
    }
}

/// Runs the maintenance of each log, until the group has no handle and no log.
async fn maintain(mut opened: mpsc::UnboundedReceiver<Maintenance>) {
    let mut logs = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !logs.is_empty() {
        futures::select_biased! {
            log = opened.next() => match log {
                Some(log) => logs.push(log),
                None => is_open = false,
            },
            () = logs.select_next_some() => {}
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Group").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

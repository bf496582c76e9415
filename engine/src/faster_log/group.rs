//! Many logs in one process: one I/O driver, one maintenance task, one table of epochs.

use super::builder::{drawn, maintained};
use super::config::{Geometry, LogConfig};
use super::log::FasterLog;
use super::opening::Opening;
use super::source::Seats;
use crate::config::Backend;
use crate::ending::{ENDED, Maintenance};
use crate::error::{Error, Result};
use futures::channel::mpsc;
use futures::stream::{FuturesUnordered, StreamExt};
use kvick_io::{Birthplace, BufPool, Directory, MemoryDirectory, NullDirectory, SharedIo};
use kvick_runtime::Handle;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tracing::Instrument;

/// Seats of all logs together.
const SEATS: usize = 16;

/// Many logs that share what costs something: the thread that does I/O, the task that maintains
/// them, the buffers. A cheap handle.
///
/// Each log is a [`FasterLog`] of its own, in a directory of its own, and is closed by itself; the
/// group ends with its last handle and log. An idle log costs a few KiB, three file descriptors
/// and no processor time. A log whose driver fails takes none of the others with it; the I/O
/// backend is one for all.
///
/// ```
/// # use kvick::{LogConfig, LogGroup};
/// # let place = tempfile::tempdir().unwrap();
/// # let path = place.path();
/// # kvick::runtime::block_on(async {
/// let group = LogGroup::new(LogConfig::small())?;
/// let users = group.open(path.join("users")).await?;
/// let orders = group.open(path.join("orders")).await?;
/// users.append_durable(b"ann").await?;
/// orders.append_durable(b"bread").await?;
/// users.close().await?;
/// orders.close().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct LogGroup {
    shared: Arc<Shared>,
}

struct Shared {
    config: LogConfig,
    place: Place,
    handle: Handle,
    seats: Arc<Seats>,
    buffers: BufPool,
    logs: mpsc::UnboundedSender<Maintenance>,
    birthplace: Birthplace,
}

enum Place {
    Files(SharedIo),
    Memory,
    Nowhere,
}

impl LogGroup {
    /// A group of logs with these settings, of which those of the I/O hold for all together, on a
    /// background thread of its own.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration out of bounds, `Unsupported`, `Io`.
    pub fn new(config: LogConfig) -> Result<Self> {
        let handle = Handle::background()
            .map_err(|error| Error::io("start of the background thread", error))?;
        Self::on(config, handle)
    }

    /// As [`new`](Self::new), maintained by one task of `runtime`. What happens to its logs when
    /// that ends is said at [`LogBuilder::runtime`](super::LogBuilder::runtime).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on(config: LogConfig, runtime: Handle) -> Result<Self> {
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
        let shared = Shared {
            config,
            place,
            handle: runtime,
            seats: Arc::new(Seats::new(SEATS)),
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

    /// As [`open`](Self::open), with settings of its own; those of the I/O stay those of the group.
    ///
    /// # Errors
    /// As [`FasterLog::open`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::open`].
    pub async fn open_with(&self, path: impl AsRef<Path>, config: LogConfig) -> Result<FasterLog> {
        // A configuration that is refused leaves no directory behind.
        Geometry::of(&config, None)?;
        let path = path.as_ref();
        let directory: Arc<dyn Directory> = match &self.shared.place {
            Place::Memory => Arc::new(MemoryDirectory::new()),
            Place::Nowhere => Arc::new(NullDirectory::new()),
            Place::Files(io) => io
                .open_directory(path)
                .map_err(|error| Error::io("the directory of the log", error))?,
        };
        self.open_in(directory, config).await
    }

    /// As [`open_with`](Self::open_with), in a directory of one's own.
    ///
    /// # Errors
    /// As [`FasterLog::open`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::open`].
    pub async fn open_in(
        &self,
        directory: Arc<dyn Directory>,
        config: LogConfig,
    ) -> Result<FasterLog> {
        // Nor does a child of the process have the task that maintains them.
        let here = self.shared.birthplace.check();
        here.map_err(|forked| Error::unmaintained("group of logs", forked))?;
        let span = tracing::info_span!(target: "kvick::open", "open", place = directory.describe());
        let opening = Opening {
            config,
            directory,
            handle: self.shared.handle.clone(),
            seats: Arc::clone(&self.shared.seats),
            buffers: Some(self.shared.buffers.clone()),
            salt: drawn(),
            number: None,
        };
        let opened = opening.open().instrument(span).await?;
        let (log, maintenance) = maintained(opened);
        // Where there is no runtime any more it is dropped, which the log notes.
        drop(self.shared.logs.unbounded_send(maintenance));
        log.check_maintained()?;
        Ok(log)
    }
}

/// Runs what each of the logs does by itself, until the group has no handle and no log.
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

impl fmt::Debug for LogGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogGroup")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

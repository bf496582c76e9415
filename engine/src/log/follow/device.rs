//! The device of a log that another process writes.
//!
//! Most devices know only the segments that existed when they were opened. If the writer has made a
//! segment that the device does not find, the device is opened again. Reads in flight continue on
//! the old device.

use crate::base::error::{Error, Result};
use crate::hybrid_log::is_missing;
use crate::log::commit::manifest::Sizes;
use crate::log::frame::stored_files::StoredFiles;
use crate::log::recover::opening::open_log;
use kvick_io::sync::{Mutex, MutexGuard};
use kvick_io::{AlignedBuf, BoxFuture, Completion, Device, Directory, Geometry};
use std::fmt;
use std::io;
use std::sync::Arc;

/// A device that is opened again when the log has grown.
pub(crate) struct FollowedDevice {
    directory: Arc<dyn Directory>,
    sizes: Sizes,
    opened: Mutex<CurrentDevice>,
}

struct CurrentDevice {
    device: Arc<dyn Device>,
    /// The highest segment that existed before the device was opened.
    last: Option<u64>,
    /// Bytes below this offset are no longer read.
    begin: u64,
}

impl FollowedDevice {
    pub(crate) async fn open(directory: Arc<dyn Directory>, sizes: Sizes) -> Result<Self> {
        let last = StoredFiles::look(&*directory, sizes.segment_bytes).await?.last();
        let device = open_log(&*directory, sizes, false).await?;
        let opened = Mutex::new(CurrentDevice { device, last, begin: 0 });
        Ok(Self { directory, sizes, opened })
    }

    /// Makes everything in `stored` readable.
    pub(crate) async fn catch_up(&self, stored: &StoredFiles) -> Result<()> {
        let (Some(last), known) = (stored.last(), self.opened().last) else { return Ok(()) };
        if known.is_some_and(|known| last <= known) {
            return Ok(());
        }
        let newer = match self.reaches(last).await? {
            true => None,
            false => Some(open_log(&*self.directory, self.sizes, false).await?),
        };
        let mut opened = self.opened();
        if let Some(device) = newer {
            device.forget_below(opened.begin);
            opened.device = device;
        }
        opened.last = opened.last.max(Some(last));
        debug_assert!(opened.last >= known, "segments are only added at the end");
        Ok(())
    }

    /// Returns whether the device finds an existing segment. Some devices find new segments
    /// themselves.
    async fn reaches(&self, segment: u64) -> Result<bool> {
        let device = self.device();
        let (offset, block) = (segment * self.sizes.segment_bytes, device.geometry().block);
        let read = device.read_at(offset, AlignedBuf::zeroed(block as usize)).await;
        match read.result {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(Error::reading(&*device, offset, error)),
        }
    }

    fn opened(&self) -> MutexGuard<'_, CurrentDevice> {
        self.opened.lock().expect("nothing panics under it")
    }

    fn device(&self) -> Arc<dyn Device> {
        Arc::clone(&self.opened().device)
    }
}

/// Returns the error of writes to a followed log.
fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a followed log is only read")
}

impl Device for FollowedDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.device().read_at(offset, buf)
    }

    fn read_many(&self, reads: Vec<(u64, AlignedBuf)>) -> Vec<Completion> {
        self.device().read_many(reads)
    }

    fn write_at(&self, _offset: u64, buf: AlignedBuf) -> Completion {
        Completion::ready(kvick_io::Transfer { result: Err(read_only()), buf: Some(buf) })
    }

    fn sync(&self) -> Completion {
        Completion::ready(kvick_io::Transfer { result: Err(read_only()), buf: None })
    }

    fn discard_below(&self, _offset: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { Err(read_only()) })
    }

    fn forget_below(&self, offset: u64) {
        let mut opened = self.opened();
        opened.begin = opened.begin.max(offset);
        opened.device.forget_below(offset);
    }

    fn truncate(&self, _end: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { Err(read_only()) })
    }

    fn geometry(&self) -> Geometry {
        self.device().geometry()
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        self.device().locate(offset)
    }

    fn bytes_stored(&self) -> u64 {
        self.device().bytes_stored()
    }
}

impl fmt::Debug for FollowedDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FollowedDevice").field(&self.device()).finish()
    }
}

//! Plain sequential transfers of the device: the baseline of checkpoints, recoveries and scans.
//!
//! They use the I/O layer of the store, and bypass the page cache if the file system can. The
//! transfers are as large as the largest of the store, and as many of them are in flight.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kvick::io::{
    AlignedBuf, BackendChoice, BufPool, Completion, Device, DeviceOptions, Directory, IoConfig,
    open_directory,
};

use crate::clock::Stopwatch;

/// Bytes of one transfer.
const BLOCK: u64 = 1 << 20;

/// The number of transfers in flight.
const DEPTH: usize = 4;

const NAME: &str = "plain";
/// The name of the copy, which begins with the other name.
const COPY: &str = "plain-copy";

/// A scratch directory for plain transfers.
#[derive(Debug)]
pub struct Plain {
    directory: Arc<dyn Directory>,
    buffers: BufPool,
}

impl Plain {
    /// Opens, or creates, the directory.
    ///
    /// # Errors
    ///
    /// Returns an error of the I/O layer.
    pub fn open(path: &Path) -> io::Result<Self> {
        let config = IoConfig { backend: BackendChoice::Auto, ..IoConfig::default() };
        let buffers = BufPool::new(2 * DEPTH * block_length());
        Ok(Self { directory: open_directory(path, &config)?, buffers })
    }

    /// Writes a fresh file of `bytes`, rounded up to a block, syncs it, and returns the time.
    ///
    /// # Errors
    ///
    /// Returns an error of the I/O layer.
    pub async fn write(&self, bytes: u64) -> io::Result<Duration> {
        for name in self.directory.list().await? {
            if name.starts_with(NAME) {
                self.directory.remove_file(&name).await?;
            }
        }
        self.directory.sync().await?;
        let filled: Vec<AlignedBuf> = (0..DEPTH).map(|_| self.filled()).collect();
        drop(filled);
        let started = Stopwatch::start();
        let device = self.device().await?;
        let write = |offset| device.write_at(offset, self.buffers.take(block_length()));
        in_order(blocks(bytes), write).await?;
        device.sync().await.result?;
        self.directory.sync().await?;
        Ok(started.elapsed())
    }

    /// Writes a fresh file of `bytes`, and copies it to another file, which it syncs. Returns the
    /// time of the copy. Reads and writes overlap.
    ///
    /// # Errors
    ///
    /// Returns an error of the I/O layer.
    pub async fn copy(&self, bytes: u64) -> io::Result<Duration> {
        self.write(bytes).await?;
        let from = self.device().await?;
        let started = Stopwatch::start();
        let to = self.directory.open_device(COPY, DeviceOptions::default()).await?;
        let copy = |offset| {
            let (from, to) = (&from, &to);
            async move {
                let read = from.read_at(offset, self.buffers.take(block_length())).await;
                to.write_at(offset, read.into_buf()?).await.result
            }
        };
        stream::iter(blocks(bytes)).map(copy).buffered(DEPTH).try_collect::<()>().await?;
        to.sync().await.result?;
        self.directory.sync().await?;
        Ok(started.elapsed())
    }

    /// Reads this many of the written bytes from the start, and returns the time.
    ///
    /// # Errors
    ///
    /// Returns an error of the I/O layer; `UnexpectedEof` if fewer bytes were written.
    pub async fn read(&self, bytes: u64) -> io::Result<Duration> {
        self.read_blocks(&self.device().await?, blocks(bytes)).await
    }

    /// Reads the whole blocks of all segments of a device that is in the directory. Returns their
    /// bytes, and the time.
    ///
    /// # Errors
    ///
    /// Returns an error of the I/O layer.
    pub async fn read_all(&self, name: &str, segment_bytes: u64) -> io::Result<(u64, Duration)> {
        let options = DeviceOptions { segment_bytes, create: false };
        let device = self.directory.open_device(name, options).await?;
        let mut offsets = Vec::new();
        for file in self.directory.list().await? {
            let number = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
                let whole = self.directory.file_bytes(&file).await? / BLOCK * BLOCK;
                offsets.extend(blocks(whole).map(|offset| number * segment_bytes + offset));
            }
        }
        let bytes = offsets.len() as u64 * BLOCK;
        Ok((bytes, self.read_blocks(&device, offsets).await?))
    }

    async fn read_blocks(
        &self,
        device: &Arc<dyn Device>,
        offsets: impl IntoIterator<Item = u64>,
    ) -> io::Result<Duration> {
        let started = Stopwatch::start();
        let read = |offset| device.read_at(offset, self.buffers.take(block_length()));
        in_order(offsets, read).await?;
        Ok(started.elapsed())
    }

    async fn device(&self) -> io::Result<Arc<dyn Device>> {
        self.directory.open_device(NAME, DeviceOptions::default()).await
    }

    /// Returns a buffer that no device can mistake for zeros. The pool hands it out again.
    fn filled(&self) -> AlignedBuf {
        let mut buffer = self.buffers.take(block_length());
        for (word, place) in (1_u64..).zip(buffer.chunks_exact_mut(8)) {
            place.copy_from_slice(&word.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        }
        buffer
    }
}

/// Returns the offsets of the blocks of `bytes`.
fn blocks(bytes: u64) -> impl Iterator<Item = u64> {
    (0..bytes.div_ceil(BLOCK)).map(|number| number * BLOCK)
}

/// Starts a transfer at each offset, `DEPTH` of them at a time, and waits for all of them.
async fn in_order(
    offsets: impl IntoIterator<Item = u64>,
    start: impl Fn(u64) -> Completion,
) -> io::Result<()> {
    stream::iter(offsets)
        .map(start)
        .buffered(DEPTH)
        .map(|transfer| transfer.into_buf().map(drop))
        .try_collect()
        .await
}

fn block_length() -> usize {
    usize::try_from(BLOCK).expect("a block fits into memory")
}

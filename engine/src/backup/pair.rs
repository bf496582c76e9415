//! A device of a backup and its copy.

use super::origin::Origin;
use super::ranges::Ranges;
use crate::base::error::{Error, Result};
use crate::checkpoint::files::manifest::StoreFormat;
use crate::hybrid_log::check_block;
use crate::manifest::files::LOG;
use futures::stream::{self, StreamExt, TryStreamExt};
use kvick_io::sync::{Mutex, MutexGuard};
use kvick_io::{AlignedBuf, BufPool, Device, DeviceOptions, Directory};
use std::sync::Arc;

/// The bytes of a read of what the check has not read, and of the write that follows it.
const CHUNK: usize = 1 << 20;
/// The maximum number of such chunks in flight.
const AT_ONCE: usize = 4;

/// A device of the checkpoint, and its copy.
#[derive(Debug)]
pub(super) struct Pair {
    // Fixed after opening.
    name: String,
    range: [u64; 2],
    source: Arc<dyn Device>,
    target: Arc<dyn Device>,
    /// The directory of the copy, for messages.
    place: String,
    // Under its lock.
    written: Mutex<Ranges>,
}

impl Pair {
    /// Creates the copy of a device.
    pub(super) async fn create(
        (name, source, range): (&str, &Arc<dyn Device>, [u64; 2]),
        store: &StoreFormat,
        to: &dyn Directory,
    ) -> Result<Self> {
        let options = DeviceOptions { segment_bytes: store.segment_bytes, create: true };
        let (name, place) = (name.to_owned(), to.describe());
        let target = to.open_device(&name, options).await;
        let target =
            target.map_err(|error| Error::io(format!("creating {name} in {place}"), error))?;
        if name == LOG {
            check_block(store.unit_bytes, &*target)?;
        }
        let source = Arc::clone(source);
        Ok(Self { name, range, source, target, place, written: Mutex::default() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn source(&self) -> &dyn Device {
        &*self.source
    }

    /// Returns a copy of what was read at `offset`, as far as it belongs to the checkpoint and is
    /// of whole blocks of the target. Zeros follow the last bytes of a device.
    pub(super) fn copy_of(
        &self,
        offset: u64,
        read: &[u8],
        buffers: &BufPool,
    ) -> Option<AlignedBuf> {
        let [from, end] = self.range;
        let block = self.block();
        if offset < from || !offset.is_multiple_of(block as u64) {
            return None;
        }
        let length = usize::try_from(end.saturating_sub(offset))
            .map_or(read.len(), |left| left.min(read.len()));
        let is_last = offset + length as u64 == end;
        let length = if is_last { length } else { length - length % block };
        if length == 0 {
            return None;
        }
        let mut copy = buffers.take(length.next_multiple_of(block));
        let (bytes, rest) = copy.split_at_mut(length);
        bytes.copy_from_slice(&read[..length]);
        rest.fill(0);
        Some(copy)
    }

    /// Writes whole blocks of the copy.
    pub(super) async fn write(&self, offset: u64, copy: AlignedBuf) -> Result<()> {
        let end = offset + copy.len() as u64;
        let written = self.target.write_at(offset, copy).await;
        written.result.map_err(|error| self.failed("writing", error))?;
        self.written().insert([offset, end]);
        Ok(())
    }

    /// Copies what the check has not read, and makes the copy durable. Returns the number of bytes
    /// of the copy.
    pub(super) async fn complete(&self, origin: &Origin) -> Result<u64> {
        let [from, end] = self.range;
        let buffers = BufPool::new(AT_ONCE * CHUNK);
        let block = self.source.geometry().block.max(self.target.geometry().block);
        let chunks = chunks(self.written().gaps(self.range, block.into()));
        let copies = chunks.into_iter().map(|chunk| {
            let buffers = &buffers;
            async move { self.copy(origin, chunk, buffers).await }
        });
        stream::iter(copies).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        // The first file that the device was created with is not needed if the log begins later. An
        // empty log needs it.
        if from < end {
            let freed = self.target.discard_below(from).await;
            freed.map_err(|error| self.failed("beginning", error))?;
        }
        self.target.sync().await.result.map_err(|error| self.failed("syncing", error))?;
        Ok(end - from)
    }

    async fn copy(&self, origin: &Origin, [from, end]: [u64; 2], buffers: &BufPool) -> Result<()> {
        origin.check_read()?;
        let length = usize::try_from(end - from).expect("a chunk");
        let read = self.source.read_at(from, buffers.take(length)).await;
        read.result.map_err(|error| {
            let (file, at) = self.source.locate(from);
            Error::io(format!("reading {file} at {at} for a backup"), error)
        })?;
        let buffer = read.buf.expect("a read gives its buffer back");
        let copy = self.copy_of(from, &buffer, buffers).expect("a gap is of whole blocks");
        self.write(from, copy).await
    }

    fn written(&self) -> MutexGuard<'_, Ranges> {
        self.written.lock().expect("nothing panics under it")
    }

    fn block(&self) -> usize {
        self.target.geometry().block as usize
    }

    fn failed(&self, doing: &str, error: std::io::Error) -> Error {
        let Self { name, place, .. } = self;
        Error::io(format!("{doing} {name} in {place}"), error)
    }
}

/// Cuts ranges into chunks.
fn chunks(ranges: Vec<[u64; 2]>) -> Vec<[u64; 2]> {
    let of = |[from, end]: [u64; 2]| {
        let starts = (from..end).step_by(CHUNK);
        starts.map(move |start| [start, (start + CHUNK as u64).min(end)])
    };
    ranges.into_iter().flat_map(of).collect()
}

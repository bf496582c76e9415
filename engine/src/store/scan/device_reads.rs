//! Reads a range of the log from the device in stretches, in order, several reads ahead.

use super::pages::Stretch;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::in_order::InOrder;
use crate::hybrid_log::Chunk;
use crate::store::inner::StoreInner;
use futures::stream::TryStreamExt;
use kvick_io::{AlignedBuf, BoxFuture};
use std::fmt;
use std::sync::Arc;

/// The limit of bytes of one read from the device.
const READ_BYTES: usize = 256 << 10;
/// The limit of reads in flight.
const READS: usize = 8;

/// The reads of a range of the log that is on the device.
pub(in crate::store) struct DeviceReads {
    store: Arc<StoreInner>,
    /// The range that has yet to be read.
    left: [Address; 2],
    reads: InOrder<BoxFuture<'static, Result<(Chunk, AlignedBuf)>>>,
    /// The bytes that were read and that the last stretch did not need.
    front: Stretch,
}

impl DeviceReads {
    /// Reads `[from, end)`, which is on the device. A record begins at `from`.
    pub(in crate::store) fn new(store: &Arc<StoreInner>, [from, end]: [Address; 2]) -> Self {
        let start = store.log.file().units().unit_start(from);
        let front = Stretch { start, first: from, bytes: Vec::new() };
        let store = Arc::clone(store);
        Self { store, left: [from, end], reads: InOrder::new(), front }
    }

    /// Returns the next stretch: what the last one has left, and what follows. Returns `None` after
    /// the end.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`.
    pub(in crate::store) async fn next(&mut self) -> Result<Option<Stretch>> {
        while self.reads.len() < READS
            && let Some(chunk) = self.next_chunk()
        {
            self.reads.push_back(Box::pin(read(Arc::clone(&self.store), chunk)));
        }
        let Some((chunk, bytes)) = self.reads.try_next().await? else {
            return Ok(None);
        };
        let Stretch { start, first, .. } = self.front;
        let front = std::mem::replace(&mut self.front, Stretch { start, first, bytes: Vec::new() });
        Stretch::joined(&self.store, front, bytes, chunk).map(Some)
    }

    /// Keeps the rest of a stretch from `next` on for the next stretch.
    pub(in crate::store) fn keep(&mut self, stretch: &Stretch, next: Address) {
        self.front = stretch.rest(next);
    }

    /// Returns the address below which everything was shown.
    pub(in crate::store) fn shown_until(&self) -> Address {
        self.front.start
    }

    /// Returns the address at which the log continues after the range.
    ///
    /// # Errors
    /// `Corrupt` if a record does not end within the range.
    pub(in crate::store) fn finish(&self) -> Result<Address> {
        let Self { store, left: [_, end], front, .. } = self;
        if !front.bytes.is_empty() {
            // A record ends before the head, and so does each record below it.
            return Err(store.log.file().not_a_record(front.start));
        }
        Ok(front.start.max(*end))
    }

    fn next_chunk(&mut self) -> Option<Chunk> {
        let file = self.store.log.file();
        let units = file.units();
        let bytes = (file.read_bytes() / READS).min(READ_BYTES);
        let chunk = units.chunk(self.left, (bytes / units.unit_bytes()).max(1))?;
        self.left[0] = chunk.end;
        Some(chunk)
    }
}

/// Reads a chunk from the device.
async fn read(store: Arc<StoreInner>, chunk: Chunk) -> Result<(Chunk, AlignedBuf)> {
    Ok((chunk, store.log.read_units(chunk.start, chunk.units).await?))
}

impl fmt::Debug for DeviceReads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DeviceReads").field("left", &self.left).finish_non_exhaustive()
    }
}

//! The driver that writes immutable pages to the device.
//!
//! Several writes are in flight; `flushed` follows the oldest, so it covers a prefix. A write that
//! meets a full medium is tried again until there is space; any other failure poisons the log, and
//! the mark stays where it is.

use super::HybridLog;
use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};
use crate::record::words;
use futures::future::{Either, select};
use futures::stream::{FuturesOrdered, StreamExt};
use kvick_io::AlignedBuf;
use std::time::Duration;

/// Writes in flight at the most.
const WRITES: usize = 4;
/// Bytes of one write at the most.
const LARGEST_WRITE: usize = 1 << 20;
/// Pauses between tries on a full medium.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Part of one page, from the start of a unit to the end of one.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    start: Address,
    units: usize,
    end: Address,
}

impl HybridLog {
    /// Writes what has become immutable, in order.
    pub(super) async fn drive_flush(&self) {
        let mut writes = FuturesOrdered::new();
        let mut issued = self.marks.flushed.load();
        loop {
            let moved = self.events.read_only.listen();
            let changed = self.health.changed().listen();
            if self.health.is_closed() {
                return;
            }
            while writes.len() < WRITES
                && let Some(chunk) = self.next_chunk(issued)
            {
                issued = chunk.end;
                writes.push_back(self.write_until_stored(chunk));
            }
            let demand = select(moved, changed);
            if writes.is_empty() {
                demand.await;
                continue;
            }
            if let Either::Left((Some(written), _)) = select(writes.next(), demand).await {
                match written {
                    Ok(end) => self.advance_flushed(end),
                    // Final: nothing is written any more, everybody has been told.
                    Err(error) => return self.health.transition_to_poisoned(&error),
                }
            }
        }
    }

    fn advance_flushed(&self, end: Address) {
        assert!(self.marks.flushed.raise(end), "chunks end in order");
        self.marks.check();
        self.events.flushed.notify(usize::MAX);
    }

    /// What is immutable and not yet being written, up to a page's end.
    fn next_chunk(&self, issued: Address) -> Option<Chunk> {
        let page_bits = self.geometry.page_bits;
        let immutable = self.marks.safe_read_only.load();
        if issued >= immutable || self.health.is_poisoned() {
            return None;
        }
        let page = issued.page(page_bits);
        let in_page = if immutable.page(page_bits) > page {
            self.units.page_capacity()
        } else {
            immutable.offset(page_bits)
        };
        let start = self.units.unit_start(issued);
        let largest = (self.geometry.flush_bytes / WRITES / self.units.unit_bytes())
            .clamp(1, LARGEST_WRITE / self.units.unit_bytes());
        let units = self.units.count(start, in_page).min(largest);
        let end = start.offset(page_bits) + units as u64 * self.units.payload();
        let end = if end >= self.units.page_capacity() {
            Address::at(page + 1, 0, page_bits)
        } else {
            Address::at(page, end, page_bits)
        };
        Some(Chunk { start, units, end })
    }

    async fn write_until_stored(&self, chunk: Chunk) -> Result<Address> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            match self.write(chunk).await {
                Ok(()) => {
                    self.health.transition_to_sound();
                    return Ok(chunk.end);
                }
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    self.health.transition_to_full(error);
                }
                Err(error) => return Err(error),
            }
            self.handle.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn write(&self, chunk: Chunk) -> Result<()> {
        let offset = self.units.device_offset(chunk.start);
        let begun = self.handle.now();
        let bytes = chunk.units * self.units.unit_bytes();
        let transfer = self.device.write_at(offset, self.sealed(chunk)).await;
        transfer.result.map_err(|error| {
            let (file, at) = self.device.locate(offset);
            Error::io(format!("write of {bytes} bytes to {file} at {at}"), error)
        })?;
        self.counters.wrote(bytes as u64, self.handle.now().saturating_sub(begun));
        Ok(())
    }

    /// A copy of a chunk with its checksums. The frames are not lent to the device.
    #[expect(unsafe_code, reason = "immutable pages are read as bytes")]
    fn sealed(&self, chunk: Chunk) -> AlignedBuf {
        let payload = usize::try_from(self.units.payload()).expect("a unit fits") * chunk.units;
        assert!(chunk.end <= self.marks.safe_read_only.load(), "{chunk:?} is immutable");
        assert!(chunk.end > self.marks.safe_head.load(), "{chunk:?} is in memory");
        debug_assert_eq!(words(payload) * 8, payload);
        let mut target = self.buffers.take(chunk.units * self.units.unit_bytes());
        // SAFETY: the chunk lies below the safe read-only address (asserted). Its page is evicted
        // only when it is flushed, which is what this write is for.
        let bytes = unsafe { self.frames.immutable_bytes(chunk.start, payload) };
        self.units.seal(chunk.start, bytes, &mut target);
        target
    }
}

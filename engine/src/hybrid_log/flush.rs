//! The driver that writes immutable pages to the device.
//!
//! Several writes are in flight; `flushed` follows the oldest, so it covers a prefix. The driver
//! retries a write until there is space if the medium is full. Any other failure poisons the log,
//! and the mark stays where it is.

use super::HybridLog;
use super::strip::Strip;
use super::unit::{Chunk, Units};
use crate::address::Address;
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::record::words;
use crate::wait::listen;
use event_listener::Event;
use futures::future::{Either, select};
use futures::stream::{FuturesOrdered, StreamExt};
use kvick_io::AlignedBuf;
use kvick_io::sync::atomic::Ordering;

/// The limit of writes in flight.
pub(super) const WRITES: usize = 4;
/// The limit of bytes of one transfer.
pub(super) const LARGEST_TRANSFER: usize = 1 << 20;

impl HybridLog {
    /// Writes immutable pages, in order.
    pub(super) async fn drive_flush(&self) {
        let mut writes = FuturesOrdered::new();
        let mut issued = self.marks.flushed.load();
        loop {
            let demand = listen([&self.events.read_only, self.health.changed()]);
            if self.health.is_closed() {
                // The directory is released when this ends, so nothing may be written afterwards.
                return writes.for_each(|_written| std::future::ready(())).await;
            }
            while writes.len() < WRITES
                && let Some(chunk) = self.next_chunk(issued)
            {
                issued = chunk.end;
                writes.push_back(self.write_until_stored(chunk));
            }
            if writes.is_empty() {
                demand.await;
                continue;
            }
            if let Either::Left((Some(written), _)) = select(writes.next(), demand).await {
                match written {
                    Ok(end) => self.advance_flushed(end),
                    // Final: nothing is written any more, and all waiting tasks are notified.
                    Err(error) => {
                        self.health.transition_to_poisoned(&error);
                        return writes.for_each(|_written| std::future::ready(())).await;
                    }
                }
            }
        }
    }

    fn advance_flushed(&self, end: Address) {
        assert!(self.marks.flushed.raise(end), "chunks end in order");
        self.marks.check();
        self.events.flushed.notify(usize::MAX);
    }

    /// Returns the next immutable units that are not being written yet, up to the end of a page.
    fn next_chunk(&self, issued: Address) -> Option<Chunk> {
        let immutable = self.marks.safe_read_only.load();
        let may_write = self.is_announced() && !self.health.is_poisoned();
        if may_write { self.chunk(issued, immutable, WRITES) } else { None }
    }

    /// Returns whether pages wait for the manifest to name the life of this log.
    pub(crate) fn must_announce(&self) -> bool {
        !self.is_announced() && self.marks.flushed.load() < self.marks.safe_read_only.load()
    }

    /// Returns the event of pages that became immutable, and so are to be written.
    pub(crate) fn became_immutable(&self) -> &Event {
        &self.events.read_only
    }

    /// Reports that the manifest on the medium names the life of this log. Pages may be written
    /// now.
    pub(crate) fn announce(&self) {
        // Release: pairs with the Acquire in `is_announced`. The manifest came first.
        self.is_announced.store(true, Ordering::Release);
        self.health.transition_to_sound();
        self.events.read_only.notify(usize::MAX);
    }

    fn is_announced(&self) -> bool {
        // Acquire: pairs with the Release in `announce`.
        self.is_announced.load(Ordering::Acquire)
    }

    /// Returns the next units of `[from, limit)`, up to the end of a page. Transfers of `at_once`
    /// such sizes together stay within the budget of buffers.
    pub(super) fn chunk(&self, from: Address, limit: Address, at_once: usize) -> Option<Chunk> {
        let largest = (self.geometry.flush_bytes / at_once / self.units.unit_bytes())
            .clamp(1, LARGEST_TRANSFER / self.units.unit_bytes());
        // They end on physical blocks, like flushes, so a sync between two of them is safe.
        let block_units = self.units.block_units();
        let largest = (largest / block_units * block_units).max(block_units);
        self.units.chunk([from, limit], largest)
    }

    async fn write_until_stored(&self, chunk: Chunk) -> Result<Address> {
        let mut backoff = Backoff::for_shortage();
        loop {
            match self.write(chunk).await {
                Ok(()) => {
                    self.health.transition_to_sound();
                    return Ok(chunk.end);
                }
                Err(error) if error.is_shortage() => {
                    self.health.transition_to_full(error);
                }
                Err(error) => return Err(error),
            }
            if self.health.is_closed() {
                return Err(Error::closed_as(self.geometry.owner));
            }
            backoff.pause(&self.handle).await;
        }
    }

    async fn write(&self, chunk: Chunk) -> Result<()> {
        let begun = self.handle.now();
        let sealed = self.sealed(chunk, self.units);
        let bytes = sealed.len();
        self.strip().write(chunk.start, sealed).await?;
        self.counters.wrote(bytes as u64, self.handle.now().saturating_sub(begun));
        Ok(())
    }

    /// Returns the log itself as a row of units.
    pub(super) fn strip(&self) -> Strip<'_> {
        Strip::new(&*self.device, self.units, Address::NONE)
    }

    /// Returns a copy of a chunk with its checksums. The device never borrows the frames.
    #[expect(unsafe_code, reason = "immutable pages are read as bytes")]
    pub(super) fn sealed(&self, chunk: Chunk, units: Units) -> AlignedBuf {
        let payload = usize::try_from(self.units.payload()).expect("a unit fits") * chunk.units;
        let settled = self.marks.safe_read_only.effective();
        assert!(chunk.end <= settled, "{chunk:?} is immutable");
        assert!(chunk.end > self.marks.safe_head.load(), "{chunk:?} is in memory");
        debug_assert_eq!(words(payload) * 8, payload);
        let mut target = self.buffers.take(chunk.units * self.units.unit_bytes());
        // SAFETY: the chunk is below the immutable floor (asserted), so no thread writes it. Its
        // page is evicted only when it is flushed and not pinned, and this write is for one or the
        // other.
        let bytes = unsafe { self.frames.immutable_bytes(chunk.start, payload) };
        units.seal(chunk.start, bytes, &mut target);
        target
    }
}

//! The driver that writes immutable pages to the device.
//!
//! Several writes are in flight; `flushed` follows the oldest, so it covers a prefix. The driver
//! retries a write until there is space if the medium is full. Any other failure poisons the log,
//! and the mark stays where it is.

use super::flushing::Flushing;
use super::prepared::Prepared;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::backoff::Backoff;
use crate::base::wait::listen;
use crate::hybrid_log::pages::unit::Chunk;
use futures::future::{Either, select};
use futures::stream::{FuturesOrdered, StreamExt};

/// The limit of writes in flight.
pub(crate) const WRITES: usize = 4;

/// The driver that flushes a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushDriver<'l>(pub(crate) Flushing<'l>);

impl FlushDriver<'_> {
    /// Writes immutable pages, in order, until the log is closed.
    pub(crate) async fn drive(self) {
        let parts = self.0.parts;
        let mut writes = FuturesOrdered::new();
        let mut issued = parts.pages.marks().flushed.load();
        let mut prepared = Prepared::default();
        loop {
            let demand = listen([&parts.requests.events.read_only, parts.health.changed()]);
            if parts.health.is_closed() {
                // The directory is released when this ends, so nothing may be written afterwards.
                return writes.for_each(|_written| std::future::ready(())).await;
            }
            while writes.len() < WRITES
                && !prepared.is_alone()
                && let Some(chunk) = self.next_chunk(issued)
            {
                debug_assert!(issued < chunk.end, "each unit is written once: {chunk:?}");
                issued = chunk.end;
                let may_prepare = writes.is_empty() && parts.geometry.prepares;
                let zeros = if may_prepare { self.prepare(&mut prepared, chunk) } else { 0 };
                writes.push_back(self.write_until_stored(chunk, zeros));
            }
            if writes.is_empty() {
                demand.await;
                continue;
            }
            if let Either::Left((Some(written), _)) = select(writes.next(), demand).await {
                match written {
                    Ok(end) => {
                        prepared.note_ended();
                        self.advance_flushed(end);
                    }
                    // Final: nothing is written any more, and all waiting tasks are notified.
                    Err(error) => {
                        parts.health.transition_to_poisoned(&error);
                        return writes.for_each(|_written| std::future::ready(())).await;
                    }
                }
            }
        }
    }

    fn advance_flushed(self, end: Address) {
        let parts = self.0.parts;
        debug_assert!(
            end <= parts.pages.marks().safe_read_only.load(),
            "only immutable bytes are written: {end:?}"
        );
        assert!(parts.pages.marks().flushed.raise(end), "chunks end in order");
        parts.pages.marks().check();
        parts.requests.events.flushed.notify(usize::MAX);
    }

    /// Returns the next immutable units that are not being written yet, up to the end of a page.
    fn next_chunk(self, issued: Address) -> Option<Chunk> {
        let parts = self.0.parts;
        let immutable = parts.pages.marks().safe_read_only.load();
        let may_write = self.0.is_announced() && !parts.health.is_poisoned();
        let chunk = if may_write { parts.file.chunk(issued, immutable, WRITES) } else { None };
        debug_assert!(
            chunk.is_none_or(|chunk| chunk.start <= issued && chunk.end <= immutable),
            "a chunk continues the one before, and is immutable: {chunk:?}"
        );
        debug_assert!(
            chunk.is_none_or(|chunk| chunk.end == parts.file.units().block_behind_end(chunk.end)),
            "no physical block with written bytes is written again: {chunk:?}"
        );
        chunk
    }

    /// Returns the bytes of zeros to write after a chunk, which is written alone.
    fn prepare(self, prepared: &mut Prepared, chunk: Chunk) -> usize {
        let file = &self.0.parts.file;
        prepared.zeros_after(chunk, file.units(), file.largest_transfer(WRITES))
    }

    async fn write_until_stored(self, chunk: Chunk, mut zeros: usize) -> Result<Address> {
        let parts = self.0.parts;
        let mut backoff = Backoff::for_shortage();
        loop {
            match self.write(chunk, std::mem::take(&mut zeros)).await {
                Ok(()) => {
                    parts.health.transition_to_sound();
                    return Ok(chunk.end);
                }
                Err(error) if error.is_shortage() => {
                    parts.health.transition_to_full(error);
                }
                Err(error) => return Err(error),
            }
            if parts.health.is_closed() {
                return Err(Error::closed_as(parts.geometry.owner));
            }
            backoff.pause(&parts.handle).await;
        }
    }

    async fn write(self, chunk: Chunk, zeros: usize) -> Result<()> {
        let parts = self.0.parts;
        assert!(self.0.is_announced(), "the manifest names a life before its first page");
        let begun = parts.handle.now();
        let sealed = parts.pages.sealed(chunk, parts.file.units(), (parts.file.buffers(), zeros));
        let bytes = sealed.len();
        debug_assert!(chunk.end > parts.pages.marks().flushed.load(), "written once");
        let written = parts.file.strip().write(chunk.start, sealed).await;
        written.map_err(|error| error.with_directory(parts.file.place()))?;
        parts.file.counters().wrote(bytes as u64, parts.handle.now().saturating_sub(begun));
        Ok(())
    }
}

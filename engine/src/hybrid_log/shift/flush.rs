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
use crate::base::wait::in_order::InOrder;
use crate::base::wait::listen;
use crate::hybrid_log::pages::unit::Chunk;
use crate::hybrid_log::parts::LogParts;
use futures::future::{Either, select};
use futures::stream::StreamExt;

/// The limit of writes in flight.
pub(crate) const WRITES: usize = 4;

/// A chunk, and how it is written.
#[derive(Clone, Copy, Debug)]
struct Plan {
    chunk: Chunk,
    /// The bytes of zeros to write after it.
    zeros: usize,
    /// It is made durable at once, if the device can do that.
    is_synced: bool,
}

/// A chunk that was written.
#[derive(Clone, Copy, Debug)]
struct Written {
    end: Address,
    /// Everything below the end is durable.
    is_durable: bool,
    /// There was no space for the zeros after it.
    was_short: bool,
}

/// The driver that flushes a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushDriver<'l>(pub(crate) Flushing<'l>);

impl FlushDriver<'_> {
    /// Writes immutable pages, in order, until the log is closed.
    pub(crate) async fn drive(self) {
        let parts = self.0.parts;
        let mut writes = InOrder::new();
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
                let is_next = writes.is_empty();
                writes.push_back(self.write_until_stored(self.plan(chunk, is_next, &mut prepared)));
            }
            if writes.is_empty() {
                demand.await;
                continue;
            }
            if let Either::Left((Some(written), _)) = select(writes.next(), demand).await {
                match written {
                    Ok(written) => {
                        prepared.note_ended(written.was_short);
                        self.advance_flushed(written);
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

    fn advance_flushed(self, Written { end, is_durable, .. }: Written) {
        let parts = self.0.parts;
        debug_assert!(
            end <= parts.pages.marks().safe_read_only.load(),
            "only immutable bytes are written: {end:?}"
        );
        if is_durable {
            // First: a commit that finds its end flushed looks at this.
            self.0.note_durable(end);
        }
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

    /// Plans the write of a chunk. Everything before is on the device if it is the next one: then a
    /// sync after it covers all of it.
    fn plan(self, chunk: Chunk, is_next: bool, prepared: &mut Prepared) -> Plan {
        let LogParts { file, geometry, .. } = self.0.parts;
        if !is_next || !geometry.prepares {
            return Plan { chunk, zeros: 0, is_synced: false };
        }
        let zeros = prepared.zeros_after(chunk, file.units(), file.largest_transfer(WRITES));
        // With zeros the write is alone, and should not be for the time of a sync.
        let is_synced = zeros == 0 && self.0.is_wanted_durable(chunk.end);
        Plan { chunk, zeros, is_synced }
    }

    async fn write_until_stored(self, mut plan: Plan) -> Result<Written> {
        let parts = self.0.parts;
        let end = plan.chunk.end;
        let (mut backoff, mut was_short) = (Backoff::for_shortage(), false);
        loop {
            match self.write(plan).await {
                Ok(is_durable) => {
                    parts.health.transition_to_sound();
                    return Ok(Written { end, is_durable, was_short });
                }
                Err(error) if error.is_shortage() && plan.zeros > 0 => {
                    // The chunk may have the space that the zeros lack.
                    (plan.zeros, was_short) = (0, true);
                    continue;
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

    /// Writes a chunk. Returns whether it is durable, with everything before.
    async fn write(self, Plan { chunk, zeros, is_synced }: Plan) -> Result<bool> {
        let parts = self.0.parts;
        assert!(self.0.is_announced(), "the manifest names a life before its first page");
        let begun = parts.handle.now();
        let sealed = parts.pages.sealed(chunk, parts.file.units(), (parts.file.buffers(), zeros));
        let bytes = sealed.len();
        debug_assert!(chunk.end > parts.pages.marks().flushed.load(), "written once");
        let strip = parts.file.strip();
        let written = if is_synced {
            strip.write_and_sync(chunk.start, sealed).await
        } else {
            strip.write(chunk.start, sealed).await.map(|()| false)
        };
        let is_durable = written.map_err(|error| error.with_directory(parts.file.place()))?;
        parts.file.counters().wrote(bytes as u64, parts.handle.now().saturating_sub(begun));
        Ok(is_durable)
    }
}

//! The memory of a store follows its governor.

use super::inner::StoreInner;
use crate::base::error::Result;
use crate::base::wait::wait_either;
use crate::config::ByteSize;
use crate::memory::MemoryParts;
use crate::statistics::MemoryBytes;

impl StoreInner {
    /// Moves the limits of the log as the governor divides the memory, until the store is closed.
    pub(crate) async fn drive_memory(&self) {
        let health = self.log.health();
        let (mut applied, mut was_over) = (None, false);
        loop {
            let grown = &self.index.grown;
            let events = [self.governor.changed(), self.log.turned(), grown, health.changed()];
            let next = wait_either(events, || {
                if health.is_closed() {
                    return Some(None);
                }
                self.note_memory();
                self.governor.limit_superseded(|limit| self.superseded.limit_to(limit));
                self.warn_if_over(&mut was_over);
                let shares = self.governor.shares();
                (applied != Some(shares)).then_some(Some(shares))
            });
            let Some(shares) = next.await else {
                return;
            };
            if let Some(read_cache) = &self.read_cache {
                read_cache.set_limit(shares.read_cache);
            }
            self.log.set_buffer_bytes(shares.buffers);
            self.log.want_frames(shares.frames);
            applied = Some(shares);
        }
    }

    /// Returns the division of the memory, without the frames and the buffers.
    pub(in crate::store) fn memory_bytes(&self) -> MemoryBytes {
        self.note_memory();
        let MemoryParts { index, sessions, waits, read_cache, gathered, superseded, budget } =
            self.governor.present();
        let waits = waits + gathered + superseded;
        let (floor, waited) = (self.governor.floor(), self.log.read_waits());
        let (frames, buffers) = (0, 0);
        MemoryBytes { index, frames, buffers, read_cache, sessions, waits, budget, floor, waited }
    }

    /// Reports the memory of parts that do not ask before they grow.
    fn note_memory(&self) {
        self.governor.note_index(self.index.bytes());
        self.governor.note_sessions(self.seat_bytes());
        self.governor.note_waits();
        self.note_read_cache();
    }

    /// Reports the memory of the read cache, which takes it from the frames.
    pub(in crate::store) fn note_read_cache(&self) {
        if let Some(read_cache) = &self.read_cache {
            self.governor.note_read_cache(read_cache.bytes());
        }
    }

    /// Warns once when the parts without the pages leave too little of the budget for pages.
    fn warn_if_over(&self, was_over: &mut bool) {
        let (parts, floor) = (self.governor.present(), self.governor.floor());
        let is_over = floor > parts.budget;
        if is_over && !std::mem::replace(was_over, is_over) {
            let MemoryParts { budget, index, sessions, .. } = parts;
            tracing::warn!(
                target: "kvick::memory", budget, floor, index, sessions,
                "the store takes more than its memory: index or sessions need it; set more memory"
            );
        }
        *was_over = is_over;
    }

    /// Sets the memory of the store, and waits until it takes no more than that.
    pub(crate) async fn set_memory(&self, memory: ByteSize) -> Result<()> {
        self.log.health().check_write()?;
        self.note_memory();
        self.governor.set_budget(memory)?;
        let wanted = || self.governor.shares().frames;
        self.log.wait_for_frames(self.governor.changed(), wanted).await
    }
}

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
        let mut applied = None;
        loop {
            let grown = &self.index.grown;
            let events = [self.governor.changed(), self.log.turned(), grown, health.changed()];
            let next = wait_either(events, || {
                if health.is_closed() {
                    return Some(None);
                }
                self.note_memory();
                let shares = self.governor.shares();
                (applied != Some(shares)).then_some(Some(shares))
            });
            let Some(shares) = next.await else {
                return;
            };
            self.log.set_buffer_bytes(shares.buffers);
            self.log.want_frames(shares.frames);
            applied = Some(shares);
        }
    }

    /// Returns the division of the memory, without the frames and the buffers.
    pub(in crate::store) fn memory_bytes(&self) -> MemoryBytes {
        self.note_memory();
        let MemoryParts { index, sessions, waits, gathered, budget } = self.governor.present();
        let waits = waits + gathered;
        let (floor, waited) = (self.governor.floor(), self.log.read_waits());
        let (frames, buffers) = (0, 0);
        MemoryBytes { index, frames, buffers, sessions, waits, budget, floor, waited }
    }

    /// Reports the memory of parts that do not ask before they grow.
    fn note_memory(&self) {
        self.governor.note_index(self.index.bytes());
        self.governor.note_sessions(self.seat_bytes());
        self.governor.note_waits();
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

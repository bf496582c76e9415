//! Tells the driver of compaction that keys are removed.

use crate::base::wait::Event;
use kvick_io::sync::atomic::{AtomicBool, Ordering};

/// Whether a key was removed since the driver asked. In a store whose driver does not ask, nothing
/// is told.
#[derive(Debug, Default)]
pub(crate) struct RemovalWatch {
    is_wanted: AtomicBool,
    told: Event,
}

impl RemovalWatch {
    /// Asks for the next removal.
    pub(crate) fn want(&self) {
        // Relaxed: a removal that misses it is told by the next one. A look needs many.
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Returns whether a key was removed since the driver asked, or the driver has not asked.
    pub(crate) fn is_told(&self) -> bool {
        !self.is_wanted.load(Ordering::Relaxed)
    }

    /// Returns the event of the first removal since the driver asked.
    pub(crate) fn told(&self) -> &Event {
        &self.told
    }

    /// Notes a removal.
    #[inline(always)]
    pub(in crate::store) fn note(&self) {
        if self.is_wanted.load(Ordering::Relaxed) {
            self.tell();
        }
    }

    #[cold]
    #[inline(never)]
    fn tell(&self) {
        self.is_wanted.store(false, Ordering::Relaxed);
        self.told.notify(usize::MAX);
    }
}

//! The counter that numbers the operations of a seat, and the version in which it last counted.

use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The counter of one seat. The owner of the seat writes it.
#[derive(Debug, Default)]
pub(crate) struct SerialCounter {
    /// The number of operations that may have changed something, which is the serial number of
    /// sessions.
    serial: AtomicU64,
    /// The word of the phase under which the last such operation began.
    phase: AtomicU64,
}

impl SerialCounter {
    /// Numbers an operation, in the stretch in which it takes effect.
    #[inline(always)]
    pub(crate) fn advance(&self) {
        // Relaxed: read during a version barrier (`Cut`), after the owner has left protection.
        self.serial.store(self.serial.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Returns the last noted word of the phase. It is 0 at first, which is no phase.
    #[inline(always)]
    pub(crate) fn phase(&self) -> u64 {
        self.phase.load(Ordering::Relaxed)
    }

    pub(crate) fn note_phase(&self, word: u64) {
        // Relaxed: only the owner of the seat reads it.
        self.phase.store(word, Ordering::Relaxed);
    }

    pub(crate) fn set_serial(&self, serial: u64) {
        self.serial.store(serial, Ordering::Relaxed);
    }
}

//! The word in front of a value that is longer than a machine word.
//!
//! ```text
//!   63       62     61..............32   31............0
//! +--------+--------+------------------+----------------+
//! | locked | sealed |     sequence     |  value length  |
//! +--------+--------+------------------+----------------+
//! ```
//!
//! It is a seqlock. A writer takes `locked`, changes the bytes, and releases the word with the next
//! sequence. A reader copies the bytes and accepts the copy only if the word did not change
//! meanwhile. Readers write nothing. A writer sets `sealed` before it links a copy of the value in
//! a newer record. From then on the bytes are final: readers continue, and writers start over from
//! the index. The writer sets the seal, and removes it if the copy could not be linked, within one
//! synchronous stretch.
//!
//! The sequence restarts after 2^30 changes. A changed value passes for unchanged only if a
//! multiple of 2^30 changes were made in between, and the last left the same length. That takes a
//! minute of nothing else on one key, and then one chance in 2^30.
//!
//! Source of the seqlock's fences: Boehm, "Can seqlocks get along with programming language memory
//! models?", MSPC 2012.

use kvick_io::sync::atomic::{AtomicU64, Ordering, fence};
use std::fmt;

const LOCKED: u64 = 1 << 63;
const SEALED: u64 = 1 << 62;
const SEQUENCE_ONE: u64 = 1 << 32;
const SEQUENCE_MASK: u64 = (SEALED - 1) & !(SEQUENCE_ONE - 1);
const LENGTH_MASK: u64 = SEQUENCE_ONE - 1;

const _: () = assert!(LOCKED | SEALED | SEQUENCE_MASK | LENGTH_MASK == u64::MAX);

/// An observed state of a value, neither locked nor torn.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct ValueState(u64);

/// A writer is changing the value, has sealed it, or changed it since it was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Contended;

impl ValueState {
    #[inline]
    pub(crate) fn new(length: usize) -> Self {
        let length = u32::try_from(length).expect("a value in a record is shorter than a page");
        Self(u64::from(length))
    }

    #[inline]
    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw & !LOCKED)
    }

    #[inline]
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn length(self) -> usize {
        (self.0 & LENGTH_MASK) as usize
    }

    #[inline]
    pub(crate) fn is_sealed(self) -> bool {
        self.0 & SEALED != 0
    }

    /// Begins an optimistic read. Acquire: pairs with the Release of `unlock`.
    #[inline]
    pub(crate) fn observe(word: &AtomicU64) -> Result<Self, Contended> {
        let raw = word.load(Ordering::Acquire);
        if raw & LOCKED == 0 { Ok(Self(raw)) } else { Err(Contended) }
    }

    /// Ends an optimistic read. Returns whether the bytes copied since `observe` belong together.
    #[inline]
    pub(crate) fn is_unchanged(self, word: &AtomicU64) -> bool {
        // Pairs with the Release fence of `transition_to_locked`. If a copied word came from a
        // later writer, the load below sees the lock of that writer, or its release.
        fence(Ordering::Acquire);
        word.load(Ordering::Relaxed) & !SEALED == self.0 & !SEALED
    }

    /// Locks the value for writing, if it is still as observed.
    #[inline]
    pub(crate) fn transition_to_locked(self, word: &AtomicU64) -> Result<(), Contended> {
        if self.is_sealed() {
            return Err(Contended);
        }
        // Acquire: pairs with the Release of `unlock`, so a writer starts from the last bytes.
        word.compare_exchange(self.0, self.0 | LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| Contended)?;
        // Pairs with the Acquire fence of `is_unchanged`.
        fence(Ordering::Release);
        Ok(())
    }

    /// Unlocks the value with its new length. Only the holder of the lock calls this.
    #[inline]
    pub(crate) fn unlock(self, word: &AtomicU64, length: usize) {
        debug_assert_eq!(word.load(Ordering::Relaxed), self.0 | LOCKED, "{self:?}");
        let sequence = (self.0 + SEQUENCE_ONE) & SEQUENCE_MASK;
        // Release: pairs with the Acquire of `observe` and of `transition_to_locked`.
        word.store(sequence | Self::new(length).0, Ordering::Release);
    }

    /// Makes the observed bytes final, because a copy of them is about to be linked.
    pub(crate) fn transition_to_sealed(self, word: &AtomicU64) -> Result<(), Contended> {
        if self.is_sealed() {
            return Err(Contended);
        }
        // Acquire: pairs with the Release of `unlock`; the copy has the last bytes.
        word.compare_exchange(self.0, self.0 | SEALED, Ordering::Acquire, Ordering::Relaxed)
            .map(drop)
            .map_err(|_| Contended)
    }

    /// Removes the seal, since the copy lost its race. Only the writer that sealed the value calls
    /// this.
    pub(crate) fn unseal(self, word: &AtomicU64) {
        debug_assert_eq!(word.load(Ordering::Relaxed), self.0 | SEALED, "{self:?}");
        // Release: pairs with the Acquire of the next `observe`; nothing was changed.
        word.store(self.0, Ordering::Release);
    }
}

impl fmt::Debug for ValueState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ValueState")
            .field("length", &self.length())
            .field("sequence", &((self.0 & SEQUENCE_MASK) / SEQUENCE_ONE))
            .field("sealed", &self.is_sealed())
            .finish()
    }
}

#[cfg(test)]
#[path = "value_state_tests.rs"]
mod tests;

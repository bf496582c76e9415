//! Lets into the cache what is asked for twice.
//!
//! Where all keys are read alike, or by a scan, most results are never asked for again. Keeping
//! them would cost an allocation and a displaced result each, and memory that pages could use. So
//! the first read of a place leaves only a mark, in a slot that the hash of the place chooses; a
//! second one finds it, unless another place has taken the slot meanwhile. TinyLFU calls such a
//! filter its doorkeeper (Einziger, Friedman, Manes: "TinyLFU", 2017).

use kvick_io::sync::atomic::{AtomicU16, Ordering};
use std::sync::OnceLock;

/// The marks of places that were asked for lately.
#[derive(Debug)]
pub(super) struct Admission {
    slots: usize,
    /// They take memory at the first read of the device.
    marks: OnceLock<Box<[AtomicU16]>>,
}

impl Admission {
    /// Remembers about `places` places.
    pub(super) fn new(places: usize) -> Self {
        Self { slots: places.next_power_of_two(), marks: OnceLock::new() }
    }

    /// Marks the place with this hash. Returns whether it was marked.
    pub(super) fn admits(&self, hash: u64) -> bool {
        let new = || (0..self.slots).map(|_| AtomicU16::new(0)).collect();
        let marks = self.marks.get_or_init(new);
        // The low bits choose the slot, and the high ones are the mark, which is never 0.
        let slot = usize::try_from(hash & (self.slots as u64 - 1)).expect("slots are in memory");
        let mark = u16::try_from(hash >> 48).expect("16 bits") | 1;
        // Relaxed: a hint. A lost mark is a later admission.
        marks[slot].swap(mark, Ordering::Relaxed) == mark
    }

    /// Returns the bytes of the marks, or 0 before the first one.
    pub(super) fn bytes(&self) -> u64 {
        if self.marks.get().is_some() { self.reserved() } else { 0 }
    }

    /// Returns the bytes that the marks take at last.
    pub(super) fn reserved(&self) -> u64 {
        (self.slots * size_of::<AtomicU16>()) as u64
    }
}

//! Lets into the cache what is asked for twice.
//!
//! Where all keys are read alike, or by a scan, most results are never asked for again. Keeping
//! them would cost an allocation and a displaced result each, and memory that pages could use. So
//! the first read of a place leaves only a mark, and a second one finds it, unless four other
//! places have left theirs in the same word meanwhile. TinyLFU calls such a filter its doorkeeper
//! (Einziger, Friedman, Manes: "TinyLFU", 2017).
//!
//! ```text
//!  63        48 47        32 31        16 15         0
//! +------------+------------+------------+------------+
//! |   oldest   |            |            |   newest   |    a mark is 16 bits of a hash, not 0
//! +------------+------------+------------+------------+
//! ```

use crate::base::memory::WordMemory;
use kvick_io::sync::atomic::Ordering;
use std::sync::OnceLock;

/// The marks of places that were asked for lately.
#[derive(Debug)]
pub(super) struct Admission {
    /// The number of words with marks, a power of two.
    words: u64,
    /// They are reserved at the first read of the device, and take memory as they are written.
    /// `None` if the system refuses the memory: then all results are admitted.
    marks: OnceLock<Option<WordMemory>>,
}

/// The bits of a mark.
const MARK_BITS: u32 = 16;
const MARKS_OF_WORD: u64 = (u64::BITS / MARK_BITS) as u64;

impl Admission {
    /// Remembers this many places, or up to twice as many.
    pub(super) fn new(places: u64) -> Self {
        let words = places.div_ceil(MARKS_OF_WORD).next_power_of_two();
        Self { words, marks: OnceLock::new() }
    }

    /// Marks the place with this hash. Returns whether it was marked.
    pub(super) fn admits(&self, hash: u64) -> bool {
        let words = || usize::try_from(self.words).expect("marks are in memory");
        let marks = self.marks.get_or_init(|| WordMemory::zeroed(words(), false).ok());
        let Some(marks) = marks else {
            return true;
        };
        // The low bits choose the word, and the high ones are the mark.
        let word = &marks[usize::try_from(hash & (self.words - 1)).expect("it is in memory")];
        let mark = hash >> (u64::BITS - MARK_BITS) | 1;
        // Relaxed: hints. A mark that is lost between the load and the store is a later admission.
        let found = word.load(Ordering::Relaxed);
        let is_marked = (0..MARKS_OF_WORD).any(|place| {
            let shift = u32::try_from(place).expect("few") * MARK_BITS;
            found >> shift & ((1 << MARK_BITS) - 1) == mark
        });
        if !is_marked {
            word.store(found << MARK_BITS | mark, Ordering::Relaxed);
        }
        is_marked
    }

    /// Returns the bytes of the marks, or 0 before the first one.
    pub(super) fn bytes(&self) -> u64 {
        if matches!(self.marks.get(), Some(Some(_))) { self.reserved() } else { 0 }
    }

    /// Returns the bytes that the marks take at last.
    pub(super) fn reserved(&self) -> u64 {
        self.words * u64::from(u64::BITS / u8::BITS)
    }
}

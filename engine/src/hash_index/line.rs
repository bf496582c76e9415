//! One cache line of the index: entries, and in most lines a link to an overflow line.

use super::entry::HashBucketEntry;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The words of a line.
pub(super) const LINE_WORDS: usize = 8;
/// The position of the link, in lines that have one.
const LINK: usize = LINE_WORDS - 1;

/// A borrowed line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'i> {
    words: &'i [AtomicU64; LINE_WORDS],
    has_link: bool,
}

impl<'i> Line<'i> {
    #[inline(always)]
    pub(super) fn new(words: &'i [AtomicU64; LINE_WORDS], has_link: bool) -> Self {
        Self { words, has_link }
    }

    pub(super) fn has_link(self) -> bool {
        self.has_link
    }

    /// Returns the words that hold entries.
    #[inline(always)]
    pub(super) fn entries(self) -> &'i [AtomicU64] {
        &self.words[..LINE_WORDS - usize::from(self.has_link)]
    }

    #[inline(always)]
    pub(super) fn first_word(self) -> &'i AtomicU64 {
        &self.words[0]
    }

    /// Returns the complete entry of `tag`, if this line holds it.
    ///
    /// The matching slot cannot be predicted, so there is no branch per slot. XOR with the pattern
    /// leaves the bare address of the matching entry, the smallest number in the line. Other tags,
    /// free slots, tentative entries and a link leave a number above all addresses.
    #[inline(always)]
    pub(super) fn find(self, tag: u32) -> Option<HashBucketEntry> {
        let wanted = HashBucketEntry::pattern_of(tag);
        let smallest = self.words.iter().fold(u64::MAX, |smallest, word| {
            // Acquire: pairs with the Release of the CAS that linked the record.
            smallest.min(word.load(Ordering::Acquire) ^ wanted.raw())
        });
        wanted.matched(smallest)
    }

    /// Returns the slot that holds `entry`, unless it has changed.
    #[inline]
    pub(super) fn slot_of(self, entry: HashBucketEntry) -> Option<&'i AtomicU64> {
        // Relaxed: the task that changes the slot checks the word again.
        self.entries().iter().find(|word| word.load(Ordering::Relaxed) == entry.raw())
    }

    /// Returns the number of the next line, counted from 1, or 0 if there is none.
    #[inline(always)]
    pub(super) fn link(self) -> u64 {
        // Acquire: pairs with the Release of `try_link`, which follows the zeroing of the line.
        if self.has_link { self.words[LINK].load(Ordering::Acquire) } else { 0 }
    }

    /// Appends an overflow line. Fails with the number of the linked line if another task was
    /// faster.
    pub(super) fn try_link(self, number: u64) -> Result<(), u64> {
        assert!(self.has_link && number != 0);
        // AcqRel on success, Acquire on failure: pairs with `link`.
        self.words[LINK].compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

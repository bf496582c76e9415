//! One cache line of the index: entries, and in most lines a link to an overflow line.
//!
//! The last word of a line with a link:
//!
//! ```text
//!     63     62   61.............40   39.......................0
//! +--------+---+--------------------+---------------------------+
//! | frozen | 0 |  version           |  number of the next line  |
//! +--------+---+--------------------+---------------------------+
//! ```
//!
//! The link of a bucket counts the steps that changed the places of its entries: its *version*. It
//! is frozen while a step works on the bucket. The links of overflow lines have version 0; they are
//! frozen permanently when the line is taken out of its bucket. Bit 62 tells a link from an entry.

mod search;

use super::entry::{HashBucketEntry, Tag};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
pub(super) use search::LINE_WORDS;

/// The position of the link, in lines that have one.
const LINK: usize = LINE_WORDS - 1;

const FROZEN: u64 = 1 << 63;
const NUMBER_BITS: u32 = 40;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;
const VERSIONS: u64 = 1 << 22;

/// A decoded link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Link(u64);

impl Link {
    /// Returns the link of a bucket after step number `step`, to line `number` or, with 0, to none.
    pub(super) fn new(step: u64, number: u64) -> Self {
        debug_assert!(number <= NUMBER, "line {number}");
        Self((step % VERSIONS) << NUMBER_BITS | number)
    }

    /// Returns the number of the next line, counted from 1, or 0 if there is none.
    #[inline(always)]
    pub(super) fn number(self) -> u64 {
        self.0 & NUMBER
    }

    pub(super) fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    /// Returns whether no step has changed the places of entries between two loads.
    pub(super) fn is_same_version(self, other: Self) -> bool {
        (self.0 ^ other.0) & !NUMBER == 0
    }

    fn frozen(self) -> Self {
        Self(self.0 | FROZEN)
    }

    fn with_number(self, number: u64) -> Self {
        debug_assert_eq!(self.number(), 0, "a line is linked once");
        Self(self.0 | number)
    }
}

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
    #[inline(always)]
    pub(super) fn find(self, tag: Tag) -> Option<HashBucketEntry> {
        search::find(self.words, tag)
    }

    /// Returns the entry of `tag` even while it is frozen, as it was before.
    pub(super) fn find_frozen(self, tag: Tag) -> Option<HashBucketEntry> {
        let entries = self.entries().iter();
        // Acquire: as in `find`.
        let mut entries =
            entries.map(|word| HashBucketEntry::from_raw(word.load(Ordering::Acquire)));
        let found = entries.find(|entry| {
            // An entry leads to a record, or is not held. A held one without is tentative, or a
            // task holds it that will link its first record.
            entry.tag() == tag && (entry.leads_to_a_record() || !entry.is_held())
        })?;
        Some(if found.leads_to_a_record() { found.thawed() } else { found })
    }

    /// Returns the slot that holds `entry`, unless it has changed.
    #[inline]
    pub(super) fn slot_of(self, entry: HashBucketEntry) -> Option<&'i AtomicU64> {
        // Relaxed: the task that changes the slot checks the word again.
        self.entries().iter().find(|word| word.load(Ordering::Relaxed) == entry.raw())
    }

    /// Loads the link to the next line. A line without a link has none.
    #[inline(always)]
    pub(super) fn link(self) -> Link {
        // Acquire: pairs with the Release of `try_link`, which follows the zeroing of the line, and
        // with the Release of `transition_to_linked`, which follows the moves of a step.
        Link(if self.has_link { self.words[LINK].load(Ordering::Acquire) } else { 0 })
    }

    /// Appends an overflow line. Fails if the link is not `seen`, a link to none, any more.
    pub(super) fn try_link(self, seen: Link, number: u64) -> bool {
        assert!(self.has_link && number != 0 && !seen.is_frozen());
        let linked = seen.with_number(number);
        // AcqRel on success: pairs with `link`. Relaxed on failure: the caller starts again.
        let swap = self.words[LINK].compare_exchange(
            seen.0,
            linked.0,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        swap.is_ok()
    }

    /// Freezes the link, so that no task appends a line. Returns it as it was.
    pub(super) fn transition_to_frozen_link(self) -> Link {
        debug_assert!(self.has_link, "line 0 has no link");
        // AcqRel: the Acquire half pairs with `try_link`; a task that sees the frozen link sees
        // nothing of the step.
        Link(self.words[LINK].fetch_or(FROZEN, Ordering::AcqRel))
    }

    /// Sets the link of a line that no other task changes. It stays frozen.
    pub(super) fn transition_to_frozen(self, link: Link) {
        debug_assert!(self.has_link && !link.is_frozen());
        // Release: pairs with `link`.
        self.words[LINK].store(link.frozen().0, Ordering::Release);
    }

    /// Thaws the link, after the slots of the line.
    pub(super) fn transition_to_thawed(self) {
        let link = self.link();
        debug_assert!(self.has_link && link.is_frozen(), "{link:?}");
        // Release: pairs with `link`.
        self.words[LINK].store(link.0 & !FROZEN, Ordering::Release);
    }

    /// Clears the link of a bucket beyond the extent.
    pub(super) fn transition_to_cleared(self) {
        debug_assert!(self.has_link && self.link().is_frozen());
        // Release: pairs with `link`.
        self.words[LINK].store(0, Ordering::Release);
    }
}

//! One word of the index.
//!
//! ```text
//!     63        62      61..........45   44...............................0
//! +--------+----------+---------------+------------------------------------+
//! |  held  | occupied |      tag      |  newest record, in address units   |
//! +--------+----------+---------------+------------------------------------+
//! ```
//!
//! | held | occupied | address | state |
//! |---|---|---|---|
//! | 0 | 0 | 0 | *free*: any creator may claim the slot |
//! | 1 | 1 | `UNSET` | *tentative*: a creator holds the slot; searches skip it |
//! | 0 | 1 | `UNSET` | *complete*, but its record does not exist yet |
//! | 0 | 1 | a record | *complete* |
//! | 1 | 1 | a record | *frozen* for a step, or for a task that holds it; only searches see it |
//! | 1 | 1 | `NONE` | complete, without a record, and a task holds it; searches skip it |
//! | 1 | 0 | 0 | *closed*: a frozen free slot |
//!
//! The tag is 17 bits of the hash that stay the same at every size of the index.

use crate::base::address::{ADDRESS_UNIT_BITS, Address};
use crate::config::index_sizes::TAG_BITS;
use std::fmt;

const HELD: u64 = 1 << 63;
const OCCUPIED: u64 = 1 << 62;
const TAG: u64 = ((1 << TAG_BITS) - 1) << ADDRESS_UNIT_BITS;
const UNITS: u64 = (1 << ADDRESS_UNIT_BITS) - 1;

const _: () = assert!(HELD ^ OCCUPIED ^ TAG ^ UNITS == u64::MAX, "each bit has one meaning");

/// A decoded index word.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct HashBucketEntry(u64);

/// The tag of a hash: the bits above the address in a complete entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Tag(u32);

const OCCUPIED_TAG: u32 = (OCCUPIED >> ADDRESS_UNIT_BITS) as u32;
const TAG_MASK: u32 = (1 << TAG_BITS) - 1;

impl Tag {
    /// Returns the tag that begins at bit `first` of a hash.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a tag has fewer bits")]
    pub(super) fn of(hash: u64, first: u32) -> Self {
        debug_assert!(first <= ADDRESS_UNIT_BITS, "the first bit of tags is {first}");
        Self((hash >> first) as u32 & TAG_MASK | OCCUPIED_TAG)
    }

    /// Returns the line of a bucket that is searched first: 0 or 1.
    #[inline(always)]
    pub(super) fn line(self) -> usize {
        (self.0 >> (TAG_BITS - 1) & 1) as usize
    }

    /// Returns the bits in their place in a word. XOR with them leaves the bare address of an entry
    /// of this tag.
    #[inline(always)]
    pub(super) fn pattern(self) -> u64 {
        u64::from(self.0) << ADDRESS_UNIT_BITS
    }

    /// The number of bits in the upper half of a word that belong to the address.
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    pub(super) const SHIFT_IN_UPPER_HALF: u32 = ADDRESS_UNIT_BITS - u32::BITS;

    /// Returns the bits of a complete entry above the address.
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    #[inline(always)]
    pub(super) fn upper_bits(self) -> u32 {
        self.0
    }

    /// Returns whether `word` is the complete entry of this tag.
    #[inline(always)]
    pub(super) fn is_of(self, word: u64) -> bool {
        word >> ADDRESS_UNIT_BITS == u64::from(self.0)
    }
}

impl HashBucketEntry {
    pub(super) const FREE: Self = Self(0);
    pub(super) const CLOSED: Self = Self(HELD);

    #[inline(always)]
    pub(super) fn new(tag: Tag, address: Address) -> Self {
        debug_assert!(address.units() <= UNITS, "the tail of a store ends before");
        debug_assert!(address != Address::NONE, "a used entry leads somewhere");
        Self(tag.pattern() | address.units())
    }

    /// Returns the tentative entry of a tag.
    pub(super) fn tentative(tag: Tag) -> Self {
        Self(HELD | Self::new(tag, Address::UNSET).0)
    }

    #[inline(always)]
    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn address(self) -> Address {
        Address::from_units(self.0 & UNITS)
    }

    #[inline(always)]
    pub(super) fn is_free(self) -> bool {
        self.0 == 0
    }

    /// Returns whether the slot is tentative, frozen, closed, or held by a task.
    pub(super) fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// Returns whether a creator has claimed the slot, and has not ended its claim.
    pub(super) fn is_tentative(self) -> bool {
        self.is_held() && self.0 & OCCUPIED != 0 && self.address() == Address::UNSET
    }

    /// Returns whether the entry leads to a record, frozen or not.
    pub(super) fn leads_to_a_record(self) -> bool {
        self.0 & OCCUPIED != 0 && self.address() > Address::UNSET
    }

    /// Returns the word of this slot while a step moves the entries of its bucket. An entry without
    /// a record is lost by that; its creator starts again. A tentative one is not frozen.
    #[must_use]
    pub(super) fn frozen(self) -> Self {
        debug_assert!(!self.is_tentative(), "the step waits for its creator");
        if self.leads_to_a_record() { Self(self.0 | HELD) } else { Self::CLOSED }
    }

    /// Returns the word of a complete entry while a task holds it. It is never a tentative word,
    /// which its creator alone may end.
    #[must_use]
    pub(super) fn held(self) -> Self {
        debug_assert!(self.0 & OCCUPIED != 0 && !self.is_held(), "{self:?}");
        let word = if self.leads_to_a_record() { self.0 } else { self.tag().pattern() };
        Self(HELD | word)
    }

    /// Returns whether a task holds the entry, which leads to no record yet.
    pub(super) fn is_held_for_a_record(self) -> bool {
        self.0 & OCCUPIED != 0 && self == Self(HELD | self.tag().pattern())
    }

    /// Returns the slot as it was before it was frozen.
    #[must_use]
    pub(super) fn thawed(self) -> Self {
        debug_assert!(self == Self::CLOSED || self.leads_to_a_record(), "{self:?}");
        Self(self.0 & !HELD)
    }

    /// Returns the tag of an occupied slot.
    #[inline(always)]
    pub(super) fn tag(self) -> Tag {
        Tag(((self.0 & (OCCUPIED | TAG)) >> ADDRESS_UNIT_BITS) as u32)
    }

    /// Returns the bits of the tag as a number.
    pub(super) fn tag_bits(self) -> u64 {
        (self.0 & TAG) >> ADDRESS_UNIT_BITS
    }
}

impl fmt::Debug for HashBucketEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FREE => formatter.write_str("Free"),
            Self::CLOSED => formatter.write_str("Closed"),
            entry => formatter
                .debug_struct("HashBucketEntry")
                .field("tag", &entry.tag_bits())
                .field("address", &entry.address())
                .field("held", &entry.is_held())
                .finish(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn entry(tag: u64, address: u64) -> HashBucketEntry {
        HashBucketEntry::new(Tag::of(tag, 0), Address::new(address))
    }

    #[test]
    fn parts_come_back() {
        let last = Address::from_units(UNITS);
        let widest = entry(0x1_ffff, last.raw());
        assert_eq!((widest.address(), widest.tag_bits()), (last, 0x1_ffff));
        assert_eq!(widest.tag(), Tag::of(u64::MAX, 7));
        assert!(!widest.is_held() && widest.frozen().is_held());
        assert_eq!(widest.frozen().thawed(), widest);
        assert!(HashBucketEntry::FREE.is_free() && !HashBucketEntry::CLOSED.is_free());
    }

    #[test]
    fn the_tag_is_the_bits_from_the_first_on() {
        let hash = 0x1234_5678_9abc_def0;
        for first in [0, 1, 7, 37] {
            let tag = Tag::of(hash, first);
            assert_eq!(
                HashBucketEntry::new(tag, Address::FIRST).tag_bits(),
                hash >> first & 0x1_ffff
            );
            assert_eq!(tag.line() as u64, hash >> (first + 16) & 1);
        }
    }

    #[test]
    fn a_pattern_matches_its_tag_alone() {
        let found = |word: HashBucketEntry, tag| Tag::of(tag, 0).is_of(word.raw()).then_some(word);
        let entry = entry(7, 64);
        assert_eq!(found(entry, 7), Some(entry));
        assert_eq!(found(entry, 6), None);
        for other in [HashBucketEntry::FREE, HashBucketEntry::CLOSED, entry.frozen()] {
            assert_eq!(found(other, 7), None);
            assert_eq!(found(other, 0), None);
        }
        assert_eq!(found(HashBucketEntry::tentative(Tag::of(7, 0)), 7), None);
    }

    #[test]
    fn freezing_keeps_records_only() {
        assert_eq!(entry(7, 8).frozen(), HashBucketEntry::CLOSED);
        assert_eq!(HashBucketEntry::FREE.frozen(), HashBucketEntry::CLOSED);
        assert!(entry(7, 64).frozen().leads_to_a_record());
    }

    #[test]
    fn a_held_word_has_its_tag_and_is_not_tentative() {
        let tag = Tag::of(7, 0);
        let (used, new) = (entry(7, 64).held(), entry(7, 8).held());
        assert_eq!((used.tag(), new.tag()), (tag, tag));
        assert!(used.is_held() && new.is_held());
        assert_eq!(used.thawed(), entry(7, 64));
        assert!(!new.leads_to_a_record() && !new.is_free());
        assert!(new.is_held_for_a_record() && !new.is_tentative());
        assert!(!used.is_held_for_a_record() && !entry(7, 8).is_held_for_a_record());
        assert_ne!(new, HashBucketEntry::tentative(tag));
        assert_ne!(entry(0, 8).held(), HashBucketEntry::CLOSED);
    }
}

//! One word of the index.
//!
//! ```text
//!      63         62      61..........45   44...............................0
//! +-----------+----------+---------------+------------------------------------+
//! | tentative | occupied |      tag      |  newest record, in address units   |
//! +-----------+----------+---------------+------------------------------------+
//! ```
//!
//! Zero is a free slot. Only its creator and other creators see a tentative entry.

use crate::base::address::{ADDRESS_UNIT_BITS, Address};
use crate::base::hash::TAG_BITS;
use std::fmt;

const TENTATIVE: u64 = 1 << 63;
const OCCUPIED: u64 = 1 << 62;
const TAG: u64 = ((1 << TAG_BITS) - 1) << ADDRESS_UNIT_BITS;
const UNITS: u64 = (1 << ADDRESS_UNIT_BITS) - 1;

const _: () = assert!(TENTATIVE ^ OCCUPIED ^ TAG ^ UNITS == u64::MAX, "each bit has one meaning");

/// A decoded index word.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct HashBucketEntry(u64);

impl HashBucketEntry {
    pub(crate) const FREE: Self = Self(0);

    #[inline(always)]
    pub(crate) fn new(tag: u32, address: Address) -> Self {
        debug_assert!(address.units() <= UNITS, "the tail of a store ends before");
        Self::pattern_of(tag).with(address)
    }

    /// Returns the word that is XORed with each word of a line, to find the entry of a tag. It
    /// leaves the bare address of that entry.
    #[inline(always)]
    pub(crate) fn pattern_of(tag: u32) -> Self {
        debug_assert!(tag >> TAG_BITS == 0, "tag {tag:#x}");
        Self(OCCUPIED | u64::from(tag) << ADDRESS_UNIT_BITS)
    }

    /// Returns the entry of this pattern with an address.
    #[inline(always)]
    fn with(self, address: Address) -> Self {
        debug_assert!(self.0 & UNITS == 0, "a pattern has no address");
        Self(self.0 | address.units())
    }

    /// Returns the entry of this pattern, if `difference` is the XOR of both.
    #[inline(always)]
    pub(crate) fn matched(self, difference: u64) -> Option<Self> {
        (difference <= UNITS).then_some(Self(self.0 | difference))
    }

    #[must_use]
    pub(crate) fn with_tentative(self) -> Self {
        Self(self.0 | TENTATIVE)
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
    pub(crate) fn is_free(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn is_tentative(self) -> bool {
        self.0 & TENTATIVE != 0
    }

    #[inline(always)]
    pub(crate) fn tag(self) -> u64 {
        (self.0 & TAG) >> ADDRESS_UNIT_BITS
    }
}

impl fmt::Debug for HashBucketEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_free() {
            return formatter.write_str("Free");
        }
        formatter
            .debug_struct("HashBucketEntry")
            .field("tag", &self.tag())
            .field("address", &self.address())
            .field("tentative", &self.is_tentative())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let last = Address::from_units(UNITS);
        let widest = HashBucketEntry::new(0x1_ffff, last);
        assert_eq!(widest.address(), last);
        assert_eq!(widest.tag(), 0x1_ffff);
        assert!(!widest.is_tentative() && widest.with_tentative().is_tentative());
        assert_eq!(widest.with_tentative().tag(), 0x1_ffff);
        assert!(HashBucketEntry::FREE.is_free());
    }

    #[test]
    fn a_pattern_matches_its_tag_alone() {
        let entry = HashBucketEntry::new(7, Address::FIRST);
        let of = |tag| HashBucketEntry::pattern_of(tag);
        let matched = |tag| of(tag).matched(entry.raw() ^ of(tag).raw());
        assert_eq!(matched(7), Some(entry));
        assert_eq!(matched(6), None);
        assert_eq!(of(0).matched(of(0).raw()), None, "a free slot has no tag");
        let tentative = entry.with_tentative().raw();
        assert_eq!(of(7).matched(tentative ^ of(7).raw()), None);
    }
}

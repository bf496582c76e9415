//! One word of the index.
//!
//! ```text
//!      63       62..........48   47...............................0
//! +-----------+---------------+------------------------------------+
//! | tentative |      tag      |  address of the newest record      |
//! +-----------+---------------+------------------------------------+
//! ```
//!
//! Zero is a free slot; a used slot never has tag 0. Only its creator and other creators see a
//! tentative entry.

use crate::base::address::{ADDRESS_BITS, ADDRESS_MASK, Address};
use std::fmt;

const TENTATIVE: u64 = 1 << 63;
/// The bits of a tag.
pub(crate) const TAG_BITS: u32 = 15;

const _: () = assert!(ADDRESS_BITS + TAG_BITS == 63);

/// A decoded index word.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct HashBucketEntry(u64);

impl HashBucketEntry {
    pub(crate) const FREE: Self = Self(0);

    #[inline(always)]
    pub(crate) fn new(tag: u16, address: Address) -> Self {
        debug_assert!(tag >> TAG_BITS == 0 && address.raw() <= ADDRESS_MASK);
        debug_assert!(address != Address::NONE, "a used entry is not zero");
        Self(u64::from(tag) << ADDRESS_BITS | address.raw())
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
        Address::new(self.0 & ADDRESS_MASK)
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
        (self.0 & !TENTATIVE) >> ADDRESS_BITS
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
        let widest = HashBucketEntry::new(0x7fff, Address::new(ADDRESS_MASK));
        assert_eq!(widest.address(), Address::new(ADDRESS_MASK));
        assert_eq!(widest.tag(), 0x7fff);
        assert!(!widest.is_tentative() && widest.with_tentative().is_tentative());
        assert_eq!(widest.with_tentative().tag(), 0x7fff);
        assert!(HashBucketEntry::FREE.is_free());
    }
}

//! Logical addresses: byte positions in one log that only ever grow.
//!
//! ```text
//!  63      62 61                      page_bits                     0
//! +----------+------------------------+-----------------------------+
//! |  unused  |          page          |           offset            |
//! +----------+------------------------+-----------------------------+
//! ```
//!
//! The order of two addresses of one log is the order of their allocation. The log of a store has
//! addresses of 48 bits, since record headers and index entries have room for no more. The tail
//! enforces this (`hybrid_log/end.rs`). Records begin at multiples of 8, so these words hold an
//! address in *address units* of 8 bytes, in 45 bits. `NONE` ends a chain, and `UNSET` marks an
//! index entry that has no record yet. The first record of a log is at `FIRST`.

mod public;

pub use public::Address as PublicAddress;

use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::fmt;

/// Bits of an address of a store.
pub(crate) const ADDRESS_BITS: u32 = 48;
/// Selects the bits of an address in a packed word.
pub(crate) const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
/// Bits of an address in address units, in record headers and index entries.
pub(crate) const ADDRESS_UNIT_BITS: u32 = ADDRESS_BITS - UNIT_SHIFT;
/// Records begin at multiples of this power of two.
const UNIT_SHIFT: u32 = 3;
/// The highest address. The sum of two addresses does not overflow.
pub(crate) const ADDRESS_MAX: u64 = (1 << 62) - 1;

/// A position in the log, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct Address(u64);

impl Address {
    /// There is no record: the chain ends.
    pub(crate) const NONE: Self = Self(0);
    /// An index entry whose record does not exist yet.
    pub(crate) const UNSET: Self = Self(8);
    /// The address of the first record of a log.
    pub(crate) const FIRST: Self = Self(64);

    #[inline]
    pub(crate) const fn new(raw: u64) -> Self {
        debug_assert!(raw <= ADDRESS_MAX, "an address has 62 bits");
        Self(raw)
    }

    #[inline]
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    /// Returns the address in address units. It must be a multiple of 8.
    #[inline(always)]
    pub(crate) const fn units(self) -> u64 {
        debug_assert!(self.0.trailing_zeros() >= UNIT_SHIFT, "records begin at multiples of 8");
        self.0 >> UNIT_SHIFT
    }

    #[inline(always)]
    pub(crate) const fn from_units(units: u64) -> Self {
        Self::new(units << UNIT_SHIFT)
    }

    #[inline]
    pub(crate) const fn at(page: u64, offset: u64, page_bits: u32) -> Self {
        Self::new((page << page_bits) + offset)
    }

    #[inline]
    pub(crate) const fn page(self, page_bits: u32) -> u64 {
        self.0 >> page_bits
    }

    #[inline]
    pub(crate) const fn offset(self, page_bits: u32) -> u64 {
        self.0 & ((1 << page_bits) - 1)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({:#x})", self.0)
    }
}

/// A watermark: an address that many tasks read and that only moves up.
#[derive(Debug)]
pub(crate) struct Watermark(AtomicU64);

impl Watermark {
    pub(crate) fn new(address: Address) -> Self {
        Self(AtomicU64::new(address.raw()))
    }

    /// Loads the address.
    ///
    /// Acquire: pairs with the Release of `raise`. So a reader that sees a moved watermark also
    /// sees the work that was done before the move.
    #[inline]
    pub(crate) fn load(&self) -> Address {
        Address(self.0.load(Ordering::Acquire))
    }

    /// Moves up to `address` and returns whether it moved.
    pub(crate) fn raise(&self, address: Address) -> bool {
        // AcqRel: the Release half pairs with `load`; the Acquire half orders racing raisers.
        self.0.fetch_max(address.raw(), Ordering::AcqRel) < address.raw()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn page_and_offset_come_back() {
        let address = Address::at(5, 72, 12);
        assert_eq!(address.page(12), 5);
        assert_eq!(address.offset(12), 72);
        assert!(address > Address::at(4, 4000, 12));
    }

    #[test]
    fn units_come_back() {
        for address in [Address::NONE, Address::UNSET, Address::FIRST, Address::new(72)] {
            assert_eq!(Address::from_units(address.units()), address);
        }
        assert_eq!(Address::new(ADDRESS_MASK - 7).units(), (1 << ADDRESS_UNIT_BITS) - 1);
    }

    #[test]
    fn a_watermark_never_goes_back() {
        let mark = Watermark::new(Address::FIRST);
        assert!(mark.raise(Address::new(128)));
        assert!(!mark.raise(Address::new(100)));
        assert_eq!(mark.load(), Address::new(128));
    }
}

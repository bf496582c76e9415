//! The numbers of the tables of a store.

use std::fmt;

/// The number of a table, which is in the header of each of its records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TableNumber(u8);

impl TableNumber {
    /// The bits of a table number in a header.
    pub(crate) const BITS: u32 = 7;
    /// The limit of table numbers.
    pub(crate) const COUNT: usize = 1 << Self::BITS;
    /// The first table of a store, and the only table of a store of one table.
    pub(crate) const FIRST: Self = Self(0);
    /// The highest number.
    pub(crate) const LAST: Self = Self((1 << Self::BITS) - 1);

    /// Returns a table number, if it is not too high.
    pub(crate) const fn new(number: u8) -> Option<Self> {
        if number <= Self::LAST.0 { Some(Self(number)) } else { None }
    }

    /// Returns the number in the lowest bits of `word`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the bits of a number remain")]
    pub(crate) const fn from_word(word: u64) -> Self {
        Self((word & Self::LAST.word()) as u8)
    }

    #[inline(always)]
    pub(crate) const fn word(self) -> u64 {
        self.0 as u64
    }

    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn raw(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for TableNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TableNumber({})", self.0)
    }
}

impl fmt::Display for TableNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

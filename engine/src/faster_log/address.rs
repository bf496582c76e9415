//! Where an entry is, for those who use a log.

use crate::address::{ADDRESS_MAX, Address};
use std::fmt;

/// The place of an entry in a log, in bytes. Later entries have higher addresses. An address is
/// used for another entry only after the log went back to an earlier commit, by
/// [`LogBuilder::recover`](crate::LogBuilder::recover) or [`repair_log`](crate::repair_log).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogAddress(u64);

impl LogAddress {
    /// Where the first entry of a log is.
    pub const FIRST: Self = Self(Address::FIRST.raw());
    /// Beyond every entry.
    pub const MAX: Self = Self(ADDRESS_MAX);

    /// An address that was kept as a number; more than [`MAX`](Self::MAX) counts as that.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(if raw > ADDRESS_MAX { ADDRESS_MAX } else { raw })
    }

    /// The address as a number, to be kept elsewhere.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    pub(crate) fn inner(self) -> Address {
        Address::new(self.0)
    }
}

impl From<Address> for LogAddress {
    fn from(address: Address) -> Self {
        Self(address.raw())
    }
}

impl fmt::Display for LogAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

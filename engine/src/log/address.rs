//! The public address of an entry.

use crate::base::address::{self, ADDRESS_MAX};
use std::fmt;

/// The address of an entry in a log, in bytes. Later entries have higher addresses. An address is
/// used for another entry only after the log went back to an earlier commit. Only
/// [`log::Builder::recover`](crate::log::Builder::recover) and [`log::repair`](crate::log::repair)
/// do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Address(u64);

impl Address {
    /// The address of the first entry of a log.
    pub const FIRST: Self = Self(address::Address::FIRST.raw());
    /// An address beyond every entry.
    pub const MAX: Self = Self(ADDRESS_MAX);

    /// Makes an address from a stored number. A number above [`MAX`](Self::MAX) counts as `MAX`.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(if raw > ADDRESS_MAX { ADDRESS_MAX } else { raw })
    }

    /// Returns the address as a number, for storage elsewhere.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    pub(crate) fn inner(self) -> address::Address {
        address::Address::new(self.0)
    }
}

impl From<address::Address> for Address {
    fn from(address: address::Address) -> Self {
        Self(address.raw())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

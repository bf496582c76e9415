//! The public address of an entry of a log, or of a record of a store.

use super::ADDRESS_MAX;
use std::fmt;
use std::ops::{Bound, RangeBounds};

/// The address of an entry in a log, or of a record in the log of a store, in bytes.
///
/// Later entries have higher addresses. An address is used for another entry only after the log
/// went back to an earlier commit. Only
/// [`log::Builder::recover`](crate::log::Builder::recover) and [`log::repair`](crate::log::repair)
/// do that. A store goes back to its last checkpoint when it is opened after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Address(u64);

impl Address {
    /// The address of the first entry or record of a log.
    pub const FIRST: Self = Self(super::Address::FIRST.raw());
    /// An address beyond every entry and record.
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

    pub(crate) fn inner(self) -> super::Address {
        super::Address::new(self.0)
    }

    /// Returns the first address of a range, if it has a start.
    pub(crate) fn start_of(range: &impl RangeBounds<Self>) -> Option<super::Address> {
        match range.start_bound() {
            Bound::Included(start) => Some(start.inner()),
            Bound::Excluded(start) => Some(Self::new(start.raw() + 1).inner()),
            Bound::Unbounded => None,
        }
    }

    /// Returns the address before which the entries of a range begin.
    pub(crate) fn end_of(range: &impl RangeBounds<Self>) -> super::Address {
        match range.end_bound() {
            Bound::Included(end) => Self::new(end.raw() + 1).inner(),
            Bound::Excluded(end) => end.inner(),
            Bound::Unbounded => Self::MAX.inner(),
        }
    }
}

impl From<super::Address> for Address {
    fn from(address: super::Address) -> Self {
        Self(address.raw())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

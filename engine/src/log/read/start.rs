//! The start of a reader.

use crate::base::address::Address;
use crate::base::error::Error;
use crate::log::LogAddress;
use std::ops::{Bound, RangeBounds};

/// The start of a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// The first entry of the log.
    First,
    /// An address where an entry begins or the log ends, as a caller says. The reader refuses a
    /// wrong address.
    At(Address),
    /// The end of the entry that begins at this address, as a caller says.
    Behind(Address),
    /// The first entry that begins at this address or after it.
    Near(Address),
    /// Like `At`, but like `Near` if `At` is refused.
    Kept(Address),
}

impl Start {
    pub(crate) fn of(range: &impl RangeBounds<LogAddress>) -> Self {
        match range.start_bound() {
            Bound::Included(start) => Self::At(start.inner()),
            Bound::Excluded(start) => Self::Behind(start.inner()),
            Bound::Unbounded => Self::First,
        }
    }

    pub(crate) fn address(self) -> Address {
        match self {
            Self::First => Address::FIRST,
            Self::At(at) | Self::Behind(at) | Self::Near(at) | Self::Kept(at) => at,
        }
    }

    /// Returns whether the reader shows an entry at `address`.
    pub(crate) fn admits(self, address: Address) -> bool {
        match self {
            Self::Behind(at) => address > at,
            other => address >= other.address(),
        }
    }
}

#[cold]
pub(crate) fn no_entry(address: Address) -> Error {
    let address = address.raw();
    Error::invalid(format!(
        "no entry begins at address {address}; `read_at_or_after` finds the next one"
    ))
}

#[cold]
pub(crate) fn beyond(address: Address, end: Address) -> Error {
    Error::invalid(format!(
        "address {}: the log ends at {}; later entries will be there or after it",
        address.raw(),
        end.raw()
    ))
}

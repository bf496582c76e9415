//! Entries, and the bytes that hold them.

use crate::base::address::Address;
use crate::log::LogAddress;
use bytes::Bytes;

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The address of the entry.
    pub address: LogAddress,
    /// The address where the log continues after the entry.
    pub next: LogAddress,
    /// The bytes of the entry. They may share memory with nearby entries: one kept entry may hold
    /// up to 1 MiB.
    pub payload: Bytes,
}

/// Bytes of the log that a reader owns. A frame may begin anywhere in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogBytes {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

impl LogBytes {
    /// Returns the address after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Returns the bytes from `at` on, if there are any.
    #[inline]
    pub(crate) fn from(&self, at: Address) -> Option<&[u8]> {
        let skipped = usize::try_from(at.raw().checked_sub(self.start)?).ok()?;
        self.bytes.get(skipped..).filter(|rest| !rest.is_empty())
    }

    /// Returns the same bytes from `at` on, if there are any.
    pub(crate) fn rest_from(&self, at: Address) -> Option<Self> {
        let skipped = self.bytes.len() - self.from(at)?.len();
        Some(Self { start: at.raw(), bytes: self.bytes.slice(skipped..) })
    }
}

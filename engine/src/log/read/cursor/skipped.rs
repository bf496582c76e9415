//! The entries that a reader missed because they were truncated before it reached them.

use crate::base::address::Address;

/// The entries that a reader has missed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skipped {
    bytes: u64,
    /// Whether the reader ends when it misses entries.
    is_error: bool,
    /// The start of the last missed entries, if the reader is to end.
    from: Option<Address>,
}

impl Skipped {
    /// Ends the reader when it misses entries.
    pub(crate) fn fail(&mut self) {
        self.is_error = true;
    }

    /// Notes that the reader missed the bytes from `from` up to `begin`.
    pub(crate) fn note(&mut self, from: Address, begin: Address) {
        assert!(from < begin, "missed entries begin below the begin: {from:?}, {begin:?}");
        self.bytes += begin.raw() - from.raw();
        self.from = Some(from).filter(|_| self.is_error);
    }

    /// Returns the number of bytes that the reader missed.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the start of the missed entries that end the reader.
    pub(crate) fn error(&self) -> Option<Address> {
        self.from
    }
}

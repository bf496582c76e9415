//! What a reader has missed: entries that were truncated before it came to them.

use super::entry::{Kind, Parsed};
use super::reader::Reader;
use crate::address::Address;

/// Entries that a reader has missed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skipped {
    pub(super) bytes: u64,
    /// Whether it ends then.
    pub(super) is_error: bool,
    /// From where on it has missed the last ones, if it is to end.
    pub(super) from: Option<Address>,
}

impl Reader {
    pub(super) fn skipped_bytes(&self) -> u64 {
        self.skipped.bytes
    }

    pub(super) fn skipped(&mut self) -> &mut Skipped {
        &mut self.skipped
    }

    /// Notes what was truncated before the reader came there, if entries may have been among it.
    #[cold]
    pub(super) fn note_truncated(&mut self, begin: Address) {
        let from = self.position().inner();
        let mut at = if self.pieces.is_some() { from } else { self.at };
        while let Some(rest) = self.chunk.from(at)
            && let Parsed::Frame { kind: Kind::Commit | Kind::Padding, next, .. } =
                self.source.framing.parse(at, rest)
        {
            at = next;
        }
        if at < begin && !self.source.has_all_from(at) {
            self.skipped.bytes += begin.raw() - from.raw();
            self.skipped.from = Some(from).filter(|_| self.skipped.is_error);
        }
    }
}

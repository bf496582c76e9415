//! The entries that a reader missed because they were truncated before it reached them.

use super::entry::{Kind, Parsed};
use super::reader::Reader;
use crate::address::Address;

/// The entries that a reader has missed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skipped {
    pub(super) bytes: u64,
    /// Whether the reader ends when it misses entries.
    pub(super) is_error: bool,
    /// The start of the last missed entries, if the reader is to end.
    pub(super) from: Option<Address>,
}

impl Reader {
    pub(super) fn skipped_bytes(&self) -> u64 {
        self.skipped.bytes
    }

    pub(super) fn skipped(&mut self) -> &mut Skipped {
        &mut self.skipped
    }

    /// Notes the bytes truncated before the reader reached them, if they may contain entries.
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

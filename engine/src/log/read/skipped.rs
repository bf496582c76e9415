//! The entries that a reader missed because they were truncated before it reached them.

use super::reader::Reader;
use crate::address::Address;
use crate::log::frame::format::{Kind, Parsed};

/// The entries that a reader has missed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skipped {
    pub(crate) bytes: u64,
    /// Whether the reader ends when it misses entries.
    pub(crate) is_error: bool,
    /// The start of the last missed entries, if the reader is to end.
    pub(crate) from: Option<Address>,
}

impl Reader {
    pub(crate) fn skipped_bytes(&self) -> u64 {
        self.skipped.bytes
    }

    pub(crate) fn skipped(&mut self) -> &mut Skipped {
        &mut self.skipped
    }

    /// Notes the bytes truncated before the reader reached them, if they may contain entries.
    #[cold]
    pub(crate) fn note_truncated(&mut self, begin: Address) {
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

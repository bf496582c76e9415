//! The bytes of a log that a cursor owns, and the frames in them.

use crate::base::address::Address;
use crate::log::frame::format::{Framing, Kind, Parsed};
use crate::log::read::entry::LogBytes;
use bytes::Bytes;
use std::ops::Range;

/// Bytes of the log, and how much of them a cursor may read.
#[derive(Debug)]
pub(super) struct FrameBuffer {
    bytes: LogBytes,
    /// No frame of the bytes ends after this address.
    limit: Address,
    /// The cursor reads frames that begin below this address.
    stop: Address,
}

/// The frame at an address of a buffer.
pub(super) enum BufferedFrame {
    /// A sound frame. Its payload is a range of the bytes of the buffer.
    Sound { kind: Kind, payload: Range<usize>, next: Address },
    /// A frame that is incomplete here, and needs this many bytes.
    Incomplete(usize),
    /// No frame begins at the address, or it does not end below the limit.
    Damaged,
    /// The buffer has no readable bytes at the address.
    Missing,
}

impl FrameBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: LogBytes::default(), limit: Address::NONE, stop: Address::NONE }
    }

    /// Returns the frame at `at`.
    #[inline(always)]
    pub(super) fn frame(&self, framing: Framing, at: Address) -> BufferedFrame {
        let Some(rest) = self.bytes.from(at).filter(|_| at < self.stop) else {
            return BufferedFrame::Missing;
        };
        match framing.parse(at, rest) {
            Parsed::Frame { kind, payload, next } => {
                debug_assert!(next <= self.limit, "a frame ends at or before the limit: {next:?}");
                let start = self.bytes.bytes.len() - rest.len();
                let payload = start + payload.start..start + payload.end;
                BufferedFrame::Sound { kind, payload, next }
            }
            // No frame ends after the end of the log.
            Parsed::Incomplete(needed) if at.raw() + needed as u64 > self.limit.raw() => {
                BufferedFrame::Damaged
            }
            Parsed::Incomplete(needed) => BufferedFrame::Incomplete(needed),
            Parsed::Damaged => BufferedFrame::Damaged,
        }
    }

    /// Returns a payload; it shares the memory of the buffer.
    #[inline(always)]
    pub(super) fn payload(&self, payload: Range<usize>) -> Bytes {
        self.bytes.bytes.slice(payload)
    }

    /// Returns the payload of a piece of an entry.
    pub(super) fn piece(&self, payload: Range<usize>) -> &[u8] {
        &self.bytes.bytes[payload]
    }

    /// Returns whether the buffer has bytes at `at`.
    pub(super) fn holds(&self, at: Address) -> bool {
        self.bytes.from(at).is_some()
    }

    /// Returns the bytes from `at` on, if there are any.
    pub(super) fn rest_from(&self, at: Address) -> Option<LogBytes> {
        self.bytes.rest_from(at)
    }

    /// Returns the first address at or after `at` that is not of a commit record or padding.
    pub(super) fn skip_overhead(&self, framing: Framing, mut at: Address) -> Address {
        while let Some(rest) = self.bytes.from(at)
            && let Parsed::Frame { kind: Kind::Commit | Kind::Padding, next, .. } =
                framing.parse(at, rest)
        {
            at = next;
        }
        at
    }

    /// Replaces the bytes.
    pub(super) fn fill(&mut self, bytes: LogBytes) {
        self.bytes = bytes;
    }

    /// Sets the range of frames that may be read.
    pub(super) fn allow(&mut self, limit: Address, stop: Address) {
        debug_assert!(stop <= limit, "frames begin below their end: {stop:?}, {limit:?}");
        (self.limit, self.stop) = (limit, stop);
    }

    /// Excludes frames that reach beyond `limit`, or begin at or after `stop`.
    pub(super) fn narrow(&mut self, limit: Address, stop: Address) {
        self.limit = self.limit.min(limit);
        self.stop = self.stop.min(stop);
    }

    /// Excludes frames that begin at or after `end`.
    pub(super) fn stop_at(&mut self, end: Address) {
        self.stop = self.stop.min(end);
    }
}

//! Blocks that exist on the device after the end of the written log.
//!
//! A write at the end of a file changes its length, and where its blocks are. The next sync has to
//! make that durable, too, in the journal of the file system, so it takes two to three times as
//! long as a sync of blocks that exist. A log that is flushed often, in small parts, writes zeros
//! after such a part now and then. The next parts go to blocks that exist.
//!
//! Zeros are no unit: no life has the number 0. So a walk along the log ends before them, as at the
//! end of a file.
//!
//! While zeros are being written, nothing else is: a later part must not be overwritten by them.
//! After a shortage of space nothing is prepared for a while.

use crate::hybrid_log::pages::unit::{Chunk, Units};

/// The blocks that exist on the device, as the driver of flushes knows.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// The end of the blocks that exist, as an offset on the device. Nothing is prepared before.
    end: u64,
    /// A write with zeros is in flight.
    is_alone: bool,
}

/// The largest part that has zeros written after it. Larger parts are few.
const LARGEST_PART: usize = 64 << 10;
/// The bounds of the bytes that are prepared at once.
const LEAST: u64 = 16 << 10;
const MOST: u64 = 256 << 10;
/// The bytes of log after a shortage for which nothing is prepared.
const PAUSE: u64 = 16 << 20;

impl Prepared {
    /// Returns the bytes of zeros to write after a chunk, and prepares for them. `most` is the
    /// limit of bytes of one transfer.
    pub(super) fn zeros_after(&mut self, chunk: Chunk, units: Units, most: usize) -> usize {
        let bytes = chunk.units * units.unit_bytes();
        let begin = units.device_offset(chunk.start) + bytes as u64;
        if begin <= self.end || bytes > LARGEST_PART {
            return 0;
        }
        // A small log stays small.
        let wanted = begin.clamp(LEAST, MOST);
        let page_end = units.page_start(chunk.start) + (1 << units.page_bits());
        let end = begin.saturating_add(wanted).min(page_end);
        let room = most.saturating_sub(bytes);
        let zeros = usize::try_from(end - begin).unwrap_or(usize::MAX).min(room);
        let zeros = zeros / units.unit_bytes() * units.unit_bytes();
        self.end = begin + zeros as u64;
        self.is_alone = zeros > 0;
        zeros
    }

    /// Returns whether a write with zeros is in flight.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Notes that a write has ended. If it had zeros, it was alone. There was no space for them if
    /// it `was_short`.
    pub(super) fn note_ended(&mut self, was_short: bool) {
        self.is_alone = false;
        if was_short {
            self.end = self.end.saturating_add(PAUSE);
        }
    }
}

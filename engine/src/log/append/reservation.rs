//! The space of one entry, taken before the entry is written.
//!
//! The write-ahead log of a store takes space first, then makes a change, and then writes the entry
//! of the change. So a change that takes effect always has an entry.

use super::frame_writer::FrameWriter;
use crate::base::address::Address;
use crate::epoch::Guard;
use crate::hybrid_log::Position;
use crate::log::LogAddress;
use crate::log::frame::format::{Kind, frame_bytes};

/// Allocated space, under the guard of its allocation. If it is dropped, its entry has zeros: no
/// space stays unwritten.
#[must_use]
pub(crate) struct Reservation<'a> {
    frames: &'a FrameWriter,
    guard: &'a Guard<'a>,
    length: usize,
    place: Place,
}

/// The place of the entry.
enum Place {
    /// One frame at this address.
    Frame(Address),
    /// Pieces between two positions.
    Pieces([Position; 2]),
}

impl<'a> Reservation<'a> {
    #[inline(always)]
    pub(super) fn of_frame(
        frames: &'a FrameWriter,
        address: Address,
        length: usize,
        guard: &'a Guard<'a>,
    ) -> Self {
        Self { frames, guard, length, place: Place::Frame(address) }
    }

    pub(super) fn of_pieces(
        frames: &'a FrameWriter,
        space: [Position; 2],
        length: usize,
        guard: &'a Guard<'a>,
    ) -> Self {
        Self { frames, guard, length, place: Place::Pieces(space) }
    }

    /// Returns the address of the entry.
    #[inline(always)]
    pub(super) fn address(&self) -> LogAddress {
        match self.place {
            Place::Frame(address) => address.into(),
            Place::Pieces([from, _to]) => self.frames.first_of_entry(from, self.length).into(),
        }
    }

    /// Writes the entry.
    #[inline(always)]
    pub(crate) fn fill(self, entry: &[u8]) {
        assert_eq!(entry.len(), self.length, "the space was taken for this entry");
        self.write(entry);
        // Not a flag for the drop: a byte that is read as a part of a word waits until all stores
        // before it have ended, and those to a new page take long.
        std::mem::forget(self);
    }

    #[inline(always)]
    fn write(&self, entry: &[u8]) {
        let (frames, memory) = (self.frames, self.frames.memory());
        match self.place {
            Place::Frame(address) => {
                frames.write(address, Kind::Whole, entry, self.guard);
                let end = Address::new(address.raw() + frame_bytes(entry.len()) as u64);
                debug_assert!(
                    end.raw() <= memory.log().tail_address().raw(),
                    "readers find each written frame below the tail: {address:?}"
                );
                memory.notify_written(end);
            }
            Place::Pieces(space) => frames.write_entries(space, &[entry], |_at| {}, self.guard),
        }
    }
}

impl Drop for Reservation<'_> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        let zeros = vec![0; self.length];
        self.write(&zeros);
    }
}

//! The space of one entry, taken before the entry is written.
//!
//! The write-ahead log of a store takes space first and fills it, then makes a change, and then
//! shows the entry of the change. So a change that takes effect always has an entry.

use super::frame_writer::{FilledFrame, FrameWriter};
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

/// Space with an entry that no reader sees yet. If it is dropped, its entry has zeros.
#[must_use]
pub(crate) struct FilledSpace<'a> {
    space: Reservation<'a>,
    content: Content<'a>,
}

/// The entry of filled space.
enum Content<'a> {
    /// In one frame at this address.
    Frame(FilledFrame<'a>, Address),
    /// In pieces, which are written when they are shown.
    Pieces([Position; 2], &'a [u8]),
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

    /// Writes the entry, except for what shows it.
    #[inline(always)]
    pub(crate) fn fill(self, entry: &'a [u8]) -> FilledSpace<'a> {
        assert_eq!(entry.len(), self.length, "the space was taken for this entry");
        let content = match self.place {
            Place::Frame(address) => {
                Content::Frame(self.frames.fill(address, Kind::Whole, entry, self.guard), address)
            }
            Place::Pieces(space) => Content::Pieces(space, entry),
        };
        FilledSpace { content, space: self }
    }

    #[inline(always)]
    fn show(&self, content: Content<'_>) {
        let (frames, memory) = (self.frames, self.frames.memory());
        match content {
            Content::Frame(frame, address) => {
                frame.show();
                let end = Address::new(address.raw() + frame_bytes(self.length) as u64);
                debug_assert!(
                    end.raw() <= memory.log().tail_address().raw(),
                    "readers find each written frame below the tail: {address:?}"
                );
                memory.notify_written(end);
            }
            Content::Pieces(space, entry) => {
                frames.write_entries(space, &[entry], |_at| {}, self.guard);
            }
        }
    }
}

impl FilledSpace<'_> {
    /// Shows the entry to readers.
    #[inline(always)]
    pub(crate) fn show(self) {
        let Self { space, content } = self;
        space.show(content);
        // Not a flag for the drop: a byte that is read as a part of a word waits until all stores
        // before it have ended, and those to a new page take long.
        std::mem::forget(space);
    }
}

impl Drop for Reservation<'_> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        let zeros = vec![0; self.length];
        match self.place {
            Place::Frame(address) => {
                // In place of an entry that was not shown.
                let frame = self.frames.fill(address, Kind::Whole, &zeros, self.guard);
                self.show(Content::Frame(frame, address));
            }
            Place::Pieces(space) => self.show(Content::Pieces(space, &zeros)),
        }
    }
}

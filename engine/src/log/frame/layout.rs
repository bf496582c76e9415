//! The layout of several entries, or of one entry in pieces: frames that follow each other across
//! pages.

use super::format::{HEADER, Kind, frame_bytes};
use crate::hybrid_log::Position;
use crate::record::WORD;
use std::ops::Range;

/// The least number of bytes of a piece at the end of a page.
const SHORTEST_PIECE: u64 = 64;

const _: () = assert!(
    (HEADER as u64 + SHORTEST_PIECE).is_multiple_of(WORD as u64),
    "a page that is left with the shortest piece is full"
);

/// The layout of entries in pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryLayout {
    /// The bytes of frames in a page.
    pub(crate) capacity: u64,
    /// An entry with a longer frame may be split into pieces.
    pub(crate) inline: u64,
}

/// A frame to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The bytes `range` of entry `item`.
    Piece { at: Position, kind: Kind, item: usize, range: Range<usize> },
    /// The rest of a page.
    Padding { at: Position, bytes: u64 },
}

impl EntryLayout {
    /// Places entries of these lengths from `from` on. Calls `place` for each frame, in order.
    /// Returns the end of the last frame.
    pub(crate) fn lay(
        self,
        from: Position,
        lengths: impl IntoIterator<Item = usize>,
        mut place: impl FnMut(Placed),
    ) -> Position {
        debug_assert!(from.offset <= self.capacity, "entries begin in a page: {from:?}");
        debug_assert!(from.offset.is_multiple_of(WORD as u64), "a frame begins at a word");
        let mut at = from;
        for (item, length) in lengths.into_iter().enumerate() {
            let whole = frame_bytes(length) as u64;
            let rest = self.capacity - at.offset;
            let is_short = rest < HEADER as u64 + SHORTEST_PIECE;
            if whole > rest && (whole <= self.inline || is_short) {
                at = self.next_page(at, &mut place);
            }
            if whole <= self.capacity - at.offset {
                place(Placed::Piece { at, kind: Kind::Whole, item, range: 0..length });
                at.offset += whole;
            } else {
                at = self.lay_pieces(at, (item, length), &mut place);
            }
            debug_assert!(at.offset <= self.capacity, "no frame crosses a page: {at:?}");
        }
        debug_assert!((at.page, at.offset) >= (from.page, from.offset), "{from:?} to {at:?}");
        at
    }

    /// Returns the number of pages after the first one that these entries may need, wherever they
    /// begin.
    pub(crate) fn pages_behind(self, lengths: impl IntoIterator<Item = usize>) -> u64 {
        // A start at the very end of a page costs one page more than any other start.
        self.lay(Position { page: 0, offset: self.capacity }, lengths, |_placed| {}).page
    }

    fn lay_pieces(
        self,
        from: Position,
        (item, length): (usize, usize),
        place: &mut impl FnMut(Placed),
    ) -> Position {
        debug_assert!(
            self.capacity - from.offset >= HEADER as u64 + SHORTEST_PIECE,
            "the first piece has some bytes: {from:?}"
        );
        let (mut at, mut done) = (from, 0);
        loop {
            let room = usize::try_from(self.capacity - at.offset).expect("a page fits in memory");
            let room = (room - HEADER) / WORD * WORD;
            let end = length.min(done + room);
            let kind = match (done, end == length) {
                (0, false) => Kind::First,
                (_, false) => Kind::Middle,
                (_, true) => Kind::Last,
            };
            debug_assert!(done > 0 || end < length, "what fits is not taken to pieces");
            debug_assert!(done < end, "each piece has bytes: {done} of {length}");
            place(Placed::Piece { at, kind, item, range: done..end });
            at.offset += frame_bytes(end - done) as u64;
            if end == length {
                return at;
            }
            done = end;
            at = self.next_page(at, place);
        }
    }

    fn next_page(self, at: Position, place: &mut impl FnMut(Placed)) -> Position {
        let bytes = self.capacity - at.offset;
        debug_assert!(bytes == 0 || bytes >= HEADER as u64, "padding has a header: {at:?}");
        if bytes > 0 {
            place(Placed::Padding { at, bytes });
        }
        Position { page: at.page + 1, offset: 0 }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const PLAN: EntryLayout = EntryLayout { capacity: 4032, inline: 1008 };

    /// Frames follow each other, no frame crosses a page, and pieces make up the entries.
    #[test]
    fn frames_leave_no_gap() {
        for start in (0..=4032).step_by(8) {
            for lengths in [&[0_usize, 1, 8][..], &[1000, 1001, 5000, 3], &[20_000], &[4024, 4025]]
            {
                let mut expected = Position { page: 0, offset: start };
                let mut made = vec![0; lengths.len()];
                let end = PLAN.lay(expected, lengths.iter().copied(), |placed| {
                    let (at, bytes) = match placed {
                        Placed::Padding { at, bytes } => (at, bytes),
                        Placed::Piece { at, item, range, .. } => {
                            assert_eq!(range.start, made[item]);
                            made[item] = range.end;
                            (at, frame_bytes(range.len()) as u64)
                        }
                    };
                    if expected.offset == PLAN.capacity {
                        expected = Position { page: expected.page + 1, offset: 0 };
                    }
                    assert_eq!(at, expected);
                    assert!(bytes >= 8 && at.offset + bytes <= PLAN.capacity);
                    expected.offset += bytes;
                });
                assert_eq!(made, lengths, "from {start}");
                assert!(end.page <= PLAN.pages_behind(lengths.iter().copied()), "from {start}");
            }
        }
    }
}

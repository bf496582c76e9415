//! The position of a cursor, and the pieces of an entry that it has passed.

use crate::base::address::Address;
use crate::log::frame::format::{HEADER, Kind};
use bytes::{Bytes, BytesMut};

/// The position of a cursor in a log.
#[derive(Debug)]
pub(crate) struct Position {
    /// The address of the next frame.
    at: Address,
    /// The lowest address that callers may see.
    floor: Address,
    /// Whether to leave out pieces of an entry that began before.
    is_amid: bool,
    /// An address where a frame begins only if a caller is right.
    claimed: Option<Address>,
    /// The bytes of the frame at `at`, or 0 if they are unknown.
    needed: usize,
    /// The pieces of the current entry so far, with its address.
    pieces: Option<(Address, BytesMut)>,
    /// Whether the cursor has jumped to `at`, maybe within its buffer.
    has_jumped: bool,
}

/// The result of adding a piece to the previous pieces of its entry.
pub(super) enum Assembled {
    /// The address and the payload of a complete entry.
    Entry(Address, Bytes),
    Incomplete,
    /// The piece does not follow the previous frames.
    Misplaced,
}

impl Position {
    /// Creates a position at `at`, where a frame certainly begins. Callers see no address below
    /// `floor`.
    pub(crate) fn new(at: Address, floor: Address) -> Self {
        Self {
            at,
            floor,
            is_amid: false,
            claimed: None,
            needed: 0,
            pieces: None,
            has_jumped: false,
        }
    }

    /// Allows the frame there to be a piece in the middle of an entry.
    pub(crate) fn amid(self) -> Self {
        Self { is_amid: true, ..self }
    }

    /// Marks that only a caller says that a frame begins there.
    pub(crate) fn claimed(self) -> Self {
        Self { claimed: Some(self.at), ..self }
    }

    /// Makes the position certain: each address may be shown from now on.
    pub(crate) fn set_out(&mut self) {
        (self.floor, self.is_amid, self.claimed) = (Address::NONE, false, None);
    }

    /// Marks that a frame begins at the claimed address.
    pub(crate) fn prove(&mut self) {
        debug_assert!(self.is_claimed(), "a claim is proved before the cursor leaves it");
        self.claimed = None;
    }

    /// Returns the address of the next frame.
    #[inline(always)]
    pub(super) fn at(&self) -> Address {
        self.at
    }

    /// Returns whether only a caller says that a frame begins here.
    pub(super) fn is_claimed(&self) -> bool {
        self.claimed == Some(self.at)
    }

    /// Returns the address of the next entry for callers.
    pub(super) fn shown(&self) -> Address {
        self.pieces.as_ref().map_or(self.at, |(first, _)| *first).max(self.floor)
    }

    /// Returns whether the cursor is within an entry.
    pub(super) fn is_within_entry(&self) -> bool {
        self.pieces.is_some()
    }

    /// Returns whether the next frame is to be a piece, of unknown length. The buffer may hold it
    /// after the end of the cursor.
    pub(super) fn is_before_piece(&self) -> bool {
        self.is_within_entry() && self.needed == 0
    }

    /// Returns the bytes of the next frame, or 0 if they are unknown.
    pub(super) fn needed(&self) -> usize {
        self.needed
    }

    /// Notes the bytes of the next frame.
    pub(super) fn need(&mut self, bytes: usize) {
        debug_assert!(bytes >= HEADER, "a frame has a header: {bytes} bytes");
        self.needed = bytes;
    }

    /// Goes to the frame at `next`, right after the current frame. Returns the address of the
    /// passed frame.
    #[inline(always)]
    pub(super) fn pass_to(&mut self, next: Address) -> Address {
        debug_assert!(next > self.at, "frames have bytes: {next:?} after {:?}", self.at);
        self.needed = 0;
        std::mem::replace(&mut self.at, next)
    }

    /// Jumps over truncated entries to `to`, where a frame begins.
    pub(super) fn jump(&mut self, to: Address) {
        debug_assert!(to > self.at, "a reader goes forward: {to:?} after {:?}", self.at);
        (self.at, self.needed, self.pieces, self.has_jumped) = (to, 0, None, true);
    }

    /// Returns whether the cursor has jumped since the last call.
    pub(super) fn take_jump(&mut self) -> bool {
        std::mem::take(&mut self.has_jumped)
    }

    /// Marks that a whole entry was returned, so that pieces belong to entries after it.
    #[inline(always)]
    pub(super) fn leave_entry(&mut self) {
        debug_assert!(self.pieces.is_none(), "no entry is between the pieces of another");
        self.is_amid = false;
    }

    /// Adds the piece at `address` to the previous pieces of its entry.
    #[cold]
    pub(super) fn add_piece(&mut self, address: Address, kind: Kind, piece: &[u8]) -> Assembled {
        debug_assert!(
            self.pieces.as_ref().is_none_or(|(first, _)| *first < address),
            "the pieces of an entry ascend: {address:?}"
        );
        match (kind, &mut self.pieces) {
            (Kind::First, None) => self.pieces = Some((address, BytesMut::from(piece))),
            (Kind::Middle | Kind::Last, Some((_, pieces))) => pieces.extend_from_slice(piece),
            (Kind::Middle | Kind::Last, None) if self.is_amid => return Assembled::Incomplete,
            // The pieces of an entry follow each other, without another entry between them.
            _ => return Assembled::Misplaced,
        }
        match self.pieces.take_if(|_| kind == Kind::Last) {
            Some((first, pieces)) => Assembled::Entry(first, pieces.freeze()),
            None => Assembled::Incomplete,
        }
    }
}

//! The frame of an entry: its header and its checksum.
//!
//! ```text
//!  63...............32 31..29 28............0
//! +-------------------+------+---------------+---------------------+---------+
//! |      crc32c       | kind |    length     |  payload, `length`  | 0 .. 7  |
//! +-------------------+------+---------------+---------------------+---------+
//! ```
//!
//! Frames follow each other without a gap and do not cross a page. The unused rest of a page or
//! block is a frame too, of kind [`Padding`](Kind::Padding). So a zero in place of a header has one
//! meaning only: a writer is still writing there. The header is written last and releases the rest
//! of the frame.
//!
//! The checksum covers the salt of the log, the address, kind and length, and the payload (except
//! for padding). So it detects a torn or misplaced frame, or a frame of another log.

use crate::base::address::Address;
#[cfg(all(test, not(loom)))]
use crate::hybrid_log::Life;
use crate::hybrid_log::Units;
use crate::record::WORD;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::ops::Range;

/// The bytes of a header.
pub(crate) const HEADER: usize = WORD;
const LENGTH_BITS: u32 = 29;
pub(crate) const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
const KIND_MASK: u64 = 7;
const CHECKSUM_SHIFT: u32 = 32;
const _: () = assert!(
    LENGTH_BITS + KIND_MASK.count_ones() == CHECKSUM_SHIFT,
    "length, kind and checksum touch and do not overlap"
);
const _: () = assert!(Kind::Padding as u64 <= KIND_MASK, "a header has bits for each kind");
const _: () = assert!(Kind::Whole as u64 > 0, "no header is zero, which means that none is there");

/// The content of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An entry.
    Whole = 1,
    /// The first piece of an entry.
    First = 2,
    /// A piece that is neither the first nor the last.
    Middle = 3,
    /// The last piece.
    Last = 4,
    /// The record of a commit.
    Commit = 5,
    /// Padding up to the end of the page or physical block.
    Padding = 6,
}

impl Kind {
    fn of(bits: u64) -> Option<Self> {
        [Self::Whole, Self::First, Self::Middle, Self::Last, Self::Commit, Self::Padding]
            .into_iter()
            .find(|kind| *kind as u64 == bits)
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(u64);

impl Header {
    fn new(kind: Kind, length: usize, checksum: u32) -> Self {
        let length = length as u64;
        assert!(length <= LENGTH_MASK, "a frame is within a page");
        Self(u64::from(checksum) << CHECKSUM_SHIFT | (kind as u64) << LENGTH_BITS | length)
    }

    /// Returns the header at the start of `bytes`.
    pub(crate) fn first_of(bytes: &[u8]) -> Option<Self> {
        let word = bytes.get(..HEADER)?.try_into().expect("a header has 8 bytes");
        Some(Self(u64::from_le_bytes(word)))
    }

    /// Loads the header from memory, if it is there. Then the rest of the frame is there too.
    ///
    /// Acquire: pairs with the Release of `release`.
    #[inline]
    pub(crate) fn load(word: &AtomicU64) -> Option<Self> {
        let raw = word.load(Ordering::Acquire);
        (raw != 0).then_some(Self(raw))
    }

    /// Stores the header, and so shows the frame to readers.
    ///
    /// Release: pairs with the Acquire of `load`.
    #[inline(always)]
    pub(crate) fn release(self, word: &AtomicU64) {
        debug_assert!(self.kind().is_some(), "readers know the kind of each frame: {self:?}");
        word.store(self.0, Ordering::Release);
    }

    /// Returns the kind; `None` if this is no header.
    pub(crate) fn kind(self) -> Option<Kind> {
        Kind::of(self.0 >> LENGTH_BITS & KIND_MASK)
    }

    /// Returns the bytes of the payload.
    pub(crate) fn length(self) -> usize {
        (self.0 & LENGTH_MASK) as usize
    }

    fn checksum(self) -> u32 {
        (self.0 >> CHECKSUM_SHIFT) as u32
    }

    /// Returns kind and length, as the checksum covers them.
    #[expect(clippy::cast_possible_truncation, reason = "the half that is wanted")]
    fn low(self) -> u32 {
        self.0 as u32
    }
}

/// Returns the bytes of a frame with `length` bytes of payload.
#[inline(always)]
pub(crate) fn frame_bytes(length: usize) -> usize {
    HEADER + length.next_multiple_of(WORD)
}

/// The arithmetic and the checksums of the frames of one log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framing {
    pub(crate) units: Units,
    /// The checksum of the salt. Every checksum begins with it.
    salted: u32,
}

/// The frame at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A sound frame.
    Frame { kind: Kind, payload: Range<usize>, next: Address },
    /// A frame that is incomplete here, and needs this many bytes.
    Incomplete(usize),
    /// No frame that was written there.
    Damaged,
}

impl Framing {
    pub(crate) fn new(units: Units, salt: u64) -> Self {
        Self { units, salted: crc32c::crc32c(&salt.to_le_bytes()) }
    }

    #[inline(always)]
    pub(crate) fn header(self, address: Address, kind: Kind, payload: &[u8]) -> Header {
        debug_assert!(
            frame_bytes(payload.len()) as u64 <= self.units.left_of_page(address),
            "no frame crosses a page: {} bytes at {address:?}",
            payload.len()
        );
        let header = Header::new(kind, payload.len(), 0);
        let checksum = self.checksum(address, header, payload);
        Header::new(kind, payload.len(), checksum)
    }

    /// Returns the header of padding of `bytes` bytes, including the header.
    pub(crate) fn padding(self, address: Address, bytes: usize) -> Header {
        assert!(
            bytes >= HEADER && bytes as u64 <= self.units.left_of_page(address),
            "padding has a header and ends in its page: {bytes} bytes at {address:?}"
        );
        debug_assert_eq!(bytes % WORD, 0, "frames follow each other without a gap");
        let header = Header::new(Kind::Padding, bytes - HEADER, 0);
        Header::new(Kind::Padding, bytes - HEADER, self.checksum(address, header, &[]))
    }

    /// Returns the address after a frame of `bytes` bytes.
    #[inline]
    pub(crate) fn behind(self, address: Address, bytes: usize) -> Address {
        debug_assert!(bytes > 0, "a walk goes forward from {address:?}");
        debug_assert!(
            bytes as u64 <= self.units.left_of_page(address),
            "no frame crosses a page: {bytes} bytes at {address:?}"
        );
        self.units.align_up(Address::new(address.raw() + bytes as u64))
    }

    /// Parses the frame at `address`, which begins `bytes`.
    #[inline]
    pub(crate) fn parse(self, address: Address, bytes: &[u8]) -> Parsed {
        let Some(header) = Header::first_of(bytes) else {
            return Parsed::Incomplete(HEADER);
        };
        let (Some(kind), length) = (header.kind(), header.length()) else {
            return Parsed::Damaged;
        };
        let whole = frame_bytes(length);
        if whole as u64 > self.units.left_of_page(address) {
            return Parsed::Damaged;
        }
        let payload = if kind == Kind::Padding { HEADER..HEADER } else { HEADER..HEADER + length };
        let Some(covered) = bytes.get(payload.clone()) else {
            return Parsed::Incomplete(whole);
        };
        if self.checksum(address, header, covered) != header.checksum() {
            return Parsed::Damaged;
        }
        Parsed::Frame { kind, payload, next: self.behind(address, whole) }
    }

    #[inline(always)]
    fn checksum(self, address: Address, header: Header, payload: &[u8]) -> u32 {
        let mut place = [0; 12];
        place[..8].copy_from_slice(&address.raw().to_le_bytes());
        place[8..].copy_from_slice(&header.low().to_le_bytes());
        let place = crc32c::crc32c_append(self.salted, &place);
        crc32c::crc32c_append(place, payload)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn framing() -> Framing {
        Framing::new(Units::new(12, 512, 7, Life::FIRST), 7)
    }

    fn frame(address: Address, payload: &[u8]) -> Vec<u8> {
        let header = framing().header(address, Kind::Whole, payload);
        let mut bytes = header.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes.resize(frame_bytes(payload.len()), 0);
        bytes
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_found() {
        let address = Address::at(2, 504, 12);
        let bytes = frame(address, b"thirteen byte");
        let next = Address::new(address.raw() + 24);
        let sound = Parsed::Frame { kind: Kind::Whole, payload: 8..21, next };
        assert_eq!(framing().parse(address, &bytes), sound);
        for bit in 0..21 * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(framing().parse(address, &flipped), sound, "bit {bit}");
        }
        assert_eq!(framing().parse(next, &bytes), Parsed::Damaged, "misplaced");
        let foreign = Framing::new(framing().units, 8);
        assert_eq!(foreign.parse(address, &bytes), Parsed::Damaged, "of another log");
    }

    #[test]
    fn a_frame_that_is_cut_says_what_it_needs() {
        let address = Address::FIRST;
        let bytes = frame(address, &[1; 100]);
        assert_eq!(framing().parse(address, &bytes[..7]), Parsed::Incomplete(8));
        assert_eq!(framing().parse(address, &bytes[..50]), Parsed::Incomplete(112));
        assert_eq!(framing().parse(address, &[0; 8]), Parsed::Damaged);
    }

    #[test]
    fn padding_reaches_to_the_next_page() {
        let address = Address::at(1, 4000, 12);
        let header = framing().padding(address, 32);
        let next = Address::at(2, 0, 12);
        let padding = Parsed::Frame { kind: Kind::Padding, payload: 8..8, next };
        assert_eq!(framing().parse(address, &header.0.to_le_bytes()), padding);
    }
}

//! The unit of the log on a device: its payload and the checksum that proves it.
//!
//! ```text
//!   page in memory   [ payload 504 ][ payload 504 ] ... [ unused ]
//!                          |               |
//!   page on a device [ payload 504 | life 4 | crc 4 ][ payload 504 | life 4 | crc 4 ] ...
//! ```
//!
//! A unit is one block of the device, 512 bytes here: the smallest amount that one cold read can
//! fetch. Its last 8 bytes are its trailer. So a page of `2^n` bytes holds slightly fewer bytes of
//! records, in memory as on the device. The share is 1.6 %, and a record pays nothing.
//!
//! The CRC32C covers the salt of the store, the logical address of the unit, its payload and its
//! life. So bytes of another store or another place, and torn writes, do not pass. Bytes of an
//! earlier life after the end of the recovered log do not pass either (`life.rs`). A unit is
//! written once; a flush in the middle of a page ends on a unit of its own.
//!
//! Many disks tear at more bytes than their smallest transfer. They accept sectors of 512 bytes,
//! but read, change and write a *physical block* of 4 KiB for each. A power cut during such a write
//! also harms the other sectors of the block. So a durable range (of a commit, a checkpoint or a
//! flush) ends on a physical block, padded. No block that holds durable bytes is ever written
//! again. Reads still use units.

use super::life::Life;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use kvick_io::Device;
use std::ops::Range;

/// The bytes of a unit that are not payload.
const TRAILER_BYTES: usize = 8;

/// A range of whole units in one page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) start: Address,
    pub(crate) units: usize,
    pub(crate) end: Address,
}

/// Checks that the device can transfer the units of a log.
///
/// # Errors
/// `Unsupported` if it cannot.
pub(crate) fn check_block(unit_bytes: u64, device: &dyn Device) -> Result<()> {
    let block = u64::from(device.geometry().block);
    if unit_bytes.is_multiple_of(block) {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "units of {unit_bytes} bytes on a device with blocks of {block}: open it without direct I/O"
    )))
}

/// The arithmetic between addresses and a device, and the checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units {
    page_bits: u32,
    unit_bytes: usize,
    salt: u64,
    life: Life,
    /// The units of a physical block.
    block_units: usize,
}

impl Units {
    /// The bytes of a unit that are not payload.
    pub(crate) const TRAILER: usize = TRAILER_BYTES;

    pub(crate) fn new(page_bits: u32, unit_bytes: usize, salt: u64, life: Life) -> Self {
        assert!(
            unit_bytes.is_power_of_two() && unit_bytes > TRAILER_BYTES,
            "a unit has a payload: {unit_bytes} bytes"
        );
        assert!(unit_bytes <= 1 << page_bits, "a page holds units");
        Self { page_bits, unit_bytes, salt, life, block_units: 1 }
    }

    /// Returns the same units on a medium whose physical blocks have `block_bytes`.
    pub(crate) fn on_blocks(self, block_bytes: u64) -> Self {
        assert!(block_bytes.is_power_of_two(), "{block_bytes} bytes are a block");
        let page_units = (1 << self.page_bits) / self.unit_bytes;
        let block_bytes = usize::try_from(block_bytes).unwrap_or(usize::MAX);
        let block_units = (block_bytes / self.unit_bytes).clamp(1, page_units);
        debug_assert!(page_units.is_multiple_of(block_units), "no block crosses a page");
        Self { block_units, ..self }
    }

    /// Returns the number of units of a physical block.
    pub(crate) fn block_units(self) -> usize {
        self.block_units
    }

    /// Returns the bytes of records in a physical block. Within a page, a flush may end after each.
    #[inline]
    pub(crate) fn block_payload(self) -> u64 {
        self.payload() * self.block_units as u64
    }

    /// Returns the bytes of records in a unit.
    #[inline]
    pub(crate) fn payload(self) -> u64 {
        (self.unit_bytes - TRAILER_BYTES) as u64
    }

    /// Returns the bytes of records in a page.
    pub(crate) fn page_capacity(self) -> u64 {
        (1 << self.page_bits) / self.unit_bytes as u64 * self.payload()
    }

    /// Returns the same units under another salt, for a range of the log that another file keeps.
    pub(crate) fn salted(self, salt: u64) -> Self {
        debug_assert_ne!(salt, self.salt, "units of a part do not pass as units of the log");
        Self { salt, life: self.life.of_file(), ..self }
    }

    /// Returns the same units for a reader beside the process that writes them.
    pub(crate) fn followed(self) -> Self {
        Self { life: self.life.followed(), ..self }
    }

    /// Returns the offset on the device of the page of `address`.
    pub(crate) fn page_start(self, address: Address) -> u64 {
        address.page(self.page_bits) << self.page_bits
    }

    /// Returns the offset on the device of the unit of `address`.
    pub(crate) fn device_offset(self, address: Address) -> u64 {
        debug_assert!(
            address.offset(self.page_bits) < self.page_capacity(),
            "an address is of a payload: {address:?}"
        );
        self.page_start(address) + self.unit_number(address) * self.unit_bytes as u64
    }

    /// Returns the start of the page of `address`.
    pub(crate) fn start_of_page(self, address: Address) -> Address {
        Address::at(address.page(self.page_bits), 0, self.page_bits)
    }

    /// Returns the first address of the unit that holds `address`.
    pub(crate) fn unit_start(self, address: Address) -> Address {
        let offset = self.unit_number(address) * self.payload();
        Address::at(address.page(self.page_bits), offset, self.page_bits)
    }

    /// Counts the units of one page, from the unit of `start` to the unit that ends at or after
    /// `end`.
    pub(crate) fn count(self, start: Address, end: u64) -> usize {
        debug_assert!(end > start.offset(self.page_bits), "a range has bytes: {start:?}, {end}");
        debug_assert!(end <= self.page_capacity(), "units of one page: {start:?}, {end}");
        let first = self.unit_number(start);
        usize::try_from(end.div_ceil(self.payload()) - first).expect("units of one page")
    }

    /// Returns the next units of `[from, limit)`: at most `largest`, and up to the end of the page.
    pub(crate) fn chunk(self, [from, limit]: [Address; 2], largest: usize) -> Option<Chunk> {
        if from >= limit {
            return None;
        }
        let page = from.page(self.page_bits);
        let in_page = if limit.page(self.page_bits) > page {
            self.page_capacity()
        } else {
            limit.offset(self.page_bits)
        };
        let start = self.unit_start(from);
        let units = self.count(start, in_page).min(largest);
        debug_assert!(units > 0, "a range has units: {from:?} to {limit:?}, {largest} at once");
        let end = Address::new(start.raw() + units as u64 * self.payload());
        let end = self.align_up(end);
        debug_assert!(from < end, "a chunk goes forward: {from:?} to {end:?}");
        Some(Chunk { start, units, end })
    }

    /// Returns the start of the next page for an address at the end of a payload. Returns any other
    /// address unchanged.
    #[inline]
    pub(crate) fn align_up(self, address: Address) -> Address {
        if address.offset(self.page_bits) >= self.page_capacity() {
            Address::at(address.page(self.page_bits) + 1, 0, self.page_bits)
        } else {
            address
        }
    }

    /// Returns the first address after the unit that holds `address`.
    pub(crate) fn unit_behind(self, address: Address) -> Address {
        let behind = self.align_up(Address::new(self.unit_start(address).raw() + self.payload()));
        debug_assert!(address < behind, "a unit ends after each of its bytes: {address:?}");
        behind
    }

    /// Returns the first address at or after `address` at which a physical block begins.
    pub(crate) fn block_behind_end(self, address: Address) -> Address {
        let padded = address.offset(self.page_bits).next_multiple_of(self.block_payload());
        debug_assert!(padded <= self.page_capacity(), "the block is in the page of {address:?}");
        self.align_up(Address::at(address.page(self.page_bits), padded, self.page_bits))
    }

    /// Returns the start of the page after the page of `address`.
    pub(crate) fn page_behind(self, address: Address) -> Address {
        Address::at(address.page(self.page_bits) + 1, 0, self.page_bits)
    }

    /// Returns the bytes of records from `address` to the end of its page.
    #[inline]
    pub(crate) fn left_of_page(self, address: Address) -> u64 {
        self.page_capacity().saturating_sub(address.offset(self.page_bits))
    }

    /// Returns whether the payload of a page ends at `address`.
    pub(crate) fn is_page_end(self, address: Address) -> bool {
        address.offset(self.page_bits) == self.page_capacity()
    }

    pub(crate) fn page_bits(self) -> u32 {
        self.page_bits
    }

    /// Returns the salt of the log, and the number of its life: together they name an opening.
    pub(crate) fn identity(self) -> [u64; 2] {
        [self.salt, self.life.number().into()]
    }

    pub(crate) fn unit_bytes(self) -> usize {
        self.unit_bytes
    }

    /// Writes `payload`, which begins at `start`, into whole units with their trailers.
    pub(crate) fn write_checksums(self, start: Address, payload: &[u8], target: &mut [u8]) {
        let size = self.unit_bytes - TRAILER_BYTES;
        assert_eq!(payload.len() % size, 0, "whole units");
        assert_eq!(
            payload.len() / size,
            target.len() / self.unit_bytes,
            "each unit of the target has its payload"
        );
        assert_eq!(self.unit_start(start), start, "units begin where they should");
        debug_assert!(payload.len() as u64 <= self.left_of_page(start), "units of one page");
        let mut address = start;
        for (from, unit) in payload.chunks(size).zip(target.chunks_mut(self.unit_bytes)) {
            unit[..size].copy_from_slice(from);
            unit[size..size + 4].copy_from_slice(&self.life.number().to_le_bytes());
            let crc = self.checksum(address, &unit[..size + 4]);
            unit[size + 4..].copy_from_slice(&crc.to_le_bytes());
            address = Address::new(address.raw() + self.payload());
        }
    }

    /// Checks the units `which` of `bytes`, whose unit 0 begins at `start`, and moves the payloads
    /// together, over their trailers.
    ///
    /// Units are opened in order. The payload of all opened units is then contiguous at the front
    /// of `bytes`.
    pub(crate) fn open(
        self,
        start: Address,
        bytes: &mut [u8],
        which: Range<usize>,
        locate: impl Fn(Address) -> (String, u64),
    ) -> Result<()> {
        assert!(which.end * self.unit_bytes <= bytes.len(), "whole units");
        debug_assert_eq!(self.unit_start(start), start, "unit 0 begins there");
        for unit in which {
            if let Err((address, flaw)) = self.open_one(start, bytes, unit) {
                let (file, offset) = locate(address);
                return Err(corrupt(&file, offset, flaw));
            }
        }
        Ok(())
    }

    /// Opens units like [`open`](Self::open), up to the first damaged unit, and returns their
    /// number.
    pub(crate) fn open_sound(self, start: Address, bytes: &mut [u8]) -> usize {
        debug_assert!(bytes.len().is_multiple_of(self.unit_bytes), "whole units");
        let count = bytes.len() / self.unit_bytes;
        let is_damaged = |unit: &usize| self.open_one(start, bytes, *unit).is_err();
        (0..count).find(is_damaged).unwrap_or(count)
    }

    /// Checks one unit and moves its payload next to the previous payload. Fails with its address
    /// and flaw.
    fn open_one(
        self,
        start: Address,
        bytes: &mut [u8],
        unit: usize,
    ) -> Result<(), (Address, Flaw)> {
        let size = self.unit_bytes - TRAILER_BYTES;
        let at = unit * self.unit_bytes;
        let address = Address::new(start.raw() + unit as u64 * self.payload());
        let trailer = &bytes[at + size..at + self.unit_bytes];
        let stored = u32::from_le_bytes(trailer[4..].try_into().expect("4 bytes"));
        let computed = self.checksum(address, &bytes[at..at + size + 4]);
        if stored != computed {
            return Err((address, Flaw::Checksum { stored, computed }));
        }
        let life = u32::from_le_bytes(trailer[..4].try_into().expect("4 bytes"));
        if !self.life.accepts(address, life) {
            return Err((address, Flaw::Life { stored: life, expected: self.life.number() }));
        }
        bytes.copy_within(at..at + size, unit * size);
        Ok(())
    }

    fn unit_number(self, address: Address) -> u64 {
        address.offset(self.page_bits) / self.payload()
    }

    fn checksum(self, address: Address, payload: &[u8]) -> u32 {
        let place = crc32c::crc32c(&self.salt.to_le_bytes());
        let place = crc32c::crc32c_append(place, &address.raw().to_le_bytes());
        crc32c::crc32c_append(place, payload)
    }
}

/// The reason why a unit does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// The bytes of the unit are not the bytes that were written there.
    Checksum { stored: u32, computed: u32 },
    /// The unit is whole, but of another life.
    Life { stored: u32, expected: u32 },
}

#[cold]
fn corrupt(file: &str, offset: u64, flaw: Flaw) -> Error {
    let (what, expected, got) = match flaw {
        Flaw::Checksum { stored, computed } => ("checksum of a log unit", stored, computed),
        Flaw::Life { stored, expected } => ("life of a log unit", expected, stored),
    };
    Error::corrupt(what, file, offset, expected.into(), got.into())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use kvick_io::AlignedBuf;

    fn nowhere(_unit: Address) -> (String, u64) {
        ("log.000000".to_owned(), 0)
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let units = Units::new(12, 512, 77, Life::FIRST);
        let start = Address::at(3, 504, 12);
        let payload: Vec<u8> = (0..1008_u32).map(|byte| byte.to_le_bytes()[0]).collect();
        let mut sealed = AlignedBuf::zeroed(1024);
        units.write_checksums(start, &payload, &mut sealed);
        for bit in 0..sealed.len() * 8 {
            let mut copy = AlignedBuf::zeroed(1024);
            copy.copy_from_slice(&sealed);
            copy[bit / 8] ^= 1 << (bit % 8);
            assert!(units.open(start, &mut copy, 0..2, nowhere).is_err(), "bit {bit}");
        }
        let elsewhere = Address::at(4, 504, 12);
        let mut copy = AlignedBuf::zeroed(1024);
        copy.copy_from_slice(&sealed);
        assert!(units.open(elsewhere, &mut copy, 0..2, nowhere).is_err(), "misdirected");
        let foreign = units.salted(78);
        copy.copy_from_slice(&sealed);
        assert!(foreign.open(start, &mut copy, 0..2, nowhere).is_err(), "of another store");
        units.open(start, &mut sealed, 0..2, nowhere).expect("sound");
        assert_eq!(&sealed[..1008], &payload[..]);
    }

    /// A process was killed while writes were in flight. The next process recovered the log,
    /// truncated it and ended; then the writes landed after its end. A third process took them for
    /// its own.
    #[test]
    fn a_unit_of_an_earlier_life_is_not_sound_behind_the_cut() {
        let (kept, cut) = (Address::at(3, 504, 12), Address::at(3, 1008, 12));
        let before = Units::new(12, 512, 77, Life::FIRST);
        let now = Units::new(12, 512, 77, Life::FIRST.next(cut).expect("there are more"));
        let mut late = AlignedBuf::zeroed(1024);
        before.write_checksums(kept, &[7; 1008], &mut late);
        assert_eq!(before.open_sound(kept, &mut late.to_vec()), 2);
        assert_eq!(now.open_sound(kept, &mut late.to_vec()), 1, "up to the cut");
        let error = now.open(kept, &mut late, 0..2, nowhere).expect_err("an earlier life");
        assert!(error.to_string().contains("life of a log unit is 0x1, expected 0x2"), "{error}");
        let mut own = AlignedBuf::zeroed(512);
        now.write_checksums(cut, &[8; 504], &mut own);
        assert_eq!(now.open_sound(cut, &mut own.to_vec()), 1);
        assert_eq!(before.open_sound(cut, &mut own.to_vec()), 0, "a later life");
        assert_eq!(before.followed().open_sound(cut, &mut own), 1, "of the followed writer");
    }

    #[test]
    fn what_is_durable_ends_on_a_physical_block() {
        let units = Units::new(13, 512, 0, Life::FIRST).on_blocks(4096);
        assert_eq!((units.payload(), units.block_payload()), (504, 4032));
        for (offset, padded) in [(0, 0), (1, 4032), (4032, 4032), (4033, 8064)] {
            let expected = units.align_up(Address::at(3, padded, 13));
            assert_eq!(units.block_behind_end(Address::at(3, offset, 13)), expected, "{offset}");
            assert_eq!(units.device_offset(expected) % 4096, 0, "{offset}");
        }
        // A page is no larger than a block, so each flush ends on a page.
        assert_eq!(Units::new(12, 512, 0, Life::FIRST).on_blocks(1 << 16).block_payload(), 4032);
        assert_eq!(Units::new(12, 4096, 0, Life::FIRST).on_blocks(512).block_payload(), 4088);
    }

    #[test]
    fn arithmetic_of_a_small_page() {
        let units = Units::new(12, 512, 0, Life::FIRST);
        assert_eq!(units.page_capacity(), 8 * 504);
        let address = Address::at(2, 1000, 12);
        assert_eq!(units.unit_start(address), Address::at(2, 504, 12));
        assert_eq!(units.device_offset(address), 2 * 4096 + 512);
        assert_eq!(units.count(address, 1008), 1);
        assert_eq!(units.count(address, 1009), 2);
    }
}

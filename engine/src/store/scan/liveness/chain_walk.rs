//! A walk along the chain of one gathered record, on the device.

use super::candidate::Walk;
use super::spans::{Payload, Place};
use crate::base::address::{ADDRESS_UNIT_BITS, Address};
use crate::base::error::Result;
use crate::record::{Layout, RecordInfo, StoredRecord, TableNumber, WORD};
use crate::store::inner::StoreInner;
use std::fmt;

/// The records of one gathering are within this distance.
pub(in crate::store) const REACH: u64 = (u32::MAX as u64) << UNIT_SHIFT;
/// Distances of records are counted in words.
const UNIT_SHIFT: u32 = WORD.trailing_zeros();

/// A walk along the chain of one record. Its order is that of the addresses.
///
/// Many of them are gathered, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChainWalk {
    next: NextRead,
    /// The walk began here.
    start: Address,
    /// The distance of the record from the base, in words. It is below the addresses.
    target: u32,
    /// The place of its table and key.
    key: u32,
}

/// The next record of a chain, and the bytes that are needed of it. The order is that of the
/// addresses.
///
/// ```text
///  63                    19 18                0
/// | address / 8            | bytes / 64        |
/// ```
///
/// The address is `NONE` after the walk has shown that the record is live.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NextRead(u64);

const BYTES_BITS: u32 = u64::BITS - ADDRESS_UNIT_BITS;
const BYTES_UNIT: usize = 64;

impl NextRead {
    fn new(address: Address, bytes: usize) -> Self {
        let bytes = bytes.div_ceil(BYTES_UNIT) as u64;
        assert!(bytes >> BYTES_BITS == 0, "a record is within a page: {bytes} lines");
        Self(address.units() << BYTES_BITS | bytes)
    }

    fn address(self) -> Address {
        Address::from_units(self.0 >> BYTES_BITS)
    }

    fn bytes(self) -> u64 {
        (self.0 & ((1 << BYTES_BITS) - 1)) * BYTES_UNIT as u64
    }

    /// Returns the same bytes of another record.
    fn at(self, address: Address) -> Self {
        Self(address.units() << BYTES_BITS | self.0 & ((1 << BYTES_BITS) - 1))
    }
}

impl fmt::Debug for NextRead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes of {:?}", self.bytes(), self.address())
    }
}

impl ChainWalk {
    /// Begins a walk to the record at `target`, which goes on at `at`. The table and the key of the
    /// record are at `key`; its header and its key have `front` bytes.
    pub(super) fn new([at, target]: [Address; 2], base: Address, key: u32, front: usize) -> Self {
        debug_assert!(at > target, "a chain leads down: to {target:?} from {at:?}");
        let distance = target.raw().checked_sub(base.raw()).expect("records are after the base");
        let target = u32::try_from(distance >> UNIT_SHIFT).expect("records are within reach");
        Self { next: NextRead::new(at, front), start: at, target, key }
    }

    /// Returns the address of the record.
    pub(super) fn target(&self, base: Address) -> Address {
        Address::new(base.raw() + (u64::from(self.target) << UNIT_SHIFT))
    }

    /// Returns the address at which the walk began.
    pub(super) fn start(&self) -> Address {
        self.start
    }

    /// Returns the table of the record, its layout and its key.
    pub(super) fn key_in<'k>(
        &self,
        store: &StoreInner,
        keys: &'k [u8],
    ) -> (TableNumber, Layout, &'k [u8]) {
        let number = keys[self.key as usize];
        let table = TableNumber::new(number).expect("it was a number before");
        let layout = store.tables.layouts().get(table).expect("its table has a layout");
        (table, layout, Self::key_at(self.key, layout, keys))
    }

    /// Returns the place of the table of the record, and of its key.
    pub(super) fn key(&self) -> u32 {
        self.key
    }

    /// Returns the key at a place, which is of a table with this layout.
    pub(super) fn key_at(place: u32, layout: Layout, keys: &[u8]) -> &[u8] {
        let (_number, rest) = keys[place as usize..].split_first().expect("it was gathered");
        let (length, rest) = match layout.key_width {
            Some(width) => (width, rest),
            None => {
                let (length, rest) = rest.split_first_chunk().expect("the key was gathered");
                (u32::from_le_bytes(*length) as usize, rest)
            }
        };
        &rest[..length]
    }

    /// Adds the table and the key of a record to `keys`.
    pub(super) fn add_key(keys: &mut Vec<u8>, table: TableNumber, layout: Layout, key: &[u8]) {
        keys.push(table.raw());
        if layout.key_width.is_none() {
            let length = u32::try_from(key.len()).expect("a key is within a page");
            keys.extend_from_slice(&length.to_le_bytes());
        }
        keys.extend_from_slice(key);
    }

    /// Walks along the chain as far as it stays in a span.
    pub(super) fn go(
        &self,
        store: &StoreInner,
        (table, layout, key): (TableNumber, Layout, &[u8]),
        payload: &Payload,
        [target, end]: [Address; 2],
    ) -> Result<Walk> {
        let first = self.next.address();
        let mut at = first;
        loop {
            let not_a_record = || store.log.file().not_a_record(at);
            // What is missing is read with another span, but not a second time.
            let missing = || if at == first { Err(not_a_record()) } else { Ok(Walk::GoesOn(at)) };
            let Some(rest) = payload.from(at).filter(|rest| rest.len() >= WORD) else {
                return missing();
            };
            let info = RecordInfo::first_of(rest);
            if !info.is_present() || info.previous() >= at {
                return Err(not_a_record());
            }
            if at < end && info.table() == table {
                match StoredRecord::has_key(rest, layout, key) {
                    Some(true) => return Ok(Walk::Dead),
                    Some(false) => {}
                    None => return missing(),
                }
            }
            match Walk::to(target, info.previous()) {
                Walk::GoesOn(previous) => at = previous,
                walk => return Ok(walk),
            }
        }
    }

    /// Returns the walk that goes on at another record.
    pub(super) fn goes_on(self, at: Address) -> Self {
        Self { next: self.next.at(at), ..self }
    }

    /// Returns the end of the walk to a live record of `bytes` bytes, probably.
    pub(super) fn live(self, bytes: usize) -> Self {
        Self { next: NextRead::new(Address::NONE, bytes), ..self }
    }
}

impl Place for ChainWalk {
    fn address(&self) -> Address {
        self.next.address()
    }

    fn needed(&self) -> u64 {
        self.next.bytes()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::address::ADDRESS_MASK;

    #[test]
    fn a_read_is_packed_and_comes_back() {
        for raw in [0, 64, 4_096, ADDRESS_MASK - 7] {
            for bytes in [0, 1, 63, 64, 65, 4_000, (32 << 20) - 64] {
                let read = NextRead::new(Address::new(raw), bytes);
                assert_eq!(read.address(), Address::new(raw));
                assert!((bytes as u64..bytes as u64 + 64).contains(&read.bytes()), "{read:?}");
                assert_eq!(read.at(Address::FIRST), NextRead::new(Address::FIRST, bytes));
            }
        }
        let reads = [(64, 4_000), (72, 8), (1 << 47, 8)];
        let reads = reads.map(|(raw, bytes)| NextRead::new(Address::new(raw), bytes));
        assert!(reads.is_sorted(), "the address decides: {reads:?}");
    }

    #[test]
    fn a_walk_is_small_and_knows_its_record() {
        assert_eq!(size_of::<ChainWalk>(), 24);
        let base = Address::new(1 << 40);
        for distance in [0, 8, REACH - 8, REACH] {
            let target = Address::new(base.raw() + distance);
            let walk = ChainWalk::new([Address::new(1 << 41), target], base, 7, 24);
            let further = walk.goes_on(Address::NONE);
            assert_eq!([walk, further].map(|walk| walk.target(base)), [target; 2]);
        }
    }
}

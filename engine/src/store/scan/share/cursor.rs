//! The place at which a dropped scan continues.
//!
//! A cursor has the ranges of the log that the scan had not shown, and its moment. A later scan
//! shows those ranges as of a later moment, and everything that was appended in between. A record
//! that was shown stays below the old moment. If its key changed since, either its newest record is
//! above that moment, or it changed in place. A record that was copied since is above the moment,
//! too, and is shown again.
//!
//! Addresses mean something in one life of the log only: a recovery truncates the log, and other
//! records take the addresses.
//!
//! ```text
//! salt | life | table | moment | start | end | start | end | ..     in words, little endian
//! ```

use crate::base::address::{ADDRESS_MASK, Address};
use crate::base::error::{Error, Result};
use crate::record::WORD;
use crate::store::scan::found::Rest;
use crate::store::table::TableInner;

/// The place at which a [`scan`](crate::FasterKv::scan) continues, in
/// [`scan_from`](crate::FasterKv::scan_from).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The salt and the life of the log, and the number of the table.
    identity: [u64; 3],
    /// The moment; `NONE` for a scan that has not begun.
    end: Address,
    /// The ranges that the scan has yet to show, in ascending order.
    ranges: Vec<[Address; 2]>,
}

impl Cursor {
    pub(in crate::store::scan) fn new(
        table: &TableInner,
        end: Address,
        ranges: &[[Address; 2]],
    ) -> Self {
        let is_left = |[start, end]: &[Address; 2]| start < end;
        let mut ranges: Vec<_> = ranges.iter().copied().filter(is_left).collect();
        ranges.sort_unstable();
        Self { identity: identity(table), end, ranges }
    }

    /// Returns the cursor as bytes, some dozens. Their format is private.
    pub fn to_bytes(&self) -> Vec<u8> {
        let addresses = [self.end].into_iter().chain(self.ranges.iter().flatten().copied());
        let words = self.identity.into_iter().chain(addresses.map(Address::raw));
        words.flat_map(u64::to_le_bytes).collect()
    }

    /// Returns the cursor in bytes of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// `InvalidArgument` if they are no cursor.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (words, rest) = bytes.as_chunks::<WORD>();
        let words: Vec<_> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let [salt, life, table, end, ranges @ ..] = &words[..] else {
            return Err(no_cursor());
        };
        let is_address = |raw: &u64| *raw <= ADDRESS_MASK && raw.is_multiple_of(WORD as u64);
        let is_sound = is_address(end)
            && ranges.iter().all(is_address)
            && ranges.is_sorted()
            && ranges.last().is_none_or(|last| last <= end);
        let (ranges, odd) = ranges.as_chunks::<2>();
        if !is_sound || !rest.is_empty() || !odd.is_empty() {
            return Err(no_cursor());
        }
        let ranges = ranges.iter().map(|range| range.map(Address::new)).collect();
        Ok(Self { identity: [*salt, *life, *table], end: Address::new(*end), ranges })
    }

    /// Checks that the cursor is of this table in this life of its log.
    pub(in crate::store::scan) fn check(&self, table: &TableInner) -> Result<()> {
        if self.identity != identity(table) {
            let what = "the cursor is of another table, or of an earlier opening of the store";
            return Err(Error::invalid(format!("{what}; begin a new scan")));
        }
        let units = table.log.file().units();
        let is_there = |address: &Address| {
            address.offset(units.page_bits()) < units.page_capacity()
                && *address <= table.log.tail_address()
        };
        let addresses = self.ranges.iter().flatten().chain([&self.end]);
        if addresses.copied().all(|address| is_there(&address)) { Ok(()) } else { Err(no_cursor()) }
    }

    /// Returns the rest of the scan.
    pub(in crate::store::scan) fn rest(&self) -> Rest {
        Rest { end: self.end, ranges: self.ranges.clone() }
    }

    /// Returns the ranges that a scan of `[begin, end)` has yet to show, in ascending order.
    pub(super) fn ranges_of(&self, [begin, end]: [Address; 2]) -> Vec<[Address; 2]> {
        let ranges = self.ranges.iter().copied().chain([[self.end, end]]);
        ranges.map(|[start, end]| [start.max(begin), end]).collect()
    }
}

/// Divides ranges at an address: the ranges above it, and the ranges below it.
pub(super) fn divided(ranges: &[[Address; 2]], at: Address) -> [Vec<[Address; 2]>; 2] {
    let above = ranges.iter().map(|[start, end]| [*start.max(&at), *end]);
    let below = ranges.iter().map(|[start, end]| [*start, *end.min(&at)]);
    let is_left = |[start, end]: &[Address; 2]| start < end;
    [above.filter(is_left).collect(), below.filter(is_left).collect()]
}

fn identity(table: &TableInner) -> [u64; 3] {
    let [salt, life] = table.log.file().units().identity();
    [salt, life, table.number.word()]
}

#[cold]
fn no_cursor() -> Error {
    Error::invalid("these bytes are no cursor of a scan; pass those of `Cursor::to_bytes`")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(raw: u64) -> Address {
        Address::new(raw)
    }

    fn cursor() -> Cursor {
        let ranges = vec![[at(64), at(504)], [at(1008), at(2016)]];
        Cursor { identity: [7, 1, 3], end: at(4032), ranges }
    }

    #[test]
    fn bytes_come_back_and_others_are_refused() {
        let bytes = cursor().to_bytes();
        assert_eq!(Cursor::from_bytes(&bytes).expect("the same"), cursor());
        let none = Cursor { end: Address::NONE, ranges: Vec::new(), ..cursor() };
        assert_eq!(Cursor::from_bytes(&none.to_bytes()).expect("the same"), none);
        for length in [0, 8, 31, bytes.len() - 8, bytes.len() - 1] {
            assert!(Cursor::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for (place, byte) in [(24, 1), (24 + 7, 1), (32, 0xff), (40 + 1, 0x10), (56 + 2, 1)] {
            let mut bytes = bytes.clone();
            bytes[place] = byte;
            assert!(Cursor::from_bytes(&bytes).is_err(), "{place}");
        }
    }

    #[test]
    fn a_later_scan_shows_the_rest_and_the_later_records() {
        let ranges = cursor().ranges_of([at(128), at(8064)]);
        let rest = [[at(128), at(504)], [at(1008), at(2016)], [at(4032), at(8064)]];
        assert_eq!(ranges, rest);
        let [above, below] = divided(&ranges, at(1512));
        assert_eq!(above, [[at(1512), at(2016)], [at(4032), at(8064)]]);
        assert_eq!(below, [[at(128), at(504)], [at(1008), at(1512)]]);
        let later = cursor().ranges_of([at(3024), at(8064)]);
        let [above, below] = divided(&later, at(4032));
        assert_eq!((above, below), (vec![[at(4032), at(8064)]], vec![]));
    }
}

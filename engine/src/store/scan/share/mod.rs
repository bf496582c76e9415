//! The share of the log that a scan reads.

mod cursor;
mod part;

pub use cursor::Cursor;
pub(super) use part::Part;

use super::active::Bounds;
use crate::base::address::Address;
use crate::hybrid_log::Units;
use cursor::divided;

/// The share of the log that a scan reads.
#[derive(Debug)]
pub(super) enum Share {
    Part(Part),
    From(Cursor),
}

impl Share {
    /// Returns the ranges that were mutable at the moment, and the older ones.
    pub(super) fn ranges(
        &self,
        Bounds { begin, mutable_from, end, .. }: Bounds,
        units: Units,
    ) -> Ranges {
        match self {
            Self::Part(part) => [[mutable_from, end], [begin, mutable_from]]
                .map(|range| vec![part.of(range, units)]),
            Self::From(cursor) => divided(&cursor.ranges_of([begin, end]), mutable_from),
        }
    }
}

/// Ranges that were mutable at the moment, and older ones.
type Ranges = [Vec<[Address; 2]>; 2];

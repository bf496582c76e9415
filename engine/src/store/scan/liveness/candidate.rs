//! A record that may be live, and the walk along its chain.

use crate::base::address::{ADDRESS_MASK, Address};
use crate::base::hash::KeyHash;
use crate::hash_index::FoundEntry;
use crate::record::{Layout, RecordInfo, StoredRecord, TableNumber};
use std::cmp::Ordering;

/// A record that may be live. It is a value: a piece or a deletion is never asked about.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Candidate<'p> {
    pub(in crate::store) address: Address,
    pub(in crate::store) table: TableNumber,
    pub(in crate::store) layout: Layout,
    /// All bytes of the record.
    pub(in crate::store) record: &'p [u8],
    /// The hash of its key.
    pub(in crate::store) hash: KeyHash,
    /// A chain that leads here leads to the record, and to no newer one of its key from here on. It
    /// is the address of the record itself, unless the rest of the chain is known.
    pub(in crate::store) proven: Address,
}

/// A live record, with the entry of its chain as the look at the index found it. As long as the
/// entry is the same, no record was linked since, and the record is still live.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Live<'p> {
    pub(in crate::store) candidate: Candidate<'p>,
    pub(in crate::store) entry: FoundEntry,
}

/// The end of a walk along a chain, as far as it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::scan) enum Walk {
    /// The record is the newest of its key.
    Live,
    /// Another record of the key is newer, or no chain leads to the record.
    Dead,
    /// The chain goes on at this address.
    GoesOn(Address),
}

/// The end of a walk that counts all records of the present.
pub(in crate::store) const NOW: Address = Address::new(ADDRESS_MASK);

impl<'p> Candidate<'p> {
    pub(in crate::store) fn key(&self) -> &'p [u8] {
        StoredRecord::key_in(self.record, self.layout)
    }

    /// Returns how a walk to this record goes on at `address`.
    pub(in crate::store::scan) fn walk_at(&self, address: Address) -> Walk {
        if address == self.proven { Walk::Live } else { Walk::to(self.address, address) }
    }

    /// Returns whether a record at `address` with this header can be a newer one of the key as of
    /// `end`. Its key decides.
    pub(in crate::store::scan) fn may_be_newer(
        &self,
        address: Address,
        info: RecordInfo,
        end: Address,
    ) -> bool {
        address < end && info.table() == self.table
    }
}

impl Walk {
    /// Returns how a walk to the record at `target` goes on at `address`.
    pub(super) fn to(target: Address, address: Address) -> Self {
        match address.cmp(&target) {
            Ordering::Less => Self::Dead,
            Ordering::Equal => Self::Live,
            Ordering::Greater => Self::GoesOn(address),
        }
    }
}

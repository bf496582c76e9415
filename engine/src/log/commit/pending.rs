//! A commit on its way, from its record to its durability.

use super::record::CommitRecord;
use crate::base::address::Address;

/// A commit that is not durable yet.
#[derive(Debug)]
pub(crate) struct PendingCommit {
    pub(crate) record: CommitRecord,
    /// The number of changes that it contains.
    pub(crate) changes: u64,
    // Known when the record is written.
    /// The range of its entries, up to its record.
    pub(crate) entries: [Address; 2],
    /// The end of the commit, after its record and padding.
    pub(crate) until: Address,
}

impl PendingCommit {
    /// Creates a commit whose record is not written yet.
    pub(crate) fn new(record: CommitRecord, changes: u64) -> Self {
        Self { record, changes, entries: [Address::NONE; 2], until: Address::NONE }
    }

    /// Notes the place of the record. The entries begin at `start`.
    pub(crate) fn place(&mut self, start: Address, [record, until]: [Address; 2]) {
        assert_eq!(self.until, Address::NONE, "the record of a commit is written once");
        assert!(
            start <= record && record < until && self.record.durable <= start,
            "a commit follows the commits before it: {start:?} {record:?} {until:?}"
        );
        (self.entries, self.until) = ([start, record], until);
    }
}

//! The state of a log as of one commit. Recovery restores it, and the manifest keeps it.

use super::record::CommitRecord;
use crate::address::Address;
use crate::log::LogAddress;
use crate::log::truncate::holes;
use std::collections::BTreeMap;

/// A commit. Everything below `until` is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// The number of the commit; 0 if nothing was ever committed. Later commits have higher
    /// numbers.
    pub number: u64,
    /// Entries below this address belong to the commit.
    pub until: LogAddress,
    /// The cookie that the commit keeps.
    pub cookie: Vec<u8>,
}

/// The state of a log as of its newest durable commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) number: u64,
    pub(crate) until: Address,
    pub(crate) begin: Address,
    pub(crate) completed: bool,
    pub(crate) cookie: Vec<u8>,
    pub(crate) iterators: BTreeMap<String, Address>,
    pub(crate) voids: Vec<[Address; 2]>,
}

impl Settled {
    /// Returns the state of an empty log.
    pub(crate) fn nothing() -> Self {
        Self {
            number: 0,
            until: Address::FIRST,
            begin: Address::FIRST,
            completed: false,
            cookie: Vec::new(),
            iterators: BTreeMap::new(),
            voids: Vec::new(),
        }
    }

    /// Returns whether there may be entries, so that files must exist.
    pub(crate) fn has_entries(&self) -> bool {
        self.begin < self.until
    }

    /// Applies the record of the next commit, which ends at `until`.
    pub(crate) fn apply(&mut self, record: &CommitRecord, until: Address) {
        assert!(record.number > self.number && until > self.until, "commits follow each other");
        self.number = record.number;
        self.until = until;
        // A manifest may have a later begin already, if there was no space for a record.
        self.begin = self.begin.max(record.begin);
        self.completed |= record.completed;
        self.cookie.clone_from(&record.cookie);
        for (name, address) in &record.iterators {
            match address {
                Some(address) => drop(self.iterators.insert(name.clone(), *address)),
                None => drop(self.iterators.remove(name)),
            }
        }
        for void in &record.voids {
            holes::add(&mut self.voids, *void);
        }
        holes::forget_below(&mut self.voids, self.begin);
    }

    /// Returns whether this record can belong to a later commit, which ends at `until`.
    pub(crate) fn precedes(&self, record: &CommitRecord, until: Address) -> bool {
        let ends = self.voids.last().map_or(Address::NONE, |void| void[1]);
        let voids: Vec<Address> = record.voids.iter().flatten().copied().collect();
        record.number > self.number
            && voids.chunks_exact(2).all(|void| void[0] < void[1])
            && voids.chunks_exact(2).map(|void| void[1]).is_sorted()
            && voids.get(1).is_none_or(|end| *end >= ends)
            && voids.last().is_none_or(|end| *end <= until)
            && record.begin <= until
    }

    /// Returns the same commit of a log that begins at `begin` or later.
    pub(crate) fn beginning(&self, begin: Address) -> Self {
        let mut settled = self.clone();
        settled.begin = settled.begin.max(begin);
        holes::forget_below(&mut settled.voids, settled.begin);
        settled
    }

    pub(crate) fn commit(&self) -> Commit {
        let Self { number, until, cookie, .. } = self;
        Commit { number: *number, until: (*until).into(), cookie: cookie.clone() }
    }
}

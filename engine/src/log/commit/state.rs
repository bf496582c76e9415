//! The state of a log as of one commit. Recovery restores it, and the manifest keeps it.

use super::pending::PendingCommit;
use super::record::CommitRecord;
use crate::base::address::Address;
use crate::log::LogAddress;
use crate::log::truncate::holes;
use std::collections::BTreeMap;

/// A commit. Everything below `until` is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
pub(crate) struct CommitState {
    pub(crate) number: u64,
    pub(crate) until: Address,
    pub(crate) begin: Address,
    pub(crate) completed: bool,
    pub(crate) cookie: Vec<u8>,
    pub(crate) iterators: BTreeMap<String, Address>,
    pub(crate) holes: Vec<[Address; 2]>,
    /// The number of changes of this opening that the commit contains.
    pub(crate) changes: u64,
}

/// The requirements of a requested commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitGoal {
    /// Everything below is to be durable.
    pub(crate) until: Address,
    /// Changes up to this number are to be durable.
    pub(crate) changes: u64,
    /// The lowest number of the commit.
    pub(crate) number: u64,
}

impl CommitState {
    /// Returns the state of an empty log.
    pub(crate) fn nothing() -> Self {
        Self {
            number: 0,
            until: Address::FIRST,
            begin: Address::FIRST,
            completed: false,
            cookie: Vec::new(),
            iterators: BTreeMap::new(),
            holes: Vec::new(),
            changes: 0,
        }
    }

    /// Returns whether there may be entries, so that files must exist.
    pub(crate) fn has_entries(&self) -> bool {
        self.begin < self.until
    }

    /// Returns whether the commit meets a goal.
    pub(crate) fn meets(&self, goal: CommitGoal) -> bool {
        self.until >= goal.until && self.changes >= goal.changes && self.number >= goal.number
    }

    /// Applies the next commit of this opening.
    pub(crate) fn apply_pending(&mut self, commit: &PendingCommit) {
        self.apply(&commit.record, commit.until);
        self.changes = self.changes.max(commit.changes);
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
        for hole in &record.holes {
            holes::add(&mut self.holes, *hole);
        }
        holes::forget_below(&mut self.holes, self.begin);
        let last = self.holes.last();
        debug_assert!(self.begin <= until, "{:?} to {until:?}", self.begin);
        debug_assert!(last.is_none_or(|hole| hole[1] <= until), "{last:?} is below {until:?}");
    }

    /// Returns whether this record can belong to a later commit, which ends at `until`.
    pub(crate) fn precedes(&self, record: &CommitRecord, until: Address) -> bool {
        let ends = self.holes.last().map_or(Address::NONE, |hole| hole[1]);
        let holes: Vec<Address> = record.holes.iter().flatten().copied().collect();
        record.number > self.number
            && holes.chunks_exact(2).all(|hole| hole[0] < hole[1])
            && holes.chunks_exact(2).map(|hole| hole[1]).is_sorted()
            && holes.get(1).is_none_or(|end| *end >= ends)
            && holes.last().is_none_or(|end| *end <= until)
            && record.begin <= until
    }

    /// Returns the same commit of a log that begins at `begin` or later.
    pub(crate) fn beginning(&self, begin: Address) -> Self {
        let mut commit_state = self.clone();
        commit_state.begin = commit_state.begin.max(begin);
        holes::forget_below(&mut commit_state.holes, commit_state.begin);
        assert!(
            commit_state.begin <= commit_state.until,
            "a log does not begin after its end: {commit_state:?}"
        );
        commit_state
    }

    pub(crate) fn commit(&self) -> Commit {
        let Self { number, until, cookie, .. } = self;
        Commit { number: *number, until: (*until).into(), cookie: cookie.clone() }
    }
}

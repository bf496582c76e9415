//! The range of entries that exist for readers: the begin of the log, its committed end, and the
//! holes between them.

use crate::base::address::{Address, Watermark};
use crate::base::wait::Event;
use crate::log::commit::committed::Committed;
use crate::log::commit::last_entry::LastEntry;
use crate::log::commit::pending::PendingCommit;
use crate::log::commit::state::CommitState;
use crate::log::truncate::holes::Holes;

/// The entries of a log that readers may see.
#[derive(Debug)]
pub(crate) struct ReadableRange {
    // Each with its own rules.
    begin: Watermark,
    committed: Committed,
    holes: Holes,
    last_entry: LastEntry,
    /// Notified when a field above has changed.
    changed: Event,
}

impl ReadableRange {
    pub(crate) fn new(state: CommitState) -> Self {
        Self {
            begin: Watermark::new(state.begin),
            holes: Holes::new(state.holes.clone()),
            last_entry: LastEntry::new([state.begin, state.until]),
            committed: Committed::new(state),
            changed: Event::new(),
        }
    }

    /// Returns the address below which entries are truncated.
    pub(crate) fn begin(&self) -> Address {
        self.begin.load()
    }

    /// Returns the newest durable commit.
    pub(crate) fn committed(&self) -> &Committed {
        &self.committed
    }

    /// Returns the ranges of entries that were taken back.
    pub(crate) fn holes(&self) -> &Holes {
        &self.holes
    }

    /// Returns the event of every change of the range.
    pub(crate) fn changed(&self) -> &Event {
        &self.changed
    }

    /// Returns what is known of the ends of entries.
    pub(crate) fn last_entry(&self) -> &LastEntry {
        &self.last_entry
    }

    /// Returns the bytes from `at` to the end of the last committed entry; 0 if no entry is left.
    pub(crate) fn left_from(&self, at: Address) -> u64 {
        let seen = self.holes.clip(at.max(self.begin())).0;
        debug_assert!(seen >= at, "a reader goes forward: {at:?}, {seen:?}");
        self.last_entry.end().raw().saturating_sub(seen.raw())
    }

    /// Returns the address up to which entries are processed, if they are processed below `place`.
    /// It is the end of the newest commit if only commit records follow `place`.
    pub(crate) fn processed_until(&self, place: Address) -> Address {
        // Load the end first: a later commit moves the last entry before the end.
        let committed = self.committed.until();
        if self.left_from(place) == 0 { place.max(committed) } else { place }
    }

    /// Truncates the entries below `begin`. The caller notifies [`changed`](Self::changed).
    pub(crate) fn truncate_front(&self, begin: Address) {
        debug_assert!(begin >= Address::FIRST, "no entry is before the first: {begin:?}");
        self.last_entry.truncate_front(begin, &self.committed);
        self.begin.raise(begin);
        self.holes.forget_below(begin);
    }

    /// Takes back the entries of a range; the entries before it end at `before`. The caller
    /// notifies [`changed`](Self::changed).
    pub(crate) fn add_hole(&self, hole: [Address; 2], before: Address) {
        self.holes.add(hole);
        self.last_entry.add_hole(hole, before);
    }

    /// Shows readers the next durable commit. `find_last` returns the end of its last entry.
    pub(crate) fn commit(
        &self,
        commit: &PendingCommit,
        find_last: impl FnOnce() -> Option<Address>,
    ) {
        debug_assert!(
            self.last_entry.end() <= commit.entries[0].max(self.committed.until()),
            "no entry of a later commit is counted: {commit:?}"
        );
        self.last_entry.commit(find_last);
        self.committed.advance(|state| state.apply_pending(commit));
        self.changed.notify(usize::MAX);
    }

    /// Shows readers a later state of a log that another process writes.
    pub(crate) fn replace(&self, state: CommitState) {
        self.last_entry.truncate_front(state.begin, &self.committed);
        self.begin.raise(state.begin);
        self.holes.replace(state.holes.clone());
        self.last_entry.set(state.until);
        self.committed.advance(|present| *present = state);
        self.changed.notify(usize::MAX);
    }
}

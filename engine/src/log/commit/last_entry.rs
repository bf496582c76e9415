//! The end of the last committed entry, so that readers know when they have reached it.
//!
//! Commit records and padding follow the last entry of a log. So a reader that has returned every
//! entry stands before them, below the end of the newest commit. Therefore the log keeps the end of
//! the last entry, and the end of the last truncated entry.
//!
//! The end of the last entry is never too low. In two cases it is too high until the next entry is
//! committed. In the first, memory has evicted the bytes before a commit when the commit becomes
//! durable. In the second, an opening finds no entry in the last pages of the log.

use super::committed::Committed;
use crate::base::address::Address;
use kvick_io::sync::{Mutex, MutexGuard};

/// The ends of entries.
#[derive(Debug)]
pub(crate) struct LastEntry(Mutex<Ends>);

#[derive(Debug)]
struct Ends {
    /// The end of the last committed entry that was not taken back.
    last: Address,
    /// No entry that was truncated at the front ends after this address.
    gone: Address,
}

impl LastEntry {
    /// Returns the ends of a log from `begin` to `until`.
    pub(crate) fn new([begin, until]: [Address; 2]) -> Self {
        debug_assert!(begin <= until, "a log ends after its begin: {begin:?}, {until:?}");
        Self(Mutex::new(Ends { last: until, gone: begin }))
    }

    /// Returns the end of the last committed entry.
    pub(crate) fn end(&self) -> Address {
        self.ends().last
    }

    /// Returns whether no entry at `at` or after it was truncated at the front.
    pub(crate) fn has_all_from(&self, at: Address) -> bool {
        self.ends().gone <= at
    }

    /// Notes that entries below `begin` are truncated. Readers do not know it yet.
    pub(crate) fn truncate_front(&self, begin: Address, committed: &Committed) {
        let mut ends = self.ends();
        let is_known = begin <= committed.until();
        let gone = if is_known { begin.min(ends.last) } else { begin };
        ends.gone = ends.gone.max(gone);
    }

    /// Notes a commit that readers do not see yet. `find` returns the end of its last entry; no
    /// hole is added meanwhile.
    pub(crate) fn commit(&self, find: impl FnOnce() -> Option<Address>) {
        let mut ends = self.ends();
        if let Some(end) = find() {
            ends.last = ends.last.max(end);
        }
    }

    /// Notes a hole that readers know already. The entries before it end at `before`.
    pub(crate) fn add_hole(&self, [start, end]: [Address; 2], before: Address) {
        debug_assert!(before <= start && start < end, "{before:?} {start:?} {end:?}");
        let mut ends = self.ends();
        if start < ends.last && ends.last <= end {
            ends.last = before;
        }
    }

    /// Notes the end of the last committed entry.
    pub(crate) fn set(&self, end: Address) {
        self.ends().last = end;
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().expect("nothing panics under it")
    }
}

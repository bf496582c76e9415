//! Moves the begin of a log: records below it are gone, and their files may be deleted.
//!
//! Compaction moves it in two steps. It *retires* a range: no operation links an address of the
//! range any more. Then it copies what is live to the tail, and at last it moves the begin. So
//! whatever is below the begin has its live version in front of its chain. A cache drops the range
//! without the copies.

use crate::base::address::Address;
use crate::hybrid_log::parts::LogParts;

/// The begin of a log. Only the task of compaction moves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeginShift<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl BeginShift<'_> {
    /// Keeps operations from linking an address below `until`, and waits for those that may be
    /// about to.
    pub(crate) async fn retire(self, until: Address) {
        self.assert_whole_pages(until);
        self.0.pages.marks().retiring.raise(until);
        self.0.drain().await;
    }

    /// Returns whether no operation links `address` any more.
    pub(crate) fn is_retired(self, address: Address) -> bool {
        address < self.0.pages.marks().retiring.load()
    }

    /// Truncates the records below `until`. Each live one has a copy in front of its chain, except
    /// in a cache.
    pub(crate) fn transition_to(self, until: Address) {
        self.assert_whole_pages(until);
        let marks = self.0.pages.marks();
        assert!(until <= marks.retiring.load(), "a range is retired first: {until:?}");
        assert!(until <= marks.safe_head.load(), "no task reads it in memory: {until:?}");
        marks.begin.raise(until);
        marks.check();
    }

    fn assert_whole_pages(self, until: Address) {
        let units = self.0.file.units();
        let is_first = until == Address::FIRST;
        assert!(is_first || until == units.start_of_page(until), "a page begins at {until:?}");
    }
}

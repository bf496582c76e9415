//! Divides the budget of the device between the log and the files beside it.
//!
//! # Terms
//! *Beside* are all files but those of the log. *Reserved* are the bytes that the next checkpoint
//! certainly writes before older files go: manifests and commit points. *Optional* are the bytes
//! for what it may do without: an image of the index, a part of the log. The log has the rest, from
//! the first file that exists to its limits.
//!
//! # Invariants
//! 1. The files never take more than the budget. Each page counts from the moment at which it is
//!    opened, whether it is written or not.
//! 2. A page that was opened is never taken away. So what is wanted for a checkpoint is given only
//!    after the limits came down, and a drain; then it is known which pages are open.
//! 3. Copies have their spare pages before a checkpoint has optional bytes.
//!
//! # More data than the budget
//! A store may be opened with a smaller budget than its files take. Then the budget is what they
//! take, and the pages for deletions and copies, until there is less; it never goes up.

use super::history::RoundHistory;
use crate::config::space_sizes::SpaceSizes;
use crate::hybrid_log::{HybridLog, Limits};
use kvick_io::sync::{Mutex, MutexGuard};

/// The part of the budget, beyond the least one, for the optional files of one checkpoint.
const OPTIONAL_PART: u64 = 8;

/// The files beside the log, and what the next checkpoint adds to them, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    /// The bytes of the files.
    pub(crate) files: u64,
    /// The bytes that the next checkpoint writes before it removes any.
    pub(crate) reserved: u64,
    /// The bytes of what the next checkpoint writes if there is room.
    pub(crate) optional: u64,
}

/// The present division of the budget, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Division {
    /// The budget, or more while there is more data.
    pub(crate) limit: u64,
    pub(crate) beside: Beside,
    /// The offset of the first file of the log.
    pub(crate) files_begin: u64,
    /// No checkpoint gets optional bytes, from the next division on.
    is_thrifty: bool,
}

/// The budget of one store, if it has one.
#[derive(Debug)]
pub(crate) struct SpaceGovernor {
    // Fixed after opening.
    sizes: Option<SpaceSizes>,
    // Under its lock.
    division: Mutex<Division>,
    // Under its lock: for the next manifest.
    history: Mutex<Option<RoundHistory>>,
}

impl Division {
    /// Returns the first page that the log may not have.
    fn end(self, sizes: &SpaceSizes) -> u64 {
        let Beside { files, reserved, optional } = self.beside;
        let log = self.limit.saturating_sub(files + reserved + optional);
        self.files_begin.saturating_add(log) / sizes.page_bytes
    }

    fn limits(self, sizes: &SpaceSizes) -> Limits {
        let copies = self.end(sizes);
        let removals = copies.saturating_sub(sizes.spare);
        Limits { values: removals.saturating_sub(sizes.removals), removals, copies }
    }

    /// Returns the bytes that are taken if the log has the pages below `end`.
    fn used(self, sizes: &SpaceSizes, end: u64) -> u64 {
        let Beside { files, reserved, .. } = self.beside;
        (end * sizes.page_bytes).saturating_sub(self.files_begin) + files + reserved
    }

    /// Adapts the limit to a log that has the pages below `end`.
    fn fit(&mut self, sizes: &SpaceSizes, end: u64) {
        let used = self.used(sizes, end);
        self.limit = if used <= sizes.budget {
            sizes.budget
        } else {
            // Deletions and copies need their pages to get below.
            self.limit.min(used + (sizes.removals + sizes.spare) * sizes.page_bytes)
        };
    }

    /// Reduces the optional bytes to what is left beside a log that has the pages below `end`, and
    /// the spare pages after it.
    fn restrict(&mut self, sizes: &SpaceSizes, end: u64) {
        let left = self.limit.saturating_sub(self.used(sizes, end + sizes.spare));
        self.beside.optional = self.beside.optional.min(left);
    }
}

impl SpaceGovernor {
    /// Creates the governor of a store. It limits nothing before the first division.
    pub(crate) fn new(sizes: Option<SpaceSizes>) -> Self {
        let division = Division { limit: u64::MAX, ..Division::default() };
        Self { sizes, division: Mutex::new(division), history: Mutex::default() }
    }

    /// Returns the sizes of the budget, if there is one.
    pub(crate) fn sizes(&self) -> Option<&SpaceSizes> {
        self.sizes.as_ref()
    }

    /// Returns the history of the rounds of compaction, if there is one.
    pub(crate) fn history(&self) -> Option<RoundHistory> {
        *self.history.lock().expect("nothing panics under it")
    }

    /// Sets the history of the rounds of compaction.
    pub(crate) fn set_history(&self, history: Option<RoundHistory>) {
        *self.history.lock().expect("nothing panics under it") = history;
    }

    /// Returns the present division.
    pub(crate) fn division(&self) -> Division {
        *self.lock()
    }

    /// Returns the limits of a log that has no more data than the budget.
    pub(crate) fn limits_within_budget(&self, sizes: &SpaceSizes) -> Limits {
        Division { limit: sizes.budget, ..self.division() }.limits(sizes)
    }

    /// Returns the bytes that a checkpoint may write for what it can do without.
    pub(crate) fn optional_bytes(&self) -> u64 {
        if self.sizes.is_some() { self.lock().beside.optional } else { u64::MAX }
    }

    /// Sets whether no checkpoint gets optional bytes, from the next division on.
    pub(crate) fn set_thrifty(&self, is_thrifty: bool) {
        self.lock().is_thrifty = is_thrifty;
    }

    /// Notes that the log begins with the file that has `offset`, and gives the log the space.
    pub(crate) fn note_begin(&self, offset: u64, log: &HybridLog) {
        let Some(sizes) = &self.sizes else {
            return;
        };
        let begin = offset / sizes.segment_bytes * sizes.segment_bytes;
        let limits = {
            let mut division = self.lock();
            debug_assert!(begin >= division.files_begin, "files go from the low end: {begin}");
            division.files_begin = begin;
            division.limits(sizes)
        };
        log.quota().set(limits);
    }

    /// Divides the budget again, as the files beside the log have changed. No checkpoint is in
    /// progress meanwhile.
    pub(crate) async fn divide(&self, beside: Beside, log: &HybridLog) {
        let Some(sizes) = &self.sizes else {
            return;
        };
        let limits = {
            let mut division = self.lock();
            division.beside = beside;
            division.fit(sizes, log.quota().opened());
            let most = division.limit.saturating_sub(sizes.least()) / OPTIONAL_PART;
            let most = if division.is_thrifty { 0 } else { most };
            division.beside.optional = beside.optional.min(most);
            division.limits(sizes)
        };
        log.quota().set(limits);
        // An attempt that has loaded the old limits may still open a page.
        log.drain().await;
        let limits = {
            let mut division = self.lock();
            division.restrict(sizes, log.quota().opened());
            division.limits(sizes)
        };
        log.quota().set(limits);
    }

    fn lock(&self) -> MutexGuard<'_, Division> {
        self.division.lock().expect("nothing panics under it")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::config::{ByteSize, Config};

    const PAGE: u64 = 4 << 10;
    const SEGMENT: u64 = 8 << 10;

    fn sizes() -> SpaceSizes {
        let config = Config::default().with_disk(ByteSize::kib(512));
        SpaceSizes::of(&config, PAGE, SEGMENT).expect("a budget")
    }

    fn division(files: u64, optional: u64, pages: u64) -> Division {
        let beside = Beside { files, reserved: 10_000, optional };
        let limit = u64::MAX;
        let mut division = Division { limit, beside, files_begin: 3 * SEGMENT, is_thrifty: false };
        division.fit(&sizes(), 6 + pages);
        division.restrict(&sizes(), 6 + pages);
        division
    }

    /// Returns the most bytes of files under these limits.
    fn most(division: Division) -> u64 {
        let Beside { files, reserved, optional } = division.beside;
        let log = division.limits(&sizes()).copies * PAGE - division.files_begin;
        log + files + reserved + optional
    }

    #[test]
    fn the_parts_are_within_the_budget() {
        let sizes = sizes();
        for files in [700, 5_000, 60_000, 100_000] {
            for pages in 0..80 {
                let division = division(files, 50_000, pages);
                assert_eq!(division.limit, sizes.budget);
                assert!(most(division) <= sizes.budget, "{division:?}");
                let Limits { values, removals, copies } = division.limits(&sizes);
                assert_eq!([copies - removals, removals - values], [sizes.spare, sizes.removals]);
                // What is wanted for a checkpoint never takes the pages for copies.
                let left = division.beside.optional > 0;
                assert!(!left || copies >= 6 + pages + sizes.spare, "{division:?}");
            }
        }
    }

    #[test]
    fn more_data_than_the_budget_gets_less_only() {
        let sizes = sizes();
        let mut division = division(5_000, 0, 500);
        let at_first = division.limit;
        assert!(at_first > sizes.budget && most(division) <= at_first, "{division:?}");
        let spare = sizes.spare + sizes.removals;
        assert_eq!(division.limits(&sizes).copies, 506 + spare);
        // Copies and deletions have opened pages.
        division.fit(&sizes, 510);
        assert_eq!(division.limit, at_first);
        division.files_begin += 100 * SEGMENT;
        division.fit(&sizes, 510);
        assert!(sizes.budget < division.limit && division.limit < at_first, "{division:?}");
        division.files_begin += 100 * SEGMENT;
        division.fit(&sizes, 510);
        assert_eq!(division.limit, sizes.budget);
    }
}

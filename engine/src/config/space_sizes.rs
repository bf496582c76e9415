//! The division of a budget for the device.
//!
//! ```text
//!   disk = files beside the log | values | deletions | spare, for copies alone
//!                               '----------------- pages of the log ---------'
//! ```
//!
//! Compaction copies what is live before the files of its source go. So some pages are for its
//! copies alone. Deletions make space only later, so they may use some more pages than values.

use super::{ByteSize, Config};
use crate::base::error::{Error, Result};
use crate::config::page_sizes::{max_inline, page_capacity};

/// The least bytes for files beside the log: manifests, and commit points of few sessions.
const BESIDE_MIN: u64 = 16 << 10;
/// The share of the budget for deletions alone.
const REMOVAL_PART: u64 = 32;
const REMOVAL_PAGES_MIN: u64 = 2;
/// The least pages for values.
const VALUE_PAGES_MIN: u64 = 4;
/// The pages that copies may not fill: one is begun already, and one is for records of writers that
/// have overtaken a limit.
const BEGUN_PAGES: u64 = 2;

/// The sizes that follow from a budget for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpaceSizes {
    /// The budget, in bytes.
    pub(crate) budget: u64,
    pub(crate) page_bytes: u64,
    /// The bytes of a file of the log.
    pub(crate) segment_bytes: u64,
    /// The pages for copies alone. The copies of everything in one file fit. None in a cache.
    pub(crate) spare: u64,
    /// The pages that deletions may take in addition to the pages for values.
    pub(crate) removals: u64,
}

impl SpaceSizes {
    /// Returns the sizes for a store with pages and files of these bytes, if it has a budget. A
    /// cache makes space without copies, and without deletions.
    pub(crate) fn of(config: &Config, page_bytes: u64, segment_bytes: u64) -> Option<Self> {
        let budget = config.disk?.bytes();
        let removals = (budget / REMOVAL_PART / page_bytes).max(REMOVAL_PAGES_MIN);
        let removals = if config.cache { 0 } else { removals };
        let sizes = Self { budget, page_bytes, segment_bytes, spare: 0, removals };
        if config.cache {
            return Some(sizes);
        }
        Some(Self { spare: sizes.pages_of_copies(segment_bytes / page_bytes), ..sizes })
    }

    /// Refuses a budget in which compaction cannot make progress.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(crate) fn check(self) -> Result<()> {
        let least = ByteSize::new(self.least());
        if least.bytes() <= self.budget {
            return Ok(());
        }
        let [disk, page, segment] =
            [self.budget, self.page_bytes, self.segment_bytes].map(ByteSize::new);
        Err(Error::invalid(format!(
            "disk = {disk}: must be at least {least} for pages of {page} and files of {segment}"
        )))
    }

    /// Returns the smallest budget in which compaction makes progress.
    pub(crate) fn least(self) -> u64 {
        let values = VALUE_PAGES_MIN.max(2 * self.segment_bytes / self.page_bytes);
        let pages = self.spare + self.removals + values;
        BESIDE_MIN.saturating_add(pages.saturating_mul(self.page_bytes))
    }

    /// Returns the most pages that copies of all records in `source` pages take, and the
    /// [`BEGUN_PAGES`].
    pub(crate) fn pages_of_copies(self, source: u64) -> u64 {
        self.pages_filled(source * self.capacity(), max_inline(self.page_bytes)) + BEGUN_PAGES
    }

    /// Returns the most pages that copies of `bytes` bytes take, none of which is larger than
    /// `largest`. In the worst case one of that size just does not fit into any page.
    pub(crate) fn pages_filled(self, bytes: u64, largest: u64) -> u64 {
        bytes.div_ceil(self.filled(largest))
    }

    /// Returns the most pages whose copies fit into `free` pages in the worst case.
    pub(crate) fn source_of_copies(self, free: u64) -> u64 {
        let filled = self.filled(max_inline(self.page_bytes));
        free.saturating_sub(BEGUN_PAGES) * filled / self.capacity()
    }

    fn capacity(self) -> u64 {
        page_capacity(self.page_bytes)
    }

    /// Returns the least bytes of records in a page after which another page was begun.
    fn filled(self, largest: u64) -> u64 {
        let capacity = self.capacity();
        debug_assert!(largest < capacity, "a record of {largest} bytes is in a page");
        capacity - largest
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn sizes(disk: ByteSize, page: ByteSize, segment: ByteSize) -> SpaceSizes {
        let config = Config::default().with_disk(disk);
        SpaceSizes::of(&config, page.bytes(), segment.bytes()).expect("there is a budget")
    }

    #[test]
    fn copies_of_a_file_fit_into_the_spare() {
        for page in [4, 16, 64, 128, 1 << 10, 4 << 10, 32 << 10].map(ByteSize::kib) {
            for pages in [1, 2, 32, 1000] {
                let segment = ByteSize::new(page.bytes() * pages);
                let sizes = sizes(ByteSize::gib(1 << 10), page, segment);
                assert!(sizes.source_of_copies(sizes.spare) >= pages, "{sizes:?}");
                assert!(sizes.spare <= 2 * pages + 3, "{sizes:?}");
            }
        }
    }

    #[test]
    fn a_budget_has_room_for_values() {
        let [page, segment] = [4, 16].map(ByteSize::kib);
        assert!(sizes(ByteSize::kib(96), page, segment).check().is_ok());
        let error = sizes(ByteSize::kib(95), page, segment).check().expect_err("too little");
        let expected = "disk = 95KiB: must be at least 96KiB for pages of 4KiB and files of 16KiB";
        assert_eq!(error.to_string(), expected);
    }
}

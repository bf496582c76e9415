//! Where the addresses of a log end.
//!
//! Addresses are used once, so some day there are none left: of a store, since record headers and
//! index entries have room for 48 bits; of a log of entries, since the word of the tail has 36 bits
//! for the page. Who appends is refused before, so early that what was appended can still be made
//! durable: pages are kept for records of commits, and some stay unused, whose addresses are
//! computed with.

use super::tail::MOST_PAGES;
use crate::address::{ADDRESS_BITS, ADDRESS_MASK};
use crate::error::Error;

/// Pages behind the last one that is used, with whose addresses the drivers compute.
const UNUSED: u64 = 16;
/// Pages for records of commits alone: each takes a page, so that nothing else is appended there.
const LAST_COMMITS: u64 = 1024;

/// The end of the addresses of one log, in pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    page_bits: u32,
    /// Records are in pages below.
    records: u64,
    /// Records of commits are in pages below.
    commits: u64,
}

/// Who needs pages behind that of the tail, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) pages: u64,
    is_commit: bool,
}

impl LogEnd {
    /// The log of a store, whose checkpoints take no page.
    pub(crate) fn of_store(page_bits: u32) -> Self {
        let pages = (1 << (ADDRESS_BITS - page_bits)) - UNUSED;
        Self { page_bits, records: pages, commits: pages }
    }

    /// A log of entries.
    pub(crate) fn of_entries(page_bits: u32) -> Self {
        let commits = MOST_PAGES - UNUSED;
        Self { page_bits, records: commits - LAST_COMMITS, commits }
    }

    /// Whether `page` comes before the end for whom needs it.
    pub(super) fn has(self, need: Need, page: u64) -> bool {
        page < if need.is_commit { self.commits } else { self.records }
    }

    /// Whether records other than those of commits go into `page`.
    pub(crate) fn takes_records(self, page: u64) -> bool {
        page < self.records
    }

    /// Whether a log can have come as far as `address`.
    pub(crate) fn has_address(self, address: u64) -> bool {
        address >> self.page_bits <= self.commits
    }

    /// That there is no page any more.
    #[cold]
    pub(super) fn refusal(self, owner: &str) -> Error {
        Error::addresses_exhausted(owner, self.records << self.page_bits)
    }
}

impl Need {
    /// Pages for records.
    pub(crate) fn records(pages: u64) -> Self {
        Self { pages, is_commit: false }
    }

    /// A page for the record of a commit.
    pub(crate) fn commit() -> Self {
        Self { pages: 1, is_commit: true }
    }
}

const _: () = assert!(MOST_PAGES > 2 * (LAST_COMMITS + UNUSED), "most pages are for records");
const _: () = assert!(ADDRESS_MASK >> 25 > 2 * UNUSED, "a store of the largest pages has some");

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::address::ADDRESS_MAX;

    /// A log went on beyond its addresses: a commit was acknowledged, and the next opening refused
    /// the log.
    #[test]
    fn addresses_end_before_the_words_that_hold_them() {
        for page_bits in 12..=25 {
            let store = LogEnd::of_store(page_bits);
            let last = Need::records(1);
            assert!((store.records + UNUSED) << page_bits <= ADDRESS_MASK + 1);
            assert!(!store.has(last, ADDRESS_MASK >> page_bits));
            let entries = LogEnd::of_entries(page_bits);
            assert!((entries.commits + UNUSED) << page_bits <= ADDRESS_MAX / 2 + 1);
            assert!(entries.has(Need::commit(), entries.records));
            assert!(!entries.has(last, entries.records));
            assert!(entries.has_address(entries.commits << page_bits));
            assert!(!entries.has_address((entries.commits + 1) << page_bits));
        }
    }
}

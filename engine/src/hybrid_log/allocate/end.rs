//! The end of the addresses of a log.
//!
//! Each address is used once, so at some point none is left. Record headers and index entries of a
//! store have room for 48 bits. The tail word of a log of entries has 36 bits for the page. Appends
//! are refused before that, so early that earlier appends can still become durable. Some pages are
//! kept for commit records. Others stay unused, because drivers compute with their addresses.

use super::limits::Claim;
use super::tail::MOST_PAGES;
use crate::base::address::{ADDRESS_BITS, ADDRESS_MASK};
use crate::base::error::Error;

/// The pages after the last used page, with whose addresses the drivers compute.
const UNUSED: u64 = 16;
/// The pages for commit records alone. Each commit record takes a page, so that no other record is
/// appended there.
const LAST_COMMITS: u64 = 1024;

/// The end of the addresses of one log, in pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    page_bits: u32,
    /// Records are in pages below this page.
    records: u64,
    /// Commit records are in pages below this page.
    commits: u64,
}

/// The number of pages after the tail page that a task needs, and their use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) pages: u64,
    pub(super) claim: Claim,
}

impl LogEnd {
    /// Returns the end of the log of a store, whose checkpoints take no page.
    pub(crate) fn of_store(page_bits: u32) -> Self {
        assert!(page_bits < ADDRESS_BITS, "an address has a page: {page_bits} bits");
        let pages = (1 << (ADDRESS_BITS - page_bits)) - UNUSED;
        Self { page_bits, records: pages, commits: pages }
    }

    /// Returns the end of a log of entries.
    pub(crate) fn of_entries(page_bits: u32) -> Self {
        let commits = MOST_PAGES - UNUSED;
        Self { page_bits, records: commits - LAST_COMMITS, commits }
    }

    /// Returns whether `page` comes before the end for `need`.
    pub(super) fn has(self, need: Need, page: u64) -> bool {
        page < if need.claim == Claim::Commit { self.commits } else { self.records }
    }

    /// Returns whether records other than commit records go into `page`.
    pub(crate) fn takes_records(self, page: u64) -> bool {
        page < self.records
    }

    /// Returns whether a log can have reached `address`.
    pub(crate) fn has_address(self, address: u64) -> bool {
        address >> self.page_bits <= self.commits
    }

    /// Returns the error of a log without a further page.
    #[cold]
    pub(super) fn refusal(self, owner: &str) -> Error {
        Error::addresses_exhausted(owner, self.records << self.page_bits)
    }
}

impl Need {
    /// Returns the need of pages for records.
    pub(crate) fn records(pages: u64) -> Self {
        Self { pages, claim: Claim::Value }
    }

    /// Returns the need of a page for one record.
    pub(super) fn page(claim: Claim) -> Self {
        Self { pages: 1, claim }
    }

    /// Returns the need of a page for a commit record.
    pub(crate) fn commit() -> Self {
        Self::page(Claim::Commit)
    }
}

const _: () = assert!(LAST_COMMITS > UNUSED, "appended entries can still become durable");
const _: () = assert!(MOST_PAGES > 2 * (LAST_COMMITS + UNUSED), "most pages are for records");
const _: () = assert!(ADDRESS_MASK >> 25 > 2 * UNUSED, "a store of the largest pages has some");

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::address::ADDRESS_MAX;

    /// A log continued after its last address. It acknowledged a commit, and the next opening
    /// refused the log.
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

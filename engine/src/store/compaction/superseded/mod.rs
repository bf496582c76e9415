//! The newer neighbours of records in their chains, as far as they were seen in memory.
//!
//! A record is dead if a newer one of its key was linked. The newer one may be on the device by
//! then. But it was in memory once: when pages become immutable, their records are walked, and each
//! is noted as the *successor* of the record that its chain began with before (`collect.rs`).
//! When a round reads a page, it goes from record to successor. If it meets the key, the record is
//! dead, and neither the index nor the device is asked. If not, the walk has passed the chain up to
//! its last successor: that is where the proof of liveness may begin.
//!
//! # Invariants
//! 1. Only records that are linked and stay so are noted: their page is permanently immutable, and
//!    a record that lost its race was marked before. Pieces and lists of pieces are not noted.
//! 2. A successor has its table and its whole key. Its previous address is that of the record whose
//!    successor it is. So a walk meets every record of the chain from the record to where it ends.
//! 3. A record may have a successor that was not noted. Then the walk ends below it.
//! 4. What is noted stays true, as linked records never change, and is forgotten when the store is
//!    closed, or the log begins after the older record.
//!
//! # Memory
//! What is noted of the records of a page begins with the page, so it is complete unless a page has
//! left memory before it was walked, or was forgotten. If all pages take more than their share,
//! those of the newest are forgotten permanently: they have grown least, and are compacted last.

mod collect;
mod successors;

use crate::base::address::Address;
use crate::hybrid_log::Units;
use crate::record::Layouts;
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use successors::{PageSuccessors, TableKey};

/// The limit of successors that one walk passes. What it leaves is looked up.
const HOPS_MOST: u32 = 64;

/// The successors of the records of one store.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    // Under its lock.
    pages: Mutex<Pages>,
}

/// The successors of the records of some pages, by the number of the page.
#[derive(Debug, Default)]
pub(super) struct Pages {
    of: BTreeMap<u64, PageSuccessors>,
    /// The bytes of all of them.
    bytes: usize,
}

/// The end of a walk from a record to its successors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Climb {
    /// A newer record has the key.
    Superseded,
    /// The chain from this address on leads to the record, and to no newer one of its key.
    ProvenFrom(Address),
}

impl Superseded {
    /// Forgets the pages below `begin`, the start of a page.
    pub(super) fn forget_below(&self, units: Units, begin: Address) {
        let begin = begin.page(units.page_bits());
        let mut pages = self.pages();
        while let Some((&page, _)) = pages.of.first_key_value().filter(|(page, _)| **page < begin) {
            pages.forget(page);
        }
    }

    /// Forgets pages until the others take `limit` bytes at most. Returns the bytes.
    pub(in crate::store) fn limit_to(&self, limit: u64) -> u64 {
        let mut pages = self.pages();
        while let Some((&newest, _)) =
            pages.of.last_key_value().filter(|_| pages.bytes as u64 > limit)
        {
            pages.forget(newest);
        }
        pages.bytes as u64
    }

    pub(super) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("nothing panics under it")
    }
}

impl Pages {
    /// Begins a page, none of whose records has a successor on an immutable page.
    fn begin(&mut self, units: Units, page: u64) {
        let successors = PageSuccessors::new(units.page_bits());
        self.bytes += successors.bytes();
        let before = self.of.insert(page, successors);
        debug_assert!(before.is_none(), "page {page} begins once");
    }

    /// Notes the successor of the record at `older`.
    fn note(&mut self, units: Units, [older, successor]: [Address; 2], key: TableKey<'_>) {
        if let Some(page) = self.of.get_mut(&older.page(units.page_bits())) {
            self.bytes += page.push(units.page_bits(), [older, successor], key);
        }
    }

    /// Walks from the record at `address`, which has this key, to its successors. Returns the
    /// number of successors that were passed, too.
    ///
    /// After [`HOPS_MOST`] it ends as if no further one was noted (invariant 3).
    pub(super) fn climb(
        &self,
        units: Units,
        layouts: &Layouts,
        (address, key): (Address, TableKey<'_>),
    ) -> (Climb, u32) {
        let page_bits = units.page_bits();
        let mut at = address;
        let mut page = None;
        for hops in 0..HOPS_MOST {
            let number = at.page(page_bits);
            let of = match page {
                Some((same, of)) if same == number => of,
                _ => match self.of.get(&number) {
                    Some(of) => of,
                    None => return (Climb::ProvenFrom(at), hops),
                },
            };
            page = Some((number, of));
            match of.successor(page_bits, layouts, at) {
                Some((_, (table, _, newer))) if table == key.0 && newer == key.2 => {
                    return (Climb::Superseded, hops);
                }
                Some((successor, _)) => {
                    debug_assert!(successor > at, "a successor is newer: {successor:?}");
                    at = successor;
                }
                None => return (Climb::ProvenFrom(at), hops),
            }
        }
        (Climb::ProvenFrom(at), HOPS_MOST)
    }

    fn forget(&mut self, page: u64) {
        let page = self.of.remove(&page);
        self.bytes -= page.map_or(0, |page| page.bytes());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::hybrid_log::Life;
    use crate::record::{Layout, TableNumber};

    const PAGE_BITS: u32 = 14;

    fn units() -> Units {
        Units::new(PAGE_BITS, 512, 0, Life::FIRST)
    }

    fn layouts() -> Layouts {
        let layouts = Layouts::new();
        layouts.set(table(1), Layout::new(Some(8), Some(8)));
        layouts.set(table(2), Layout::new(None, None));
        layouts
    }

    fn table(number: u8) -> TableNumber {
        TableNumber::new(number).expect("a number of a table")
    }

    /// Notes a record of a table, at an address, whose chain began at another one before.
    fn note(superseded: &Superseded, addresses: [u64; 2], number: u8, key: &[u8]) {
        let layout = layouts().get(table(number)).expect("it is known");
        let key = (table(number), layout, key);
        superseded.pages().note(units(), addresses.map(Address::new), key);
    }

    fn climb(superseded: &Superseded, address: u64, number: u8, key: &[u8]) -> Climb {
        let layouts = layouts();
        let key = (table(number), layouts.get(table(number)).expect("it is known"), key);
        superseded.pages().climb(units(), &layouts, (Address::new(address), key)).0
    }

    fn with_pages(pages: u64) -> Superseded {
        let superseded = Superseded::default();
        (0..pages).for_each(|page| superseded.pages().begin(units(), page));
        superseded
    }

    const KEY: &[u8] = b"the key!";
    const OTHER: &[u8] = b"the kez!";

    #[test]
    fn a_climb_ends_at_the_key_or_at_the_last_successor() {
        let superseded = with_pages(3);
        let proven = |address| Climb::ProvenFrom(Address::new(address));
        // A chain over three pages. Keys of the other table have any length.
        note(&superseded, [64, 16_448], 1, OTHER);
        note(&superseded, [128, 192], 2, b"");
        note(&superseded, [16_448, 32_832], 2, KEY);
        note(&superseded, [32_832, 49_216], 1, KEY);
        assert_eq!(climb(&superseded, 64, 1, KEY), Climb::Superseded);
        assert_eq!(climb(&superseded, 64, 2, KEY), Climb::Superseded);
        assert_eq!(climb(&superseded, 64, 1, OTHER), Climb::Superseded);
        assert_eq!(climb(&superseded, 16_448, 1, OTHER), proven(49_216), "it is older");
        assert_eq!(climb(&superseded, 64, 2, OTHER), proven(49_216), "it is of the other table");
        assert_eq!(climb(&superseded, 32_832, 2, KEY), proven(49_216), "it is of the other table");
        assert_eq!(climb(&superseded, 128, 2, b"a"), proven(192), "another length");
        assert_eq!(climb(&superseded, 72, 1, KEY), proven(72), "no successor");
    }

    #[test]
    fn a_long_climb_ends_at_a_proven_part_of_the_chain() {
        let superseded = with_pages(1);
        let at = |hops: u32| 64 + 8 * u64::from(hops);
        for hops in 1..=HOPS_MOST {
            note(&superseded, [at(hops - 1), at(hops)], 1, OTHER);
        }
        note(&superseded, [at(HOPS_MOST), at(HOPS_MOST + 1)], 1, KEY);
        let limit = Climb::ProvenFrom(Address::new(at(HOPS_MOST)));
        assert_eq!(climb(&superseded, at(0), 1, KEY), limit, "the newer one is beyond the limit");
        assert_eq!(climb(&superseded, at(2), 1, KEY), Climb::Superseded);
    }

    #[test]
    fn what_is_forgotten_gives_back_its_bytes_and_ends_climbs() {
        let superseded = with_pages(3);
        let empty = superseded.limit_to(u64::MAX);
        for page in 0..3 {
            note(&superseded, [64, 16_448].map(|at| at + (page << PAGE_BITS)), 1, OTHER);
        }
        let full = superseded.limit_to(u64::MAX);
        assert!(empty < full && full < empty + 3 * 128, "{empty} to {full} bytes");
        assert_eq!(superseded.limit_to(full - 1), full / 3 * 2);
        // A successor of a record on the newest page is noted no more.
        note(&superseded, [32_840, 49_224], 1, KEY);
        assert_eq!(superseded.limit_to(full), full / 3 * 2);
        let last = Climb::ProvenFrom(Address::new(32_832));
        assert_eq!(climb(&superseded, 64, 1, KEY), last);
        superseded.forget_below(units(), Address::new(16_384));
        assert_eq!(superseded.limit_to(full), full / 3);
        assert_eq!(climb(&superseded, 64, 1, KEY), Climb::ProvenFrom(Address::new(64)));
        assert_eq!(climb(&superseded, 16_448, 1, KEY), last);
        assert_eq!(superseded.limit_to(0), 0);
    }
}

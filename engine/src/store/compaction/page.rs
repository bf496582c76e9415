//! The records of one page of the source, sorted by what becomes of them.

use super::counts::Round;
use super::superseded::Climb;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::hash::{KeyHash, KeyHasher};
use crate::base::wait::yield_once;
use crate::hybrid_log::{PageRecord, Records};
use crate::record::{Layout, StoredRecord, TableNumber};
use crate::store::inner::StoreInner;
use crate::store::scan::Candidate;

/// The limit of looks at noted successors in one stretch, and of records: some 100 microseconds.
const LOOKS_AT_ONCE: u32 = 256;

/// The records of a page that may have to be copied.
#[derive(Debug, Default)]
pub(super) struct PageContents<'p> {
    /// Values that may be live.
    pub(super) candidates: Vec<Candidate<'p>>,
    /// The keys of values in pieces, of which the page has a list or a piece.
    pub(super) long: Vec<LongKey<'p>>,
}

/// The hash function of the table that came last: most pages have records of few tables.
#[derive(Debug, Default)]
pub(super) struct TableHasher(Option<(TableNumber, KeyHasher)>);

impl TableHasher {
    pub(super) fn hash(&mut self, store: &StoreInner, table: TableNumber, key: &[u8]) -> KeyHash {
        let hasher = match &self.0 {
            Some((of, hasher)) if *of == table => hasher,
            _ => &self.0.insert((table, store.tables.hasher(table))).1,
        };
        hasher.hash(key)
    }
}

/// The key of a value that is in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongKey<'p> {
    pub(super) table: TableNumber,
    pub(super) layout: Layout,
    pub(super) key: &'p [u8],
}

/// The records of a page that are being sorted, in order.
struct Sorting<'p> {
    store: &'p StoreInner,
    records: Records<'p>,
    /// Records from here on are not of the source.
    end: Address,
    /// Records that expire in this second or earlier have expired.
    second: u32,
    hasher: TableHasher,
    contents: PageContents<'p>,
}

impl<'p> PageContents<'p> {
    /// Sorts the records in `bytes`, the payload of a page from `start` on, below `end`. Lets other
    /// tasks run meanwhile.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not records.
    pub(super) async fn of(
        store: &'p StoreInner,
        [start, end]: [Address; 2],
        bytes: &'p [u8],
        (second, round): (u32, &mut Round),
    ) -> Result<Self> {
        let records = store.log.file().records(store.tables.layouts(), start, bytes);
        let (hasher, contents) = (TableHasher::default(), Self::default());
        let mut sorting = Sorting { store, records, end, second, hasher, contents };
        while !sorting.sort_some(round)? {
            yield_once().await;
        }
        Ok(sorting.contents)
    }

    /// Adds a key, unless its value came just before. The pieces of a value are neighbours.
    fn add_long(&mut self, long: LongKey<'p>) {
        let is_same = |last: &LongKey<'_>| last.table == long.table && last.key == long.key;
        if !self.long.last().is_some_and(is_same) {
            self.long.push(long);
        }
    }
}

impl Sorting<'_> {
    /// Sorts further records in one stretch. Returns whether these were the last ones.
    fn sort_some(&mut self, round: &mut Round) -> Result<bool> {
        let Self { store, records, end, second, hasher, contents } = self;
        let (file, layouts) = (store.log.file(), store.tables.layouts());
        let superseded = store.superseded.pages();
        let mut looks = 0;
        while looks < LOOKS_AT_ONCE {
            let Some(record) = records.next() else {
                return Ok(true);
            };
            let PageRecord { address, info, layout, bytes } =
                record.map_err(|found| file.no_record(found))?;
            if address >= *end {
                return Ok(true);
            }
            looks += 1;
            let table = info.table();
            let is_gone = info.is_invalid()
                || info.is_tombstone()
                || layouts.is_dropped(table)
                || StoredRecord::expiry_in(bytes, layout).has_passed(*second);
            if is_gone {
                round.dropped_records += 1;
                continue;
            }
            let key = StoredRecord::key_in(bytes, layout);
            if info.is_piece() || info.is_in_pieces(layout) {
                contents.add_long(LongKey { table, layout, key });
                continue;
            }
            let of_key = (address, (table, layout, key));
            let (climb, hops) = superseded.climb(file.units(), layouts, of_key);
            looks += hops;
            let Climb::ProvenFrom(proven) = climb else {
                round.dropped_records += 1;
                continue;
            };
            let (record, hash) = (bytes, hasher.hash(store, table, key));
            contents.candidates.push(Candidate { address, table, layout, record, hash, proven });
        }
        Ok(false)
    }
}

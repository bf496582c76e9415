//! The driver that notes records as successors of older ones, as their pages become immutable.

use super::Pages;
use crate::base::address::Address;
use crate::base::wait::yield_once;
use crate::epoch::Guard;
use crate::hybrid_log::{PageRecord, Units};
use crate::record::StoredRecord;
use crate::store::inner::StoreInner;

/// The limit of bytes that are walked under one guard: some microseconds.
const BYTES_AT_ONCE: u64 = 32 << 10;

impl StoreInner {
    /// Notes the successors of records, until the log is closed. What has left memory before its
    /// turn is skipped.
    pub(crate) async fn drive_superseded(&self) {
        // A store whose rounds a caller asks for has none of this cost.
        let compacts = self.space.sizes().is_some() || self.config.space_ratio.is_some();
        if !compacts || self.config.cache {
            return;
        }
        let Ok(mut next) = self.log.immutable_behind(Address::NONE).await else {
            return;
        };
        while let Ok(end) = self.log.immutable_behind(next).await {
            while next < end {
                next = self.note_successors([next, end]);
                self.governor.limit_superseded(|limit| self.superseded.limit_to(limit));
                yield_once().await;
            }
        }
    }

    /// Notes the first records of a range that is immutable. Returns where the next one begins.
    fn note_successors(&self, range: [Address; 2]) -> Address {
        let mut noted = self.superseded.pages();
        self.pool.with(|seat| seat.guarded(|guard| self.note_under(range, &mut noted, guard)))
    }

    fn note_under(
        &self,
        [from, end]: [Address; 2],
        noted: &mut Pages,
        guard: &Guard<'_>,
    ) -> Address {
        let (pages, file) = (self.log.pages(), self.log.file());
        let (units, layouts) = (file.units(), self.tables.layouts());
        let (head, begin) = (pages.head(guard), pages.begin());
        if from < head {
            return head.min(end);
        }
        if from == units.start_of_page(from) {
            noted.begin(units, from.page(units.page_bits()));
        }
        let left = units.left_of_page(from).min(end.raw() - from.raw());
        let bytes = pages.immutable(from, 0..usize::try_from(left).expect("a page fits"), guard);
        for record in file.records_from(layouts, [from, from], bytes) {
            // What is no record is found when it is read.
            let Ok(record) = record else {
                break;
            };
            if record.address.raw() - from.raw() >= BYTES_AT_ONCE {
                return record.address;
            }
            noted.note_record(units, begin, record);
        }
        units.align_up(Address::new(from.raw() + left))
    }
}

impl Pages {
    /// Notes an immutable record as the successor of the one before in its chain, unless that is
    /// below `begin`.
    fn note_record(&mut self, units: Units, begin: Address, record: PageRecord<'_>) {
        let PageRecord { address, info, layout, bytes } = record;
        let older = info.previous();
        if older < begin || info.is_invalid() || info.is_piece() || info.is_in_pieces(layout) {
            return;
        }
        let key = (info.table(), layout, StoredRecord::key_in(bytes, layout));
        self.note(units, [older, address], key);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::hybrid_log::Life;
    use crate::record::{Layout, Layouts, RecordInfo, RecordKind, TableNumber};
    use crate::store::compaction::superseded::Climb;
    use kvick_io::sync::atomic::AtomicU64;

    const LAYOUT: Layout = Layout::new(Some(8), Some(8));

    /// A record that was never linked made a live one look dead, since both have the same key.
    #[test]
    fn a_record_that_lost_its_race_is_no_successor() {
        let units = Units::new(14, 512, 0, Life::FIRST);
        let (older, key) = (Address::new(64), *b"the key!");
        let mut pages = Pages::default();
        pages.begin(units, 0);
        let mut note = |address, key: [u8; 8], has_lost| {
            let info = RecordInfo::new(TableNumber::FIRST, older, RecordKind::Value, 0);
            let header = AtomicU64::new(info.raw());
            if has_lost {
                RecordInfo::transition_to_invalid(&header);
            }
            let info = RecordInfo::load(&header);
            let bytes = [info.raw().to_le_bytes(), key, [7; 8]].concat();
            let (address, layout) = (Address::new(address), LAYOUT);
            let record = PageRecord { address, info, layout, bytes: &bytes };
            pages.note_record(units, Address::FIRST, record);
        };
        note(128, key, true);
        note(192, *b"another!", false);
        let layouts = Layouts::new();
        layouts.set(TableNumber::FIRST, LAYOUT);
        let of_key = (older, (TableNumber::FIRST, LAYOUT, &key[..]));
        let (climb, _) = pages.climb(units, &layouts, of_key);
        assert_eq!(climb, Climb::ProvenFrom(Address::new(192)));
    }
}

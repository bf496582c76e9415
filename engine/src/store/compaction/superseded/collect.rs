//! The driver that notes records as successors of older ones, as their pages become immutable.

use super::Pages;
use crate::base::address::Address;
use crate::base::wait::yield_once;
use crate::epoch::Guard;
use crate::hybrid_log::PageRecord;
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
                let limit = self.governor.superseded_limit();
                self.governor.note_superseded(self.superseded.limit_to(limit));
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
            let Ok(PageRecord { address, info, layout, bytes }) = record else {
                break;
            };
            if address.raw() - from.raw() >= BYTES_AT_ONCE {
                return address;
            }
            let older = info.previous();
            if older < begin || info.is_invalid() || info.is_piece() || info.is_in_pieces(layout) {
                continue;
            }
            let key = (info.table(), layout, StoredRecord::key_in(bytes, layout));
            noted.note(units, [older, address], key);
        }
        units.align_up(Address::new(from.raw() + left))
    }
}

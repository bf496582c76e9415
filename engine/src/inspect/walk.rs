//! Counts the records of one checkpoint.

use super::RecordCounts;
use crate::base::address::Address;
use crate::checkpoint::files::manifest::CheckpointEntry;
use crate::hybrid_log::{NoRecord, PageAssembler, PagePayload, PageRecord, Records, Units};
use crate::record::{Layouts, StoredRecord};

/// A walk over the log of a checkpoint, page by page, in order.
#[derive(Debug)]
pub(super) struct Walk<'r> {
    pub(super) record: &'r CheckpointEntry,
    units: Units,
    layouts: &'r Layouts,
    joint: PageAssembler,
    pub(super) counts: RecordCounts,
    /// Whether everything was present and sound.
    pub(super) is_sound: bool,
    /// Impossible records under good checksums.
    pub(super) wrong: Vec<(Address, &'static str)>,
}

impl<'r> Walk<'r> {
    pub(super) fn new(record: &'r CheckpointEntry, units: Units, layouts: &'r Layouts) -> Self {
        let counts = RecordCounts::default();
        let (joint, wrong) = (PageAssembler::default(), Vec::new());
        Self { record, units, layouts, joint, counts, is_sound: true, wrong }
    }

    /// Returns the range that the checkpoint needs of the log itself, in whole units. A recovery
    /// reads whole pages, and so the units before the begin, too.
    pub(super) fn in_log(&self) -> [Address; 2] {
        let CheckpointEntry { begin, flushed, .. } = *self.record;
        let [begin, flushed] = [begin, flushed].map(Address::new);
        [self.units.start_of_page(begin), self.units.unit_start(flushed)]
    }

    /// Takes in the bytes of a log page that the checkpoint needs.
    pub(super) fn take_in_log(&mut self, page: &PagePayload, bad: &[Address]) {
        let [from, end] = self.in_log();
        let (start, limit) = (from.max(page.start), end.min(page.end()));
        if start >= limit {
            return;
        }
        if (start, limit) == (page.start, page.end()) {
            return self.take_in(page, bad);
        }
        let within = |address: Address| {
            usize::try_from(address.raw() - page.start.raw()).expect("a page fits in memory")
        };
        let bytes = page.bytes[within(start)..within(limit)].to_vec();
        self.take_in(&PagePayload { start, bytes }, bad);
    }

    /// Takes in the next page or some bytes of it. The units in `bad` are not sound.
    pub(super) fn take_in(&mut self, page: &PagePayload, bad: &[Address]) {
        if bad.iter().any(|unit| (page.start..page.end()).contains(unit)) {
            self.is_sound = false;
            // A record across the damage cannot be separated from it.
            let front = self.joint.finish().map_or(0, |front| front.bytes.len());
            self.counts.unread_bytes += (front + page.bytes.len()) as u64;
            return;
        }
        let mut joint = std::mem::take(&mut self.joint);
        let taken = joint.take_in(self.units, page, |page| {
            self.count(page);
            Ok(())
        });
        self.joint = joint;
        taken.expect("counting does not fail");
    }

    /// Ends the walk. No more bytes follow.
    pub(super) fn finish(&mut self) {
        if let Some(front) = self.joint.finish() {
            self.count(&front);
        }
    }

    fn count(&mut self, page: &PagePayload) {
        let begin = Address::new(self.record.begin).max(Address::FIRST);
        let bytes = page.end().raw().saturating_sub(page.start.max(begin).raw());
        let before = self.counts.record_bytes;
        for record in Records::new(self.units, self.layouts, [page.start, begin], &page.bytes) {
            match record {
                Ok(record) => {
                    self.counts.add(&record);
                    if let Some(what) = wrong_in(&record) {
                        self.is_sound = false;
                        self.wrong.push((record.address, what));
                    }
                }
                Err(NoRecord { address, what }) => {
                    self.is_sound = false;
                    self.wrong.push((address, what));
                }
            }
        }
        self.counts.padding_bytes += bytes.saturating_sub(self.counts.record_bytes - before);
    }
}

/// Returns what is wrong with a record, if anything is.
fn wrong_in(record: &PageRecord<'_>) -> Option<&'static str> {
    if record.info.previous() >= record.address {
        return Some("a record that leads to a later record");
    }
    if !StoredRecord::has_sound_expiry(record.bytes, record.layout) {
        return Some("a record with an expiry of more than 4 bytes");
    }
    let is_whole = StoredRecord::holds_its_value(record.bytes, record.layout);
    (!is_whole).then_some("a record whose value is longer than it has room for")
}

impl RecordCounts {
    fn add(&mut self, record: &PageRecord<'_>) {
        let PageRecord { info, layout, bytes, .. } = *record;
        self.record_bytes += bytes.len() as u64;
        // A record that was never linked counts as nothing else. A deleted record has no value.
        let count = if info.is_invalid() {
            &mut self.invalid
        } else if info.is_piece() {
            &mut self.pieces
        } else if info.is_tombstone() {
            &mut self.tombstones
        } else {
            let expiry = StoredRecord::expiry_in(bytes, layout);
            if let Some(second) = expiry.second() {
                self.add_expiry(second);
            }
            if info.is_in_pieces(layout) { &mut self.in_pieces } else { &mut self.values }
        };
        *count += 1;
    }

    fn add_expiry(&mut self, second: u32) {
        self.expiring += 1;
        let [first, last] = self.expiries.unwrap_or([second; 2]);
        self.expiries = Some([first.min(second), last.max(second)]);
    }
}

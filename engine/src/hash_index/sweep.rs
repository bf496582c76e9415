//! Looks at entries of any keys, and removes those of records that compaction has dropped.

use super::HashIndex;
use super::entry::{HashBucketEntry, Tag};
use super::line::Line;
use crate::base::address::Address;
use kvick_io::sync::atomic::Ordering;
use std::ops::Range;

impl HashIndex {
    /// Adds the addresses to which the entries of these buckets lead.
    pub(crate) fn addresses_of(&self, buckets: Range<u64>, addresses: &mut Vec<Address>) {
        for bucket in buckets.start..buckets.end.min(self.buckets()) {
            let slots = self.lines(bucket, Tag::of(0, 0)).flat_map(Line::entries);
            // Acquire: pairs with the Release of the CAS that linked the record.
            let entries = slots.map(|slot| HashBucketEntry::from_raw(slot.load(Ordering::Acquire)));
            let leading = entries.filter(|entry| entry.leads_to_a_record());
            addresses.extend(leading.map(HashBucketEntry::address));
        }
    }

    /// Removes the entries of these buckets that lead below `begin`, the begin of the log.
    ///
    /// No operation can be about to link a record at an address below that of the removed entry: a
    /// record below the begin has left memory, and drains were between.
    ///
    /// An entry that a step holds, or moves to another bucket meanwhile, stays. It does no harm,
    /// and a later sweep finds it.
    pub(crate) fn free_below(&self, begin: Address, buckets: Range<u64>) {
        for bucket in buckets.start..buckets.end.min(self.buckets()) {
            let slots = self.lines(bucket, Tag::of(0, 0)).flat_map(Line::entries);
            let is_freed = |word: u64| {
                let entry = HashBucketEntry::from_raw(word);
                entry.leads_to_a_record() && !entry.is_held() && entry.address() < begin
            };
            let freed = slots.filter(|slot| {
                // Relaxed: the CAS decides, and no record is read.
                let word = slot.load(Ordering::Relaxed);
                is_freed(word)
                    && slot
                        .compare_exchange(
                            word,
                            HashBucketEntry::FREE.raw(),
                            Ordering::AcqRel,
                            Ordering::Relaxed,
                        )
                        .is_ok()
            });
            let freed = freed.count();
            if freed > 0 {
                self.load.count(bucket, -(freed.cast_signed() as i64));
                self.ask_to_shrink(bucket);
            }
        }
    }
}

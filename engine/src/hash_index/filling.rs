//! Freezes a bucket, fills it with other entries, or clears it: the parts of a step.

use super::entry::HashBucketEntry;
use super::line::{LINE_WORDS, Line, Link};
use super::steps::{Steps, wait_a_moment};
use super::{BUCKET_LINES, HashIndex};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::io;

/// The entries of the two lines of a bucket.
const TABLE_SLOTS: usize = BUCKET_LINES * LINE_WORDS - 1;
/// The buckets whose memory is returned at once: half a MiB of them.
const DISCARDED_BUCKETS: usize = (1 << 19) / (BUCKET_LINES * LINE_WORDS * 8);

/// A bucket whose slots only the step changes.
pub(super) struct Frozen {
    pub(super) bucket: u64,
    /// The numbers of its overflow lines, in order.
    pub(super) lines: Vec<u64>,
}

impl HashIndex {
    /// Freezes a bucket, and adds its entries as they were to `entries`. Entries without a record
    /// are lost.
    pub(super) fn freeze(&self, bucket: u64, entries: &mut Vec<HashBucketEntry>) -> Frozen {
        let table = [self.line(bucket, 1), self.line(bucket, 0)];
        let mut lines = Vec::new();
        let mut lost = 0;
        let mut number = table[0].transition_to_frozen_link().number();
        for line in table {
            lost += freeze_line(line, entries);
        }
        while number != 0 {
            let line = self.overflow.line(number);
            lines.push(number);
            number = line.transition_to_frozen_link().number();
            lost += freeze_line(line, entries);
        }
        if lost != 0 {
            self.load.count(bucket, -lost);
        }
        Frozen { bucket, lines }
    }

    /// Takes as many lines as a bucket of these entries needs.
    pub(super) fn take_lines(&self, entries: &[HashBucketEntry]) -> io::Result<Vec<u64>> {
        let needed = lines_for(entries.len());
        let mut lines = Vec::new();
        while lines.len() < needed {
            match self.overflow.take() {
                Ok(number) => lines.push(number),
                Err(error) => {
                    self.give_back(lines);
                    return Err(error);
                }
            }
        }
        Ok(lines)
    }

    /// Fills a frozen bucket with no more entries than it had. It takes low lines in place of its
    /// own, which are retired. Without memory for lines it keeps its own.
    pub(super) fn refill(&self, frozen: Frozen, entries: &[HashBucketEntry], steps: &mut Steps) {
        let mut kept = frozen.lines;
        let needed = lines_for(entries.len());
        assert!(needed <= kept.len(), "bucket {} has lines for its entries", frozen.bucket);
        let (lines, retired) = match self.take_lines(entries) {
            Ok(lines) => (lines, kept),
            Err(_) => {
                let retired = kept.split_off(needed);
                (kept, retired)
            }
        };
        self.fill(frozen.bucket, entries, &lines, steps.made);
        self.thaw(frozen.bucket);
        steps.retired.extend(retired);
    }

    /// Writes each slot of a frozen bucket and of its lines, and then the links. All of them are
    /// frozen still.
    pub(super) fn fill(&self, bucket: u64, entries: &[HashBucketEntry], lines: &[u64], step: u64) {
        debug_assert!(lines.len() >= lines_for(entries.len()), "each entry has a slot");
        let table = [0, 1].map(|parity| self.line(bucket, parity).entries());
        let ones = entries.iter().filter(|entry| entry.tag().line() == 1).count();
        let kept = [(entries.len() - ones).min(table[0].len()), ones.min(table[1].len())];
        let free = table[0][kept[0]..].iter().chain(&table[1][kept[1]..]);
        let mut free =
            free.chain(lines.iter().flat_map(|number| self.overflow.line(*number).entries()));
        // Each entry goes to the line that is searched first, if it has space.
        let mut used = [0, 0];
        for entry in entries {
            let parity = entry.tag().line();
            let slot = if used[parity] < kept[parity] {
                used[parity] += 1;
                &table[parity][used[parity] - 1]
            } else {
                free.next().expect("each entry has a slot")
            };
            set(slot, entry.frozen());
        }
        free.for_each(|slot| set(slot, HashBucketEntry::CLOSED));
        let mut next = 0;
        for number in lines.iter().rev() {
            self.overflow.line(*number).transition_to_frozen(Link::new(0, next));
            next = *number;
        }
        self.line(bucket, 1).transition_to_frozen(Link::new(step, next));
    }

    /// Thaws a bucket that the extent leads to. Its link comes last.
    pub(super) fn thaw(&self, bucket: u64) {
        let thaw_slots = |line: Line<'_>| {
            for slot in line.entries() {
                // Relaxed: the step that thaws it wrote it.
                let word = slot.load(Ordering::Relaxed);
                set(slot, HashBucketEntry::from_raw(word).thawed());
            }
        };
        thaw_slots(self.line(bucket, 0));
        thaw_slots(self.line(bucket, 1));
        for (_, line) in self.overflow_of(bucket) {
            thaw_slots(line);
            line.transition_to_thawed();
        }
        self.line(bucket, 1).transition_to_thawed();
    }

    /// Clears a bucket beyond the extent, and returns its memory with the last of its page.
    pub(super) fn clear(&self, frozen: Frozen, steps: &mut Steps) {
        for parity in [0, 1] {
            let line = self.line(frozen.bucket, parity);
            line.entries().iter().for_each(|slot| set(slot, HashBucketEntry::FREE));
        }
        self.line(frozen.bucket, 1).transition_to_cleared();
        steps.retired.extend(frozen.lines);
        let bucket = usize::try_from(frozen.bucket).expect("buckets are in memory");
        if bucket.is_multiple_of(DISCARDED_BUCKETS) {
            let words = BUCKET_LINES * LINE_WORDS;
            let end = ((bucket + DISCARDED_BUCKETS) * words).min(self.words.len());
            // All of these words are zero already.
            self.words.discard(bucket * words..end);
        }
    }
}

/// Returns the overflow lines of a bucket with this many entries.
pub(super) fn lines_for(entries: usize) -> usize {
    entries.saturating_sub(TABLE_SLOTS).div_ceil(LINE_WORDS - 1)
}

/// Freezes the slots of a line, and adds its entries to `entries`. It waits for the creators that
/// have claimed one, each for the few instructions until its claim ends. Returns the number of
/// entries that are lost, because they lead to no record.
fn freeze_line(line: Line<'_>, entries: &mut Vec<HashBucketEntry>) -> i64 {
    let mut lost = 0;
    for slot in line.entries() {
        let (mut seen, mut tries) = (slot.load(Ordering::Acquire), 0);
        loop {
            let entry = HashBucketEntry::from_raw(seen);
            if entry.is_tentative() {
                wait_a_moment(tries);
                (seen, tries) = (slot.load(Ordering::Acquire), tries + 1);
                continue;
            }
            let frozen = entry.frozen().raw();
            // AcqRel: the Acquire half pairs with the Release of the writer that linked the record.
            // The Release half: a late search that sees the frozen word sees the frozen link.
            let swap = slot.compare_exchange(seen, frozen, Ordering::AcqRel, Ordering::Acquire);
            let Err(now) = swap else {
                if entry.leads_to_a_record() {
                    entries.push(entry);
                } else if !entry.is_free() && !entry.is_held() {
                    lost += 1;
                }
                break;
            };
            seen = now;
        }
    }
    lost
}

/// Sets a slot of a bucket that no other task changes.
fn set(slot: &AtomicU64, entry: HashBucketEntry) {
    // Release: pairs with the Acquire fence of a search that finds nothing, and of a creator.
    slot.store(entry.raw(), Ordering::Release);
}

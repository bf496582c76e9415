//! Steps: the number of buckets changes by one.
//!
//! A *split* divides one bucket between itself and a new bucket at the end. A *merge* gives the
//! entries of the last bucket to the bucket from which it was split. One task at a time makes a
//! step, under a lock that no other task waits for.
//!
//! ```text
//! split                                      merge
//!   freeze low and high                        freeze low and high
//!   fill high                                  fill low
//!   publish the extent with high               publish the extent without high
//!   thaw high, fill low, thaw it               thaw low, clear high
//! ```
//!
//! # Freezing
//! A step freezes a bucket: first its link, so that no line is appended, then each slot. A frozen
//! entry is the entry with one more bit; searches still see it. A CAS of a writer on a frozen word
//! fails, and so does the CAS by which a creator completes its entry. So nothing changes in the
//! bucket but by the step. The step then fills the bucket with frozen entries, publishes the
//! extent, and thaws the bucket, the link with its new version last. Freezing takes well under a
//! microsecond; a writer that meets it tries again.
//!
//! # Why nothing is lost
//! 1. A writer changes an entry by a CAS on the exact word. Either the CAS comes before the freeze,
//!    and the step takes the new word along, or it fails.
//! 2. A creator claims a slot that is free, checks the version of the link and the extent, and
//!    completes its entry by a CAS. If a step began after the claim, the slot is closed and the CAS
//!    fails. If a step ended before the claim, the claim read a word that the step wrote, or the
//!    link that it thawed, so the check sees the new version.
//! 3. A search that finds nothing checks the version and the extent, so it does not believe a
//!    bucket that was filled under its eyes.
//! 4. A cleared bucket is zero, version included. A late creator may claim a slot there; its check
//!    sees that the extent has changed. When the bucket is filled again, its version is the number
//!    of that step, which no late task has seen.
//! 5. When an extent is published, each entry that moves by it is frozen at both of its places. So
//!    a task that was led to a place by an earlier extent changes nothing there before a task that
//!    begins now looks at the right place.
//!
//! # Lines
//! A line that a step takes out of its bucket stays as it is, frozen, and is *retired*: late
//! searches may still read it. The driver gives retired lines back after a drain.

use super::entry::{HashBucketEntry, Tag};
use super::extent::Pair;
use super::filling::lines_for;
use super::line::Line;
use super::steps::{Room, Steps};
use super::{FORGOTTEN_MANY, HashIndex};
use crate::base::memory::prefetch;
use kvick_io::sync::MutexGuard;
use kvick_io::sync::atomic::Ordering;
use std::io;
use std::sync::TryLockError;

/// The number of steps that one new entry pays for, so that the size catches up with the entries.
const STEPS_AT_ONCE: usize = 2;
/// The number of buckets that are tidied with each merge.
const TIDIED: u64 = 16;
/// The growth is told with each of this many buckets: 64 KiB.
const TOLD_BUCKETS: u64 = 512;
/// The driver is told when this many lines wait for a drain.
const RETIRED_MANY: usize = 256;

/// The result of some merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shrunk {
    /// The index may still be sparse.
    SomeMore,
    /// The index is as small as its entries allow, or an image is being copied.
    Enough,
    /// The system has no memory for a line that a merge needs.
    NoMemory,
}

impl HashIndex {
    /// Grows the index if it is full, as far as this bucket tells.
    #[inline]
    pub(super) fn grow_if_full(&self, bucket: u64) {
        if self.load.is_full(self.extent.load(), bucket) {
            self.grow(bucket);
        }
    }

    #[cold]
    fn grow(&self, bucket: u64) {
        let Some(mut steps) = self.try_steps() else {
            return;
        };
        let before = self.buckets();
        for _ in 0..STEPS_AT_ONCE {
            let extent = self.extent.load();
            let may = extent.buckets() < self.sizes.limit && self.load.is_full(extent, bucket);
            // Without memory for a line the index stays as it is; another new entry tries again.
            if !may || self.split(&mut steps).is_err() {
                break;
            }
        }
        let is_large = self.buckets() / TOLD_BUCKETS > before / TOLD_BUCKETS;
        let is_long = steps.retired.len() >= RETIRED_MANY;
        drop(steps);
        if is_large {
            self.grown.notify(usize::MAX);
        }
        if is_long {
            self.demand.notify(usize::MAX);
        }
    }

    /// Tells the driver if the index is sparse, as far as this bucket tells.
    pub(super) fn ask_to_shrink(&self, bucket: u64) {
        let extent = self.extent.load();
        let may = extent.buckets() > self.least() && self.load.seems_sparse(extent, bucket);
        // Relaxed: a driver that misses the newest count keeps a bucket too many until it is asked
        // again.
        let is_news = may
            && self.load.is_sparse(extent)
            && !self.is_asked.load(Ordering::Relaxed)
            && !self.is_asked.swap(true, Ordering::Relaxed);
        if is_news {
            self.demand.notify(usize::MAX);
        }
    }

    /// Returns whether the driver has work.
    pub(crate) fn has_work(&self) -> bool {
        let Some(steps) = self.try_steps() else {
            return true;
        };
        if steps.images == 0 {
            // The end of an image tells the driver in any case.
            self.is_asked.store(false, Ordering::Relaxed);
        }
        let forgotten = self.forgotten.lock().expect("nothing panics under it").len();
        forgotten >= FORGOTTEN_MANY
            || steps.retired.len() >= RETIRED_MANY
            || self.may_shrink(&steps)
    }

    /// Makes up to `most` merges, while the index is sparse.
    pub(crate) fn shrink(&self, most: usize) -> Shrunk {
        for _ in 0..most {
            let Some(mut steps) = self.try_steps() else {
                return Shrunk::SomeMore;
            };
            if !self.may_shrink(&steps) {
                return Shrunk::Enough;
            }
            if self.merge(&mut steps).is_err() {
                return Shrunk::NoMemory;
            }
            self.tidy_some(&mut steps);
        }
        Shrunk::SomeMore
    }

    /// Takes the lines that wait for a drain. The caller gives them back after one.
    pub(crate) fn take_retired(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock_steps().retired)
    }

    /// Gives lines back that no search reads any more.
    pub(crate) fn give_back(&self, lines: Vec<u64>) {
        lines.into_iter().for_each(|number| self.overflow.give_back(number));
    }

    /// Keeps entries from moving down while an image is copied. Pairs with `end_image`.
    pub(super) fn begin_image(&self) {
        self.lock_steps().images += 1;
    }

    /// Lets entries move down again.
    pub(super) fn end_image(&self) {
        let mut steps = self.lock_steps();
        assert!(steps.images > 0, "an image has begun");
        steps.images -= 1;
        drop(steps);
        self.demand.notify(usize::MAX);
    }

    fn may_shrink(&self, steps: &Steps) -> bool {
        let extent = self.extent.load();
        steps.images == 0 && extent.buckets() > self.least() && self.load.is_sparse(extent)
    }

    fn least(&self) -> u64 {
        self.sizes.least
    }

    pub(super) fn lock_steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().expect("a step does not panic")
    }

    fn try_steps(&self) -> Option<MutexGuard<'_, Steps>> {
        match self.steps.try_lock() {
            Ok(steps) => Some(steps),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(_)) => panic!("a step does not panic"),
        }
    }

    /// Divides the next bucket.
    pub(super) fn split(&self, steps: &mut Steps) -> io::Result<()> {
        let result = steps.in_room(|room, steps| self.split_with(room, steps));
        self.prefetch_buckets(self.extent.load().next_split());
        result
    }

    fn split_with(&self, room: &mut Room, steps: &mut Steps) -> io::Result<()> {
        let Pair { low, high, bit } = self.extent.load().next_split();
        let tag_bit = bit - self.sizes.root_bits;
        steps.made += 1;
        let frozen = self.freeze(low, &mut room.all);
        for entry in &room.all {
            let is_high = entry.tag_bits() >> tag_bit & 1 == 1;
            if is_high { &mut room.up } else { &mut room.stay }.push(*entry);
        }
        let lines = match self.take_lines(&room.up) {
            Ok(lines) => lines,
            Err(error) => {
                self.fill(low, &room.all, &frozen.lines, steps.made);
                self.thaw(low);
                return Err(error);
            }
        };
        // A late task may still use the bucket beyond the extent, and link a line there.
        let moved = room.all.len();
        let unused = self.freeze(high, &mut room.all);
        debug_assert_eq!(room.all.len(), moved, "no entry is complete beyond the extent");
        steps.retired.extend(unused.lines);
        self.fill(high, &room.up, &lines, steps.made);
        self.extent.transition_to_more();
        self.thaw(high);
        self.refill(frozen, &room.stay, steps);
        Ok(())
    }

    /// Gives the entries of the last bucket to the bucket that they came from.
    pub(super) fn merge(&self, steps: &mut Steps) -> io::Result<()> {
        let result = steps.in_room(|room, steps| self.merge_with(&mut room.all, steps));
        if self.buckets() > self.least() {
            self.prefetch_buckets(self.extent.load().next_merge());
        }
        result
    }

    fn merge_with(&self, entries: &mut Vec<HashBucketEntry>, steps: &mut Steps) -> io::Result<()> {
        let Pair { low, high, .. } = self.extent.load().next_merge();
        debug_assert!(steps.images == 0 && high >= self.least(), "bucket {high} may go");
        steps.made += 1;
        let below = self.freeze(low, entries);
        let kept = entries.len();
        let above = self.freeze(high, entries);
        let lines = match self.take_lines(entries) {
            Ok(lines) => lines,
            Err(error) => {
                self.fill(low, &entries[..kept], &below.lines, steps.made);
                self.fill(high, &entries[kept..], &above.lines, steps.made);
                self.thaw(low);
                self.thaw(high);
                return Err(error);
            }
        };
        self.fill(low, entries, &lines, steps.made);
        steps.retired.extend(below.lines);
        self.extent.transition_to_fewer();
        self.thaw(low);
        self.clear(above, steps);
        Ok(())
    }

    /// Requests the lines of the next step.
    fn prefetch_buckets(&self, Pair { low, high, .. }: Pair) {
        for bucket in [low, high] {
            if bucket < self.sizes.limit {
                prefetch(self.line(bucket, 0).first_word());
                prefetch(self.line(bucket, 1).first_word());
            }
        }
    }

    /// Tidies some buckets: a merge fills a bucket with lines, and then its entries go. Buckets
    /// take low lines, so that the sheets of high lines become free.
    fn tidy_some(&self, steps: &mut Steps) {
        let enough = self.overflow.enough();
        for _ in 0..TIDIED {
            steps.tidied = (steps.tidied + 1) % self.buckets();
            if self.is_untidy(steps.tidied, enough) {
                steps.made += 1;
                steps.in_room(|room, steps| {
                    let frozen = self.freeze(steps.tidied, &mut room.all);
                    self.refill(frozen, &room.all, steps);
                });
            }
        }
    }

    /// Returns whether a bucket has more lines than it needs, or higher lines than `enough`.
    fn is_untidy(&self, bucket: u64, enough: u64) -> bool {
        if self.line(bucket, 1).link().number() == 0 {
            return false;
        }
        let slots = self.lines(bucket, Tag::of(0, 0)).flat_map(Line::entries);
        let used = slots.filter(|slot| slot.load(Ordering::Relaxed) != 0).count();
        let needed = lines_for(used);
        self.overflow_of(bucket)
            .enumerate()
            .any(|(at, (number, _))| at >= needed || number > enough)
    }
}

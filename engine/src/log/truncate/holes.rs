//! The ranges of entries that were truncated at the end of the log. Readers jump over them.
//!
//! Addresses only grow, and durable sectors are written once. So an entry that is taken back keeps
//! its place, but readers no longer see it. A range begins and ends at the start of a frame.

use crate::address::Address;
use kvick_io::sync::RwLock;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The ranges, in ascending order. They do not touch.
#[derive(Debug)]
pub(crate) struct Voids {
    ranges: RwLock<Vec<[Address; 2]>>,
    /// Counts truncations, also of the oldest entries.
    cuts: AtomicU64,
}

impl Voids {
    pub(crate) fn new(voids: Vec<[Address; 2]>) -> Self {
        Self { ranges: RwLock::new(voids), cuts: AtomicU64::new(0) }
    }

    /// Returns a number that changes when entries are truncated at either end. Readers that own
    /// copies of entries check with it whether the entries still exist.
    #[inline(always)]
    pub(crate) fn cuts(&self) -> u64 {
        // Relaxed: pairs with the increment in `change`. A task that knows of a truncation sees
        // its number. The ranges are under the lock, and `begin` was raised before.
        self.cuts.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<[Address; 2]>)) {
        change(&mut self.ranges.write().expect("nothing panics under it"));
        // Relaxed: as in `cuts`.
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds `[start, end)`. No existing range ends after `end`.
    pub(crate) fn add(&self, void: [Address; 2]) {
        self.change(|voids| add(voids, void));
    }

    /// Returns the first address at or after `at` that is not void, and the start of the next void.
    pub(crate) fn clip(&self, at: Address) -> (Address, Option<Address>) {
        let voids = self.ranges.read().expect("nothing panics under it");
        let next = voids.partition_point(|[_, end]| *end <= at);
        match voids.get(next) {
            // The next range does not touch this one.
            Some([start, end]) if *start <= at => (*end, voids.get(next + 1).map(|void| void[0])),
            Some([start, _]) => (at, Some(*start)),
            None => (at, None),
        }
    }

    /// Returns whether any address of `[start, end)` is void.
    pub(crate) fn reach_into(&self, [start, end]: [Address; 2]) -> bool {
        let (begin, void) = self.clip(start);
        begin != start || void.is_some_and(|void| void < end)
    }

    /// Returns the first address from which everything up to `end` is void.
    pub(crate) fn void_before(&self, end: Address) -> Address {
        let voids = self.ranges.read().expect("nothing panics under it");
        let next = voids.partition_point(|[_, void_end]| *void_end < end);
        voids.get(next).filter(|[start, _]| *start < end).map_or(end, |[start, _]| *start)
    }

    /// Replaces the ranges.
    pub(crate) fn replace(&self, voids: Vec<[Address; 2]>) {
        self.change(|present| *present = voids);
    }

    /// Removes the ranges below `begin`, the new begin of the log.
    pub(crate) fn forget_below(&self, begin: Address) {
        self.change(|voids| forget_below(voids, begin));
    }
}

/// Adds a range to a list of ranges. No other range ends after it.
pub(crate) fn add(voids: &mut Vec<[Address; 2]>, [start, end]: [Address; 2]) {
    assert!(start < end && voids.last().is_none_or(|last| last[1] <= end));
    let apart = voids.partition_point(|void| void[1] < start);
    let first = voids.get(apart).map_or(start, |void| void[0].min(start));
    voids.truncate(apart);
    voids.push([first, end]);
}

/// Adds a range to a list of ranges, at any place.
pub(crate) fn merge(voids: &mut Vec<[Address; 2]>, void: [Address; 2]) {
    voids.push(void);
    voids.sort_unstable();
    let mut apart: Vec<[Address; 2]> = Vec::with_capacity(voids.len());
    for [start, end] in voids.drain(..) {
        match apart.last_mut().filter(|last| last[1] >= start) {
            Some(last) => last[1] = last[1].max(end),
            None => apart.push([start, end]),
        }
    }
    *voids = apart;
}

/// Removes the ranges below `begin` from a list.
pub(crate) fn forget_below(voids: &mut Vec<[Address; 2]>, begin: Address) {
    voids.retain(|[_, end]| *end > begin);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(raw: u64) -> Address {
        Address::new(raw)
    }

    #[test]
    fn ranges_that_meet_become_one() {
        let mut voids = Vec::new();
        for (start, end) in [(100, 200), (300, 400), (500, 600), (350, 700), (700, 800)] {
            add(&mut voids, [at(start), at(end)]);
        }
        assert_eq!(voids, [[at(100), at(200)], [at(300), at(800)]]);
        forget_below(&mut voids, at(200));
        assert_eq!(voids, [[at(300), at(800)]]);
    }

    #[test]
    fn a_range_is_merged_wherever_it_is() {
        let mut voids = vec![[at(100), at(200)], [at(300), at(400)]];
        merge(&mut voids, [at(200), at(250)]);
        merge(&mut voids, [at(50), at(60)]);
        assert_eq!(voids, [[at(50), at(60)], [at(100), at(250)], [at(300), at(400)]]);
        merge(&mut voids, [at(55), at(350)]);
        assert_eq!(voids, [[at(50), at(400)]]);
    }

    #[test]
    fn readers_are_led_around_them() {
        let voids = Voids::new(vec![[at(100), at(200)], [at(300), at(400)]]);
        assert_eq!(voids.clip(at(50)), (at(50), Some(at(100))));
        assert_eq!(voids.clip(at(100)), (at(200), Some(at(300))));
        assert_eq!(voids.clip(at(200)), (at(200), Some(at(300))));
        assert_eq!(voids.clip(at(399)), (at(400), None));
        assert_eq!(voids.clip(at(400)), (at(400), None));
    }
}

//! The ranges of entries that were truncated at the end of the log. Readers jump over them.
//!
//! Addresses only grow, and durable sectors are written once. So an entry that is taken back keeps
//! its place, but readers no longer see it. A range begins and ends at the start of a frame.

use crate::base::address::Address;
use kvick_io::sync::RwLock;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The ranges, in ascending order. They do not touch.
#[derive(Debug)]
pub(crate) struct Holes {
    ranges: RwLock<Vec<[Address; 2]>>,
    /// Counts truncations, also of the oldest entries.
    truncations: AtomicU64,
}

impl Holes {
    pub(crate) fn new(holes: Vec<[Address; 2]>) -> Self {
        debug_assert!(are_apart(&holes), "holes ascend and do not touch: {holes:?}");
        Self { ranges: RwLock::new(holes), truncations: AtomicU64::new(0) }
    }

    /// Returns a number that changes when entries are truncated at either end. Readers that own
    /// copies of entries check with it whether the entries still exist.
    #[inline(always)]
    pub(crate) fn truncations(&self) -> u64 {
        // Relaxed: pairs with the increment in `change`. A task that knows of a truncation sees
        // its number. The ranges are under the lock, and `begin` was raised before.
        self.truncations.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<[Address; 2]>)) {
        let mut holes = self.ranges.write().expect("nothing panics under it");
        change(&mut holes);
        debug_assert!(are_apart(&holes), "holes ascend and do not touch: {holes:?}");
        drop(holes);
        // Relaxed: as in `truncations`.
        self.truncations.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds `[start, end)`. No existing range ends after `end`.
    pub(crate) fn add(&self, hole: [Address; 2]) {
        self.change(|holes| add(holes, hole));
    }

    /// Returns the first address at or after `at` that is in no hole, and the start of the next
    /// hole.
    pub(crate) fn clip(&self, at: Address) -> (Address, Option<Address>) {
        let holes = self.ranges.read().expect("nothing panics under it");
        debug_assert!(
            holes.as_flattened().windows(2).all(|pair| pair[0] < pair[1]),
            "holes ascend and do not touch: {holes:?}"
        );
        let next = holes.partition_point(|[_, end]| *end <= at);
        match holes.get(next) {
            // The next range does not touch this one.
            Some([start, end]) if *start <= at => (*end, holes.get(next + 1).map(|hole| hole[0])),
            Some([start, _]) => (at, Some(*start)),
            None => (at, None),
        }
    }

    /// Returns whether any address of `[start, end)` is in a hole.
    pub(crate) fn reach_into(&self, [start, end]: [Address; 2]) -> bool {
        debug_assert!(start < end, "a range has bytes: {start:?} to {end:?}");
        let (begin, hole) = self.clip(start);
        begin != start || hole.is_some_and(|hole| hole < end)
    }

    /// Returns the first address from which everything up to `end` is one hole.
    pub(crate) fn hole_before(&self, end: Address) -> Address {
        let holes = self.ranges.read().expect("nothing panics under it");
        let next = holes.partition_point(|[_, hole_end]| *hole_end < end);
        holes.get(next).filter(|[start, _]| *start < end).map_or(end, |[start, _]| *start)
    }

    /// Returns the end of the last range; the first address if there is none.
    pub(crate) fn end(&self) -> Address {
        let holes = self.ranges.read().expect("nothing panics under it");
        holes.last().map_or(Address::FIRST, |[_, end]| *end)
    }

    /// Replaces the ranges.
    pub(crate) fn replace(&self, holes: Vec<[Address; 2]>) {
        self.change(|present| *present = holes);
    }

    /// Removes the ranges below `begin`, the new begin of the log.
    pub(crate) fn forget_below(&self, begin: Address) {
        self.change(|holes| forget_below(holes, begin));
    }
}

/// Returns whether ranges ascend, have bytes and do not touch.
pub(crate) fn are_apart(holes: &[[Address; 2]]) -> bool {
    holes.as_flattened().is_sorted_by(|before, next| before < next)
}

/// Adds a range to a list of ranges. No other range ends after it.
pub(crate) fn add(holes: &mut Vec<[Address; 2]>, [start, end]: [Address; 2]) {
    assert!(start < end, "a hole has bytes: {start:?} to {end:?}");
    let last = holes.last();
    assert!(last.is_none_or(|last| last[1] <= end), "{last:?} ends before {end:?} at the latest");
    let apart = holes.partition_point(|hole| hole[1] < start);
    let first = holes.get(apart).map_or(start, |hole| hole[0].min(start));
    holes.truncate(apart);
    holes.push([first, end]);
    debug_assert!(are_apart(holes), "ranges that touch become one: {holes:?}");
}

/// Adds a range to a list of ranges, at any place.
pub(crate) fn merge(holes: &mut Vec<[Address; 2]>, hole: [Address; 2]) {
    assert!(hole[0] < hole[1], "a hole has bytes: {hole:?}");
    holes.push(hole);
    holes.sort_unstable();
    let mut apart: Vec<[Address; 2]> = Vec::with_capacity(holes.len());
    for [start, end] in holes.drain(..) {
        match apart.last_mut().filter(|last| last[1] >= start) {
            Some(last) => last[1] = last[1].max(end),
            None => apart.push([start, end]),
        }
    }
    *holes = apart;
    debug_assert!(are_apart(holes), "ranges that touch become one: {holes:?}");
}

/// Removes the ranges below `begin` from a list.
pub(crate) fn forget_below(holes: &mut Vec<[Address; 2]>, begin: Address) {
    holes.retain(|[_, end]| *end > begin);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(raw: u64) -> Address {
        Address::new(raw)
    }

    #[test]
    fn ranges_that_meet_become_one() {
        let mut holes = Vec::new();
        for (start, end) in [(100, 200), (300, 400), (500, 600), (350, 700), (700, 800)] {
            add(&mut holes, [at(start), at(end)]);
        }
        assert_eq!(holes, [[at(100), at(200)], [at(300), at(800)]]);
        forget_below(&mut holes, at(200));
        assert_eq!(holes, [[at(300), at(800)]]);
    }

    #[test]
    fn a_range_is_merged_wherever_it_is() {
        let mut holes = vec![[at(100), at(200)], [at(300), at(400)]];
        merge(&mut holes, [at(200), at(250)]);
        merge(&mut holes, [at(50), at(60)]);
        assert_eq!(holes, [[at(50), at(60)], [at(100), at(250)], [at(300), at(400)]]);
        merge(&mut holes, [at(55), at(350)]);
        assert_eq!(holes, [[at(50), at(400)]]);
    }

    #[test]
    fn readers_are_led_around_them() {
        let holes = Holes::new(vec![[at(100), at(200)], [at(300), at(400)]]);
        assert_eq!(holes.clip(at(50)), (at(50), Some(at(100))));
        assert_eq!(holes.clip(at(100)), (at(200), Some(at(300))));
        assert_eq!(holes.clip(at(200)), (at(200), Some(at(300))));
        assert_eq!(holes.clip(at(399)), (at(400), None));
        assert_eq!(holes.clip(at(400)), (at(400), None));
    }
}

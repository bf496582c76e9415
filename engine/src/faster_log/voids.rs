//! Ranges of the log whose entries were truncated at its end, and which readers jump over.
//!
//! Addresses only grow and durable sectors are written once, so an entry that is taken back keeps
//! its place; what changes is that nobody sees it. A range begins and ends where frames begin.

use crate::address::Address;
use kvick_io::sync::RwLock;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The ranges, ascending and apart.
#[derive(Debug)]
pub(super) struct Voids {
    ranges: RwLock<Vec<[Address; 2]>>,
    /// Counts truncations, also those of the oldest entries.
    cuts: AtomicU64,
}

impl Voids {
    pub(super) fn new(voids: Vec<[Address; 2]>) -> Self {
        Self { ranges: RwLock::new(voids), cuts: AtomicU64::new(0) }
    }

    /// A number that has changed if entries were truncated at either end: readers that own copies
    /// of entries look whether these are still there.
    #[inline(always)]
    pub(super) fn cuts(&self) -> u64 {
        // Relaxed: whoever was told of a truncation sees its number; what it means is under the
        // lock, or was raised before.
        self.cuts.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<[Address; 2]>)) {
        change(&mut self.ranges.write().expect("nothing panics under it"));
        // Relaxed: as above.
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds `[start, end)`; `end` is beyond every range there is.
    pub(super) fn add(&self, void: [Address; 2]) {
        self.change(|voids| add(voids, void));
    }

    /// The first address at or behind `at` that is not void, and how far what is not void goes.
    pub(super) fn clip(&self, at: Address) -> (Address, Option<Address>) {
        let voids = self.ranges.read().expect("nothing panics under it");
        let next = voids.partition_point(|[_, end]| *end <= at);
        match voids.get(next) {
            // The range behind it is apart from it.
            Some([start, end]) if *start <= at => (*end, voids.get(next + 1).map(|void| void[0])),
            Some([start, _]) => (at, Some(*start)),
            None => (at, None),
        }
    }

    /// Whether a part of `[start, end)` is void.
    pub(super) fn reach_into(&self, [start, end]: [Address; 2]) -> bool {
        let (begin, void) = self.clip(start);
        begin != start || void.is_some_and(|void| void < end)
    }

    /// The first address from which on everything up to `end` is void.
    pub(super) fn void_before(&self, end: Address) -> Address {
        let voids = self.ranges.read().expect("nothing panics under it");
        let next = voids.partition_point(|[_, void_end]| *void_end < end);
        voids.get(next).filter(|[start, _]| *start < end).map_or(end, |[start, _]| *start)
    }

    /// Has these ranges instead.
    pub(super) fn replace(&self, voids: Vec<[Address; 2]>) {
        self.change(|present| *present = voids);
    }

    /// Forgets what lies below `begin`, where the log begins by now.
    pub(super) fn forget_below(&self, begin: Address) {
        self.change(|voids| forget_below(voids, begin));
    }
}

/// Adds a range that ends beyond all others to a list of ranges.
pub(super) fn add(voids: &mut Vec<[Address; 2]>, [start, end]: [Address; 2]) {
    assert!(start < end && voids.last().is_none_or(|last| last[1] <= end));
    let apart = voids.partition_point(|void| void[1] < start);
    let first = voids.get(apart).map_or(start, |void| void[0].min(start));
    voids.truncate(apart);
    voids.push([first, end]);
}

/// Adds a range to a list of ranges, wherever it is.
pub(super) fn merge(voids: &mut Vec<[Address; 2]>, void: [Address; 2]) {
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

/// Drops from a list what lies below `begin`.
pub(super) fn forget_below(voids: &mut Vec<[Address; 2]>, begin: Address) {
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

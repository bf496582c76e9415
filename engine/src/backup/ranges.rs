//! A set of byte ranges, as few as they can be.

use std::collections::BTreeMap;

/// The bytes that are in some range. Ranges that touch are one, so a copy that goes on from where
/// it was has few of them, however many writes it takes.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// The end of each range by its start. No two touch.
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds the range `[from, end)`, which may overlap others.
    pub(super) fn insert(&mut self, [mut from, mut end]: [u64; 2]) {
        debug_assert!(from < end, "{from}..{end} has bytes");
        if let Some((&start, &stop)) = self.ends.range(..=from).next_back()
            && stop >= from
        {
            (from, end) = (start, end.max(stop));
        }
        while let Some((&start, &stop)) = self.ends.range(from..=end).next() {
            self.ends.remove(&start);
            end = end.max(stop);
        }
        self.ends.insert(from, end);
    }

    /// Returns the parts of `[from, end)` that are in no range, each from the begin of a block on.
    pub(super) fn gaps(&self, [from, end]: [u64; 2], block: u64) -> Vec<[u64; 2]> {
        let (mut gaps, mut next) = (Vec::new(), from);
        for (&start, &stop) in &self.ends {
            if next < start.min(end) {
                gaps.push([next - next % block, start.min(end)]);
            }
            next = next.max(stop);
        }
        if next < end {
            gaps.push([next - next % block, end]);
        }
        gaps
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn ranges(of: &[[u64; 2]]) -> Ranges {
        let mut ranges = Ranges::default();
        of.iter().for_each(|range| ranges.insert(*range));
        ranges
    }

    #[test]
    fn what_is_not_written_is_found() {
        for (written, expected) in [
            (vec![], vec![[512, 9000]]),
            (vec![[512, 9216]], vec![]),
            (vec![[4096, 8192]], vec![[512, 4096], [8192, 9000]]),
            (vec![[4096, 8192], [512, 1024], [512, 4096]], vec![[8192, 9000]]),
            (vec![[1024, 8192], [2048, 4096]], vec![[512, 1024], [8192, 9000]]),
        ] {
            assert_eq!(ranges(&written).gaps([512, 9000], 512), expected, "{written:?}");
        }
    }

    /// Eight writes of a copy are in flight, and end in any order.
    #[test]
    fn a_copy_in_order_is_few_ranges() {
        let (mut ranges, mut most) = (Ranges::default(), 0);
        for window in 0..1000 {
            for place in [3, 7, 1, 0, 5, 2, 6, 4] {
                let from = (window * 8 + place) * 4096;
                ranges.insert([from, from + 4096]);
                most = most.max(ranges.ends.len());
            }
        }
        assert_eq!(ranges.ends.len(), 1);
        assert!(most <= 5, "{most}");
    }

    #[test]
    fn bytes_are_in_a_range_or_in_a_gap() {
        let mut state = 7_u64;
        for _ in 0..200 {
            let (mut ranges, mut bytes) = (Ranges::default(), [false; 64]);
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let from = state >> 58;
                let end = (from + 1 + (state >> 40 & 15)).min(64);
                ranges.insert([from, end]);
                (from..end).for_each(|byte| bytes[usize::try_from(byte).expect("small")] = true);
            }
            let mut found = [true; 64];
            for [from, end] in ranges.gaps([0, 64], 1) {
                (from..end).for_each(|byte| found[usize::try_from(byte).expect("small")] = false);
            }
            assert_eq!(found, bytes, "{ranges:?}");
            let touching = ranges.ends.iter().zip(ranges.ends.iter().skip(1));
            assert!(touching.into_iter().all(|(one, next)| one.1 < next.0), "{ranges:?}");
        }
    }
}

//! The parts of a scan that several tasks share.

use crate::base::address::Address;
use crate::hybrid_log::Units;

/// One of some parts of a scan.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::scan) struct Part {
    pub(in crate::store::scan) number: usize,
    pub(in crate::store::scan) count: usize,
}

impl Part {
    pub(in crate::store::scan) const WHOLE: Self = Self { number: 0, count: 1 };

    /// Returns this part of `[from, end)`. Parts meet at the starts of pages, where records begin.
    pub(super) fn of(self, [from, end]: [Address; 2], units: Units) -> [Address; 2] {
        let Self { number, count } = self;
        assert!(number < count, "{self:?}");
        let [first, last] = [from, end].map(|address| address.page(units.page_bits()));
        let pages = u128::from(last - first) + 1;
        let start = |number: usize| match number {
            0 => from,
            number if number == count => end,
            number => {
                let pages = pages * number as u128 / count as u128;
                let page = first + u64::try_from(pages).expect("within the pages");
                Address::at(page, 0, units.page_bits()).clamp(from, end)
            }
        };
        [start(number), start(number + 1)]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::hybrid_log::Life;

    #[test]
    fn parts_leave_no_gap_and_meet_at_pages() {
        let units = Units::new(12, 512, 0, Life::FIRST);
        let at = |page, offset| Address::at(page, offset, 12);
        let ranges = [
            [at(0, 64), at(0, 64)],
            [at(0, 64), at(0, 504)],
            [at(0, 64), at(1, 0)],
            [at(3, 504), at(20, 1008)],
            [at(3, 0), at(1 << 35, 0)],
        ];
        for [from, end] in ranges {
            for count in [1, 2, 3, 7, 100] {
                let parts = (0..count).map(|number| Part { number, count }.of([from, end], units));
                let mut next = from;
                for [start, stop] in parts {
                    assert_eq!(start, next);
                    assert!(start <= stop, "{start:?} to {stop:?}");
                    assert!(start == from || start == end || start.offset(12) == 0);
                    next = stop;
                }
                assert_eq!(next, end);
            }
        }
        let part = Part { number: 1, count: 3 }.of([at(0, 64), at(9, 0)], units);
        assert_eq!(part, [at(3, 0), at(6, 0)]);
    }
}

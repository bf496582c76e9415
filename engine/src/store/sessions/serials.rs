//! Sets of serial numbers, stored as ranges. The missing numbers of a session lie close together.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// A set of serial numbers. Neighbours are kept as ranges, so a million numbers in a row cost as
/// much as one number.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Vec<[u64; 2]>", try_from = "Vec<[u64; 2]>")]
pub struct Serials {
    /// The last number of each range, by its first number. Ranges do not touch.
    ranges: BTreeMap<u64, u64>,
    len: u64,
}

impl Serials {
    /// Returns how many numbers are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the set has no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether this number is in the set.
    #[must_use]
    pub fn contains(&self, serial: u64) -> bool {
        self.around(serial).is_some()
    }

    /// Returns the numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.ranges().flatten()
    }

    /// Returns the numbers as ranges that do not touch, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + use<'_> {
        self.ranges.iter().map(|(first, last)| *first..=*last)
    }

    /// Returns the numbers above `least`, as ranges.
    pub(in crate::store) fn above(&self, least: u64) -> impl Iterator<Item = [u64; 2]> + use<'_> {
        let around = self.ranges.range(..=least).next_back();
        let around = around.filter(|(_, last)| **last > least).map(|(_, last)| [least + 1, *last]);
        let above = self.ranges.range(least.saturating_add(1)..);
        around.into_iter().chain(above.map(|(first, last)| [*first, *last]))
    }

    /// Returns whether all of these numbers are in the set.
    pub(crate) fn contains_all(&self, serials: &RangeInclusive<u64>) -> bool {
        self.around(*serials.start()).is_some_and(|(_, last)| *serials.end() <= last)
    }

    /// Adds a number. Returns whether it is new.
    pub(crate) fn insert(&mut self, serial: u64) -> bool {
        let is_new = !self.contains(serial);
        if is_new {
            self.insert_range(serial, serial);
        }
        is_new
    }

    /// Adds a range of numbers that are not in the set.
    fn insert_range(&mut self, mut first: u64, mut last: u64) {
        self.len += last - first + 1;
        if let Some(end) = last.checked_add(1).and_then(|next| self.ranges.remove(&next)) {
            last = end;
        }
        let before = self.ranges.range(..first).next_back().map(|(first, last)| (*first, *last));
        if let Some((start, end)) = before
            && end + 1 == first
        {
            first = start;
        }
        self.ranges.insert(first, last);
    }

    /// Removes a number. Returns whether it was in the set.
    pub(crate) fn remove(&mut self, serial: u64) -> bool {
        let Some((first, last)) = self.around(serial) else {
            return false;
        };
        self.ranges.remove(&first);
        if first < serial {
            self.ranges.insert(first, serial - 1);
        }
        if serial < last {
            self.ranges.insert(serial + 1, last);
        }
        self.len -= 1;
        true
    }

    /// Removes this many of the lowest numbers.
    pub(crate) fn remove_lowest(&mut self, mut count: u64) {
        while let Some((first, last)) = self.ranges.pop_first() {
            let len = last - first + 1;
            if count < len {
                self.ranges.insert(first + count, last);
                self.len -= count;
                return;
            }
            count -= len;
            self.len -= len;
        }
    }

    /// Returns the number that has exactly `below` lower numbers in the set.
    pub(crate) fn nth(&self, mut below: u64) -> Option<u64> {
        for (first, last) in &self.ranges {
            let len = last - first + 1;
            if below < len {
                return Some(first + below);
            }
            below -= len;
        }
        None
    }

    /// Returns the union with a set that has no number in common.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        let is_smaller = self.ranges.len() < other.ranges.len();
        let (few, many) = if is_smaller { (self, other) } else { (other, self) };
        let mut all = many.clone();
        for (first, last) in &few.ranges {
            all.insert_range(*first, *last);
        }
        all
    }

    /// Returns the range that this number is in.
    fn around(&self, serial: u64) -> Option<(u64, u64)> {
        let (first, last) = self.ranges.range(..=serial).next_back()?;
        (serial <= *last).then_some((*first, *last))
    }
}

impl FromIterator<u64> for Serials {
    fn from_iter<I: IntoIterator<Item = u64>>(serials: I) -> Self {
        let mut set = Self::default();
        for serial in serials {
            set.insert(serial);
        }
        set
    }
}

impl fmt::Debug for Serials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.ranges()).finish()
    }
}

impl From<Serials> for Vec<[u64; 2]> {
    fn from(serials: Serials) -> Self {
        serials.ranges.into_iter().map(|(first, last)| [first, last]).collect()
    }
}

impl TryFrom<Vec<[u64; 2]>> for Serials {
    type Error = String;

    fn try_from(ranges: Vec<[u64; 2]>) -> Result<Self, String> {
        let mut set = Self::default();
        let mut free = 0;
        for [first, last] in ranges {
            if first < free || last < first || last == u64::MAX {
                return Err(format!(
                    "serial numbers {first} to {last}: not after the numbers before"
                ));
            }
            set.ranges.insert(first, last);
            set.len += last - first + 1;
            free = last + 2;
        }
        Ok(set)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_a_set_whatever_is_put_in_and_taken_out() {
        let mut random = kvick_io::sim::Random::new(5);
        for _ in 0..50 {
            let (mut set, mut model) = (Serials::default(), BTreeSet::new());
            for _ in 0..400 {
                let serial = random.below(40);
                match random.below(9) {
                    0..5 => assert_eq!(set.insert(serial), model.insert(serial)),
                    5..8 => assert_eq!(set.remove(serial), model.remove(&serial)),
                    _ => {
                        let count = random.below(3);
                        set.remove_lowest(count);
                        (0..count).for_each(|_| _ = model.pop_first());
                    }
                }
                assert_eq!(set.iter().collect::<Vec<_>>(), Vec::from_iter(model.clone()));
                assert_eq!(set.len(), model.len() as u64);
                assert_eq!(set.contains(serial), model.contains(&serial));
                let below = random.index(40);
                assert_eq!(set.nth(below as u64), model.iter().nth(below).copied());
                let ends: Vec<_> = set.ranges().collect();
                assert!(ends.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()));
                let pairs = Vec::<[u64; 2]>::from(set.clone());
                assert_eq!(Serials::try_from(pairs), Ok(set.clone()));
            }
        }
    }

    #[test]
    fn ranges_that_contradict_each_other_are_refused() {
        for pairs in [vec![[3, 2]], vec![[1, 4], [3, 5]], vec![[1, 2], [3, 3]], vec![[5, u64::MAX]]]
        {
            assert!(Serials::try_from(pairs.clone()).is_err(), "{pairs:?}");
        }
    }
}

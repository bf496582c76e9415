//! The most frequent words, in memory that does not grow with the number of words.
//!
//! A store cannot return its largest values. But every count passes through here when it is
//! written, and counts only grow. So a small map of candidates is enough.
//!
//! # Why the list is exact
//! Rank words by count, largest first, then by spelling. A candidate has a count that its word had
//! at some time, so never more than the final count. Let `w` be among the final first `n` words,
//! with `n <= keep`.
//!
//! * The last occurrence of `w` passes its final count to [`Top::saw`] of one task.
//! * Suppose that `w` is dropped then or later, by pruning or at the floor. Then `keep` candidates
//!   of that task rank before `w` with their counts so far. Their final counts are no smaller, so
//!   they also rank before `w` in the end. So `w` is not among the first `n`, a contradiction.
//! * So `w` is kept with its final count. [`Top::merge`] takes the larger of two counts, and so
//!   keeps the final one. Every other candidate ranks no better than in the end, so below the first
//!   `n`.
//!
//! A word that was dropped early and becomes frequent later comes back with its next occurrence,
//! whose count includes the earlier ones.

use std::cmp::Reverse;
use std::collections::HashMap;

/// The number of candidates between two prunings, as a multiple of the kept ones.
const SLACK: usize = 8;
/// The minimum number of kept candidates. A higher floor rejects more words at once.
const KEEP_LEAST: usize = 128;

/// The candidates for the first `n` words.
#[derive(Debug)]
pub(crate) struct Top {
    n: usize,
    keep: usize,
    /// The smallest count that the last pruning kept. Smaller counts cannot be among the first
    /// `keep`.
    floor: u64,
    counts: HashMap<Box<[u8]>, u64>,
}

impl Top {
    /// Creates an empty list of candidates for the first `n` words.
    pub(crate) fn new(n: usize) -> Self {
        let keep = n.max(KEEP_LEAST);
        Self { n, keep, floor: 0, counts: HashMap::new() }
    }

    /// Notes that `word` has been counted to `count` so far.
    pub(crate) fn saw(&mut self, word: &[u8], count: u64) {
        if count < self.floor {
            return;
        }
        if let Some(known) = self.counts.get_mut(word) {
            *known = count.max(*known);
            return;
        }
        self.counts.insert(word.into(), count);
        if self.counts.len() > self.keep.saturating_mul(SLACK) {
            self.prune();
        }
    }

    /// Adds the candidates of another task.
    pub(crate) fn merge(&mut self, other: Self) {
        assert_eq!(self.n, other.n, "tasks look for the same list");
        for (word, count) in other.counts {
            self.saw(&word, count);
        }
    }

    /// Returns the first words with their counts, by count and then by spelling.
    pub(crate) fn into_list(self) -> Vec<(Box<[u8]>, u64)> {
        let mut list = ranked(self.counts);
        list.truncate(self.n);
        list
    }

    fn prune(&mut self) {
        let mut list = ranked(std::mem::take(&mut self.counts));
        list.truncate(self.keep);
        self.floor = list.last().map_or(0, |(_, count)| *count);
        self.counts.extend(list);
    }
}

fn ranked(counts: HashMap<Box<[u8]>, u64>) -> Vec<(Box<[u8]>, u64)> {
    let mut list: Vec<_> = counts.into_iter().collect();
    list.sort_by(|(one, count), (other, other_count)| {
        (Reverse(count), one).cmp(&(Reverse(other_count), other))
    });
    list
}

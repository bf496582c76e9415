//! The most frequent words, in memory that does not grow with the number of words.
//!
//! A store cannot be asked for its largest values. But every count passes by when it is written,
//! and counts only grow; so a small map of candidates is enough.
//!
//! # Why the list is exact
//! Rank words by count, largest first, then by spelling. Candidates hold counts that their words
//! had at some moment, never more than the final ones. Let `w` be among the final first `n`, with
//! `n <= keep`.
//!
//! * The last occurrence of `w` brings its final count to [`Top::saw`] of one task.
//! * To be dropped then or later, by pruning or at the floor, `keep` candidates of that task must
//!   rank before `w` with the counts seen so far. Their final counts are no smaller, so they rank
//!   before `w` in the end, too: `w` is not among the first `n`, a contradiction.
//! * So `w` is kept with its final count, and [`Top::merge`], which takes the larger count of two,
//!   preserves that. Every other candidate ranks no better than it does in the end, hence lower.
//!
//! A word that was dropped early and becomes frequent later comes back with its next occurrence,
//! whose count includes the earlier ones.

use std::cmp::Reverse;
use std::collections::HashMap;

/// Candidates between two prunings, as a multiple of those kept.
const SLACK: usize = 8;
/// At least so many are kept: a higher floor stops more words at the door.
const KEEP_LEAST: usize = 128;

/// Candidates for the first `n` words.
#[derive(Debug)]
pub(crate) struct Top {
    n: usize,
    keep: usize,
    /// The smallest count kept by the last pruning; smaller ones cannot be among the first `keep`.
    floor: u64,
    counts: HashMap<Box<[u8]>, u64>,
}

impl Top {
    /// No candidates yet for the first `n`.
    pub(crate) fn new(n: usize) -> Self {
        let keep = n.max(KEEP_LEAST);
        Self { n, keep, floor: 0, counts: HashMap::new() }
    }

    /// `word` has been counted to `count` by now.
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

    /// The first words with their counts, by count and then by spelling.
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

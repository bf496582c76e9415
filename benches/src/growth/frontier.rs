//! The keys that are there while tasks insert or delete keys.
//!
//! ```text
//! growth:  0 ...... loaded | inserted | being inserted by task 1, task 0 | free ....... to
//!                                     ^ bound: no task inserts below
//! shrink:  0 ...... from | there | margin | being deleted by task 1, task 0 | deleted . to
//!                                ^ bound of task 1: no task deletes below
//! ```
//!
//! The tasks take groups of indexes from one counter, so that they end together. A task draws
//! random indexes below its bound, where all keys are there. In the growth the bound is the start
//! of the lowest group that a task has. In the shrink a task publishes its bound, which is a margin
//! below its own group. Before a task deletes a group, it waits until no bound is above the group.
//! The margin is wide, so that waits are rare.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use serde::Serialize;

/// The number of indexes of a group.
const GROUP: u64 = 256;

/// The number of indexes between a group that a task deletes and the bound of this task.
const MARGIN: u64 = 512 * GROUP;

/// Whether keys come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The tasks insert keys.
    Grow,
    /// The tasks delete keys.
    Shrink,
}

impl Direction {
    /// Returns the name of the phase.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grow => "grow",
            Self::Shrink => "shrink",
        }
    }
}

/// The groups of one phase, and the bounds of its tasks.
#[derive(Debug)]
pub struct Frontier {
    direction: Direction,
    keys: Range<u64>,
    group: u64,
    margin: u64,
    taken: CachePadded<AtomicU64>,
    /// The start of the group of each task in the growth, the bound of each task in the shrink.
    published: Vec<CachePadded<AtomicU64>>,
}

impl Frontier {
    /// Creates the frontier of a phase, which inserts or deletes the indexes `keys`.
    pub fn new(direction: Direction, keys: Range<u64>, tasks: usize) -> Self {
        Self::with_sizes(direction, keys, tasks, [GROUP, MARGIN])
    }

    fn with_sizes(
        direction: Direction,
        keys: Range<u64>,
        tasks: usize,
        [group, margin]: [u64; 2],
    ) -> Self {
        assert!(keys.start > 0 && !keys.is_empty(), "a key is always there, and one comes or goes");
        // A task that has not begun holds back the others, like a task with the first group.
        let first = match direction {
            Direction::Grow => keys.start,
            Direction::Shrink => keys.end.saturating_sub(margin).max(keys.start),
        };
        let published = (0..tasks).map(|_| AtomicU64::new(first).into()).collect();
        Self { direction, keys, group, margin, taken: AtomicU64::new(0).into(), published }
    }

    /// Returns whether the phase inserts or deletes.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Takes the next group for a task, which has finished its group before. `None` ends the phase
    /// for the task.
    pub fn take(&self, task: usize) -> Option<Range<u64>> {
        let offset = self.taken.fetch_add(1, Ordering::Relaxed) * self.group;
        if offset >= self.keys.end - self.keys.start {
            let freed = if self.direction == Direction::Grow { u64::MAX } else { 0 };
            self.publish(task, freed);
            return None;
        }
        Some(match self.direction {
            Direction::Grow => {
                let start = self.keys.start + offset;
                self.publish(task, start);
                start..(start + self.group).min(self.keys.end)
            }
            Direction::Shrink => {
                let end = self.keys.end - offset;
                let start = end.saturating_sub(self.group).max(self.keys.start);
                self.publish(task, start.saturating_sub(self.margin).max(self.keys.start));
                start..end
            }
        })
    }

    /// Returns whether a task may begin its group: in the shrink, whether no other task still draws
    /// keys of the group.
    pub fn may_begin(&self, task: usize, group: &Range<u64>) -> bool {
        let others = self.published.iter().enumerate().filter(|(other, _)| *other != task);
        self.direction == Direction::Grow
            || others.map(|(_, bound)| load(bound)).all(|bound| bound <= group.start)
    }

    /// Returns the bound of the task: all keys of the indexes below are there.
    pub fn bound(&self, task: usize) -> u64 {
        match self.direction {
            Direction::Grow => {
                let lowest = self.published.iter().map(|start| load(start)).min();
                lowest.unwrap_or(0).min(self.keys.end)
            }
            Direction::Shrink => load(&self.published[task]),
        }
    }

    /// Release: pairs with the Acquire of `load`. The operations of the task before are done when
    /// another task sees this.
    fn publish(&self, task: usize, index: u64) {
        self.published[task].store(index, Ordering::Release);
    }
}

/// Acquire: pairs with the Release of `publish`.
fn load(published: &AtomicU64) -> u64 {
    published.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const KEYS: Range<u64> = 10..137;

    /// A task of a random schedule: its group, the indexes of it that are done, and its bound.
    struct Task {
        group: Range<u64>,
        has_begun: bool,
        bound: u64,
    }

    /// Runs tasks in a random order, one index at a time. Checks every index below a bound.
    fn schedule(direction: Direction, seed: u64) {
        let frontier = Frontier::with_sizes(direction, KEYS, 3, [4, 8]);
        let mut random = SmallRng::seed_from_u64(seed);
        let is_there = |index: u64| index < KEYS.start || direction == Direction::Shrink;
        let mut there: Vec<bool> = (0..KEYS.end).map(is_there).collect();
        let new = || Task { group: 0..0, has_begun: false, bound: 0 };
        let mut tasks = [Some(new()), Some(new()), Some(new())];
        let mut done = 0;
        while tasks.iter().any(Option::is_some) {
            let number = random.random_range(0..tasks.len());
            let Some(task) = &mut tasks[number] else { continue };
            assert!((0..task.bound).all(|index| there[usize::try_from(index).unwrap()]));
            if task.group.is_empty() {
                let taken = frontier.take(number);
                tasks[number] = taken.map(|group| Task { group, has_begun: false, bound: 0 });
            } else if !task.has_begun {
                task.has_begun = frontier.may_begin(number, &task.group);
                task.bound = if task.has_begun { frontier.bound(number) } else { 0 };
            } else {
                let index = usize::try_from(task.group.next().unwrap()).unwrap();
                assert_ne!(there[index], direction == Direction::Grow, "each index once");
                there[index] = !there[index];
                done += 1;
            }
        }
        assert_eq!(done, KEYS.end - KEYS.start);
    }

    #[test]
    fn every_key_below_a_bound_is_there_and_every_key_is_done_once() {
        for seed in 0..200 {
            schedule(Direction::Grow, seed);
            schedule(Direction::Shrink, seed);
        }
    }

    #[test]
    fn a_group_waits_for_a_task_that_lags() {
        let frontier = Frontier::with_sizes(Direction::Shrink, 10..1000, 2, [4, 8]);
        assert_eq!(frontier.take(1), Some(996..1000));
        assert_eq!(frontier.bound(1), 988);
        let (mut last, mut begun) = (frontier.take(0).unwrap(), 0);
        while frontier.may_begin(0, &last) {
            last = frontier.take(0).unwrap();
            begun += 1;
        }
        assert_eq!((last, begun), (984..988, 2));
    }
}

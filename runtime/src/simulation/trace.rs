//! The history of a simulation: a hash over all steps, and the last steps as text.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::executor::TaskId;

/// One choice of the scheduler.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Polled the future given to `run`.
    Root,
    /// Polled a task.
    Task(TaskId),
    /// Moved the clock.
    Event,
}

#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    last: VecDeque<(Step, Duration)>,
}

impl Trace {
    pub(super) fn push(&mut self, step: Step, time: Duration) {
        let (kind, number) = match step {
            Step::Root => (1, 0),
            Step::Task(task) => (2, task.number),
            Step::Event => (3, 0),
        };
        for part in [kind, number, time.as_secs(), u64::from(time.subsec_nanos())] {
            self.hash = (self.hash.rotate_left(23) ^ part).wrapping_mul(MULTIPLIER);
        }
        if self.last.len() == LAST_STEPS {
            self.last.pop_front();
        }
        self.last.push_back((step, time));
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (step, time)) in self.last.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            match step {
                Step::Root => write!(formatter, "{separator}root@{time:?}")?,
                Step::Task(task) => {
                    write!(formatter, "{separator}{}#{}@{time:?}", task.name, task.number)?;
                }
                Step::Event => write!(formatter, "{separator}event@{time:?}")?,
            }
        }
        Ok(())
    }
}

/// The number of steps kept for messages.
const LAST_STEPS: usize = 24;

/// Odd, with bits in all positions.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

//! Checkpoints that relieve a full write-ahead log, for the tasks that wait for its entries.
//!
//! A checkpoint that survives power cuts has every change before it. So it makes a task durable
//! that asked before it began, also if the log stays full. The driver takes one by itself while the
//! device of the log is full. Only if that fails, the task is refused.
//!
//! Checkpoints are numbered here as they begin. A task that asks remembers the number, and waits
//! for a higher one to end.

use crate::base::wait::Event;
use kvick_io::sync::{Mutex, MutexGuard};

/// The checkpoints that a full log waits for.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    // Under its lock.
    numbers: Mutex<Numbers>,
    ended: Event,
}

/// Numbers of checkpoints that survive power cuts.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    begun: u64,
    published: u64,
    failed: u64,
    /// Tasks wait for one with this number or a higher one.
    wanted: u64,
}

/// A request of a task.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Request(u64);

impl Relief {
    /// Asks for a checkpoint that begins after this call.
    pub(super) fn request(&self) -> Request {
        let mut numbers = self.numbers();
        numbers.wanted = numbers.begun + 1;
        Request(numbers.wanted)
    }

    /// Returns whether a requested checkpoint was published; `None` while it is awaited.
    pub(super) fn outcome(&self, Request(number): Request) -> Option<bool> {
        let numbers = self.numbers();
        if numbers.published >= number {
            return Some(true);
        }
        (numbers.failed >= number).then_some(false)
    }

    /// Returns the event of a checkpoint that has ended.
    pub(super) fn ended(&self) -> &Event {
        &self.ended
    }

    /// Returns whether a task waits for a checkpoint.
    pub(crate) fn is_wanted(&self) -> bool {
        let numbers = self.numbers();
        numbers.wanted > numbers.published.max(numbers.failed)
    }

    /// Records that a checkpoint begins. It is the only one.
    pub(crate) fn begin(&self) {
        self.numbers().begun += 1;
    }

    /// Records that the checkpoint has ended.
    pub(crate) fn end(&self, is_published: bool) {
        {
            let mut numbers = self.numbers();
            let ended = numbers.begun;
            let last = if is_published { &mut numbers.published } else { &mut numbers.failed };
            *last = ended;
        }
        self.ended.notify(usize::MAX);
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().expect("nothing panics under it")
    }
}

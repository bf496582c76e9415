//! Operations of one class on their way to the driver, first come, first served.
//!
//! The main queue is bounded and lock-free. An operation that does not fit goes to an overflow list
//! under a lock. So does every later operation until the list is empty, which keeps the order. The
//! caller never waits, and an operation whose future is never polled delays no other. The buffers
//! that callers hold bound the memory of the list.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use crate::files::operation::Operation;

/// A queue with many pushing callers and one popping driver.
#[derive(Debug)]
pub(super) struct Queue {
    ring: ArrayQueue<Operation>,
    overflow: Mutex<VecDeque<Operation>>,
    /// The length of the overflow list, changed under its lock.
    overflowed: CachePadded<AtomicUsize>,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            ring: ArrayQueue::new(capacity),
            overflow: Mutex::default(),
            overflowed: CachePadded::default(),
        }
    }

    pub(super) fn push(&self, operation: Operation) {
        // Relaxed: a caller that misses a change is late or early by one operation.
        if self.overflowed.load(Ordering::Relaxed) == 0 {
            let Err(operation) = self.ring.push(operation) else {
                return;
            };
            self.push_overflow(operation);
        } else {
            self.push_overflow(operation);
        }
    }

    /// Removes and returns the oldest operation.
    pub(super) fn pop(&self) -> Option<Operation> {
        self.ring.pop().or_else(|| self.pop_overflow())
    }

    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: the doorbell's fence orders this load after the announcement of sleep.
        self.ring.is_empty() && self.overflowed.load(Ordering::Relaxed) == 0
    }

    #[cold]
    fn push_overflow(&self, operation: Operation) {
        let mut overflow = self.lock();
        overflow.push_back(operation);
        self.overflowed.store(overflow.len(), Ordering::Relaxed);
    }

    fn pop_overflow(&self) -> Option<Operation> {
        if self.overflowed.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut overflow = self.lock();
        let operation = overflow.pop_front();
        self.overflowed.store(overflow.len(), Ordering::Relaxed);
        operation
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Operation>> {
        // Every update is one call of the list.
        self.overflow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::files::operation::Kind;
    use crate::files::operation::tests::{operation, scratch};

    #[test]
    fn overflow_keeps_the_order() {
        let (_directory, file) = scratch();
        let queue = Queue::new(4);
        let push = |blocks: usize| queue.push(operation(Kind::Read, &file, &[512 * blocks]).1);
        let pop = || queue.pop().map(|mut operation| operation.call().range.len() / 512);
        (1..=9).for_each(push);
        assert_eq!((pop(), pop()), (Some(1), Some(2)));
        // There is room in the bounded queue again, but the overflowed operations are older.
        push(10);
        let rest: Vec<_> = std::iter::from_fn(pop).collect();
        assert_eq!(rest, [3, 4, 5, 6, 7, 8, 9, 10]);
        assert!(queue.is_empty());
        push(11);
        assert!(!queue.is_empty());
    }
}

//! The portable backend: blocking calls on a bounded pool of threads.
//!
//! An operation costs about four times the processor time of io_uring. The backend works on any
//! operating system, and in containers that deny io_uring.

use std::collections::VecDeque;
use std::io;

use crate::backends::engine::{Class, run_blocking};
use crate::files::operation::{Engine, Operation};
use crate::threads::workers::{JobQueue, Workers};

/// Reads and writes with `pread` and `pwrite` on threads named `kvick-io`.
#[derive(Debug)]
pub(crate) struct Threads {
    workers: Workers<ClassQueue>,
}

impl Threads {
    /// Starts a pool of at most `threads` threads. Reads may use `class_limit` of them, and so may
    /// writes. Fails if the system refuses the first thread.
    pub(crate) fn start(threads: usize, class_limit: usize) -> io::Result<Self> {
        assert!((1..=threads).contains(&class_limit), "each class has a thread");
        let queue = ClassQueue::new(class_limit);
        Ok(Self { workers: Workers::start("kvick-io", threads, queue, run_blocking)? })
    }
}

impl Engine for Threads {
    fn submit(&self, operation: Operation) {
        match self.workers.birthplace().check() {
            Ok(()) => self.workers.push([operation]),
            Err(forked) => operation.refuse(&forked.to_string()),
        }
    }

    fn submit_many(&self, operations: Vec<Operation>) {
        match self.workers.birthplace().check() {
            Ok(()) => self.workers.push(operations),
            Err(forked) => operations.into_iter().for_each(|one| one.refuse(&forked.to_string())),
        }
    }

    fn name(&self) -> &'static str {
        "threads"
    }
}

/// Two queues that take turns, each with a limit on the number of its running jobs.
struct ClassQueue {
    limit: usize,
    reads: Line,
    writes: Line,
    last: Class,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Operation>,
    running: usize,
}

impl Line {
    fn next(&mut self, limit: usize) -> Option<Operation> {
        let operation = if self.running < limit { self.waiting.pop_front() } else { None };
        self.running += usize::from(operation.is_some());
        operation
    }
}

impl ClassQueue {
    fn new(limit: usize) -> Self {
        Self { limit, reads: Line::default(), writes: Line::default(), last: Class::Read }
    }

    fn line(&mut self, class: Class) -> &mut Line {
        match class {
            Class::Read => &mut self.reads,
            Class::Write => &mut self.writes,
        }
    }
}

impl JobQueue for ClassQueue {
    type Job = Operation;
    type Ticket = Class;

    fn push(&mut self, operation: Operation) {
        self.line(operation.kind().into()).waiting.push_back(operation);
    }

    fn next(&mut self) -> Option<(Operation, Class)> {
        let limit = self.limit;
        let turns = match self.last {
            Class::Read => [Class::Write, Class::Read],
            Class::Write => [Class::Read, Class::Write],
        };
        turns.into_iter().find_map(|class| {
            let operation = self.line(class).next(limit)?;
            self.last = class;
            Some((operation, class))
        })
    }

    fn ended(&mut self, class: Class) {
        let line = self.line(class);
        debug_assert!(line.running > 0, "an ending job was running");
        line.running -= 1;
    }

    fn waiting(&self) -> usize {
        self.reads.waiting.len() + self.writes.waiting.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::files::operation::Kind;
    use crate::files::operation::tests::{operation, scratch};

    #[test]
    fn each_class_proceeds_however_many_of_the_other_wait() {
        let (_directory, file) = scratch();
        let mut queue = ClassQueue::new(3);
        for (kind, count) in [(Kind::Read, 100), (Kind::Write, 2)] {
            (0..count).for_each(|_| queue.push(operation(kind, &file, &[512]).1));
        }
        let admitted: Vec<_> =
            std::iter::from_fn(|| queue.next().map(|(_, class)| class)).collect();
        let expected = [Class::Write, Class::Read, Class::Write, Class::Read, Class::Read];
        assert_eq!(admitted, expected, "in turns, and no class beyond its limit");
        assert_eq!(queue.waiting(), 97);
        queue.ended(Class::Write);
        assert!(queue.next().is_none(), "reads do not get the share of writes");
        queue.ended(Class::Read);
        assert_eq!(queue.next().map(|(_, class)| class), Some(Class::Read));
    }
}

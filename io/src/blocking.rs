//! Rare file operations that have no asynchronous form: they block a thread of their own.
//!
//! Open, create, rename, unlink, list, whole small files, locks. Never transfers of a device.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::workers::{JobQueue, Workers};

/// A few threads, named `kvick-files`, that run closures.
pub(crate) struct Blocking {
    workers: Workers<Fifo>,
}

type Job = Box<dyn FnOnce() + Send>;

/// Enough that a slow unlink does not hold up the creation of a segment.
const MAX_THREADS: usize = 4;

impl Blocking {
    pub(crate) fn new() -> Self {
        Self { workers: Workers::new("kvick-files", MAX_THREADS, Fifo::default(), |job| job()) }
    }

    /// Runs `job` on one of the threads, whether or not anybody waits for the reply.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Reply<T> {
        let desk = Arc::new(Desk { state: Mutex::new(State { value: None, waker: None }) });
        let answer = Answer { desk: Arc::clone(&desk) };
        self.run(move || answer.give(job()));
        Reply { desk }
    }

    /// Runs `job` on one of the threads.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.workers.push([Box::new(job) as Job]);
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.workers.fmt(f)
    }
}

#[derive(Default)]
struct Fifo(VecDeque<Job>);

impl JobQueue for Fifo {
    type Job = Job;
    type Ticket = ();

    fn push(&mut self, job: Job) {
        self.0.push_back(job);
    }

    fn next(&mut self) -> Option<(Job, ())> {
        Some((self.0.pop_front()?, ()))
    }

    fn ended(&mut self, (): ()) {}

    fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// The future of a job's result.
#[must_use]
pub(crate) struct Reply<T> {
    desk: Arc<Desk<T>>,
}

/// The job's half; dropped without an answer it gives an error.
struct Answer<T> {
    desk: Arc<Desk<T>>,
}

/// Where the two meet.
struct Desk<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Option<io::Result<T>>,
    waker: Option<Waker>,
}

impl<T> Future for Reply<T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.desk.lock();
        if let Some(value) = state.value.take() {
            return Poll::Ready(value);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> Answer<T> {
    fn give(&self, value: io::Result<T>) {
        let waker = {
            let mut state = self.desk.lock();
            state.value = Some(value);
            state.waker.take()
        };
        // Outside the lock: a waker may poll at once.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        // Also after an answer that was taken already; then nobody looks at this one.
        if self.desk.lock().value.is_none() {
            self.give(Err(io::Error::other("the operation was lost: its thread panicked")));
        }
    }
}

impl<T> Desk<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn replies_also_when_the_job_panics() {
        let blocking = Blocking::new();
        assert_eq!(pollster::block_on(blocking.call(|| Ok(7))).unwrap(), 7);
        let lost = blocking.call(|| -> io::Result<()> { panic!("on purpose") });
        assert!(pollster::block_on(lost).is_err());
        assert_eq!(pollster::block_on(blocking.call(|| Ok(8))).unwrap(), 8);
    }
}

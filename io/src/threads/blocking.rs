//! Rare file operations that have no asynchronous form. They block a thread of their own.
//!
//! They are open, create, rename, unlink, list, whole small files, and locks. There are three
//! lines. Jobs that a transfer waits for come first, such as the creation of a segment, and may use
//! every thread. Ordinary jobs leave one thread free, however many wait. The closing of deleted
//! files comes last, one file at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::threads::process::Birthplace;
use crate::threads::workers::{JobQueue, Workers};

/// A few threads, named `kvick-files`, that run closures.
pub(crate) struct Blocking {
    workers: Workers<Lines>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The largest number of threads: a slow unlink must not hold up the creation of a segment.
const MAX_THREADS: usize = 4;

impl Blocking {
    /// Starts the first thread. Fails if the system refuses it.
    pub(crate) fn start() -> io::Result<Self> {
        let run = |(_, job): (Rank, Job)| job();
        let workers = Workers::start("kvick-files", MAX_THREADS, Lines::default(), run)?;
        Ok(Self { workers })
    }

    /// Runs `job` on one of the threads, even if the caller drops the reply.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Reply<T> {
        let desk = Arc::new(Desk { state: Mutex::new(State { value: None, waker: None }) });
        let answer = Answer { desk: Arc::clone(&desk) };
        self.push(Rank::Ordinary, move || answer.give(job()));
        Reply { desk, birthplace: self.birthplace() }
    }

    /// Returns the process of the threads. A job in another process never runs.
    pub(crate) fn birthplace(&self) -> Birthplace {
        self.workers.birthplace()
    }

    /// Runs a job that a transfer waits for, before all jobs of [`call`](Self::call).
    pub(crate) fn run_first(&self, job: impl FnOnce() + Send + 'static) {
        self.push(Rank::First, job);
    }

    /// Runs a job without a waiting caller, after all other jobs, and one at a time.
    pub(crate) fn run_late(&self, job: impl FnOnce() + Send + 'static) {
        self.push(Rank::Late, job);
    }

    fn push(&self, rank: Rank, job: impl FnOnce() + Send + 'static) {
        match self.birthplace().check() {
            Ok(()) => self.workers.push([(rank, Box::new(job) as Job)]),
            // A reply checks the process itself, and a thread that does not exist here may hold the
            // lock.
            Err(forked) => tracing::debug!(%forked, "a job was dropped in a forked process"),
        }
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.workers.fmt(f)
    }
}

/// The line in which a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    First,
    Ordinary,
    Late,
}

impl Rank {
    /// In the order of service.
    const ALL: [Self; 3] = [Self::First, Self::Ordinary, Self::Late];

    /// Returns how many jobs of this rank may run at once.
    fn limit(self) -> usize {
        match self {
            Self::First => MAX_THREADS,
            Self::Ordinary => MAX_THREADS - 1,
            Self::Late => 1,
        }
    }
}

#[derive(Default)]
struct Lines([Line; Rank::ALL.len()]);

#[derive(Default)]
struct Line {
    waiting: VecDeque<Job>,
    running: usize,
}

impl JobQueue for Lines {
    type Job = (Rank, Job);
    type Ticket = Rank;

    fn push(&mut self, (rank, job): (Rank, Job)) {
        self.0[rank as usize].waiting.push_back(job);
    }

    fn next(&mut self) -> Option<((Rank, Job), Rank)> {
        Rank::ALL.into_iter().find_map(|rank| {
            let line = &mut self.0[rank as usize];
            let job = if line.running < rank.limit() { line.waiting.pop_front() } else { None }?;
            line.running += 1;
            Some(((rank, job), rank))
        })
    }

    fn ended(&mut self, rank: Rank) {
        let line = &mut self.0[rank as usize];
        debug_assert!(line.running > 0, "an ending job was running");
        line.running -= 1;
    }

    fn waiting(&self) -> usize {
        self.0.iter().map(|line| line.waiting.len()).sum()
    }
}

/// The future of a job's result.
#[must_use]
pub(crate) struct Reply<T> {
    desk: Arc<Desk<T>>,
    birthplace: Birthplace,
}

/// The job's half. If it is dropped without an answer, it gives an error.
struct Answer<T> {
    desk: Arc<Desk<T>>,
}

/// The place where the reply and the answer meet.
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
        // Before the lock, which a thread that is not in this process may hold.
        if let Err(forked) = self.birthplace.check() {
            return Poll::Ready(Err(forked));
        }
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
        // This also runs after a taken answer; no future looks at the second answer then.
        if self.desk.lock().value.is_none() {
            self.give(Err(io::Error::other(
                "the operation was lost: its thread panicked; try it again",
            )));
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
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn replies_also_when_the_job_panics() {
        let blocking = Blocking::start().unwrap();
        assert_eq!(pollster::block_on(blocking.call(|| Ok(7))).unwrap(), 7);
        let lost = blocking.call(|| -> io::Result<()> { panic!("on purpose") });
        assert!(pollster::block_on(lost).is_err());
        assert_eq!(pollster::block_on(blocking.call(|| Ok(8))).unwrap(), 8);
    }

    /// The first write into a new segment waited 25 to 75 ms after 200 manifests of other
    /// directories. It waited forever after a few operations of a file system that hangs.
    #[test]
    fn a_transfer_waits_for_no_ordinary_job() {
        let blocking = Blocking::start().unwrap();
        let (open_gate, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let ordinary: Vec<_> = (0..200)
            .map(|_| {
                let gate = Arc::clone(&gate);
                blocking.call(move || {
                    // Ends when the other half of the channel is dropped.
                    let _ = gate.lock().unwrap().recv();
                    Ok(())
                })
            })
            .collect();
        let (report, created) = mpsc::channel();
        blocking.run_first(move || report.send(()).unwrap());
        created.recv().expect("the first line has a thread");
        drop(open_gate);
        for reply in ordinary {
            pollster::block_on(reply).unwrap();
        }
    }

    #[test]
    fn each_line_keeps_to_its_limit_and_the_first_comes_first() {
        let mut lines = Lines::default();
        for rank in [Rank::Late, Rank::Ordinary, Rank::First] {
            (0..2 * MAX_THREADS).for_each(|_| lines.push((rank, Box::new(|| ()))));
        }
        let running: Vec<_> = std::iter::from_fn(|| lines.next().map(|(_, rank)| rank)).collect();
        let counts = Rank::ALL.map(|rank| running.iter().filter(|found| **found == rank).count());
        assert_eq!(counts, [MAX_THREADS, MAX_THREADS - 1, 1]);
        assert!(running.is_sorted_by_key(|rank| *rank as usize));
        assert_eq!(lines.waiting(), 6 * MAX_THREADS - 2 * MAX_THREADS);
        lines.ended(Rank::Late);
        lines.ended(Rank::First);
        assert_eq!(lines.next().map(|(_, rank)| rank), Some(Rank::First));
    }
}

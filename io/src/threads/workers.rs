//! A bounded set of named threads that run jobs from one queue.
//!
//! The first thread starts with the set, so that a system which allows no more threads says so
//! then, and not when there is something to do. Further ones start when jobs wait and no worker is
//! idle, and all stay until the set is dropped. Dropping it does not wait: the workers finish what
//! is queued and end by themselves, because a job may own memory that is lent to the kernel.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::with_context;
use crate::threads::process::Birthplace;
use crate::threads::spawn::spawn;
use crate::threads::spawn::unharmed;

/// What the threads of a set take their jobs from. Called under the lock of the set.
pub(crate) trait JobQueue: Send + 'static {
    /// What a thread does.
    type Job: Send;
    /// What the queue wants to know when a job has ended.
    type Ticket: Send;

    fn push(&mut self, job: Self::Job);

    /// The job to run next, if one may run now.
    fn next(&mut self) -> Option<(Self::Job, Self::Ticket)>;

    /// The job of this ticket has ended.
    fn ended(&mut self, ticket: Self::Ticket);

    /// Number of jobs that wait, whether they may run or not.
    fn waiting(&self) -> usize;
}

/// The owning handle of a set of worker threads.
pub(crate) struct Workers<Q: JobQueue> {
    shared: Arc<Shared<Q>>,
}

struct Shared<Q: JobQueue> {
    // Fixed.
    name: &'static str,
    birthplace: Birthplace,
    max_threads: usize,
    run: fn(Q::Job),
    // Under the lock.
    state: Mutex<State<Q>>,
    arrived: Condvar,
}

struct State<Q> {
    queue: Q,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl<Q: JobQueue> Workers<Q> {
    /// Starts the first thread. Fails if the system refuses it.
    pub(crate) fn start(
        name: &'static str,
        max_threads: usize,
        queue: Q,
        run: fn(Q::Job),
    ) -> io::Result<Self> {
        assert!(max_threads > 0, "a set without threads does no work");
        let state = State { queue, threads: 0, idle: 0, closed: false };
        let (state, arrived) = (Mutex::new(state), Condvar::new());
        let birthplace = Birthplace::here();
        let shared = Shared { name, birthplace, max_threads, run, state, arrived };
        let workers = Self { shared: Arc::new(shared) };
        Shared::start_thread(&workers.shared, &mut workers.shared.lock())
            .map_err(|error| with_context(error, format!("starting a thread {name}")))?;
        Ok(workers)
    }

    /// Where the threads are: jobs that are queued in another process are never done.
    pub(crate) fn birthplace(&self) -> Birthplace {
        self.shared.birthplace
    }

    /// Queues jobs.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = Q::Job>) {
        let mut state = self.shared.lock();
        for job in jobs {
            state.queue.push(job);
            // A worker that was notified and has not woken yet still counts as idle, and its job
            // still counts as waiting: the comparison holds.
            let all_busy = state.queue.waiting() > state.idle;
            if !all_busy || state.threads == self.shared.max_threads {
                self.shared.arrived.notify_one();
            } else if let Err(error) = Shared::start_thread(&self.shared, &mut state) {
                tracing::debug!(%error, "no further thread {}: jobs wait", self.shared.name);
            }
        }
    }
}

impl<Q: JobQueue> Drop for Workers<Q> {
    fn drop(&mut self) {
        // In a forked child a thread that is not there may hold the lock.
        if self.shared.birthplace.check().is_err() {
            return;
        }
        self.shared.lock().closed = true;
        self.shared.arrived.notify_all();
    }
}

impl<Q: JobQueue> fmt::Debug for Workers<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Workers")
            .field("name", &self.shared.name)
            .field("threads", &state.threads)
            .field("waiting", &state.queue.waiting())
            .finish()
    }
}

impl<Q: JobQueue> Shared<Q> {
    fn start_thread(this: &Arc<Self>, state: &mut State<Q>) -> io::Result<()> {
        let shared = Arc::clone(this);
        spawn(this.name, move || shared.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some((job, ticket)) = state.queue.next() {
                drop(state);
                unharmed(|| (self.run)(job));
                state = self.lock();
                state.queue.ended(ticket);
            } else if state.closed && state.queue.waiting() == 0 {
                // Others may have gone to wait for what this thread has just finished.
                self.arrived.notify_all();
                return;
            } else {
                state.idle += 1;
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<Q>> {
        // Jobs run outside the lock, so a panic never leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A bounded set of named threads that run jobs from one queue.
//!
//! The first thread starts with the set. So a system that allows no more threads fails then, and
//! not at the first job. Further threads start when jobs wait and no worker is idle, and all stay
//! until the set is dropped. Dropping the set does not wait. The workers finish the queued jobs and
//! end by themselves, because a job may own memory that the kernel uses.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::with_context;
use crate::threads::process::Birthplace;
use crate::threads::spawn::spawn;
use crate::threads::spawn::unharmed;

/// The queue from which the threads of a set take jobs. Called under the lock of the set.
pub(crate) trait JobQueue: Send + 'static {
    /// The work of a thread.
    type Job: Send;
    /// The information that the queue needs when a job has ended.
    type Ticket: Send;

    fn push(&mut self, job: Self::Job);

    /// Returns the next job, if a job may run now.
    fn next(&mut self) -> Option<(Self::Job, Self::Ticket)>;

    /// Records that the job of this ticket has ended.
    fn ended(&mut self, ticket: Self::Ticket);

    /// Returns the number of waiting jobs, whether or not they may run.
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

    /// Returns the process of the threads. Jobs queued in another process never run.
    pub(crate) fn birthplace(&self) -> Birthplace {
        self.shared.birthplace
    }

    /// Queues jobs.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = Q::Job>) {
        let mut state = self.shared.lock();
        for job in jobs {
            state.queue.push(job);
            // A notified worker that has not woken yet still counts as idle, and its job still
            // counts as waiting. So the comparison holds.
            let all_busy = state.queue.waiting() > state.idle;
            if !all_busy || state.threads == self.shared.max_threads {
                self.shared.arrived.notify_one();
            } else if let Err(error) = Shared::start_thread(&self.shared, &mut state) {
                let name = self.shared.name;
                tracing::debug!(%error, name, "cannot start another thread; jobs wait");
            }
        }
    }
}

impl<Q: JobQueue> Drop for Workers<Q> {
    fn drop(&mut self) {
        // In a forked child, a thread that does not exist there may hold the lock.
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
                // Other workers may wait for the job that this thread has just finished.
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

//! The common code of all our executors: a queue of tasks that can run, deadlines, and a list of
//! live tasks. Executors differ in the driver, which makes the executor notice new work and tells
//! the time.
//!
//! ```text
//!  spawn --> Runnable --> queue --> driver's loop: pop, run --> (woken again) --> queue
//!                           |
//!                           +--> Driver::notify: unpark a thread, wake a glommio task, or nothing
//! ```
//!
//! # End of life
//!
//! Every handle, every sleep and every live task holds a [`Lease`]. When the last lease is dropped
//! the executor has *ended*. Nothing can reach it any more, and a driver with a thread releases the
//! thread. A driver may be dropped before that, with its simulation or its glommio executor. Then
//! it *closes* the executor: every live task is dropped, and so is every task spawned later.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_task::Builder;
use crossbeam_queue::SegQueue;

use kvick_io::BoxFuture;

use crate::runtime::Runtime;
use crate::task::{TaskFailed, panic_text};
use crate::timers::{TimerKey, Timers};

/// A task that can run. Dropping it cancels the task.
pub(crate) type Runnable = async_task::Runnable<TaskId>;

/// The part in which one executor differs from another.
pub(crate) trait Driver: Send + Sync + fmt::Debug + 'static {
    /// Makes the loop look at the executor again, from any thread, without blocking.
    fn notify(&self);

    /// Returns the time since the origin. It never decreases.
    fn now(&self) -> Duration;

    /// Returns whether the thread of the loop is in this process. A forked child has no threads of
    /// its parent.
    fn is_here(&self) -> bool {
        true
    }

    /// Handles a panic without an owner. See [`Runtime::lost_panic`].
    fn lost_panic(&self, failed: &TaskFailed) {
        tracing::error!(%failed, "a detached task failed");
    }
}

/// Identifies a task for the executor and for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskId {
    pub(crate) number: u64,
    pub(crate) name: &'static str,
}

pub(crate) struct Executor<D> {
    pub(crate) driver: D,
    pub(crate) timers: Timers,
    queue: SegQueue<Runnable>,
    live: Mutex<LiveTasks>,
    ended: AtomicBool,
    closed: AtomicU8,
}

/// The number of tasks that run between two looks at the timers.
const TASKS_BETWEEN_LOOKS: usize = 8;

/// Tasks run.
const OPEN: u8 = 0;
/// Only the thread that closes the executor drops tasks. The drop of one task may wake another, and
/// the waking task may hold a lock that the drop of the other task needs.
const CLOSING: u8 = 1;
/// The thread that schedules a task drops it.
const CLOSED: u8 = 2;

#[derive(Default)]
struct LiveTasks {
    tasks: BTreeMap<u64, (&'static str, Waker)>,
    next_number: u64,
}

impl<D: Driver> Executor<D> {
    /// Returns the executor, for the loop of its driver, and the first lease, for all other owners.
    pub(crate) fn new(driver: D) -> (Arc<Self>, Leased<D>) {
        let executor = Arc::new(Self {
            driver,
            timers: Timers::default(),
            queue: SegQueue::new(),
            live: Mutex::default(),
            ended: AtomicBool::new(false),
            closed: AtomicU8::new(OPEN),
        });
        let lease = Arc::new(Lease { executor: Arc::clone(&executor) });
        (executor, Leased { lease })
    }

    /// Removes and returns the task that has waited longest to run.
    pub(crate) fn pop(&self) -> Option<Runnable> {
        self.queue.pop()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Runs at most `most` ready tasks, or fewer if no more are ready. It looks at the timers
    /// before the first task and after every few, so that many tasks do not delay a sleep.
    pub(crate) fn run_ready(&self, most: usize) {
        for turn in 0..most {
            if turn.is_multiple_of(TASKS_BETWEEN_LOOKS) {
                self.fire_timers();
            }
            match self.pop() {
                Some(runnable) => run(runnable),
                None => return,
            }
        }
    }

    /// Returns whether no handle, sleep or task can reach this executor any more.
    pub(crate) fn has_ended(&self) -> bool {
        // Pairs with the release store in `Lease::drop`: the writes of the last owner are visible.
        self.ended.load(Ordering::Acquire)
    }

    /// Wakes the sleeps that are over.
    pub(crate) fn fire_timers(&self) {
        self.timers.fire(self.driver.now());
    }

    /// Returns the names of the tasks that have not ended, oldest first.
    pub(crate) fn live_names(&self) -> Vec<&'static str> {
        self.live().tasks.values().map(|(name, _)| *name).collect()
    }

    /// Drops every task, now and in the future.
    pub(crate) fn close(&self) {
        // Every access is a read-modify-write, so they form one chain: Acquire and Release pair
        // with `schedule`. Either `schedule` comes later and sees the end, or this call sees its
        // task.
        self.closed.fetch_max(CLOSING, Ordering::AcqRel);
        let wakers: Vec<Waker> =
            self.live().tasks.values().map(|(_, waker)| waker.clone()).collect();
        for waker in wakers {
            waker.wake();
        }
        self.drop_ready();
        self.closed.swap(CLOSED, Ordering::AcqRel);
        self.drop_ready();
        // Sleeps outside this executor are over: no driver would wake them later.
        self.timers.fire(Duration::MAX);
    }

    fn is_closed(&self) -> bool {
        // A read that is in the chain: see `close`.
        self.closed.fetch_or(OPEN, Ordering::AcqRel) == CLOSED || !self.driver.is_here()
    }

    fn schedule(&self, runnable: Runnable) {
        self.queue.push(runnable);
        // A read that is in the chain: see `close`.
        match self.closed.fetch_or(OPEN, Ordering::AcqRel) {
            OPEN => self.driver.notify(),
            CLOSING => {}
            _ => self.drop_ready(),
        }
    }

    fn drop_ready(&self) {
        while let Some(runnable) = self.queue.pop() {
            drop(runnable);
        }
    }

    fn live(&self) -> MutexGuard<'_, LiveTasks> {
        // Nothing under this lock panics half-way.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Driver> fmt::Debug for Executor<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Executor")
            .field("driver", &self.driver)
            .field("live", &self.live_names())
            .field("ready", &self.queue.len())
            .finish_non_exhaustive()
    }
}

/// Polls a task once. A panic here comes from a destructor: the task catches its own panics.
pub(crate) fn run(runnable: Runnable) {
    let task = runnable.metadata().name;
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| runnable.run())) {
        tracing::error!(task, message = panic_text(&*payload), "a task panicked while dropped");
    }
}

/// Keeps an executor alive (module essay).
#[derive(Debug)]
pub(crate) struct Lease<D: Driver> {
    executor: Arc<Executor<D>>,
}

impl<D: Driver> Drop for Lease<D> {
    fn drop(&mut self) {
        // Pairs with the acquire load in `has_ended`.
        self.executor.ended.store(true, Ordering::Release);
        self.executor.driver.notify();
    }
}

/// The face of an executor that handles use.
#[derive(Debug)]
pub(crate) struct Leased<D: Driver> {
    lease: Arc<Lease<D>>,
}

impl<D: Driver> Runtime for Leased<D> {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let executor = &self.lease.executor;
        if !executor.driver.is_here() {
            // Before the locks, which a thread that is not in this process may hold.
            return drop(future);
        }
        let number = {
            let mut live = executor.live();
            live.next_number += 1;
            live.next_number
        };
        let membership = Membership { lease: Arc::clone(&self.lease), number };
        let body = async move {
            let _membership = membership;
            future.await;
        };
        let scheduler = Arc::clone(executor);
        let (runnable, task) = Builder::new()
            .metadata(TaskId { number, name })
            .spawn(move |_| body, move |runnable| scheduler.schedule(runnable));
        task.detach();
        executor.live().tasks.insert(number, (name, runnable.waker()));
        runnable.schedule();
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let deadline = self.now().saturating_add(duration);
        Box::pin(Timer { lease: Arc::clone(&self.lease), deadline, key: None })
    }

    fn now(&self) -> Duration {
        self.lease.executor.driver.now()
    }

    fn has_ended(&self) -> bool {
        self.lease.executor.is_closed()
    }

    fn lost_panic(&self, failed: &TaskFailed) {
        self.lease.executor.driver.lost_panic(failed);
    }
}

/// A membership of a live task. It keeps the executor's thread and the entry in the list of live
/// tasks.
struct Membership<D: Driver> {
    lease: Arc<Lease<D>>,
    number: u64,
}

impl<D: Driver> Drop for Membership<D> {
    fn drop(&mut self) {
        let entry = self.lease.executor.live().tasks.remove(&self.number);
        // Dropping a waker runs foreign code: not under the lock.
        drop(entry);
    }
}

struct Timer<D: Driver> {
    lease: Arc<Lease<D>>,
    deadline: Duration,
    key: Option<TimerKey>,
}

impl<D: Driver> Future for Timer<D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let executor = Arc::clone(&self.lease.executor);
        if executor.driver.now() >= self.deadline || executor.is_closed() {
            return Poll::Ready(());
        }
        let waits = self.key.is_some_and(|key| executor.timers.update(key, context.waker()));
        if !waits {
            let waker = context.waker().clone();
            let (key, is_earliest) = executor.timers.insert(self.deadline, waker);
            self.key = Some(key);
            if is_earliest {
                executor.driver.notify();
            }
            // The thread that closes the executor fires all timers afterwards: it finds this timer,
            // or this load sees the close.
            if executor.is_closed() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

impl<D: Driver> Drop for Timer<D> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.lease.executor.timers.remove(key);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::handle::Handle;
    use kvick_io::sync::atomic::AtomicU64;

    /// A driver whose tasks each take a millisecond.
    #[derive(Debug, Default)]
    struct Busy(AtomicU64);

    impl Driver for Busy {
        fn notify(&self) {}

        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    /// A sleep that was over waited until 64 tasks had run: the longest queue delayed it.
    #[test]
    fn a_sleep_is_over_before_many_tasks_are_run() {
        let (executor, leased) = Executor::new(Busy::default());
        let handle = Handle::custom(Arc::new(leased));
        let woken_at = Arc::new(AtomicU64::new(0));
        let (sleep, noted) = (handle.sleep(Duration::from_millis(1)), Arc::clone(&woken_at));
        let clock = handle.clone();
        let sleeper = async move {
            sleep.await;
            let now = u64::try_from(clock.now().as_millis()).expect("small");
            noted.store(now, Ordering::Relaxed);
        };
        handle.spawn("sleeper", sleeper).detach();
        executor.run_ready(1);
        for _ in 0..64 {
            let busy = Arc::clone(&executor);
            let work = async move {
                busy.driver.0.fetch_add(1, Ordering::Relaxed);
            };
            handle.spawn("work", work).detach();
        }
        executor.run_ready(64);
        assert_eq!(executor.timers.earliest(), None, "it was woken before the last of them");
        executor.run_ready(100);
        assert!(woken_at.load(Ordering::Relaxed) > 0, "the sleeper has run");
    }

    #[test]
    fn a_sleep_of_an_executor_that_closes_is_over() {
        let (executor, leased) = Executor::new(Busy::default());
        let handle = Handle::custom(Arc::new(leased));
        let mut begun = handle.sleep(Duration::from_secs(1));
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut begun).poll(&mut context).is_pending());
        executor.close();
        assert!(Pin::new(&mut begun).poll(&mut context).is_ready());
        assert!(Pin::new(&mut handle.sleep(Duration::MAX)).poll(&mut context).is_ready());
        assert!(handle.has_ended());
    }
}

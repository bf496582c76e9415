//! Tasks on a glommio executor, with a handle that any thread may use.
//!
//! One local task, the drain, runs our executor inside glommio's. It polls the ready tasks, fires
//! timers, and sleeps on its waker and on one glommio timer. Any thread may use glommio's wakers,
//! so only that waker crosses threads.
//!
//! When an executor ends, glommio forgets its suspended tasks and never drops them. But it drops
//! the wakers of its timers. So the drain sets a timer that never rings, with a waker whose drop
//! closes our executor. A drain that was never polled has no such timer. Then the end of the thread
//! closes the executors that ran there: the thread destroys a thread-local with them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::task::AtomicWaker;
use glommio::timer::Timer;

use crate::clock::Clock;
use crate::executor::{Driver, Executor, Leased};

/// The number of tasks that run before the executor serves its other tasks and its rings.
const BATCH: usize = 32;

/// The longest alarm. An alarm for a later time is set again when it has rung.
const LONGEST_ALARM: Duration = Duration::from_secs(3600);

/// The duration of a timer that never rings: some centuries.
const NEVER: Duration = Duration::from_secs(1 << 33);

/// Starts the drain on the calling thread's executor.
pub(crate) fn start() -> Leased<Ring> {
    let (executor, leased) = Executor::new(Ring { waker: AtomicWaker::new(), clock: Clock::new() });
    ON_THIS_THREAD.with(|executors| {
        let mut executors = executors.0.borrow_mut();
        executors.retain(|executor| executor.strong_count() > 0);
        executors.push(Arc::downgrade(&executor));
    });
    glommio::spawn_local(Drain { executor, alarm: None, watch: None }).detach();
    leased
}

thread_local!(static ON_THIS_THREAD: Executors = const { Executors(RefCell::new(Vec::new())) });

/// The executors whose drains were started on one thread.
struct Executors(RefCell<Vec<Weak<Executor<Ring>>>>);

impl Drop for Executors {
    fn drop(&mut self) {
        for executor in self.0.get_mut().drain(..).filter_map(|executor| executor.upgrade()) {
            executor.close();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ring {
    waker: AtomicWaker,
    clock: Clock,
}

impl Driver for Ring {
    fn notify(&self) {
        self.waker.wake();
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }
}

struct Drain {
    executor: Arc<Executor<Ring>>,
    alarm: Option<Alarm>,
    /// Set at the first poll. It keeps the waker of the end in a place where glommio drops it.
    watch: Option<Timer>,
}

/// A waker without wakes. Its drop marks the end of a glommio executor.
struct End(Weak<Executor<Ring>>);

impl Wake for End {
    fn wake(self: Arc<Self>) {}
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(executor) = self.0.upgrade() {
            executor.close();
        }
    }
}

/// The glommio timer for the earliest of our deadlines.
struct Alarm {
    deadline: Duration,
    timer: Timer,
}

impl Future for Drain {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let executor = Arc::clone(&self.executor);
        // Before looking for work: a later wake polls the drain again.
        executor.driver.waker.register(context.waker());
        if self.watch.is_none() {
            self.watch = Some(watch(&executor));
        }
        executor.run_ready(BATCH);
        if executor.has_ended() {
            return Poll::Ready(());
        }
        if executor.has_ready() || self.alarm_is_due(context) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Returns a timer whose waker glommio drops with its own executor.
fn watch(executor: &Arc<Executor<Ring>>) -> Timer {
    let waker = Waker::from(Arc::new(End(Arc::downgrade(executor))));
    let mut timer = Timer::new(NEVER);
    let rang = Pin::new(&mut timer).poll(&mut Context::from_waker(&waker)).is_ready();
    debug_assert!(!rang, "centuries have not passed");
    timer
}

impl Drain {
    /// Sets the alarm to the earliest deadline. Returns `true` if that has passed.
    fn alarm_is_due(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.executor.timers.earliest() else {
            self.alarm = None;
            return false;
        };
        let remaining = deadline.saturating_sub(self.executor.driver.now());
        if remaining.is_zero() {
            return true;
        }
        // Added to the time of day, a longer duration may exceed the range of the clock.
        let remaining = remaining.min(LONGEST_ALARM);
        if self.alarm.as_ref().is_none_or(|alarm| alarm.deadline != deadline) {
            self.alarm = Some(Alarm { deadline, timer: Timer::new(remaining) });
        }
        let alarm = self.alarm.as_mut().expect("set above");
        // The alarm may ring a little early by our clock. Then the next poll sets it again.
        let rang = Pin::new(&mut alarm.timer).poll(context).is_ready();
        if rang {
            self.alarm = None;
        }
        rang
    }
}

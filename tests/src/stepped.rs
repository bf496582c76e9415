//! A runtime whose tasks run when the test says so, also in the middle of an operation.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kvick::runtime::{BoxFuture, Handle, Runtime};

/// The number of steps after which [`Stepped::run`] reports a hanging future. Nothing else depends
/// on it.
const FOR_EVER: u32 = 1_000_000;

/// A runtime without a thread. Its time stands still, and a sleep lasts for one step.
#[derive(Clone, Default)]
pub struct Stepped {
    tasks: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

impl fmt::Debug for Stepped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stepped").finish_non_exhaustive()
    }
}

impl Stepped {
    /// Returns the handle for a store.
    pub fn handle(&self) -> Handle {
        Handle::custom(Arc::new(self.clone()))
    }

    /// Polls each task once. Only one call runs at a time.
    pub fn step(&self) {
        let mut tasks = std::mem::take(&mut *self.lock());
        let mut context = Context::from_waker(Waker::noop());
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        // The polled tasks may have spawned others.
        self.lock().append(&mut tasks);
    }

    /// Polls `future`, and the tasks between its polls, until it is ready.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        for _ in 0..FOR_EVER {
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(output) = polled {
                return output;
            }
            self.step();
        }
        panic!("the future is not ready after {FOR_EVER} steps")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<BoxFuture<'static, ()>>> {
        self.tasks.lock().expect("no panic under the lock")
    }
}

impl Runtime for Stepped {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        self.lock().push(future);
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        let mut is_over = false;
        Box::pin(std::future::poll_fn(move |context| {
            if std::mem::replace(&mut is_over, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

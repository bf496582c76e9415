//! A handle over tokio's handle.
//!
//! A tokio sleep panics when it is polled after its runtime has shut down, and any thread may use a
//! handle at any time. So our sleep is a task of that runtime. Whatever happens to the runtime, the
//! task ends or is dropped, and either ends the sleep.

use std::future::{Future, pending};
use std::panic;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use kvick_io::BoxFuture;

use crate::runtime::Runtime;

#[derive(Debug)]
pub(crate) struct OnTokio {
    runtime: runtime::Handle,
    origin: Instant,
    has_ended: Arc<AtomicBool>,
}

impl OnTokio {
    pub(crate) fn new(runtime: runtime::Handle) -> Self {
        let origin = {
            let _context = runtime.enter();
            Instant::now()
        };
        Self { runtime, origin, has_ended: Arc::default() }
    }
}

impl Runtime for OnTokio {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        // Dropping tokio's handle detaches the task; the outcome travels through our own `Task`.
        drop(self.runtime.spawn(future));
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let now = {
            let _context = self.runtime.enter();
            Instant::now()
        };
        Box::pin(Timer {
            runtime: self.runtime.clone(),
            deadline: now.checked_add(duration),
            has_ended: Arc::clone(&self.has_ended),
            task: None,
        })
    }

    fn now(&self) -> Duration {
        // tokio's clock, so that a paused clock is respected.
        let _context = self.runtime.enter();
        self.origin.elapsed()
    }

    fn has_ended(&self) -> bool {
        // Relaxed: a hint that nothing else depends on.
        self.has_ended.load(Ordering::Relaxed)
    }
}

struct Timer {
    runtime: runtime::Handle,
    /// `None` if the deadline exceeds the range of the clock.
    deadline: Option<Instant>,
    has_ended: Arc<AtomicBool>,
    /// `Some` from the first poll on.
    task: Option<JoinHandle<()>>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { runtime, deadline, has_ended, task } = &mut *self;
        let task = task.get_or_insert_with(|| {
            let deadline = *deadline;
            runtime.spawn(async move {
                match deadline {
                    Some(deadline) => time::sleep_until(deadline).await,
                    None => pending().await,
                }
            })
        });
        match ready!(Pin::new(task).poll(context)) {
            Ok(()) => {}
            // The runtime was built without its time driver.
            Err(failed) if failed.is_panic() => panic::resume_unwind(failed.into_panic()),
            Err(_cancelled) => has_ended.store(true, Ordering::Relaxed),
        }
        Poll::Ready(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

//! The end of an open store or log: its maintenance, its lock, and all callers that close it.
//!
//! A store or a log is *maintained* by one future, [`Maintenance`], which its runtime polls. Four
//! ends are possible, in any order, and each is reported here:
//!
//! * The maintenance ends because the log was closed: the directory is released.
//! * The maintenance ends by a panic, or with its runtime: the log is poisoned, and waiting tasks
//!   are notified. The lock stays.
//! * The process is a forked child: it has a copy, no drivers, and no lock to release. Closing the
//!   copy ends it at once, with an error.
//! * The last handle is dropped, or `close` is called: the log is closed. Without maintenance the
//!   directory is released at once.
//!
//! # Invariants
//! 1. The lock of the directory is held while any task writes, and while an open handle may read.
//!    No other process may truncate files that a handle reads.
//! 2. A task that waits for the drivers is notified of their end, for any cause. The log is
//!    poisoned before any state of the drivers is dropped.
//! 3. A driver does the last work before the close, once. All callers that close wait for one end
//!    and get one result. A caller that is dropped, or is never polled again, delays no other.

use crate::base::error::{Error, Result};
use crate::base::wait::{Event, wait_either, wait_until};
use crate::hybrid_log::HybridLog;
use futures::future::BoxFuture;
use kvick_io::Lock;
use kvick_io::sync::{Mutex, MutexGuard};
use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The cause that errors name after a runtime has ended.
pub(crate) const ENDED: &str = "the runtime that it was given to has ended";

/// A store or log: it has a hybrid log, and drivers.
pub(crate) trait Maintained: Debug + Send + Sync + 'static {
    /// Returns its name in messages: "store".
    fn noun(&self) -> &'static str;

    fn log(&self) -> &HybridLog;

    /// Abandons the jobs that the drivers have not begun, since there are no drivers any more.
    fn abandon(&self);

    /// Ends what it has beside its log, which is closed and has no drivers.
    fn end_parts(&self);
}

/// The end of one open store or log, shared by its maintenance and its handles.
#[derive(Debug)]
pub(crate) struct Ending {
    // Fixed after opening.
    what: Arc<dyn Maintained>,
    // Under its lock.
    state: Mutex<State>,
    /// Notified when a caller asks to close, and at the end.
    changed: Event,
}

#[derive(Debug)]
struct State {
    /// The lock of the directory, until the end.
    lock: Option<Box<dyn Lock>>,
    /// A caller has called `close`.
    is_asked: bool,
    /// There are drivers.
    is_maintained: bool,
    /// The result of closing.
    outcome: Option<Result<()>>,
}

impl Ending {
    /// Creates the end of an open store or log, with its lock.
    pub(crate) fn new(what: Arc<dyn Maintained>, lock: Box<dyn Lock>) -> Arc<Self> {
        let state = State { lock: Some(lock), is_asked: false, is_maintained: true, outcome: None };
        Arc::new(Self { what, state: Mutex::new(state), changed: Event::new() })
    }

    /// Returns the future that runs `drivers` and reports their end. They end when the log is
    /// closed.
    pub(crate) fn maintenance(
        self: &Arc<Self>,
        drivers: impl Future<Output = ()> + Send + 'static,
    ) -> Maintenance {
        Maintenance { ending: Arc::clone(self), drivers: Some(Box::pin(drivers)) }
    }

    /// Fails if there is no maintenance.
    ///
    /// # Errors
    /// The cause: an ended runtime drops each future that it gets.
    pub(crate) fn check_maintained(&self) -> Result<()> {
        if self.state().is_maintained { Ok(()) } else { Err(self.cause()) }
    }

    /// Runs the driver that closes. Once asked, it runs `finish`, and then closes the log.
    pub(crate) async fn drive(&self, finish: impl Future<Output = Result<()>>) {
        let health = self.what.log().health();
        let is_asked = wait_either([&self.changed, health.changed()], || {
            let is_asked = self.state().is_asked;
            (is_asked || health.is_closed()).then_some(is_asked)
        });
        if is_asked.await {
            // A log that can only be read has nothing to finish.
            let outcome = if health.is_read_only() { Ok(()) } else { finish.await };
            self.state().outcome = Some(outcome);
            self.what.log().close();
        }
    }

    /// Closes, and waits until the directory is free. All callers get the same result.
    ///
    /// # Cancel safety
    /// Once begun, closing continues even if the future is dropped.
    pub(crate) async fn close(&self) -> Result<()> {
        self.what.log().health().close_copy()?;
        self.state().is_asked = true;
        self.changed.notify(usize::MAX);
        self.let_go();
        wait_until(&self.changed, || {
            let state = self.state();
            state.lock.is_none().then(|| state.outcome.clone().unwrap_or(Ok(())))
        })
        .await
    }

    /// Closes the log after the last handle was dropped.
    pub(crate) fn forsaken(&self) {
        if self.what.log().health().close_copy().is_err() {
            return;
        }
        self.what.log().close();
        self.let_go();
    }

    /// Notes that the drivers have ended because the log is closed.
    fn completed(&self) {
        self.state().is_maintained = false;
        self.let_go();
    }

    /// Poisons an open log, since the drivers have ended or are about to be dropped.
    fn broken(&self, why: &str) {
        let health = self.what.log().health();
        if !health.is_closed() {
            health.transition_to_poisoned(&Error::unmaintained(self.what.noun(), why));
        }
        self.what.abandon();
    }

    /// Releases the directory if there are no drivers and no open handle any more.
    fn let_go(&self) {
        let log = self.what.log();
        {
            let mut state = self.state();
            let is_over = state.is_asked || log.health().is_closed();
            if state.is_maintained || !is_over {
                return;
            }
            if state.is_asked && state.outcome.is_none() {
                state.outcome = Some(Err(self.cause()));
            }
        }
        log.close();
        self.what.end_parts();
        // Under the lock: a caller that sees that it is gone may open the directory.
        self.state().lock = None;
        self.changed.notify(usize::MAX);
    }

    fn cause(&self) -> Error {
        let cause = self.what.log().health().check_write().err();
        cause.unwrap_or_else(|| Error::closed_as(self.what.noun()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under it")
    }
}

/// The drivers of one open store or log, and the report of their end.
#[must_use = "nothing is maintained unless it is polled"]
pub(crate) struct Maintenance {
    ending: Arc<Ending>,
    /// The drivers, until they have ended.
    drivers: Option<BoxFuture<'static, ()>>,
}

impl Maintenance {
    /// Ends the drivers. `why` is the cause, unless the log was closed.
    fn end(&mut self, why: Option<&str>) {
        if let Some(why) = why {
            // First: a task must not wait for drivers that are dropped next.
            self.ending.broken(why);
        }
        let drivers = self.drivers.take();
        // State that a panicking driver left broken may panic again.
        drop(catch_unwind(AssertUnwindSafe(|| drop(drivers))));
        self.ending.completed();
    }
}

impl Future for Maintenance {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let drivers = self.drivers.as_mut().expect("not polled after its end");
        match catch_unwind(AssertUnwindSafe(|| drivers.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => self.end(None),
            // An assertion of a driver failed, or its runtime refused to sleep.
            Err(panic) => {
                self.end(Some(&format!("one of its drivers panicked: {}", text(&*panic))))
            }
        }
        Poll::Ready(())
    }
}

/// Returns the message of a panic.
fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        if self.drivers.is_some() {
            self.end(Some(ENDED));
        }
    }
}

//! How what is open ends: its maintenance, its lock, and all who close it.
//!
//! A store or a log is *maintained* by one future, [`Maintenance`], that its runtime polls. Four
//! things may end, in any order, and each of them is told here:
//!
//! * The maintenance, since the log was closed: the directory is let go.
//! * The maintenance, by a panic of its own or with its runtime: the log is poisoned, and whoever
//!   waits is told. The lock stays.
//! * The process, for a forked child: it has a copy, no drivers, and no lock to give back. Closing
//!   the copy ends it at once, with an error.
//! * The last handle goes, or `close` is called: the log is closed. Without maintenance the
//!   directory is let go at once.
//!
//! # Invariants
//! 1. The directory's lock is held as long as anything writes, and as long as a handle that is not
//!    closed may read: nobody else may cut off files that it would look into.
//! 2. Whoever waits for the drivers hears of their end, however they end: the poison comes before
//!    anything of the drivers is dropped.
//! 3. What closing does before it closes is done by a driver, once: all who close wait for one end
//!    and get one result, and a caller that gives up, or is never polled again, delays nobody.

use crate::error::{Error, Result};
use crate::hybrid_log::HybridLog;
use crate::wait::{wait_either, wait_until};
use event_listener::Event;
use futures::future::BoxFuture;
use kvick_io::Lock;
use kvick_io::sync::{Mutex, MutexGuard};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a runtime that has ended is said to have done.
pub(crate) const ENDED: &str = "the runtime that it was given to has ended";

/// What has a log in it, and drivers.
pub(crate) trait Maintained: Debug + Send + Sync + 'static {
    /// What it is called in messages: "store".
    fn noun(&self) -> &'static str;

    fn log(&self) -> &HybridLog;

    /// Gives up what the drivers have not begun: there are none any more.
    fn abandon(&self);
}

/// The end of one open store or log, shared by its maintenance and its handles.
#[derive(Debug)]
pub(crate) struct Ending {
    // Fixed after opening.
    what: Arc<dyn Maintained>,
    // Under its lock.
    state: Mutex<State>,
    /// Told when somebody asks to close, and at the end.
    changed: Event,
}

#[derive(Debug)]
struct State {
    /// Until the end.
    lock: Option<Box<dyn Lock>>,
    /// Somebody has called `close`.
    is_asked: bool,
    /// There are drivers.
    is_maintained: bool,
    /// What came of closing.
    outcome: Option<Result<()>>,
}

impl Ending {
    /// What is open, and its lock.
    pub(crate) fn new(what: Arc<dyn Maintained>, lock: Box<dyn Lock>) -> Arc<Self> {
        let state = State { lock: Some(lock), is_asked: false, is_maintained: true, outcome: None };
        Arc::new(Self { what, state: Mutex::new(state), changed: Event::new() })
    }

    /// The future that runs `drivers` and tells of their end. They end when the log is closed.
    pub(crate) fn maintenance(
        self: &Arc<Self>,
        drivers: impl Future<Output = ()> + Send + 'static,
    ) -> Maintenance {
        Maintenance { ending: Arc::clone(self), drivers: Some(Box::pin(drivers)) }
    }

    /// Says why there is no maintenance, if there is none.
    ///
    /// # Errors
    /// The cause: a runtime that had ended drops what it is given.
    pub(crate) fn check_maintained(&self) -> Result<()> {
        if self.state().is_maintained { Ok(()) } else { Err(self.cause()) }
    }

    /// The driver that closes: once asked it runs `finish`, and then closes the log.
    pub(crate) async fn drive(&self, finish: impl Future<Output = Result<()>>) {
        let health = self.what.log().health();
        let is_asked = wait_either([&self.changed, health.changed()], || {
            let is_asked = self.state().is_asked;
            (is_asked || health.is_closed()).then_some(is_asked)
        });
        if is_asked.await {
            let outcome = finish.await;
            self.state().outcome = Some(outcome);
            self.what.log().close();
        }
    }

    /// Closes, and waits until the directory is free. All callers get the same result.
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
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

    /// The last handle is gone.
    pub(crate) fn forsaken(&self) {
        if self.what.log().health().close_copy().is_err() {
            return;
        }
        self.what.log().close();
        self.let_go();
    }

    /// The drivers have ended because the log is closed.
    fn completed(&self) {
        self.state().is_maintained = false;
        self.let_go();
    }

    /// The drivers have ended before the log was closed, or are about to be dropped.
    fn broken(&self, why: &str) {
        let health = self.what.log().health();
        if !health.is_closed() {
            health.transition_to_poisoned(&Error::unmaintained(self.what.noun(), why));
        }
        self.what.abandon();
    }

    /// Lets the directory go if nothing writes and no handle is open any more.
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
        // Under the lock: who sees that it is gone may open the directory.
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

/// The drivers of one open store or log, and the word of their end.
#[must_use = "nothing is maintained unless it is polled"]
pub(crate) struct Maintenance {
    ending: Arc<Ending>,
    /// Until they have ended.
    drivers: Option<BoxFuture<'static, ()>>,
}

impl Maintenance {
    /// They are gone; `why` if it is not because the log was closed.
    fn end(&mut self, why: Option<&str>) {
        if let Some(why) = why {
            // First: who waits must not go on waiting for what is dropped next.
            self.ending.broken(why);
        }
        let drivers = self.drivers.take();
        // What a broken driver has broken may panic again.
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
            // A broken assertion of ours.
            Err(_panic) => self.end(Some("one of its drivers panicked")),
        }
        Poll::Ready(())
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        if self.drivers.is_some() {
            self.end(Some(ENDED));
        }
    }
}

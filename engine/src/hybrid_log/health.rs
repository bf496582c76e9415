//! Whether the log can still take and keep what it is given.
//!
//! `Sound -> Full -> Sound` as space, descriptors or tasks run out and come back; `Poisoned` and
//! `Closed` are final. A full medium stops only who needs room; a poisoned log stops every writer,
//! and readers of memory go on. The first cause is kept and told to all.
//!
//! A child that is forked, without an exec, has a copy of all this and none of the threads that
//! work on it. So whoever is about to wait for a driver compares the process first: in a child the
//! copy is poisoned, and what waits nowhere goes on in the memory of the child. That is done
//! without a lock, since one that a thread of the parent held is never given back in the child.

use crate::error::{Error, Result};
use crate::wait::wait_either;
use event_listener::Event;
use kvick_io::Birthplace;
use kvick_io::sync::Mutex;
use kvick_io::sync::atomic::{AtomicU8, Ordering};

const SOUND: u8 = 0;
const FULL: u8 = 1;
const POISONED: u8 = 2;
const CLOSED: u8 = 3;

/// The condition of one log.
#[derive(Debug)]
pub(crate) struct Health {
    // Any thread, atomic; changed under `cause`.
    state: AtomicU8,
    cause: Mutex<Option<Error>>,
    changed: Event,
    /// What it is the condition of: "store", "log".
    name: &'static str,
    /// Where its drivers run.
    birthplace: Birthplace,
}

impl Health {
    pub(crate) fn new(name: &'static str) -> Self {
        let state = AtomicU8::new(SOUND);
        let birthplace = Birthplace::here();
        Self { state, cause: Mutex::new(None), changed: Event::new(), name, birthplace }
    }

    /// Refuses writers of a poisoned or closed log. One load on the hot path.
    #[inline(always)]
    pub(crate) fn check_write(&self) -> Result<()> {
        // Relaxed: a hint that is taken a moment late loses nothing.
        if self.state.load(Ordering::Relaxed) < POISONED { Ok(()) } else { self.refusal() }
    }

    /// Refuses everybody once the log is closed.
    #[inline(always)]
    pub(crate) fn check_read(&self) -> Result<()> {
        if self.state.load(Ordering::Relaxed) < CLOSED { Ok(()) } else { self.refusal() }
    }

    /// Refuses who would have to wait for room that does not come.
    #[cold]
    pub(crate) fn check_room(&self) -> Result<()> {
        if self.state.load(Ordering::Acquire) == SOUND { Ok(()) } else { self.refusal() }
    }

    /// Refuses who is about to wait for a driver in a process that has none: a forked child.
    ///
    /// # Errors
    /// `Poisoned`, and so is every writer of the child from then on.
    #[cold]
    pub(crate) fn check_process(&self) -> Result<()> {
        let Err(forked) = self.birthplace.check() else {
            return Ok(());
        };
        // Release: as in `transition`, though there is nobody left to see it.
        self.state.fetch_max(POISONED, Ordering::Release);
        Err(Error::poisoned(&Error::unmaintained(self.name, forked)))
    }

    /// Closes the copy that a forked child has.
    ///
    /// # Errors
    /// In such a child: as [`check_process`](Self::check_process).
    pub(crate) fn close_copy(&self) -> Result<()> {
        self.check_process().inspect_err(|_forked| {
            // Release: as above.
            self.state.fetch_max(CLOSED, Ordering::Release);
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.state.load(Ordering::Acquire) == POISONED
    }

    /// Whether what is written waits for space, descriptors or tasks.
    pub(crate) fn is_full(&self) -> bool {
        self.state.load(Ordering::Acquire) == FULL
    }

    /// Space, descriptors or tasks ran out while pages were being written.
    pub(crate) fn transition_to_full(&self, cause: Error) {
        debug_assert!(cause.is_shortage(), "{cause:?} comes back");
        tracing::warn!(%cause, "pages cannot be written now; writing is tried again");
        self.transition(FULL, Some(cause));
    }

    /// A write succeeded: there is space again.
    pub(crate) fn transition_to_sound(&self) {
        if self.state.load(Ordering::Relaxed) == FULL {
            self.transition(SOUND, None);
        }
    }

    /// A write or sync failed for good.
    pub(crate) fn transition_to_poisoned(&self, cause: &Error) {
        tracing::error!(%cause, "poisoned: no write is accepted any more");
        self.transition(POISONED, Some(Error::poisoned(cause)));
    }

    pub(crate) fn transition_to_closed(&self) {
        self.transition(CLOSED, Some(Error::closed_as(self.name)));
    }

    /// Why the log is not sound, if it is not.
    pub(crate) fn cause(&self) -> Option<Error> {
        self.check_room().err()
    }

    /// Waits until `is_met`, looking again when `event` tells, or until `check` refuses.
    ///
    /// # Errors
    /// Of `check`; `Poisoned` in a forked process.
    ///
    /// # Cancel safety
    /// Nothing is lost: a later call looks at once.
    pub(crate) async fn wait_for(
        &self,
        event: &Event,
        check: impl Fn(&Self) -> Result<()>,
        mut is_met: impl FnMut() -> bool,
    ) -> Result<()> {
        self.check_process()?;
        wait_either([event, &self.changed], || {
            if is_met() { Some(Ok(())) } else { check(self).err().map(Err) }
        })
        .await
    }

    /// Told whenever the condition changes.
    pub(crate) fn changed(&self) -> &Event {
        &self.changed
    }

    fn transition(&self, next: u8, because: Option<Error>) {
        {
            let mut cause = self.cause.lock().expect("nothing panics under it");
            let now = self.state.load(Ordering::Relaxed);
            // Final conditions stay, except that a poisoned log can be closed.
            if now >= POISONED && next <= now {
                return;
            }
            *cause = because;
            // Release: pairs with the Acquire loads; the cause is there before the state tells.
            self.state.store(next, Ordering::Release);
        }
        self.changed.notify(usize::MAX);
    }

    #[cold]
    fn refusal(&self) -> Result<()> {
        if let Err(forked) = self.check_process() {
            return Err(if self.is_closed() { Error::closed_as(self.name) } else { forked });
        }
        let cause = self.cause.lock().expect("nothing panics under it");
        cause.as_ref().map_or(Ok(()), |cause| Err(cause.clone()))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn cause() -> Error {
        Error::io("write of log", std::io::Error::other("broken"))
    }

    fn full() -> Error {
        Error::io("log", std::io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn a_full_log_recovers_and_a_poisoned_one_does_not() {
        let health = Health::new("log");
        health.transition_to_full(full());
        assert!(health.check_write().is_ok() && health.check_read().is_ok());
        assert_eq!(health.check_room().unwrap_err().kind(), ErrorKind::StorageFull);
        health.transition_to_sound();
        assert!(health.check_room().is_ok());
        health.transition_to_poisoned(&cause());
        health.transition_to_sound();
        health.transition_to_full(full());
        assert_eq!(health.check_write().unwrap_err().kind(), ErrorKind::Poisoned);
        assert!(health.check_read().is_ok());
        health.transition_to_closed();
        assert_eq!(health.check_read().unwrap_err().kind(), ErrorKind::Closed);
    }
}

//! Tracks whether the log can still accept and keep records.
//!
//! The state moves `Sound -> Full -> Sound` as space, descriptors or tasks run out and return;
//! `ReadOnly`, `Poisoned` and `Closed` are final. A full medium stops only tasks that need room. A
//! read-only or poisoned log stops every writer, and readers continue. The first cause is kept and
//! reported to all.
//!
//! A child process that is forked without an exec has a copy of the log, but no threads that work
//! on it. So a task compares the process before it waits for a driver. In a child the copy is
//! poisoned; operations that never wait continue in the memory of the child. This check takes no
//! lock, since the child never gets back a lock that a thread of the parent held.

use crate::base::error::{Error, Result};
use crate::base::wait::{Event, wait_either};
use kvick_io::Birthplace;
use kvick_io::sync::Mutex;
use kvick_io::sync::atomic::{AtomicU8, Ordering};

const SOUND: u8 = 0;
const FULL: u8 = 1;
const READ_ONLY: u8 = 2;
const POISONED: u8 = 3;
const CLOSED: u8 = 4;
const _: () = assert!(SOUND < FULL && FULL < READ_ONLY, "a full log still takes writers");
const _: () =
    assert!(READ_ONLY < POISONED && POISONED < CLOSED, "a final state gives way to later ones");

/// The status of one log: the public `Health` is a snapshot of it.
#[derive(Debug)]
pub(crate) struct LogStatus {
    // Any thread, atomic; changed under `cause`.
    state: AtomicU8,
    cause: Mutex<Option<Error>>,
    changed: Event,
    /// The name of the owner: "store", "log".
    name: &'static str,
    /// The process in which its drivers run.
    birthplace: Birthplace,
}

impl LogStatus {
    pub(crate) fn new(name: &'static str) -> Self {
        let state = AtomicU8::new(SOUND);
        let birthplace = Birthplace::here();
        Self { state, cause: Mutex::new(None), changed: Event::new(), name, birthplace }
    }

    /// Refuses writers of a read-only, poisoned or closed log. Costs one load on the hot path.
    #[inline(always)]
    pub(crate) fn check_write(&self) -> Result<()> {
        // Relaxed: a hint that arrives a moment late loses nothing.
        if self.state.load(Ordering::Relaxed) < READ_ONLY { Ok(()) } else { self.refusal() }
    }

    /// Refuses all callers once the log is closed.
    #[inline(always)]
    pub(crate) fn check_read(&self) -> Result<()> {
        if self.state.load(Ordering::Relaxed) < CLOSED { Ok(()) } else { self.refusal() }
    }

    /// Refuses a task that would wait for room that does not come.
    #[cold]
    pub(crate) fn check_room(&self) -> Result<()> {
        if self.state.load(Ordering::Acquire) == SOUND { Ok(()) } else { self.refusal() }
    }

    /// Refuses a task that is about to wait for a driver in a process without drivers: a forked
    /// child.
    ///
    /// # Errors
    /// `Poisoned`. Every writer of the child is refused from then on.
    #[cold]
    pub(crate) fn check_process(&self) -> Result<()> {
        let Err(forked) = self.birthplace.check() else {
            return Ok(());
        };
        // Release: as in `transition`, although no thread is left that could see it.
        self.state.fetch_max(POISONED, Ordering::Release);
        Err(Error::poisoned(&Error::unmaintained(self.name, forked)))
    }

    /// Closes the copy of the log in a forked child.
    ///
    /// # Errors
    /// Fails in such a child, like [`check_process`](Self::check_process).
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

    pub(crate) fn is_read_only(&self) -> bool {
        self.state.load(Ordering::Acquire) == READ_ONLY
    }

    /// Returns whether writing waits for space, descriptors or tasks.
    pub(crate) fn is_full(&self) -> bool {
        self.state.load(Ordering::Acquire) == FULL
    }

    /// Marks the log as full: space, descriptors or tasks ran out while pages were being written.
    pub(crate) fn transition_to_full(&self, cause: Error) {
        debug_assert!(cause.is_shortage(), "{cause:?} comes back");
        tracing::warn!(%cause, "pages cannot be written now; writing is tried again");
        self.transition(FULL, Some(cause));
    }

    /// Marks the log as sound: a write succeeded, so there is space again.
    pub(crate) fn transition_to_sound(&self) {
        if self.state.load(Ordering::Relaxed) == FULL {
            self.transition(SOUND, None);
        }
    }

    /// Marks the log as read-only: its file system refuses every write, or its owner only reads.
    pub(crate) fn transition_to_read_only(&self, place: &str) {
        self.transition(READ_ONLY, Some(Error::read_only(self.name, place)));
    }

    /// Poisons the log: a write or sync failed permanently.
    pub(crate) fn transition_to_poisoned(&self, cause: &Error) {
        tracing::error!(%cause, "poisoned: no write is accepted any more");
        self.transition(POISONED, Some(Error::poisoned(cause)));
    }

    pub(crate) fn transition_to_closed(&self) {
        self.transition(CLOSED, Some(Error::closed_as(self.name)));
    }

    /// Returns the reason why the log is not sound, if it is not.
    pub(crate) fn cause(&self) -> Option<Error> {
        self.check_room().err()
    }

    /// Waits until `is_met`, which is checked again on each `event`, or until `check` refuses.
    ///
    /// # Errors
    /// Returns the errors of `check`, and `Poisoned` in a forked process.
    ///
    /// # Cancel safety
    /// Nothing is lost: a later call checks at once.
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

    /// Returns the event that is notified whenever the condition changes.
    pub(crate) fn changed(&self) -> &Event {
        &self.changed
    }

    fn transition(&self, next: u8, because: Option<Error>) {
        debug_assert_eq!(next == SOUND, because.is_none(), "each refusal has a cause: {next}");
        {
            let mut cause = self.cause.lock().expect("nothing panics under it");
            let now = self.state.load(Ordering::Relaxed);
            // Final conditions stay, but a log that refuses writers can be closed.
            if now >= READ_ONLY && next <= now {
                return;
            }
            *cause = because;
            // Release: pairs with the Acquire loads; the cause is there before the state shows it.
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
    use crate::base::error::ErrorKind;

    fn cause() -> Error {
        Error::io("write of log", std::io::Error::other("broken"))
    }

    fn full() -> Error {
        Error::io("log", std::io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn a_full_log_recovers_and_a_poisoned_one_does_not() {
        let health = LogStatus::new("log");
        health.transition_to_full(full());
        assert!(health.check_write().is_ok() && health.check_read().is_ok());
        assert_eq!(health.check_room().unwrap_err().kind(), ErrorKind::StorageFull);
        health.transition_to_sound();
        assert!(health.check_room().is_ok());
        let read_only = LogStatus::new("log");
        read_only.transition_to_read_only("/data");
        read_only.transition_to_full(full());
        assert_eq!(read_only.check_write().unwrap_err().kind(), ErrorKind::ReadOnly);
        assert!(read_only.check_read().is_ok());
        health.transition_to_poisoned(&cause());
        health.transition_to_sound();
        health.transition_to_full(full());
        health.transition_to_read_only("/data");
        assert_eq!(health.check_write().unwrap_err().kind(), ErrorKind::Poisoned);
        assert!(health.check_read().is_ok());
        health.transition_to_closed();
        assert_eq!(health.check_read().unwrap_err().kind(), ErrorKind::Closed);
    }
}

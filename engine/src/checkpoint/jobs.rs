//! The jobs for the driver of checkpoints, one at a time.

use super::Checkpoint;
use super::files::manifest::{StoreFormat, TableFormat};
use super::plan::CheckpointPlan;
use super::progress::Watched;
use super::reply::Reply;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::kinds::CheckpointToken;
use crate::base::wait::{Event, wait_either};
use crate::hybrid_log::LogStatus;
use kvick_io::sync::{Mutex, MutexGuard};
use std::fmt;

/// A job for the driver.
#[derive(Debug)]
pub(super) enum Job {
    /// Takes a checkpoint.
    Checkpoint { plan: CheckpointPlan, reply: Reply<Checkpoint>, progress: Watched },
    /// Removes checkpoints.
    Remove { which: RemovalJob, reply: Reply<()> },
    /// Deletes the files of the log that nothing needs any more.
    FreeLog { reply: Reply<()> },
    /// Changes the list of tables.
    Tables { change: TableChange, reply: Reply<TableFormat> },
}

/// The checkpoints to remove.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RemovalJob {
    /// Removes this checkpoint.
    One(CheckpointToken),
    /// Removes all but this number of the newest checkpoints.
    AllBut(usize),
}

/// Changes the list of tables, and returns the table concerned.
type Change = Box<dyn FnMut(&mut StoreFormat) -> Result<TableFormat> + Send>;
/// Runs when the list is durable.
type Published = Box<dyn FnMut(&TableFormat) + Send>;

/// A change of the list of tables.
pub(crate) struct TableChange {
    pub(super) change: Change,
    pub(super) published: Published,
}

impl TableChange {
    /// Returns a change. It changes the list and returns the table concerned; then `published` runs
    /// once the changed list is durable.
    pub(crate) fn new(
        change: impl FnMut(&mut StoreFormat) -> Result<TableFormat> + Send + 'static,
        published: impl FnMut(&TableFormat) + Send + 'static,
    ) -> Self {
        Self { change: Box::new(change), published: Box::new(published) }
    }
}

/// At most one job, which waits for the driver or is in progress.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    // Under its lock.
    state: Mutex<State>,
    // Notified when a job is added or has ended.
    changed: Event,
}

#[derive(Debug, Default)]
struct State {
    /// The job that waits for the driver.
    waiting: Option<Job>,
    /// Whether a job is waiting or in progress.
    is_busy: bool,
}

impl Jobs {
    /// Adds a job for the driver.
    ///
    /// # Errors
    /// `Busy` while another job is waiting or in progress, `Poisoned`, `Closed`.
    pub(super) fn submit(&self, health: &LogStatus, job: Job) -> Result<()> {
        health.check_process()?;
        health.check_write()?;
        let mut state = self.state();
        if state.is_busy {
            return Err(Error::busy("a checkpoint is being taken"));
        }
        debug_assert!(state.waiting.is_none(), "a job waits only for a busy driver");
        *state = State { waiting: Some(job), is_busy: true };
        drop(state);
        self.changed.notify(usize::MAX);
        if health.check_write().is_err() {
            // The driver may have left before it saw the job.
            self.abandon();
        }
        Ok(())
    }

    /// Submits a job when no other job is in progress, instead of failing with `Busy`.
    pub(super) async fn in_turn<T>(
        &self,
        health: &LogStatus,
        submit: impl Fn() -> Result<T>,
    ) -> Result<T> {
        loop {
            match submit() {
                Err(error) if error.kind() == ErrorKind::Busy => self.idle(health).await,
                submitted => return submitted,
            }
        }
    }

    /// Waits until no job is in progress, or until no job can be submitted any more.
    pub(super) async fn idle(&self, health: &LogStatus) {
        let is_idle = || (!self.state().is_busy || health.check_write().is_err()).then_some(());
        wait_either([&self.changed, health.changed()], is_idle).await;
    }

    /// Returns the next job, which is in progress from now on; `None` when the store is closed.
    /// Only the driver calls it.
    pub(super) async fn next(&self, health: &LogStatus) -> Option<Job> {
        let next = wait_either([&self.changed, health.changed()], || {
            if health.is_closed() {
                return Some(None);
            }
            let mut state = self.state();
            debug_assert!(
                state.is_busy || state.waiting.is_none(),
                "no other job begins while one waits"
            );
            state.waiting.take().map(Some)
        });
        next.await
    }

    /// Begins a job of the driver itself. Returns false if another job is waiting.
    pub(super) fn begin(&self) -> bool {
        !std::mem::replace(&mut self.state().is_busy, true)
    }

    /// Returns whether a job is waiting or in progress.
    pub(super) fn is_busy(&self) -> bool {
        self.state().is_busy
    }

    /// Ends the job that is in progress.
    pub(super) fn end(&self) {
        let mut state = self.state();
        assert!(state.is_busy && state.waiting.is_none(), "one job ends at a time");
        state.is_busy = false;
        drop(state);
        self.changed.notify(usize::MAX);
    }

    /// Drops the job that waits. Its drop answers the caller with the reason.
    pub(super) fn abandon(&self) {
        let job = self.state().waiting.take();
        drop(job);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under it")
    }
}

impl fmt::Debug for TableChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TableChange")
    }
}

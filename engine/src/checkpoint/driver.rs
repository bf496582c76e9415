//! The driver of checkpoints: one job at a time, in the maintenance task.

use super::files::checkpoint_files::CheckpointFiles;
use super::files::manifest::Manifest;
use super::files::points::Layers;
use super::outcome::{Outcome, Outcomes};
use super::plan::CheckpointPlan;
use super::progress::{Progress, Watched};
use super::reply::{Answer, Reply};
use super::run::{Basis, CheckpointRun, unpublished};
use super::{Checkpoint, CheckpointInfo, CheckpointKind, CheckpointToken};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::kinds::Durability;
use crate::base::wait::{wait_either, wait_until};
use crate::config::{ByteSize, Config};
use crate::hybrid_log::HybridLog;
use crate::opening::ending::{Ending, Maintained};
use crate::statistics::CheckpointStats;
use crate::store::StoreInner;
use event_listener::Event;
use futures::future::{Either, pending, select};
use kvick_io::sync::{Mutex, MutexGuard};
use kvick_runtime::Handle;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// The checkpoints of one store: the kept checkpoints, and the mailbox of the driver.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    // Fixed after opening.
    checkpoint_files: CheckpointFiles,
    handle: Handle,
    core: Arc<StoreInner>,
    schedule: Schedule,
    // Under its lock.
    mailbox: Mutex<Mailbox>,
    // Notified when a job is added or has ended.
    changed: Event,
}

/// The rules for automatic checkpoints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) every: Option<Duration>,
    /// The growth of the log in bytes since the last checkpoint.
    pub(crate) log_growth: Option<u64>,
    pub(crate) kind: CheckpointKind,
    /// The number of checkpoints to keep.
    pub(crate) keep: usize,
}

impl Schedule {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            every: config.checkpoint_every,
            log_growth: config.checkpoint_log_growth.map(ByteSize::bytes),
            kind: config.checkpoint_kind,
            keep: config.keep_checkpoints as usize,
        }
    }
}

#[derive(Debug, Default)]
struct Mailbox {
    job: Option<Job>,
    /// Whether a job is waiting or in progress.
    is_busy: bool,
    /// The token of the next checkpoint.
    next_token: u64,
    /// The token of the last checkpoint, except index images. `None` if the store started empty.
    counted: Option<u64>,
    /// The end of the log at the last checkpoint, or when the schedule last checked for changes.
    log_end: u64,
    /// The time of the last checkpoint, or of the last check for changes by the schedule.
    looked_at: Duration,
    /// The outcomes of the checkpoints since opening.
    outcomes: Outcomes,
}

/// A job for the driver.
#[derive(Debug)]
enum Job {
    /// Takes a checkpoint.
    Checkpoint { plan: CheckpointPlan, reply: Reply<Checkpoint>, progress: Watched },
    /// Removes checkpoints.
    Remove { which: RemovalJob, reply: Reply<()> },
}

/// The checkpoints to remove.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RemovalJob {
    /// Removes this checkpoint.
    One(CheckpointToken),
    /// Removes all but this number of the newest checkpoints.
    AllBut(usize),
}

impl Checkpoints {
    pub(crate) fn new(
        checkpoint_files: CheckpointFiles,
        handle: Handle,
        core: Arc<StoreInner>,
        schedule: Schedule,
        next_token: u64,
    ) -> Self {
        let counted = checkpoint_files.manifest().checkpoints.last().map(|record| record.token);
        let log_end = core.log_end();
        let looked_at = handle.now();
        let mailbox = Mailbox { next_token, counted, log_end, looked_at, ..Mailbox::default() };
        let mailbox = Mutex::new(mailbox);
        Self { checkpoint_files, handle, core, schedule, mailbox, changed: Event::new() }
    }

    pub(super) fn core(&self) -> &Arc<StoreInner> {
        &self.core
    }

    pub(super) fn checkpoint_files(&self) -> &CheckpointFiles {
        &self.checkpoint_files
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Starts a checkpoint. Returns its answer and its progress.
    ///
    /// # Errors
    /// As for [`submit`](Self::submit).
    pub(super) fn start(
        &self,
        plan: CheckpointPlan,
    ) -> Result<(Answer<Checkpoint>, Arc<Progress>)> {
        let (reply, answer) = Reply::new(&self.core);
        let progress = Arc::new(Progress::default());
        let watched = Watched::new(Arc::clone(&progress));
        self.submit(Job::Checkpoint { plan, reply, progress: watched })?;
        Ok((answer, progress))
    }

    /// Takes a checkpoint, when no other job is in progress.
    ///
    /// # Errors
    /// As for [`submit`](Self::submit), but not `Busy`, and why it could not be taken.
    pub(super) async fn start_in_turn(&self, plan: CheckpointPlan) -> Result<Checkpoint> {
        let (answer, _progress) = self.in_turn(|| self.start(plan)).await?;
        answer.await
    }

    /// Removes checkpoints, when no other job is in progress. Waits until they are gone.
    ///
    /// # Errors
    /// As for [`submit`](Self::submit), but not `Busy`, and why they could not be removed.
    pub(crate) async fn remove_checkpoints(&self, which: RemovalJob) -> Result<()> {
        let submit = || {
            let (reply, answer) = Reply::new(&self.core);
            self.submit(Job::Remove { which, reply }).map(|()| answer)
        };
        self.in_turn(submit).await?.await
    }

    /// Submits a job, when no other job is in progress.
    async fn in_turn<T>(&self, submit: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            match submit() {
                Err(error) if error.kind() == ErrorKind::Busy => self.idle().await,
                submitted => return submitted,
            }
        }
    }

    /// Puts a job into the mailbox.
    ///
    /// # Errors
    /// `Busy` while another job is waiting or in progress, `Poisoned`, `Closed`.
    fn submit(&self, job: Job) -> Result<()> {
        self.core.log.health().check_process()?;
        self.core.log.health().check_write()?;
        let mut mailbox = self.mailbox();
        if mailbox.is_busy {
            return Err(Error::busy("a checkpoint is being taken"));
        }
        debug_assert!(mailbox.job.is_none(), "a job waits only for a busy driver");
        mailbox.is_busy = true;
        mailbox.job = Some(job);
        drop(mailbox);
        self.changed.notify(usize::MAX);
        if self.core.log.health().check_write().is_err() {
            // The driver may have left before it saw the job.
            let job = self.mailbox().job.take();
            drop(job);
        }
        Ok(())
    }

    /// Takes the checkpoint on closing, if it is configured and something has changed.
    async fn save(&self) -> Result<()> {
        self.core.check_open()?;
        loop {
            self.idle().await;
            if !self.core.config.checkpoint_on_close || !self.is_outdated() {
                return Ok(());
            }
            match self.start(CheckpointPlan::full(CheckpointKind::FoldOver)) {
                // Another task has submitted a job first.
                Err(error) if error.kind() == ErrorKind::Busy => {}
                Err(error) => return Err(error),
                Ok((answer, _)) => return answer.await.map(drop),
            }
        }
    }

    /// Waits until no job is in progress, or until no job can be submitted any more.
    async fn idle(&self) {
        let health = self.core.log.health();
        let is_idle = || (!self.mailbox().is_busy || health.check_write().is_err()).then_some(());
        wait_either([&self.changed, health.changed()], is_idle).await;
    }

    /// Returns the kept checkpoints, oldest first.
    pub(crate) fn list(&self) -> Vec<CheckpointInfo> {
        let manifest = self.checkpoint_files.manifest();
        let records = manifest.checkpoints.iter();
        records.map(|record| CheckpointInfo::of(record, &manifest)).collect()
    }

    /// Returns the statistics of the checkpoints since opening.
    pub(crate) fn stats(&self) -> CheckpointStats {
        self.mailbox().outcomes.stats(self.handle.now())
    }

    /// Returns the error of the last checkpoint, except index images, if it failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.mailbox().outcomes.failure()
    }

    /// Returns whether a power cut might lose something. That is so if something has changed since
    /// the last checkpoint, or that checkpoint is weaker, or it was removed.
    fn is_outdated(&self) -> bool {
        let safe = self.checkpoint_files.manifest().newest_safe();
        self.core.sessions.is_outdated() || self.mailbox().counted != safe
    }

    fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().expect("nothing panics under it")
    }

    /// Runs jobs until the store is closed.
    async fn drive(&self) {
        let layers = Layers::of(self.checkpoint_files.manifest().checkpoints.last());
        let mut basis = Basis { chain: None, layers };
        let health = self.core.log.health();
        loop {
            let next = wait_either([&self.changed, health.changed()], || {
                if health.is_closed() {
                    return Some(None);
                }
                self.mailbox().job.take().map(Some)
            });
            let next = match select(pin!(next), pin!(self.due())).await {
                Either::Left((next, _)) => Some(next),
                Either::Right(_) => None,
            };
            match next {
                Some(Some(job)) => self.work(job, &mut basis).await,
                Some(None) => {
                    // The drop of an unstarted job answers its caller with the reason.
                    self.mailbox().job = None;
                    return;
                }
                None => self.take_due(&mut basis).await,
            }
        }
    }

    async fn work(&self, job: Job, basis: &mut Basis) {
        match job {
            Job::Checkpoint { plan, reply, progress } => {
                let taken = self.take(plan, &progress, basis).await;
                self.ended();
                drop(progress);
                reply.send(taken);
            }
            Job::Remove { which, reply } => {
                let removed = self.remove(which, basis).await;
                self.ended();
                reply.send(removed);
            }
        }
    }

    fn ended(&self) {
        let was_busy = std::mem::replace(&mut self.mailbox().is_busy, false);
        assert!(was_busy, "one job ends at a time");
        self.changed.notify(usize::MAX);
    }

    async fn take(
        &self,
        plan: CheckpointPlan,
        progress: &Progress,
        basis: &mut Basis,
    ) -> Result<Checkpoint> {
        let token = {
            let mut mailbox = self.mailbox();
            assert!(mailbox.is_busy, "a checkpoint is taken as the only job");
            mailbox.next_token += 1;
            mailbox.next_token - 1
        };
        let run = CheckpointRun {
            core: &self.core,
            checkpoint_files: &self.checkpoint_files,
            handle: &self.handle,
            plan,
            token,
            keep: self.schedule.keep,
            progress,
        };
        let kind = plan.kind;
        let span = tracing::info_span!(target: "kvick::checkpoint", "checkpoint", token, ?kind);
        let began = self.handle.now();
        let taken = run.take(basis).instrument(span).await;
        let error = taken.as_ref().err().cloned();
        let is_durable = kind != CheckpointKind::IndexOnly;
        if let Some(error) = error.as_ref().filter(|error| is_durable && !error.is_retryable()) {
            self.core.sessions.note_failed(token, error);
        }
        let ended = self.handle.now();
        self.mailbox().outcomes.note(Outcome { token, kind, began, ended, error });
        if taken.is_ok() && is_durable {
            let log_end = self.core.log_end();
            let mut mailbox = self.mailbox();
            debug_assert!(mailbox.counted < Some(token), "tokens only grow");
            mailbox.counted = Some(token);
            mailbox.log_end = log_end;
            mailbox.looked_at = ended;
        }
        self.sweep().await;
        taken
    }

    /// Removes files that no checkpoint needs. A failed removal is repeated next time.
    async fn sweep(&self) {
        if self.core.log.health().is_poisoned() {
            // It is unknown which manifest is on the medium, and so which files it needs.
            return;
        }
        if let Err(error) = self.checkpoint_files.remove_debris().await {
            tracing::warn!(target: "kvick::checkpoint", %error, "left for later");
        }
    }

    async fn remove(&self, which: RemovalJob, basis: &mut Basis) -> Result<()> {
        let mut manifest = self.checkpoint_files.manifest().clone();
        match which {
            RemovalJob::AllBut(keep) => manifest.keep_newest(keep),
            RemovalJob::One(token) => remove_one(&mut manifest, token)?,
        }
        // The next increment may build only on files of a kept checkpoint. The newest checkpoint
        // stays, and with it the files of commit points.
        basis.chain = None;
        manifest.drop_unused();
        let published = self.checkpoint_files.publish_less(manifest).await;
        published.map_err(|failed| unpublished(&self.core, failed))
    }

    /// Resolves when an automatic checkpoint is due.
    async fn due(&self) {
        let by_time = async {
            match self.schedule.every {
                Some(every) => {
                    // Other jobs that run meanwhile do not move this time.
                    let due = self.mailbox().looked_at.saturating_add(every);
                    self.handle.sleep(due.saturating_sub(self.handle.now())).await;
                }
                None => pending().await,
            }
        };
        let by_growth = async {
            match self.schedule.log_growth {
                Some(bytes) => {
                    let end = self.mailbox().log_end + bytes;
                    self.core.log.reached(end).await;
                }
                None => pending().await,
            }
        };
        select(pin!(by_time), pin!(by_growth)).await;
    }

    async fn take_due(&self, basis: &mut Basis) {
        if self.core.log.health().check_write().is_err() {
            // Poisoned: no checkpoint is possible any more. Wait until the store is closed.
            let health = self.core.log.health();
            return wait_until(health.changed(), || health.is_closed().then_some(())).await;
        }
        let is_free = !std::mem::replace(&mut self.mailbox().is_busy, true);
        if !is_free {
            return;
        }
        if self.is_outdated() {
            let plan = CheckpointPlan::full(self.schedule.kind);
            if let Err(error) = self.take(plan, &Progress::default(), basis).await {
                tracing::warn!(target: "kvick::checkpoint", %error, "a due checkpoint failed");
            }
        }
        // Also if nothing had changed: the next one is due after the same time or growth again.
        let (log_end, looked_at) = (self.core.log_end(), self.handle.now());
        let mut mailbox = self.mailbox();
        mailbox.log_end = log_end;
        mailbox.looked_at = looked_at;
        drop(mailbox);
        self.ended();
    }
}

fn remove_one(manifest: &mut Manifest, token: CheckpointToken) -> Result<()> {
    let CheckpointToken(number) = token;
    if manifest.checkpoint(number).is_none() {
        return Err(Error::invalid(format!("checkpoint {token}: the store keeps no such one")));
    }
    if manifest.checkpoints.last().is_some_and(|newest| newest.token == number) {
        let what = "the newest one stays, since sessions were told that it has their operations";
        return Err(Error::invalid(format!("checkpoint {token}: {what}; take another one first")));
    }
    let left = manifest
        .checkpoints
        .iter()
        .filter(|record| record.token != number && record.durability == Durability::PowerCut);
    if left.count() == 0 {
        let message = format!("checkpoint {token}: the last one that survives power cuts stays");
        return Err(Error::invalid(message));
    }
    manifest.checkpoints.retain(|record| record.token != number);
    Ok(())
}

/// Runs the drivers of a store: of the log, of checkpoints, of the announcement and of closing.
/// Resolves when the store is closed.
pub(crate) async fn maintain(checkpoints: Arc<Checkpoints>, ending: Arc<Ending>) {
    let closing = ending.drive(checkpoints.save());
    futures::join!(
        checkpoints.core.maintain(),
        checkpoints.drive(),
        checkpoints.announce_life(),
        closing
    );
}

impl Maintained for Checkpoints {
    fn noun(&self) -> &'static str {
        "store"
    }

    fn log(&self) -> &HybridLog {
        &self.core.log
    }

    fn abandon(&self) {
        let job = self.mailbox().job.take();
        drop(job);
    }
}

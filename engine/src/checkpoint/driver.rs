//! The driver of checkpoints: one job at a time, in the maintenance task.

use super::files::checkpoint_files::CheckpointFiles;
use super::files::manifest::{TableFormat, not_kept};
use super::files::needs::PinnedCheckpoint;
use super::files::points::Layers;
use super::files::space::beside;
use super::jobs::{Job, Jobs, RemovalJob};
use super::outcome::{Outcome, Outcomes};
use super::plan::{CheckpointPlan, Work};
use super::progress::{Progress, Watched};
use super::reply::{Answer, Reply};
use super::run::{Basis, CheckpointRun, unpublished};
use super::schedule::{LastLook, Schedule};
use super::{Checkpoint, CheckpointInfo, CheckpointKind, CheckpointToken, Durability};
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::wait::wait_until;
use crate::statistics::{CheckpointStats, WalStats};
use crate::store::{StoreInner, WriteAheadLog};
use futures::future::{Either, select};
use kvick_io::sync::{Mutex, MutexGuard};
use kvick_runtime::Handle;
use std::pin::pin;
use std::sync::Arc;
use tracing::Instrument;

/// The checkpoints of one store: the kept checkpoints, and the jobs of the driver.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    // Fixed after opening.
    checkpoint_files: CheckpointFiles,
    handle: Handle,
    core: Arc<StoreInner>,
    schedule: Schedule,
    jobs: Jobs,
    // Under its lock.
    history: Mutex<History>,
}

/// The checkpoints since opening.
#[derive(Debug, Default)]
struct History {
    /// The token of the next checkpoint.
    next_token: u64,
    /// The token of the last checkpoint, except index images. `None` if the store started empty.
    counted: Option<u64>,
    last: LastLook,
    outcomes: Outcomes,
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
        assert!(counted < Some(next_token), "tokens only grow: {next_token} after {counted:?}");
        let last = LastLook::now(&handle, &core);
        let history = History { next_token, counted, last, outcomes: Outcomes::default() };
        let (jobs, history) = (Jobs::default(), Mutex::new(history));
        Self { checkpoint_files, handle, core, schedule, jobs, history }
    }

    pub(crate) fn core(&self) -> &Arc<StoreInner> {
        &self.core
    }

    pub(super) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    pub(crate) fn checkpoint_files(&self) -> &CheckpointFiles {
        &self.checkpoint_files
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Starts a checkpoint. Returns its answer and its progress.
    ///
    /// # Errors
    /// As for [`Jobs::submit`] and [`CheckpointPlan::check`].
    pub(super) fn start(
        &self,
        plan: CheckpointPlan,
    ) -> Result<(Answer<Checkpoint>, Arc<Progress>)> {
        plan.check()?;
        let (reply, answer) = Reply::new(&self.core);
        let progress = Arc::new(Progress::default());
        let watched = Watched::new(Arc::clone(&progress));
        self.jobs
            .submit(self.core.log.health(), Job::Checkpoint { plan, reply, progress: watched })?;
        Ok((answer, progress))
    }

    /// Waits until no job is in progress.
    pub(crate) async fn idle(&self) {
        self.jobs.idle(self.core.log.health()).await;
    }

    /// Takes a checkpoint, when no other job is in progress.
    ///
    /// # Errors
    /// As for [`Jobs::submit`], but not `Busy`, and why it could not be taken.
    pub(crate) async fn start_in_turn(&self, plan: CheckpointPlan) -> Result<Checkpoint> {
        let (answer, _progress) =
            self.jobs.in_turn(self.core.log.health(), || self.start(plan.clone())).await?;
        answer.await
    }

    /// Removes checkpoints, when no other job is in progress. Waits until they are gone.
    ///
    /// # Errors
    /// As for [`Jobs::submit`], but not `Busy`, and why they could not be removed.
    pub(crate) async fn remove_checkpoints(&self, which: RemovalJob) -> Result<()> {
        let submit = || {
            let (reply, answer) = Reply::new(&self.core);
            self.jobs.submit(self.core.log.health(), Job::Remove { which, reply }).map(|()| answer)
        };
        self.jobs.in_turn(self.core.log.health(), submit).await?.await
    }

    /// Takes the checkpoint on closing, if it is configured and something has changed. Closes the
    /// write-ahead log.
    pub(super) async fn save(&self) -> Result<()> {
        let saved = self.save_changes().await;
        let Some(wal) = &self.core.wal else {
            return saved;
        };
        match wal.log().close().await {
            // The newest checkpoint has everything, so the full log needs nothing more.
            Err(error) if error.is_shortage() && !self.is_outdated() => saved,
            closed => saved.and(closed),
        }
    }

    async fn save_changes(&self) -> Result<()> {
        self.core.check_write()?;
        loop {
            self.jobs.idle(self.core.log.health()).await;
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

    /// Returns the tables that are not dropped, by number.
    pub(crate) fn tables(&self) -> Vec<TableFormat> {
        self.checkpoint_files.manifest().store.live_tables().cloned().collect()
    }

    /// Returns a table that is not dropped.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such table.
    pub(crate) fn table(&self, name: &str) -> Result<TableFormat> {
        self.checkpoint_files.manifest().store.present_table(name).cloned()
    }

    /// Pins a checkpoint, so that its files stay: the given one, or the newest that survives power
    /// cuts.
    ///
    /// # Errors
    /// `InvalidArgument` if the store has no such checkpoint.
    pub(crate) fn pin(&self, token: Option<CheckpointToken>) -> Result<PinnedCheckpoint> {
        if let Some(token) = token {
            return self.checkpoint_files.pin(token.version()).ok_or_else(|| not_kept(token));
        }
        loop {
            let newest = self.checkpoint_files.manifest().newest_safe();
            let newest = newest.ok_or_else(|| Error::invalid("the store has no checkpoint yet"))?;
            // `None` if a newer one has replaced it meanwhile.
            if let Some(pinned) = self.checkpoint_files.pin(newest) {
                return Ok(pinned);
            }
        }
    }

    /// Returns the kept checkpoints, oldest first.
    pub(crate) fn list(&self) -> Vec<CheckpointInfo> {
        let manifest = self.checkpoint_files.manifest();
        let records = manifest.checkpoints.iter();
        records.map(|record| CheckpointInfo::of(record, &manifest)).collect()
    }

    /// Returns the first address of the log that a kept checkpoint needs. A cache without a
    /// checkpoint is empty after its end, so there the log is needed from its begin.
    pub(crate) fn log_needed_from(&self) -> Address {
        if self.core.config.cache && !self.checkpoint_files.has_checkpoints() {
            return self.core.log.pages().begin();
        }
        self.checkpoint_files.log_needed_from()
    }

    /// Lets the files of the log go that are before its begin, when no other job is in progress. If
    /// there is a checkpoint, which may need them, it takes a newer one.
    ///
    /// # Errors
    /// As for [`Jobs::submit`], but not `Busy`, and why the files could not go.
    pub(crate) async fn free_log(&self) -> Result<()> {
        if self.checkpoint_files.has_checkpoints() {
            return self.start_in_turn(CheckpointPlan::full(self.kind())).await.map(drop);
        }
        self.free_in_turn().await
    }

    /// Lets the files go that nothing needs, when no other job is in progress.
    pub(crate) async fn free_in_turn(&self) -> Result<()> {
        let submit = || {
            let (reply, answer) = Reply::new(&self.core);
            self.jobs.submit(self.core.log.health(), Job::FreeLog { reply }).map(|()| answer)
        };
        self.jobs.in_turn(self.core.log.health(), submit).await?.await
    }

    /// Returns the kind of automatic checkpoints.
    pub(crate) fn kind(&self) -> CheckpointKind {
        self.schedule.kind
    }

    /// Returns the statistics of the checkpoints since opening.
    pub(crate) fn stats(&self) -> CheckpointStats {
        self.history().outcomes.stats(self.handle.now())
    }

    /// Returns the statistics of the write-ahead log, if there is one.
    pub(crate) fn wal_stats(&self) -> Option<WalStats> {
        let wal = self.core.wal.as_ref()?;
        let from = self.checkpoint_files.manifest().wal_replayed_from();
        Some(wal.stats(from))
    }

    /// Returns the error of the last checkpoint, except index images, if it failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.history().outcomes.failure()
    }

    /// Returns whether a power cut might lose something. That is so if something has changed since
    /// the last checkpoint, or that checkpoint is weaker, or it was removed.
    fn is_outdated(&self) -> bool {
        let safe = self.checkpoint_files.manifest().newest_safe();
        self.core.sessions.is_outdated() || self.history().counted != safe
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("nothing panics under it")
    }

    /// Runs jobs until the store is closed.
    pub(super) async fn drive(&self) {
        let layers = Layers::of(self.checkpoint_files.manifest().checkpoints.last());
        let mut basis = Basis { chain: None, layers };
        let health = self.core.log.health();
        loop {
            let due = self.schedule.due(self.history().last, &self.core, &self.handle);
            let next = match select(pin!(self.jobs.next(health)), pin!(due)).await {
                Either::Left((next, _)) => Some(next),
                Either::Right(_) => None,
            };
            match next {
                Some(Some(job)) => self.work(job, &mut basis).await,
                Some(None) => {
                    // The drop of an unstarted job answers its caller with the reason.
                    self.jobs.abandon();
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
                self.try_divide_space().await;
                self.jobs.end();
                drop(progress);
                reply.send(taken);
            }
            Job::Tables { change, reply } => {
                let made = self.make(change).await;
                self.try_divide_space().await;
                self.jobs.end();
                reply.send(made);
            }
            Job::FreeLog { reply } => {
                self.try_remove_debris().await;
                let freed = self.free_log_files().await;
                self.try_divide_space().await;
                self.jobs.end();
                reply.send(freed);
            }
            Job::Remove { which, reply } => {
                let removed = self.remove(which, basis).await;
                self.try_divide_space().await;
                self.jobs.end();
                reply.send(removed);
            }
        }
    }

    async fn take(
        &self,
        plan: CheckpointPlan,
        progress: &Progress,
        basis: &mut Basis,
    ) -> Result<Checkpoint> {
        let token = {
            assert!(self.jobs.is_busy(), "a checkpoint is taken as the only job");
            let mut history = self.history();
            history.next_token += 1;
            history.next_token - 1
        };
        let plan = CheckpointPlan { kind: self.chosen(plan.kind), ..plan };
        let kind = plan.kind;
        let run = CheckpointRun {
            core: &self.core,
            checkpoint_files: &self.checkpoint_files,
            handle: &self.handle,
            plan,
            token,
            keep: self.schedule.keep,
            progress,
        };
        let span = tracing::info_span!(target: "kvick::checkpoint", "checkpoint", token, ?kind);
        let began = self.handle.now();
        let is_safe =
            kind != CheckpointKind::IndexOnly && run.plan.durability == Durability::PowerCut;
        let relief = self.core.wal.as_ref().filter(|_| is_safe).map(WriteAheadLog::relief);
        relief.inspect(|relief| relief.begin());
        let taken = run.take(basis).instrument(span).await;
        relief.inspect(|relief| relief.end(taken.is_ok()));
        let error = taken.as_ref().err().cloned();
        let is_durable = kind != CheckpointKind::IndexOnly;
        if let Some(error) = error.as_ref().filter(|error| is_durable && !error.is_retryable()) {
            self.core.sessions.note_failed(token, error);
        }
        let ended = self.handle.now();
        let kind = taken.as_ref().map_or(kind, |taken| taken.kind);
        self.history().outcomes.note(Outcome { token, kind, began, ended, error });
        if taken.is_ok() && is_durable {
            let last = LastLook::now(&self.handle, &self.core);
            let mut history = self.history();
            debug_assert!(history.counted < Some(token), "tokens only grow");
            last.assert_after(&history.last);
            history.counted = Some(token);
            history.last = last;
        }
        self.sweep().await;
        taken
    }

    /// Returns the kind of a checkpoint that begins now.
    fn chosen(&self, kind: CheckpointKind) -> CheckpointKind {
        if kind != CheckpointKind::Auto {
            return kind;
        }
        let last = self.history().last.work;
        Work::of(&self.core.stats()).kind_after(&last)
    }

    /// Removes files that no checkpoint needs, also of the log. A failed removal is repeated next
    /// time.
    async fn sweep(&self) {
        if self.core.log.health().is_poisoned() {
            // It is unknown which manifest is on the medium, and so which files it needs.
            return;
        }
        self.try_remove_debris().await;
        self.try_free_log_files().await;
        self.try_truncate_wal().await;
    }

    /// Removes the entries of the write-ahead log that neither checkpoints nor readers of changes
    /// need. On a full device only the newest checkpoint that survives power cuts needs some: older
    /// ones are then recovered by their tokens alone. A failed removal is repeated next time.
    async fn try_truncate_wal(&self) {
        let Some(wal) = &self.core.wal else { return };
        let needed = self.checkpoint_files.take_wal_needed_from(wal.is_full());
        if let Err(error) = wal.truncate(needed, self.core.config.wal_keep).await {
            tracing::warn!(target: "kvick::checkpoint", %error, "left for later");
        }
    }

    async fn try_remove_debris(&self) {
        if let Err(error) = self.checkpoint_files.remove_debris().await {
            tracing::warn!(target: "kvick::checkpoint", %error, "left for later");
        }
    }

    /// Deletes the files of the log that no kept checkpoint needs. A failed deletion is repeated
    /// next time.
    async fn try_free_log_files(&self) {
        if let Err(error) = self.free_log_files().await {
            tracing::warn!(target: "kvick::checkpoint", %error, "left for later");
        }
    }

    /// Deletes the files of the log that no kept checkpoint needs.
    ///
    /// # Errors
    /// Why a file could not be deleted. The next call tries again.
    pub(crate) async fn free_log_files(&self) -> Result<()> {
        let (log, needed) = (&self.core.log, self.log_needed_from());
        assert!(needed <= log.pages().begin(), "no operation reads what goes: {needed:?}");
        // The file that ends there stays. A log without any file would count as lost, and recovery
        // truncates what is after the checkpoint.
        let below = log.file().units().page_start(needed).saturating_sub(1);
        let freed = log.file().device().discard_below(below).await;
        let what = || format!("deleting files of the log in {}", log.file().place());
        freed.map_err(|error| Error::io(what(), error))?;
        self.core.space.note_begin(below, log);
        Ok(())
    }

    /// Divides the budget of the device again, as files have changed. Does nothing without a
    /// budget.
    ///
    /// # Errors
    /// Why the files could not be listed. The division is as before then.
    pub(crate) async fn divide_space(&self) -> Result<()> {
        if self.core.space.sizes().is_some() {
            let beside = beside(&self.core, &self.checkpoint_files, self.schedule.kind).await?;
            self.core.space.divide(beside, &self.core.log).await;
        }
        Ok(())
    }

    async fn try_divide_space(&self) {
        if let Err(error) = self.divide_space().await {
            tracing::warn!(target: "kvick::checkpoint", %error, "the space is divided as before");
        }
    }

    async fn remove(&self, which: RemovalJob, basis: &mut Basis) -> Result<()> {
        let mut manifest = self.checkpoint_files.manifest().clone();
        match which {
            RemovalJob::AllBut(keep) => manifest.keep_newest(keep),
            RemovalJob::One(token) => manifest.remove_one(token)?,
        }
        // The next increment may build only on files of a kept checkpoint. The newest checkpoint
        // stays, and with it the files of commit points.
        basis.chain = None;
        manifest.drop_unused();
        let published = self.checkpoint_files.publish_less(manifest).await;
        published.map_err(|failed| unpublished(&self.core, failed))?;
        // The publication has removed the other files.
        self.try_free_log_files().await;
        self.try_truncate_wal().await;
        Ok(())
    }

    async fn take_due(&self, basis: &mut Basis) {
        if self.core.log.health().check_write().is_err() {
            // Poisoned: no checkpoint is possible any more. Wait until the store is closed.
            let health = self.core.log.health();
            return wait_until(health.changed(), || health.is_closed().then_some(())).await;
        }
        if !self.jobs.begin() {
            return;
        }
        let is_wanted = self.core.wal.as_ref().is_some_and(|wal| wal.relief().is_wanted());
        if self.is_outdated() || is_wanted {
            let plan = CheckpointPlan::full(self.schedule.kind);
            if let Err(error) = self.take(plan, &Progress::default(), basis).await {
                tracing::warn!(target: "kvick::checkpoint", %error, "a due checkpoint failed");
            }
        } else {
            // There may be a checkpoint of all changes, and its log may be full meanwhile.
            self.try_truncate_wal().await;
        }
        self.try_divide_space().await;
        // Also if nothing had changed: the next one is due after the same time or growth again.
        let last = LastLook::now(&self.handle, &self.core);
        self.history().last = last;
        self.jobs.end();
    }
}

//! The rounds of compaction of one store: how far each goes, what came of them, and the checkpoints
//! by which files go. The rounds of a cache drop their source (`cache.rs`).

mod look;

use super::cache::{Drops, head, part_bytes};
use super::pace::PacedSpace;
use super::policy::{Data, LogSpace, Policy};
use crate::base::address::Address;
use crate::base::error::{ErrorKind, Result};
use crate::checkpoint::{CheckpointPlan, Checkpoints, RemovalJob};
use crate::config::ByteSize;
use crate::hybrid_log::{Claim, QuotaWaits};
use crate::statistics::{SpaceStats, TableStats};
use crate::store::{Filter, Round, StoreInner};
use kvick_io::sync::{Mutex, MutexGuard};
use kvick_runtime::Handle;
use std::sync::Arc;

/// The rounds of one store.
pub(super) struct Rounds {
    // Fixed after opening.
    checkpoints: Arc<Checkpoints>,
    // With its own rules.
    drops: Drops,
    // Under its lock.
    done: Mutex<Done>,
}

/// The rounds since the store was opened.
#[derive(Default)]
struct Done {
    rounds: u64,
    failed: u64,
    all: Round,
    policy: Policy,
    idle: Idle,
}

/// The checkpoints in a row after which no file went. Only those count that compaction took by
/// itself.
#[derive(Default)]
struct Idle {
    count: u32,
    /// The files of the log began here after the last one.
    files_begin: u64,
}

impl Rounds {
    pub(super) fn new(checkpoints: Arc<Checkpoints>) -> Self {
        let core = checkpoints.core();
        let addresses = [core.log.pages().begin(), core.log.tail_address()].map(Address::raw);
        let policy = match (core.space.history(), core.space.sizes()) {
            // Within a budget space is short whatever is known.
            (None, Some(_)) => Policy::default(),
            (history, _) => Policy::of(history, addresses),
        };
        let done = Mutex::new(Done { policy, ..Done::default() });
        let rounds = Self { checkpoints, drops: Drops::default(), done };
        rounds.keep_history(&rounds.done());
        rounds
    }

    pub(super) fn core(&self) -> &Arc<StoreInner> {
        self.checkpoints.core()
    }

    pub(super) fn handle(&self) -> &Handle {
        self.checkpoints.handle()
    }

    /// Returns whether the store compacts by itself.
    pub(super) fn has_policy(&self) -> bool {
        let core = self.core();
        core.config.cache || core.space.sizes().is_some() || self.ratio().is_some()
    }

    /// Returns the space ratio in percent, if there is one.
    fn ratio(&self) -> Option<u64> {
        let config = &self.core().config;
        let ratio = config.space_ratio.filter(|_| !config.cache)?;
        #[expect(clippy::cast_possible_truncation, reason = "the bounds of the setting are small")]
        #[expect(clippy::cast_sign_loss, reason = "the bounds of the setting are positive")]
        let percent = (ratio * 100.0) as u64;
        Some(percent)
    }

    /// Returns the numbers that tell about the live data of the store.
    fn data(&self) -> Data {
        let core = self.core();
        let TableStats { removals, appended_records, appended_bytes, .. } = core.counts();
        let record_bytes = appended_bytes / appended_records.max(1);
        Data { entries: core.index.entries(), record_bytes, deletes: removals }
    }

    /// Returns the bytes of a file of the log.
    fn file_bytes(&self) -> u64 {
        self.core().log.file().device().geometry().segment_bytes
    }

    /// Returns the space of the log, if it has a budget or a space ratio.
    fn space(&self) -> Option<LogSpace> {
        let by_ratio = self.ratio().map(|percent| {
            let (space, data, file) = (self.unbounded(), self.data(), self.file_bytes());
            self.done().policy.by_ratio(space, percent, data, file)
        });
        let Some(budget) = self.budget() else {
            return by_ratio;
        };
        let by_ratio = by_ratio.filter(|by_ratio| by_ratio.end < budget.end);
        let files_begin = budget.files_begin;
        Some(LogSpace { files_begin, ..by_ratio.unwrap_or(budget) })
    }

    /// Returns the space of the log within the budget, if there is one.
    fn budget(&self) -> Option<LogSpace> {
        let core = self.core();
        let sizes = core.space.sizes()?;
        let limits = if core.config.cache {
            core.space.limits_within_budget(sizes)
        } else {
            core.log.quota().limits()
        };
        let end = limits.values.saturating_mul(sizes.page_bytes);
        let (is_budget, files_begin) = (!core.config.cache, core.space.division().files_begin);
        Some(LogSpace { files_begin, end, is_budget, ..self.unbounded() })
    }

    /// Returns the space of the log as if it had no end.
    fn unbounded(&self) -> LogSpace {
        let log = &self.core().log;
        let begin = log.pages().begin().raw();
        let (flushed, tail) = (log.flushing().flushed().raw(), log.tail_address().raw());
        let (end, probe, is_budget) = (u64::MAX, None, false);
        LogSpace { files_begin: begin, begin, flushed, tail, end, probe, is_budget }
    }

    /// Returns the space whose use has a pace while a round is due, in a store with a budget. A
    /// cache drops faster than writers write.
    pub(super) fn paced_space(&self) -> Option<PacedSpace<'_>> {
        let core = self.core();
        let page_bytes = core.space.sizes().filter(|_| !core.config.cache)?.page_bytes;
        let due = self.budget()?.due_left() / page_bytes;
        Some(PacedSpace { quota: core.log.quota(), page_bytes, due })
    }

    /// Returns the address up to which the policy wants a round. It is due if no scan is in
    /// progress.
    pub(super) fn wanted(&self) -> Option<Address> {
        let core = self.core();
        let begin = core.log.pages().begin();
        let until = if core.config.is_in_memory() {
            head(core)
        } else {
            let space = self.space()?;
            let until = Address::new(self.done().policy.due(space)?);
            // A cache gets within its budget at once.
            let drops = core.config.cache.then(|| core.log.file().units().start_of_page(until));
            drops.unwrap_or_else(|| core.limit_by_readers(self.reach(begin, until, u64::MAX)))
        };
        let may_write = core.log.health().check_write().is_ok() && !self.is_stalled();
        // While files are pinned, more rounds would make no space.
        (until > begin && may_write && !self.is_pinned()).then_some(until)
    }

    /// Returns whether a backup in progress needs files before the begin of the log.
    pub(super) fn is_pinned(&self) -> bool {
        let pinned = self.checkpoints.checkpoint_files().pinned_from();
        pinned.is_some_and(|pinned| pinned < self.core().log.pages().begin())
    }

    /// Returns the address up to which a cache drops its log on a full device.
    pub(super) fn due_on_full_device(&self) -> Option<Address> {
        let core = self.core();
        let (begin, flushed) = (core.log.pages().begin(), core.log.flushing().flushed());
        let until = self.reach(begin, flushed, u64::MAX);
        let is_wanted = core.config.cache && core.log.health().is_full() && !self.is_stalled();
        (until > begin && is_wanted && !core.press_scans()).then_some(until)
    }

    /// Returns the end of a round that begins at `begin`, compacts about `most` bytes, and ends at
    /// `end` at the latest. Its copies are likely to fit within the budget. A cache drops no more
    /// than a part of its log at a time.
    pub(super) fn reach(&self, begin: Address, end: Address, most: u64) -> Address {
        let (core, units) = (self.core(), self.core().log.file().units());
        let page_bytes = 1 << units.page_bits();
        let pages = match core.space.sizes() {
            _ if core.config.cache => part_bytes(core) / page_bytes,
            Some(sizes) => {
                let free = core.log.quota().pages_left(Claim::Copy);
                self.done().policy.source(free, sizes.source_of_copies(free))
            }
            None => u64::MAX,
        };
        let bytes = most.min(pages.saturating_mul(page_bytes)).max(page_bytes);
        let until = begin.raw().saturating_add(bytes).min(end.raw());
        units.start_of_page(Address::new(until))
    }

    /// Makes a round.
    pub(super) async fn round(&self, until: Address, filter: &mut Option<Filter>) -> Result<Round> {
        if self.core().config.cache {
            let dropped = self.drops.drop_below(self.core(), until).await;
            return dropped.map(|bytes| Round { source_bytes: bytes, ..Round::default() });
        }
        let made = self.core().compact(until, filter).await;
        self.note(&made);
        tracing::debug!(target: "kvick::compaction", ?made, "compacted");
        made
    }

    fn note(&self, made: &Result<Round>) {
        let (space, data) = (self.space(), self.data());
        let percent = self.ratio().unwrap_or(u64::from(u32::MAX));
        let mut done = self.done();
        match made {
            Ok(round) => {
                done.rounds += 1;
                done.all.add(*round);
                done.policy.looked.note_round(*round, self.file_bytes());
                space
                    .into_iter()
                    .for_each(|space| done.policy.note(*round, space, percent, data.deletes));
            }
            Err(error) => {
                let is_busy = error.kind() == ErrorKind::Busy;
                done.failed += u64::from(!is_busy);
                // A round that met a scan comes again as soon as the scan has ended.
                if !(is_busy && self.core().has_scan()) {
                    space.into_iter().for_each(|space| done.policy.note_failed(space));
                }
            }
        }
        self.keep_history(&done);
    }

    /// Gives the history to the next checkpoint, if the store compacts by itself.
    fn keep_history(&self, done: &Done) {
        if self.has_policy() && !self.core().config.cache {
            self.core().space.set_history(Some(done.policy.history()));
        }
    }

    /// Returns whether there are files before the begin of the log, in a store with a budget.
    pub(super) fn has_pinned_files(&self) -> bool {
        let core = self.core();
        core.space.sizes().is_some_and(|sizes| {
            // The file that ends at the begin stays.
            let units = core.log.file().units();
            let begin = units.page_start(core.log.pages().begin()).saturating_sub(1);
            begin / sizes.segment_bytes * sizes.segment_bytes > core.space.division().files_begin
        })
    }

    /// Lets files of the log go that are before its begin, by a checkpoint. Returns whether some
    /// went, in a store with a budget.
    ///
    /// A cache takes a checkpoint only if it has one, and gives up the older ones if they pin
    /// files.
    pub(super) async fn checkpoint(&self) -> Result<bool> {
        let core = self.core();
        let files_begin = || core.space.division().files_begin;
        let before = files_begin();
        if !core.config.cache {
            let plan = CheckpointPlan::full(self.checkpoints.kind());
            self.checkpoints.start_in_turn(plan).await?;
        } else if !core.config.is_in_memory() {
            self.checkpoints.free_log().await?;
            if self.has_pinned_files() {
                self.checkpoints.remove_checkpoints(RemovalJob::AllBut(1)).await?;
            }
        }
        Ok(files_begin() > before)
    }

    /// Lets files of the log go after a round of the policy. Notes whether some went.
    ///
    /// # Errors
    /// Of the checkpoint.
    pub(super) async fn free_after_round(&self) -> Result<()> {
        let freed = self.checkpoint().await;
        let files_begin = self.core().space.division().files_begin;
        let has_pinned = self.has_pinned_files();
        let idle = &mut self.done().idle;
        let count = match freed {
            // A round within one file lets none go.
            Ok(freed) if freed || !has_pinned => 0,
            Ok(_) => idle.count.saturating_add(1),
            // A later one may succeed, but another round makes no space for it.
            Err(_) => u32::MAX,
        };
        *idle = Idle { count, files_begin };
        freed.map(drop)
    }

    /// Takes checkpoints until the files before the begin have gone, if less than half of the space
    /// is left with which rounds are due. Writers would soon stand still for them.
    ///
    /// # Errors
    /// Of the checkpoint.
    pub(super) async fn free_for_writers(&self) -> Result<()> {
        for _ in 0..self.core().config.keep_checkpoints {
            let is_short = self.paced_space().is_some_and(PacedSpace::is_short);
            if !is_short || !self.has_pinned_files() || self.is_pinned() {
                break;
            }
            self.free_after_round().await?;
        }
        Ok(())
    }

    /// Returns whether a further checkpoint may end a stall.
    pub(super) fn may_end_stall(&self) -> bool {
        self.core().log.health().check_write().is_ok() && !self.is_pinned()
    }

    /// Returns whether rounds make no space: files are before the begin, and as many checkpoints
    /// have let none of them go as the store keeps. A further round would cost a cache more of its
    /// records, and another store the pages for copies.
    pub(super) fn is_stalled(&self) -> bool {
        let core = self.core();
        // A cache gives up the older checkpoints at once.
        let allowed = if core.config.cache { 0 } else { core.config.keep_checkpoints };
        let files_begin = core.space.division().files_begin;
        let is_idle = {
            let done = self.done();
            done.idle.count > allowed && done.idle.files_begin == files_begin
        };
        is_idle && self.has_pinned_files()
    }

    /// Takes checkpoints until the files before the begin have gone, if the budget has little room
    /// for copies.
    pub(super) async fn free_for_copies(&self) -> Result<()> {
        let core = self.core();
        for _ in 0..=core.config.keep_checkpoints {
            let left = core.log.quota().pages_left(Claim::Copy);
            let is_short = core.space.sizes().is_some_and(|sizes| left < sizes.spare);
            if !is_short || !self.has_pinned_files() {
                break;
            }
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Returns the space of the store, and the rounds since it was opened.
    pub(super) fn stats(&self) -> SpaceStats {
        let (core, space, data) = (self.core(), self.space(), self.data());
        let begin = core.log.pages().begin().raw();
        let log_bytes = core.log_end() - begin;
        let needed = self.checkpoints.log_needed_from();
        let QuotaWaits { in_progress, so_far, refused } = core.log.quota().waits();
        let done = self.done();
        let Round { source_bytes, copied_records, copied_bytes, dropped_records } = done.all;
        let live_bytes = done.policy.live_estimate(log_bytes, data);
        let beside = core.space.division().beside.files;
        SpaceStats {
            budget: core.config.disk.map(ByteSize::bytes),
            used_bytes: core.log.file().device().bytes_stored() + beside,
            live_bytes,
            dead_bytes: log_bytes - live_bytes,
            pinned_bytes: begin.saturating_sub(needed.raw()),
            debt_bytes: space.map_or(0, LogSpace::debt),
            waiting: in_progress,
            waits: so_far,
            refused,
            rounds: done.rounds,
            failed: done.failed,
            compacted_bytes: source_bytes,
            copied_records,
            copied_bytes,
            dropped_records,
            evicted_bytes: self.drops.evicted_bytes(),
        }
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().expect("nothing panics under it")
    }
}

//! Makes space for tasks that wait for a page, or refuses them.
//!
//! # A lap
//! A *lap* compacts every page that is in the log at its start, but the tail page, and takes the
//! checkpoints after which the files go. It ends early when the waiting tasks have a page. If it
//! frees none, further checkpoints do without images and snapshots, until none is kept. If the
//! tasks still have no page, there are two cases. Other tasks have had pages meanwhile: then the
//! next lap begins. Or no task has had one: what is live takes all the space, and the tasks that
//! have waited since before the lap get an error. A later task gets a lap of its own, after a rest.
//! A lap over a cache drops records, so it ends when files before the begin stay.
//!
//! # Scans
//! A scan in progress holds compaction up, so a lap waits for it. Invariants:
//!
//! 1. A scan that has its moment goes on: no lap stops it, and it waits for no lap.
//! 2. A lap that has met a scan meets no further ones: these are held back until it ends. The next
//!    lap meets them first, so each waits for one lap at most.
//! 3. A task may write while it scans, or begin a scan. So a scan that is not used for
//!    [`SCAN_PATIENCE`] may wait for a task that waits for this lap. It ends the lap: the tasks are
//!    refused, and new scans begin.
//! 4. No task waits for scans longer than twice [`SCAN_BOUND`]. But the lap goes on while they are
//!    used, and compacts when they have ended. So scans that follow one another do not keep
//!    compaction from its turn.
//! 5. A lap without a task that waits ends after [`SCAN_BOUND`], or when a caller asks for a
//!    compaction. So it holds new scans back for as long at most.
//!
//! # Readers of the log
//! A reader that has not read the oldest page holds a lap up, too. It is waited for while it goes
//! on, for [`SCAN_BOUND`] at most: others may begin at that page meanwhile. One that has not moved
//! for [`SCAN_PATIENCE`] may wait for a task that waits for this lap, so the tasks are refused.

use super::rounds::Rounds;
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::wait::wait_either;
use crate::config::ByteSize;
use futures::future::select;
use std::pin::pin;
use std::time::Duration;

/// The time for which tasks wait for a scan that is not used.
pub(super) const SCAN_PATIENCE: Duration = Duration::from_secs(5);
/// The time for which tasks wait at least for scans that are used, and at most for readers of one
/// page.
const SCAN_BOUND: Duration = Duration::from_secs(30);
/// The time between two looks at the scans or readers.
const SCAN_LOOK: Duration = Duration::from_secs(1);

/// The work for tasks that wait.
#[derive(Clone, Copy)]
pub(super) struct Relief<'r> {
    rounds: &'r Rounds,
    /// Returns whether a caller waits for a compaction.
    is_asked: &'r (dyn Fn() -> bool + Sync),
}

/// The state of a lap.
#[derive(Debug)]
struct Lap {
    /// Every page below is compacted.
    end: Address,
    /// The checkpoints in a row that have freed nothing.
    idle_checkpoints: u32,
    /// The checkpoints without optional files after all pages were compacted.
    thrifty_checkpoints: u32,
    /// The records that were admitted before the lap.
    admitted: u64,
    /// The waits with lower numbers are refused next. They began before the lap.
    refused_below: u64,
    /// The time at which scans have held up these waits for too long, if there was a scan.
    scan_bound: Option<Duration>,
    /// The time for which scans and readers have held the lap up.
    waited: Duration,
    /// Tasks were refused for scans, and nothing has been compacted since.
    is_overdue: bool,
    /// The time since which no task waits, if the lap is overdue and none does.
    unwanted_since: Option<Duration>,
}

impl<'r> Relief<'r> {
    pub(super) fn new(rounds: &'r Rounds, is_asked: &'r (dyn Fn() -> bool + Sync)) -> Self {
        Self { rounds, is_asked }
    }

    /// Makes space until the waiting tasks may have a page. Returns the time that it took, without
    /// the waits for scans and readers, if they were refused.
    pub(super) async fn run(self) -> Option<Duration> {
        let core = self.rounds.core();
        let refused_after = self.lap().await;
        core.hold_back_scans(false);
        core.space.set_thrifty(false);
        refused_after
    }

    async fn lap(self) -> Option<Duration> {
        let (log, begun) = (&self.rounds.core().log, self.rounds.handle().now());
        let mut lap = self.begin(Duration::ZERO);
        while self.is_wanted(&lap) {
            let error = match self.step(&mut lap).await {
                Ok(true) => continue,
                Ok(false) if log.quota().admitted() > lap.admitted => {
                    // There was space, and other tasks have taken all of it.
                    lap = self.begin(lap.waited);
                    continue;
                }
                Ok(false) => self.exhausted(),
                Err(error) => error,
            };
            tracing::warn!(target: "kvick::compaction", %error, "writers that wait are refused");
            log.quota().refuse(lap.refused_below, error);
            return Some(self.rounds.handle().now().saturating_sub(begun + lap.waited));
        }
        None
    }

    /// Returns whether a lap has to go on.
    fn is_wanted(self, lap: &Lap) -> bool {
        self.rounds.core().log.quota().is_pressed() || lap.is_overdue
    }

    /// Begins a lap over what is in the log. Scans and readers have held earlier laps up for
    /// `waited`.
    fn begin(self, waited: Duration) -> Lap {
        let core = self.rounds.core();
        let quota = core.log.quota();
        core.space.set_thrifty(false);
        core.hold_back_scans(false);
        // Before the end: tasks that begin to wait later get a lap of their own.
        let (refused_below, admitted) = (quota.next_wait(), quota.admitted());
        Lap {
            end: core.log.file().units().start_of_page(core.log.tail_address()),
            idle_checkpoints: 0,
            thrifty_checkpoints: 0,
            admitted,
            refused_below,
            scan_bound: None,
            waited,
            is_overdue: false,
            unwanted_since: None,
        }
    }

    /// Makes the next step of a lap. Returns false if there is none.
    async fn step(self, lap: &mut Lap) -> Result<bool> {
        let (core, rounds) = (self.rounds.core(), self.rounds);
        let log = &core.log;
        log.health().check_write()?;
        if rounds.has_pinned_files() && lap.idle_checkpoints <= core.config.keep_checkpoints {
            let has_freed = rounds.checkpoint().await?;
            lap.idle_checkpoints = if has_freed { 0 } else { lap.idle_checkpoints + 1 };
            return Ok(true);
        }
        if core.config.cache && rounds.has_pinned_files() {
            // What a cache drops is lost, and makes no space.
            return Ok(false);
        }
        let begin = log.pages().begin();
        if begin >= lap.end {
            return self.forgo_optional_files(lap).await;
        }
        if core.press_scans() {
            return self.wait_for_scans(lap).await.map(|()| true);
        }
        let until = rounds.reach(begin, lap.end, u64::MAX);
        log.flushing().want_flushed(until);
        log.flushing().stored(until).await?;
        // After the flush: a subscriber may have waited for it.
        if core.limit_by_readers(until) <= begin {
            let begun = self.rounds.handle().now();
            let moved = self.wait_for_readers([begin, until]).await;
            lap.waited += self.rounds.handle().now().saturating_sub(begun);
            return moved.map(|()| true);
        }
        match rounds.round(until, &mut None).await {
            Ok(_) => {}
            // A scan has begun, or a reader of the log.
            Err(error) if error.kind() == ErrorKind::Busy => return Ok(true),
            Err(error) if core.lacks_room_for_copies(&error) => {
                return self.forgo_optional_files(lap).await;
            }
            Err(error) => return Err(error),
        }
        if log.pages().begin() > begin {
            (lap.idle_checkpoints, lap.thrifty_checkpoints) = (0, 0);
            lap.is_overdue = false;
            rounds.checkpoint().await?;
        }
        Ok(true)
    }

    /// Takes a checkpoint, and gives the log the space of its optional files. Returns false if no
    /// kept checkpoint has any.
    async fn forgo_optional_files(self, lap: &mut Lap) -> Result<bool> {
        let (core, rounds) = (self.rounds.core(), self.rounds);
        // The first one may still have some. The others replace all that are kept.
        if lap.thrifty_checkpoints > core.config.keep_checkpoints {
            return Ok(false);
        }
        lap.thrifty_checkpoints += 1;
        core.space.set_thrifty(true);
        rounds.checkpoint().await.map(|_has_freed| true)
    }

    /// Waits until no scan is in progress, as long as the lap is wanted. Refuses tasks that have
    /// waited for too long.
    ///
    /// # Errors
    /// `StorageFull` if a scan is not used.
    async fn wait_for_scans(self, lap: &mut Lap) -> Result<()> {
        let (core, handle) = (self.rounds.core(), self.rounds.handle());
        let (health, quota) = (core.log.health(), core.log.quota());
        let begun = handle.now();
        core.hold_back_scans(true);
        while core.press_scans() && self.is_wanted(lap) {
            health.check_write()?;
            let now = handle.now();
            let still_since = core.scans_still_since(now).unwrap_or(now).max(begun);
            if now.saturating_sub(still_since) >= SCAN_PATIENCE {
                return Err(self.held_up());
            }
            if self.is_given_up(lap, now) {
                lap.is_overdue = false;
                break;
            }
            if now >= *lap.scan_bound.get_or_insert(now + SCAN_BOUND) {
                quota.refuse(lap.refused_below, self.held_up());
                (lap.refused_below, lap.is_overdue) = (quota.next_wait(), true);
                lap.scan_bound = Some(now + SCAN_BOUND);
            }
            let events = [core.scan_ended(), health.changed()];
            let has_ended = || !core.has_scan() || health.check_write().is_err();
            let ended = wait_either(events, || has_ended().then_some(()));
            select(pin!(ended), pin!(handle.sleep(SCAN_LOOK))).await;
            lap.waited += handle.now().saturating_sub(now);
        }
        Ok(())
    }

    /// Returns whether an overdue lap ends for want of tasks that wait: none has come for a while,
    /// or a caller waits for a compaction, which finds out by itself whether scans are in the way.
    fn is_given_up(self, lap: &mut Lap, now: Duration) -> bool {
        if self.rounds.core().log.quota().is_pressed() {
            lap.unwanted_since = None;
            return false;
        }
        let since = *lap.unwanted_since.get_or_insert(now);
        now.saturating_sub(since) >= SCAN_BOUND || (self.is_asked)()
    }

    /// Waits until readers of the log let it begin after `begin`, on the way to `until`.
    ///
    /// # Errors
    /// `StorageFull` if they do not move.
    async fn wait_for_readers(self, [begin, until]: [Address; 2]) -> Result<()> {
        let (core, handle) = (self.rounds.core(), self.rounds.handle());
        let health = core.log.health();
        let begun = handle.now();
        let (mut before, mut still_since) = (core.reader_needs(), begun);
        while core.limit_by_readers(until) <= begin {
            health.check_write()?;
            let (needs, now) = (core.reader_needs(), handle.now());
            if needs != before {
                (before, still_since) = (needs, now);
            }
            let for_long = |since, limit| now.saturating_sub(since) >= limit;
            if for_long(still_since, SCAN_PATIENCE) || for_long(begun, SCAN_BOUND) {
                let error = self.over_budget("a reader of the log holds compaction up");
                return Err(error.with_way_out("let it go on, or drop it"));
            }
            let events = [core.reader_moved(), health.changed()];
            let is_over = || core.limit_by_readers(until) > begin || health.check_write().is_err();
            let moved = wait_either(events, || is_over().then_some(()));
            select(pin!(moved), pin!(handle.sleep(SCAN_LOOK))).await;
        }
        Ok(())
    }

    fn held_up(self) -> Error {
        let error = self.over_budget("a scan in progress holds compaction up");
        error.with_way_out("finish the scan, or drop it")
    }

    fn exhausted(self) -> Error {
        if self.rounds.is_pinned() {
            let error = self.over_budget("a backup in progress needs files of the log");
            return error.with_way_out("finish the backup, or drop it");
        }
        self.over_budget("the live data leave no space for more")
    }

    fn over_budget(self, why: &str) -> Error {
        let disk = self.rounds.core().config.disk.unwrap_or(ByteSize::new(0));
        Error::over_budget(format!("disk = {disk}: {why}"))
    }
}

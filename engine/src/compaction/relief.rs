//! Makes space for tasks that wait for a page, or refuses them.
//!
//! # A lap
//! A *lap* compacts every page that is in the log at its start, but the tail page, and takes the
//! checkpoints after which the files go. It ends early when the waiting tasks have a page. If it
//! frees none, further checkpoints do without images and snapshots, until none is kept. If the
//! tasks still have no page, there are two cases. Other tasks have had pages meanwhile: then the
//! next lap begins. Or no task has had one: what is live takes all the space, and the tasks that
//! have waited since before the lap get an error. A later task gets a lap of its own, after a rest.
//!
//! # Scans
//! A scan in progress holds compaction up, and so does a reader of the log that has not read its
//! oldest part. The tasks wait for it as long as it goes on. A scan or reader that has not moved
//! for a while may wait for one of these tasks, so they get an error.

use super::rounds::Rounds;
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::config::ByteSize;
use std::time::Duration;

/// The time for which tasks wait for a scan that does not move.
const SCAN_PATIENCE: Duration = Duration::from_secs(5);
/// The time between two looks at a scan.
const SCAN_LOOK: Duration = Duration::from_millis(20);

/// The work for tasks that wait.
#[derive(Clone, Copy)]
pub(super) struct Relief<'r>(pub(super) &'r Rounds);

/// The state of a lap.
#[derive(Debug)]
struct Lap {
    /// Every page below is compacted.
    end: Address,
    /// The checkpoints in a row that have freed nothing.
    idle_checkpoints: u32,
    /// The checkpoints without optional files after all pages were compacted.
    thrifty_checkpoints: u32,
    /// Waits with lower numbers began before the lap.
    refused_below: u64,
    /// The records that were admitted before the lap.
    admitted: u64,
}

impl Relief<'_> {
    /// Makes space until the waiting tasks may have a page. Returns false if they were refused.
    pub(super) async fn run(self) -> bool {
        let is_relieved = self.lap().await;
        self.0.core().space.set_thrifty(false);
        is_relieved
    }

    async fn lap(self) -> bool {
        let log = &self.0.core().log;
        let mut lap = self.begin();
        while log.quota().is_pressed() {
            let error = match self.step(&mut lap).await {
                Ok(true) => continue,
                Ok(false) if log.quota().admitted() > lap.admitted => {
                    // There was space, and other tasks have taken all of it.
                    lap = self.begin();
                    continue;
                }
                Ok(false) => self.exhausted(),
                Err(error) => error,
            };
            tracing::warn!(target: "kvick::compaction", %error, "writers that wait are refused");
            log.quota().refuse(lap.refused_below, error);
            return false;
        }
        true
    }

    /// Begins a lap over what is in the log.
    fn begin(self) -> Lap {
        let core = self.0.core();
        let log = &core.log;
        core.space.set_thrifty(false);
        // Before the end: tasks that begin to wait later get a lap of their own.
        let (refused_below, admitted) = (log.quota().next_wait(), log.quota().admitted());
        let end = log.file().units().start_of_page(log.tail_address());
        Lap { end, idle_checkpoints: 0, thrifty_checkpoints: 0, refused_below, admitted }
    }

    /// Makes the next step of a lap. Returns false if there is none.
    async fn step(self, lap: &mut Lap) -> Result<bool> {
        let (core, rounds) = (self.0.core(), self.0);
        let log = &core.log;
        log.health().check_write()?;
        if rounds.has_pinned_files() && lap.idle_checkpoints <= core.config.keep_checkpoints {
            let has_freed = rounds.checkpoint().await?;
            lap.idle_checkpoints = if has_freed { 0 } else { lap.idle_checkpoints + 1 };
            return Ok(true);
        }
        let begin = log.pages().begin();
        if begin >= lap.end {
            return self.forgo_optional_files(lap).await;
        }
        if core.has_scan() {
            return self.wait_while(|| core.has_scan()).await.map(|()| true);
        }
        let until = rounds.reach(begin, lap.end, u64::MAX);
        log.flushing().want_flushed(until);
        log.flushing().stored(until).await?;
        // After the flush: a subscriber may have waited for it.
        let is_held_up = || core.limit_by_readers(until) <= begin;
        if is_held_up() {
            return self.wait_while(is_held_up).await.map(|()| true);
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
            rounds.checkpoint().await?;
        }
        Ok(true)
    }

    /// Takes a checkpoint, and gives the log the space of its optional files. Returns false if no
    /// kept checkpoint has any.
    async fn forgo_optional_files(self, lap: &mut Lap) -> Result<bool> {
        let (core, rounds) = (self.0.core(), self.0);
        // The first one may still have some. The others replace all that are kept.
        if lap.thrifty_checkpoints > core.config.keep_checkpoints {
            return Ok(false);
        }
        lap.thrifty_checkpoints += 1;
        core.space.set_thrifty(true);
        rounds.checkpoint().await.map(|_has_freed| true)
    }

    /// Waits while scans or readers of the log hold compaction up, until one of them has moved.
    ///
    /// # Errors
    /// `StorageFull` if they do not move.
    async fn wait_while(self, is_held_up: impl Fn() -> bool) -> Result<()> {
        let (core, handle) = (self.0.core(), self.0.handle());
        let begun = handle.now();
        let before = core.scan_needs();
        while is_held_up() && core.scan_needs() == before {
            core.log.health().check_write()?;
            if handle.now().saturating_sub(begun) >= SCAN_PATIENCE {
                let [(scans, _), _] = before;
                let why = match scans {
                    0 => "a reader of the log holds compaction up",
                    _ => "a scan in progress holds compaction up",
                };
                return Err(self.over_budget(why).with_way_out("let it go on, or drop it"));
            }
            handle.sleep(SCAN_LOOK).await;
        }
        Ok(())
    }

    fn exhausted(self) -> Error {
        self.over_budget("the live data leave no space for more")
    }

    fn over_budget(self, why: &str) -> Error {
        let disk = self.0.core().config.disk.unwrap_or(ByteSize::new(0));
        Error::over_budget(format!("disk = {disk}: {why}"))
    }
}

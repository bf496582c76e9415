//! Holds new scans back, so that a round of the policy has its turn.
//!
//! A round waits for scans. They may overlap, so that one is always in progress. So after a round
//! has waited for a while, new scans wait until it has ended.
//!
//! # Invariants
//! 1. A scan that has its moment goes on.
//! 2. The task of a scan may begin another one, and wait for it. So when a scan was not used for
//!    [`SCAN_PATIENCE`], new scans begin. One that is leaked expires meanwhile
//!    (`store/scan/driver.rs`).
//! 3. New scans wait for [`HELD`] at most, beside the rounds that run meanwhile, and then begin.
//!    Each further time is twice as long, and comes after a rest twice as long. So a round has its
//!    turn however long scans are, and tasks with scans within scans are held up ever more rarely.
//!
//! Writers that wait within a budget do not come to this: see `relief.rs`.

use super::relief::SCAN_PATIENCE;
use crate::store::StoreInner;
use std::time::Duration;

/// The time for which a round waits for scans before new ones are held back, at first.
const REST: Duration = Duration::from_secs(5);
/// The time for which new scans are held back, at first.
const HELD: Duration = Duration::from_secs(60);
/// The limit of doublings of these times: to more than a day.
const DOUBLINGS_MOST: u32 = 11;
/// The time between two looks at the scans.
const LOOK: Duration = Duration::from_secs(1);

/// Whether new scans wait for a round of the policy.
#[derive(Debug, Default)]
pub(super) struct HoldBack {
    stage: Stage,
    /// The number of times that new scans were let in before the round had its turn.
    failures: u32,
}

#[derive(Debug, Default)]
enum Stage {
    /// No round waits for scans.
    #[default]
    Idle,
    /// New scans begin until this time.
    Resting(Duration),
    /// New scans have waited since this time.
    Holding(Duration),
}

impl HoldBack {
    /// Returns whether it knows that a round waits for scans.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Looks at the scans at this time. A round waits for them. Returns the time of the next look.
    pub(super) fn look(&mut self, core: &StoreInner, now: Duration) -> Duration {
        let doubled = 1 << self.failures.min(DOUBLINGS_MOST);
        match self.stage {
            Stage::Idle => self.stage = Stage::Resting(now + REST * doubled),
            Stage::Resting(until) if now >= until => {
                core.hold_back_scans(true);
                self.stage = Stage::Holding(now);
            }
            Stage::Holding(since) => {
                let still_since = core.scans_still_since(now).unwrap_or(now).max(since);
                if now - still_since >= SCAN_PATIENCE || now - since >= HELD * doubled {
                    core.hold_back_scans(false);
                    self.failures += 1;
                    self.stage = Stage::Idle;
                    return self.look(core, now);
                }
            }
            Stage::Resting(_) => {}
        }
        match self.stage {
            Stage::Resting(until) => until,
            Stage::Idle | Stage::Holding(_) => now + LOOK,
        }
    }

    /// Lets new scans begin: no round is due any more, or writers wait for space.
    pub(super) fn end(&mut self, core: &StoreInner) {
        match self.stage {
            Stage::Idle => return,
            Stage::Resting(_) => {}
            Stage::Holding(_) => core.hold_back_scans(false),
        }
        // Scans are likely to be as long as before.
        *self = Self { stage: Stage::Idle, failures: self.failures.saturating_sub(1) };
    }
}

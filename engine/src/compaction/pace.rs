//! Slows writers down while rounds make space within a budget, so that they need not stop.
//!
//! A round frees space at its end, with its checkpoint. Writers at full speed would use up what is
//! left long before, and then stand still. So while rounds are due, writers open pages at a rate.
//! It is the rate at which rounds have freed pages, times `x / (1 - x)`: here `x` is what is left,
//! over what was left when rounds became due, both without the pages that a round frees at its end:
//! its copies and the values of its time take as many. So the rate comes down from any speed, and
//! is what rounds free when `x` is a half. Below that, space grows; above it, it shrinks.
//!
//! What a round frees counts little by little, over its usual time. So the rate is about the same
//! at its start and at its end. If fewer pages are left than are kept, it counts only beyond
//! them. Rounds vary in length, and a slow one after quick ones would stop writers. So a longer
//! time counts as usual at once, and shorter ones little by little. One that was stuck (on a full
//! device, or by pinned files) tells little of the next ones, so the usual time grows to four
//! times at most.
//!
//! # Invariants
//! 1. The rate counts only while a round or its checkpoint is in progress: these end without any
//!    writer. After the last one each page within the limits may be opened.
//! 2. It counts for values alone. Deletions and copies make space.
//! 3. A writer that waits for its turn is no reason for a lap (`relief.rs`).

use crate::hybrid_log::{Claim, Quota};
use crate::store::Round;
use futures::future::{Either, select};
use kvick_runtime::Handle;
use std::pin::pin;
use std::time::Duration;

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// The pages that writers may open at once after a pause.
const BURST: u128 = 2;
/// The part of its source that a round is taken to free at least.
const FREED_PART: u64 = 16;
/// The first round is taken to last so many times longer than it has lasted.
const FIRST: u128 = 16;
/// The limit of the pages that are kept for one round, as a part of those with which it is due.
const KEPT: [u64; 2] = [3, 4];
/// The rate is at least that with this part of the pages left.
const LEAST_PART: u128 = 9;
/// The part of the difference by which a shorter round changes the usual time.
const SHORTER: u32 = 8;
/// The limit by which one round multiplies the usual time.
const LONGER: u32 = 4;
/// The credit of a page.
const PAGE: u128 = 1 << 32;

/// The space of a log while a round is due, in pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacedSpace<'l> {
    pub(super) quota: Quota<'l>,
    pub(super) page_bytes: u64,
    /// Rounds are due when so many pages are left for values.
    pub(super) due: u64,
}

impl PacedSpace<'_> {
    /// Returns whether less than half of the pages are left with which rounds are due.
    pub(super) fn is_short(self) -> bool {
        self.quota.pages_left(Claim::Value) < self.due / 2
    }
}

/// The pace of the writers of one store.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The rounds, on an average in which the last ones count most.
    usual: Option<Usual>,
    /// The pages that values may open.
    credit: u128,
    /// The last look.
    before: Option<Look>,
}

/// A usual round.
#[derive(Clone, Copy, Debug)]
struct Usual {
    /// The pages of its copies, and those that it frees more.
    copied: u64,
    freed: u64,
    /// Its time with its checkpoint.
    took: Duration,
}

/// The pages that values have opened so far, and the time.
#[derive(Clone, Copy, Debug)]
struct Look {
    opened: u64,
    at: Duration,
}

impl Pace {
    /// Makes a round, and lets writers open pages at a rate meanwhile.
    pub(super) async fn during(
        &mut self,
        (space, handle): (PacedSpace<'_>, &Handle),
        round: impl Future<Output = Option<Round>>,
    ) {
        let PacedSpace { quota, page_bytes, .. } = space;
        let left = quota.pages_left(Claim::Value);
        let start = Look { opened: quota.opened_for_values(), at: handle.now() };
        let mut round = pin!(round);
        let made = loop {
            self.look(space, (left, start), handle.now());
            match select(round.as_mut(), pin!(handle.sleep(LOOK))).await {
                Either::Left((made, _)) => break made,
                Either::Right(((), _)) => {}
            }
        };
        if let Some(Round { source_bytes, copied_bytes, .. }) = made {
            let freed = source_bytes.saturating_sub(copied_bytes).max(source_bytes / FREED_PART);
            let [copied, freed] = [copied_bytes, freed].map(|bytes| bytes.div_ceil(page_bytes));
            let made = Usual { copied, freed, took: handle.now().saturating_sub(start.at) };
            self.usual = Some(self.usual.map_or(made, |usual| usual.mean(made)));
        }
    }

    /// Lets writers open all pages within the limits.
    pub(super) fn end(&mut self, quota: Quota<'_>) {
        if self.before.take().is_some() {
            self.credit = 0;
            quota.pace(u64::MAX);
        }
    }

    /// Lets writers open further pages. A round is in progress, at whose start so many pages were
    /// left.
    fn look(&mut self, space: PacedSpace<'_>, (left, start): (u64, Look), now: Duration) {
        let now = Look { opened: space.quota.opened_for_values(), at: now };
        let before = self.before.replace(now).unwrap_or(now);
        let since = |before: Look| now.at.saturating_sub(before.at).as_nanos();
        let opened_since = |before: Look| now.opened.saturating_sub(before.opened);
        let left = left.saturating_sub(opened_since(start));
        if left > space.due {
            // A round by the space ratio, or of a budget that is hardly used.
            return space.quota.pace(u64::MAX);
        }
        let earned = match self.usual {
            None => {
                let round = FIRST * since(start).max(LOOK.as_nanos());
                PAGE * since(before) * u128::from(left) / round
            }
            Some(Usual { copied, freed, took }) => {
                // The files of a round go at its end, so copies and values take these pages first.
                // If fewer are left, what the round frees counts only beyond them.
                let kept = (copied + freed).min(space.due / KEPT[1] * KEPT[0]);
                let (freed, round) = (u128::from(freed), took.max(LOOK).as_nanos());
                let [left, due, kept] =
                    [left, space.due, kept].map(|pages| u128::from(pages) * round);
                let due = due - kept;
                let left = left + freed * since(start).min(round);
                let left = left.saturating_sub(kept).max(due / LEAST_PART);
                let used = due.saturating_sub(left).max(1);
                PAGE * since(before) * freed / round * left / used
            }
        };
        let used = PAGE * u128::from(opened_since(before));
        let most = earned.max(BURST * PAGE);
        self.credit = (self.credit.saturating_sub(used) + earned).min(most);
        space.quota.pace(u64::try_from(self.credit / PAGE).unwrap_or(u64::MAX));
    }
}

impl Usual {
    fn mean(self, made: Self) -> Self {
        let took = made.took.min(self.took.max(LOOK) * LONGER);
        Self {
            copied: self.copied.midpoint(made.copied),
            freed: self.freed.midpoint(made.freed),
            took: took.max((self.took * (SHORTER - 1) + took) / SHORTER),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// One round that was stuck for minutes kept writers slow for dozens of rounds.
    #[test]
    fn a_stuck_round_counts_for_few_further_ones() {
        let round = |millis| Usual { copied: 8, freed: 8, took: Duration::from_millis(millis) };
        let stuck = round(1000).mean(round(300_000));
        assert_eq!(stuck.took, Duration::from_secs(4));
        let later = (0..12).fold(stuck, |usual, _| usual.mean(round(1000)));
        assert!(later.took < Duration::from_secs(2), "{later:?}");
        assert_eq!(round(1000).mean(round(3000)).took, Duration::from_secs(3), "it counts at once");
        assert_eq!(round(0).mean(round(1000)).took, LOOK * LONGER, "no time is too short to grow");
    }
}

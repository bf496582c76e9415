//! Looks at what is live after keys were removed, so that an emptied store gets smaller though
//! nothing is written any more.
//!
//! Removals leave entries, and rounds meet the oldest part of the log only. So once removals have
//! stopped, some entries of the index are looked at, which tells about the whole log. If that is
//! longer than the space ratio allows, rounds are due up to where the log ended at the look.
//!
//! # Invariants
//! 1. No timer runs, and nothing is read, before a key is removed.
//! 2. A look is due once for many removals. Its rounds end at an address that does not move, so
//!    they end. They also end if their copies show that more is live than the look has found.
//! 3. A look is over when no round of it is due and all files before the begin have gone. Until
//!    then, if something is in the way (a reader, a backup, a failure), it is tried again after
//!    ever longer pauses.

use crate::store::{RemovalWatch, Round};
use std::time::Duration;

/// Removals have stopped when there was none for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Removals that never stop are taken for stopped after so long.
const LONGEST: Duration = Duration::from_secs(60);
/// The pauses after which a look that is held up is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// A look is due after removals of this part of the entries.
const REMOVED_PART: u64 = 16;
/// The part of the log that one round compacts.
const PART: u64 = 8;

/// The times of the looks at one store.
#[derive(Debug, Default)]
pub(super) struct Looks {
    watching: Option<Watching>,
    /// When a look that is held up is tried again, and the pause before.
    again: Option<(Duration, Duration)>,
}

/// Removals that go on.
#[derive(Clone, Copy, Debug)]
struct Watching {
    /// Their number at some time, and when that is compared.
    removals: u64,
    at: Duration,
    since: Duration,
}

/// The findings of the last look, and the rounds since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looked {
    /// The removals before it.
    removals: u64,
    /// The bytes that were live.
    live: u64,
    /// The log ended here, or 0 if no further round is due.
    until: u64,
    /// The bytes that rounds have copied since.
    copied: u64,
    /// Kept checkpoints may need files that no record of the log needs.
    may_free: bool,
}

impl Looks {
    /// Returns whether no removal was noticed.
    pub(super) fn is_idle(&self) -> bool {
        self.watching.is_none()
    }

    /// Returns the time of the next step.
    pub(super) fn next_at(&self) -> Option<Duration> {
        let again = self.again.map(|(at, _pause)| at);
        self.watching.map(|watching| watching.at).into_iter().chain(again).min()
    }

    /// Returns whether a look that was held up is tried again at `now`.
    pub(super) fn is_again_due(&self, now: Duration) -> bool {
        self.again.is_some_and(|(at, _pause)| at <= now)
    }

    /// Notes whether the last look is over, or held up.
    pub(super) fn note(&mut self, is_over: bool, now: Duration) {
        let pause = match self.again {
            Some((at, _pause)) if now < at && !is_over => return,
            Some((_, pause)) => (2 * pause).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        self.again = (!is_over).then_some((now + pause, pause));
    }

    /// Returns whether removals have stopped by `now`. There were so many so far.
    pub(super) fn step(&mut self, watch: &RemovalWatch, removals: u64, now: Duration) -> bool {
        let since = match self.watching {
            None if !watch.is_told() => return false,
            None => now,
            Some(Watching { at, .. }) if now < at => return false,
            Some(Watching { removals: before, since, .. }) => {
                if before == removals || now.saturating_sub(since) >= LONGEST {
                    self.watching = None;
                    watch.want();
                    return true;
                }
                since
            }
        };
        self.watching = Some(Watching { removals, at: now + QUIET, since });
        false
    }
}

impl Looked {
    /// Returns whether so many keys were removed since the last look that the next one is due.
    pub(super) fn is_due_again(&self, removals: u64, entries: u64) -> bool {
        removals.saturating_sub(self.removals) > entries / REMOVED_PART
    }

    /// Takes the result of a look at a log that ends at `tail`.
    pub(super) fn note(&mut self, removals: u64, live: u64, tail: u64) {
        *self = Self { removals, live, until: tail, ..Self::default() };
    }

    /// Notes that the log is too short for a look.
    pub(super) fn note_short(&mut self, removals: u64) {
        *self = Self { removals, may_free: true, ..Self::default() };
    }

    /// Takes a round.
    pub(super) fn note_round(&mut self, round: Round, file: u64) {
        self.may_free |= self.until > 0;
        self.copied += round.copied_bytes;
        if self.copied > 2 * self.live + file {
            // More is live than the look has found.
            self.until = 0;
        }
    }

    /// Ends the rounds of the look, of which none is due any more. Returns whether further
    /// checkpoints may let files go.
    pub(super) fn end(&mut self) -> bool {
        self.until = 0;
        self.may_free
    }

    /// Notes that the files before the begin have gone.
    pub(super) fn note_freed(&mut self) {
        self.may_free = false;
    }

    /// Returns the bytes of the next round, in a log at these addresses with this space ratio, in
    /// percent, and files of `file` bytes. A log of one file is short enough.
    pub(super) fn due(&self, [begin, tail]: [u64; 2], percent: u64, file: u64) -> Option<u64> {
        let log = tail - begin;
        let new = tail.saturating_sub(self.until).saturating_sub(self.copied);
        let wanted = u128::from(self.live + new) * u128::from(percent) / 100;
        let left = self.until.checked_sub(begin).filter(|left| *left > 0)?;
        (u128::from(log) > wanted.max(file.into())).then(|| (log / PART).max(file).min(left))
    }
}

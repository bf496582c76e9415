//! Decides when a store compacts by itself, and how much.

use crate::store::Round;

/// The marks of a log, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogMarks {
    pub(super) begin: u64,
    pub(super) flushed: u64,
    pub(super) tail: u64,
}

/// The rules of one store.
#[derive(Debug)]
pub(super) struct Policy {
    /// The budget of the log on the device.
    disk: u64,
    /// No round begins before the tail is here.
    rest_until: u64,
}

/// A round begins when the log takes this many eighths of the budget. The rest is for what kept
/// checkpoints need.
const FULL_EIGHTHS: u64 = 4;
/// The part of the log that one round compacts at least.
const PART: u64 = 8;

impl Policy {
    pub(super) fn new(disk: u64) -> Self {
        Self { disk, rest_until: 0 }
    }

    /// Returns the address up to which a round should compact, if one is due.
    pub(super) fn due(&self, marks: LogMarks) -> Option<u64> {
        let LogMarks { begin, flushed, tail } = marks;
        debug_assert!(begin <= flushed && flushed <= tail, "{marks:?}");
        let length = tail - begin;
        let is_full = length / FULL_EIGHTHS >= self.disk / 8;
        // More at once if rounds are slower than writers.
        let excess = length.saturating_sub(self.disk / 8 * 3);
        let until = (begin + length.div_ceil(PART).max(excess)).min(flushed);
        (is_full && tail >= self.rest_until).then_some(until)
    }

    /// Takes the result of a round, after which the tail was here. A log that is mostly live has a
    /// rest, so that it is not copied over and over.
    pub(super) fn note(&mut self, round: Round, tail: u64) {
        let is_poor = round.copied_bytes / 7 >= round.source_bytes / 8;
        self.rest_until = if is_poor { tail + self.disk / 16 } else { 0 };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const DISK: u64 = 8000;

    fn marks(begin: u64, tail: u64) -> LogMarks {
        LogMarks { begin, flushed: tail - 500, tail }
    }

    #[test]
    fn a_long_log_gives_its_oldest_part() {
        let policy = Policy::new(DISK);
        assert_eq!(policy.due(marks(1000, 4900)), None);
        assert_eq!(policy.due(marks(1000, 5000)), Some(2000));
        assert_eq!(policy.due(marks(1000, 6000)), Some(3000));
        let unflushed = LogMarks { flushed: 1100, ..marks(1000, 9000) };
        assert_eq!(policy.due(unflushed), Some(1100));
    }

    #[test]
    fn a_log_that_is_live_has_a_rest() {
        let mut policy = Policy::new(DISK);
        let round = Round { source_bytes: 800, copied_bytes: 700, ..Round::default() };
        policy.note(round, 6000);
        assert_eq!(policy.due(marks(0, 6400)), None);
        assert!(policy.due(marks(0, 6500)).is_some());
        policy.note(Round { copied_bytes: 600, ..round }, 6000);
        assert!(policy.due(marks(0, 6000)).is_some());
    }
}

//! The outcomes of checkpoints, for statistics and health.

use crate::base::error::Error;
use crate::base::kinds::{CheckpointKind, CheckpointToken};
use crate::statistics::{CheckpointStats, LastCheckpoint};
use std::time::Duration;

/// The outcomes that the driver has recorded.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    taken: u64,
    failed: u64,
    last: Option<Outcome>,
    /// The error of the last checkpoint, except index images, if it failed.
    failure: Option<Error>,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) token: u64,
    pub(super) kind: CheckpointKind,
    /// The start, by the clock of the store's runtime.
    pub(super) began: Duration,
    pub(super) ended: Duration,
    pub(super) error: Option<Error>,
}

impl Outcomes {
    pub(super) fn note(&mut self, outcome: Outcome) {
        debug_assert!(
            self.last.as_ref().is_none_or(|last| last.token < outcome.token),
            "each checkpoint ends once, in order"
        );
        debug_assert!(outcome.began <= outcome.ended, "the clock of a runtime goes forward");
        let count = if outcome.error.is_none() { &mut self.taken } else { &mut self.failed };
        *count += 1;
        // An image of the index makes nothing durable.
        if outcome.kind != CheckpointKind::IndexOnly {
            self.failure.clone_from(&outcome.error);
        }
        self.last = Some(outcome);
    }

    /// Returns the error of the last checkpoint, except index images, if it failed.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    pub(super) fn stats(&self, now: Duration) -> CheckpointStats {
        let last = self.last.as_ref().map(|last| LastCheckpoint {
            token: CheckpointToken(last.token),
            kind: last.kind,
            ago: now.saturating_sub(last.ended),
            took: last.ended.saturating_sub(last.began),
            error: last.error.as_ref().map(|error| (error.kind(), error.to_string())),
        });
        CheckpointStats { taken: self.taken, failed: self.failed, last }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    #[test]
    fn the_last_one_counts_and_all_are_counted() {
        let seconds = Duration::from_secs;
        let mut outcomes = Outcomes::default();
        let kind = CheckpointKind::Snapshot;
        let failed = Some(Error::busy("another"));
        let error = failed.as_ref().map(ToString::to_string).expect("an error");
        for (token, error) in [(1, None), (2, failed)] {
            let (began, ended) = (seconds(token), seconds(token + 3));
            outcomes.note(Outcome { token, kind, began, ended, error });
        }
        assert_eq!(outcomes.failure().map(|error| error.kind()), Some(ErrorKind::Busy));
        let expected = LastCheckpoint {
            token: CheckpointToken(2),
            kind,
            ago: seconds(4),
            took: seconds(3),
            error: Some((ErrorKind::Busy, error)),
        };
        let stats = outcomes.stats(seconds(9));
        assert_eq!(stats, CheckpointStats { taken: 1, failed: 1, last: Some(expected) });
        let (began, ended) = (seconds(9), seconds(9));
        let index = CheckpointKind::IndexOnly;
        outcomes.note(Outcome { token: 3, kind: index, began, ended, error: None });
        assert!(outcomes.failure().is_some(), "nothing is durable yet");
        outcomes.note(Outcome { token: 4, kind, began, ended, error: None });
        assert!(outcomes.failure().is_none());
        let failed = Some(Error::busy("another"));
        outcomes.note(Outcome { token: 5, kind: index, began, ended, error: failed });
        assert!(outcomes.failure().is_none(), "what is durable stays so");
    }
}

//! The results of many cycles.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The counts of cycles, and of promises.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cycles: u64,
    /// The cycles whose end came before the store or log was open, in its creation or recovery.
    pub(crate) early: u64,
    /// The promises of each kind that a worker made before the end.
    pub(crate) acknowledged: BTreeMap<&'static str, u64>,
    /// The cycles with promises.
    pub(crate) heard: u64,
    /// The cycles that lost promised data.
    pub(crate) lost: u64,
    /// The cycles with other data than promised.
    pub(crate) wrong: u64,
    /// The cycles after which the store or log could not be opened.
    pub(crate) refused: u64,
    /// The cycles whose worker failed without a cause, or panicked.
    pub(crate) failed: u64,
    pub(crate) took: Duration,
}

impl Tally {
    pub(crate) fn count(&mut self, (kind, count): (&'static str, u64)) {
        *self.acknowledged.entry(kind).or_default() += count;
    }

    /// Returns whether all cycles kept their promises.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.wrong == 0 && self.refused == 0 && self.failed == 0
    }

    /// Returns whether a cycle lost data.
    pub(crate) fn has_losses(&self) -> bool {
        self.lost > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cycles, early, acknowledged, heard, .. } = self;
        let Self { lost, wrong, refused, failed, took, .. } = self;
        let kinds: Vec<String> =
            acknowledged.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = kinds.join(", ");
        let millis = took.as_millis() / u128::from(*cycles).max(1);
        write!(
            formatter,
            "{cycles} cycles ({early} ended before it was open), \
             {kinds} acknowledged in {heard} of them; {lost} lost, \
             {wrong} wrong, {refused} failed opens, {failed} failed workers; {millis} ms a cycle"
        )
    }
}

//! What cycles come to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What came of it, in cycles where nothing else is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cycles: u64,
    /// Of them, ended before the store or log was open: in its creation or its recovery.
    pub(crate) early: u64,
    /// Promises that were made before the end came, of each kind.
    pub(crate) acknowledged: BTreeMap<&'static str, u64>,
    /// Cycles with any.
    pub(crate) heard: u64,
    /// Less was there than was acknowledged.
    pub(crate) lost: u64,
    /// Something else was there than was promised.
    pub(crate) wrong: u64,
    /// It could not be opened.
    pub(crate) refused: u64,
    /// A worker failed while all was well, or panicked.
    pub(crate) failed: u64,
    pub(crate) took: Duration,
}

impl Tally {
    pub(crate) fn count(&mut self, (kind, count): (&'static str, u64)) {
        *self.acknowledged.entry(kind).or_default() += count;
    }

    /// Nothing but what was promised.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.wrong == 0 && self.refused == 0 && self.failed == 0
    }

    /// Something was lost.
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

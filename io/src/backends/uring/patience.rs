//! The time for which the kernel may refuse to work before it counts as broken.

use std::time::{Duration, Instant};

/// The refusals since the kernel last did any work.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// The time of the first refusal in the row, and the pause after the last refusal.
    row: Option<(Instant, Duration)>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// A shortage of memory or of requests ends sooner; a longer refusal is a decision of the system.
const LIMIT: Duration = Duration::from_secs(5);

impl Patience {
    /// Records that the kernel did its work.
    pub(super) fn served(&mut self) {
        self.row = None;
    }

    /// Records that the kernel has refused. Returns the pause before the next attempt, or `None` if
    /// the kernel has refused for too long.
    pub(super) fn refused(&mut self, now: Instant) -> Option<Duration> {
        let (since, pause) = match self.row {
            None => (now, FIRST_PAUSE),
            Some((since, pause)) => (since, (2 * pause).min(LONGEST_PAUSE)),
        };
        self.row = Some((since, pause));
        (now.saturating_duration_since(since) < LIMIT).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do: the test counts from it")]
    fn refusals_in_a_row_are_waited_for_and_not_for_ever() {
        let start = Instant::now();
        let mut patience = Patience::default();
        assert_eq!(patience.refused(start), Some(FIRST_PAUSE));
        assert_eq!(patience.refused(start), Some(2 * FIRST_PAUSE));
        let late = start + LIMIT - FIRST_PAUSE;
        assert!((0..10).all(|_| patience.refused(late).is_some_and(|it| it <= LONGEST_PAUSE)));
        assert_eq!(patience.refused(start + LIMIT), None);
        patience.served();
        assert_eq!(patience.refused(start + LIMIT), Some(FIRST_PAUSE));
    }
}

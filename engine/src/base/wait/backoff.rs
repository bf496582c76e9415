//! Pauses between checks of a condition that no event reports. Each pause is twice as long as the
//! last.

use kvick_runtime::Handle;
use std::time::Duration;

/// The pauses of one wait.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Self {
        debug_assert!(shortest <= longest);
        Self { next: shortest, longest }
    }

    /// Creates pauses for a medium without space, descriptors or tasks: between 5 ms and half a
    /// second.
    pub(crate) fn for_shortage() -> Self {
        Self::new(Duration::from_millis(5), Duration::from_millis(500))
    }

    /// Waits for the next pause.
    ///
    /// # Cancel safety
    /// Nothing is lost; the pause counts as taken.
    pub(crate) async fn pause(&mut self, handle: &Handle) {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        handle.sleep(pause).await;
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use kvick_runtime::Simulation;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let simulation = Simulation::new(1);
        let handle = simulation.handle();
        let took: Vec<u64> = simulation.run(async {
            let mut backoff = Backoff::new(Duration::from_micros(20), Duration::from_micros(100));
            let mut took = Vec::new();
            for _ in 0..5 {
                let begun = handle.now();
                backoff.pause(&handle).await;
                let elapsed = handle.now() - begun;
                took.push(u64::try_from(elapsed.as_micros()).expect("short"));
            }
            took
        });
        assert_eq!(took, [20, 40, 80, 100, 100]);
    }
}

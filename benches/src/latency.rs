//! Latencies of calls, while a checkpoint was being taken and while none was.

use hdrhistogram::Histogram;

/// Latencies above this are counted as this: ten seconds.
const MAX_NANOSECONDS: u64 = 10_000_000_000;

/// Sampled latencies, nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Of calls during which no checkpoint was being taken.
    pub quiet: Histogram<u64>,
    /// Of calls that met one.
    pub during: Histogram<u64>,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        let empty = Histogram::new_with_bounds(1, MAX_NANOSECONDS, 3).expect("bounds are in order");
        Self { quiet: empty.clone(), during: empty }
    }

    /// Adds one call.
    #[inline]
    pub fn record(&mut self, nanoseconds: u64, met_checkpoint: bool) {
        let histogram = if met_checkpoint { &mut self.during } else { &mut self.quiet };
        histogram.saturating_record(nanoseconds);
    }

    /// Adds what another lane has seen.
    pub fn add(&mut self, other: &Self) {
        self.quiet.add(&other.quiet).expect("all lanes use the same bounds");
        self.during.add(&other.during).expect("all lanes use the same bounds");
    }

    /// Of all calls.
    pub fn all(&self) -> Histogram<u64> {
        let mut all = self.quiet.clone();
        all.add(&self.during).expect("both have the same bounds");
        all
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

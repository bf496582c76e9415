//! Latencies of calls, with and without a running checkpoint.

use hdrhistogram::Histogram;

/// The largest latency of the histogram: ten seconds. A longer call counts as this.
const MAX_NANOSECONDS: u64 = 10_000_000_000;

/// The sampled latencies, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Latencies of calls without a running checkpoint.
    pub quiet: Histogram<u64>,
    /// Latencies of calls that overlapped a checkpoint.
    pub during: Histogram<u64>,
}

impl Latencies {
    /// Creates empty histograms.
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

    /// Adds the latencies of another worker.
    pub fn add(&mut self, other: &Self) {
        self.quiet.add(&other.quiet).expect("all workers use the same bounds");
        self.during.add(&other.during).expect("all workers use the same bounds");
    }

    /// Returns the latencies of all calls.
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

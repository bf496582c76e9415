//! The index and the memory of the store at one moment.

use std::time::Duration;

use kvick::stats::Stats;

/// Bytes of a bucket of the index.
const BUCKET_BYTES: u64 = 128;

/// The index and the memory at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// The time since the start of the run.
    pub at: Duration,
    /// The number of keys that were there, interpolated within the slot.
    pub keys: u64,
    /// Buckets of the index.
    pub buckets: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Entries of the index.
    pub entries: u64,
    /// Bytes of the log in memory.
    pub log_bytes: u64,
    /// Resident bytes of the process beyond the bytes before the store was opened.
    pub resident_bytes: u64,
}

impl Sample {
    /// Creates a sample from the counters of the store.
    pub fn new(at: Duration, stats: &Stats, resident_bytes: u64) -> Self {
        Self {
            at,
            keys: 0,
            buckets: stats.index.buckets,
            index_bytes: stats.memory.index,
            entries: stats.index.entries,
            log_bytes: stats.log.mutable + stats.log.read_only,
            resident_bytes,
        }
    }

    /// Returns the bytes of the index for each key.
    pub fn bytes_per_key(&self) -> f64 {
        self.index_bytes as f64 / self.keys.max(1) as f64
    }

    /// Returns the share of the index beyond its buckets: the overflow, which splits need.
    pub fn extra_share(&self) -> f64 {
        let buckets = self.buckets * BUCKET_BYTES;
        self.index_bytes.saturating_sub(buckets) as f64 / self.index_bytes.max(1) as f64
    }
}

/// Returns the sample nearest to a time, from samples in the order of their times.
pub(super) fn nearest(samples: &[Sample], at: Duration) -> Option<Sample> {
    let after = samples.partition_point(|sample| sample.at < at);
    let around = samples.get(after.saturating_sub(1)..samples.len().min(after + 1))?;
    around.iter().min_by_key(|sample| sample.at.abs_diff(at)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_is_the_extra_of_the_index() {
        let sample = Sample { buckets: 19, index_bytes: 20 * 128, ..Sample::default() };
        assert!((sample.extra_share() - 0.05).abs() < 1e-9);
    }
}

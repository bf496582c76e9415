//! The counters of a log for its device, and their snapshot.

use crate::record::Layout;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "serde")]
use crate::base::serialized::seconds;

/// The counters of a log for its device.
#[derive(Debug, Default)]
pub(crate) struct DeviceCounters {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    write_bytes: AtomicU64,
    read_latency: Latencies,
    write_latency: Latencies,
    /// Moving average of the size of fetched records, in bytes.
    record_bytes: AtomicU64,
}

impl DeviceCounters {
    pub(crate) fn read(&self, bytes: u64, took: Duration) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.read_latency.record(took);
    }

    pub(crate) fn wrote(&self, bytes: u64, took: Duration) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.write_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.write_latency.record(took);
    }

    /// Returns the number of bytes that the next fetch should read first.
    pub(crate) fn record_bytes_hint(&self, layout: Layout) -> usize {
        if !layout.has_extents() {
            return layout.record_bytes(layout.extents(0, 0));
        }
        let average = self.record_bytes.load(Ordering::Relaxed);
        usize::try_from(average).map_or(0, |average| average.max(layout.header_bytes()))
    }

    pub(crate) fn fetched(&self, bytes: usize) {
        // Relaxed and racy on purpose: it is a guess, and any guess is correct.
        let average = self.record_bytes.load(Ordering::Relaxed);
        self.record_bytes.store((average * 7 + bytes as u64).div_ceil(8), Ordering::Relaxed);
    }
}

/// Latencies in classes of powers of two of nanoseconds.
#[derive(Debug)]
struct Latencies([AtomicU64; 64]);

impl Default for Latencies {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Latencies {
    fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.0[nanoseconds.ilog2() as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the upper bound of the class that holds the quantile.
    fn quantile(&self, quantile: f64) -> Duration {
        let counts: Vec<u64> = self.0.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "a quantile of classes is an estimate")]
        let wanted = total as f64 * quantile;
        let mut seen = 0;
        for (class, count) in counts.iter().enumerate() {
            seen += count;
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            if *count > 0 && seen as f64 >= wanted {
                return Duration::from_nanos(1 << (class + 1).min(63));
            }
        }
        Duration::ZERO
    }
}

/// The work of the device under the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DeviceStats {
    /// Reads that completed.
    pub reads: u64,
    /// Bytes read from the device.
    pub read_bytes: u64,
    /// Writes that completed.
    pub writes: u64,
    /// Bytes written to the device.
    pub write_bytes: u64,
    /// Half of the reads took at most this; classes are powers of two.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "read_latency_p50_seconds", serialize_with = "seconds")
    )]
    pub read_latency_p50: Duration,
    /// 99 of 100 reads took at most this.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "read_latency_p99_seconds", serialize_with = "seconds")
    )]
    pub read_latency_p99: Duration,
    /// Half of the writes took at most this.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "write_latency_p50_seconds", serialize_with = "seconds")
    )]
    pub write_latency_p50: Duration,
    /// 99 of 100 writes took at most this.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "write_latency_p99_seconds", serialize_with = "seconds")
    )]
    pub write_latency_p99: Duration,
    /// Bytes that the log holds on the medium.
    pub bytes_stored: u64,
}

impl DeviceStats {
    pub(crate) fn of(counters: &DeviceCounters, bytes_stored: u64) -> Self {
        Self {
            reads: counters.reads.load(Ordering::Relaxed),
            read_bytes: counters.read_bytes.load(Ordering::Relaxed),
            writes: counters.writes.load(Ordering::Relaxed),
            write_bytes: counters.write_bytes.load(Ordering::Relaxed),
            read_latency_p50: counters.read_latency.quantile(0.5),
            read_latency_p99: counters.read_latency.quantile(0.99),
            write_latency_p50: counters.write_latency.quantile(0.5),
            write_latency_p99: counters.write_latency.quantile(0.99),
            bytes_stored,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_bounds_of_their_class() {
        let latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), Duration::ZERO);
        for _ in 0..99 {
            latencies.record(Duration::from_nanos(100));
        }
        latencies.record(Duration::from_micros(100));
        assert_eq!(latencies.quantile(0.5), Duration::from_nanos(128));
        assert_eq!(latencies.quantile(1.0), Duration::from_nanos(131_072));
    }
}

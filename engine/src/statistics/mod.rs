//! Counters that are always on. Each seat counts for itself, and a snapshot adds up all seats.

mod checkpoints;

pub use checkpoints::{CheckpointStats, LastCheckpoint};

use crate::record::Layout;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The counters of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Reads,
    Upserts,
    Modifies,
    Deletes,
    Mutable,
    ReadOnly,
    OnDevice,
    Absent,
    Suspensions,
    Appends,
}

const COUNTERS: usize = Counter::Appends as usize + 1;

/// The counters of one seat; its owner writes them, and any thread may read them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; COUNTERS],
    /// The number of operations that may have changed something, which is the serial number of
    /// sessions.
    serial: AtomicU64,
    /// The word of the phase under which the last such operation began.
    phase: AtomicU64,
}

impl Counters {
    #[inline(always)]
    pub(crate) fn add(&self, counter: Counter, amount: u64) {
        let word = &self.counts[counter as usize];
        // Relaxed, and no atomic addition: only the owner of the seat writes.
        word.store(word.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Ordering::Relaxed)
    }

    /// Numbers an operation, in the stretch in which it takes effect.
    #[inline(always)]
    pub(crate) fn advance(&self) {
        // Relaxed: read during a version barrier (`Cut`), after the owner has left protection.
        self.serial.store(self.serial.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Returns the last noted word of the phase. It is 0 at first, which is no phase.
    #[inline(always)]
    pub(crate) fn phase(&self) -> u64 {
        self.phase.load(Ordering::Relaxed)
    }

    pub(crate) fn note_phase(&self, word: u64) {
        // Relaxed: only the owner of the seat reads it.
        self.phase.store(word, Ordering::Relaxed);
    }

    pub(crate) fn set_serial(&self, serial: u64) {
        self.serial.store(serial, Ordering::Relaxed);
    }

    /// Adds all counts of `other`. No other task uses `self` meanwhile.
    pub(crate) fn absorb(&self, other: &Self) {
        for (into, from) in self.counts.iter().zip(&other.counts) {
            into.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

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

/// The work and the contents of a store at one moment. Counts begin when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The finished operations.
    pub operations: Operations,
    /// The places of the newest record of the key, per finished operation.
    pub hits: Hits,
    /// The number of times that an operation had to wait: for the device, for room, for another
    /// operation.
    pub suspensions: u64,
    /// The number of records appended to the log; the other writes happened in place.
    pub appends: u64,
    /// The bytes of the log by region.
    pub log: LogBytes,
    /// The work of the device.
    pub device: DeviceStats,
    /// The memory by its use, in bytes.
    pub memory: MemoryBytes,
    /// The number of existing sessions and pooled seats.
    pub seats: usize,
    /// The results of checkpoints.
    pub checkpoints: CheckpointStats,
}

/// Finished operations by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operations {
    /// `read`, `read_with`, `contains`, `try_read` and each key of `read_many`.
    pub reads: u64,
    /// `upsert` and each pair of `upsert_many`.
    pub upserts: u64,
    /// `rmw`, `update`, `replace`, `take`, `insert_if_absent`, `compare_and_swap`, `delete_if`,
    /// `compare_and_delete` and each key of `rmw_many`.
    pub modifies: u64,
    /// `delete`.
    pub deletes: u64,
}

/// The places where operations found the newest record of their key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hits {
    /// The record was in memory and updatable in place.
    pub mutable: u64,
    /// The record was in memory, and immutable or about to be.
    pub read_only: u64,
    /// The record was on the device. Blind writes of such keys count here too, although they read
    /// nothing.
    pub on_device: u64,
    /// There was no record of the key.
    pub absent: u64,
}

/// Bytes of the log between its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogBytes {
    /// The bytes that are updatable in place.
    pub mutable: u64,
    /// The bytes that are in memory and no longer updatable.
    pub read_only: u64,
    /// The bytes that are on the device only.
    pub on_device: u64,
}

/// The work of the device under the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    pub read_latency_p50: Duration,
    /// 99 of 100 reads took at most this.
    pub read_latency_p99: Duration,
    /// Half of the writes took at most this.
    pub write_latency_p50: Duration,
    /// 99 of 100 writes took at most this.
    pub write_latency_p99: Duration,
    /// Bytes that the log holds on the medium.
    pub bytes_stored: u64,
}

/// The memory by its use, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryBytes {
    /// The hash index, overflow included.
    pub index: u64,
    /// The page frames of the log.
    pub frames: u64,
    /// Buffers of device operations, in use or kept for the next operation.
    pub buffers: u64,
}

impl Stats {
    pub(crate) fn count(&mut self, counters: &Counters) {
        use Counter as C;
        let Operations { reads, upserts, modifies, deletes } = &mut self.operations;
        let Hits { mutable, read_only, on_device, absent } = &mut self.hits;
        for (sum, counter) in [
            (reads, C::Reads),
            (upserts, C::Upserts),
            (modifies, C::Modifies),
            (deletes, C::Deletes),
            (mutable, C::Mutable),
            (read_only, C::ReadOnly),
            (on_device, C::OnDevice),
            (absent, C::Absent),
            (&mut self.suspensions, C::Suspensions),
            (&mut self.appends, C::Appends),
        ] {
            *sum += counters.sum(counter);
        }
    }
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

    #[test]
    fn seats_add_up() {
        let (first, second) = (Counters::default(), Counters::default());
        first.add(Counter::Reads, 3);
        second.add(Counter::Reads, 4);
        first.absorb(&second);
        let mut stats = Stats::default();
        stats.count(&first);
        assert_eq!(stats.operations.reads, 7);
    }
}

//! Statistics and health as metrics of the crate `metrics`.
//!
//! A call publishes one snapshot to the installed recorder. Nothing is published between calls, so
//! operations cost nothing more. The table of all metrics is in the guide, `guide/running.rs`; a
//! test compares the table with the published metrics.

mod names;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use names::{LOG_ADDRESS, LOG_COMMIT, MEMORY};

use super::checkpoints::CheckpointStats;
use super::device::DeviceStats;
use super::snapshot::{CacheHits, LogBytes, MemoryBytes, OperationCounts, Stats};
use super::space::SpaceStats;
use super::wal::WalStats;
use crate::base::health::{Condition, Health};
use metrics::Label;
use names::{
    APPENDS, CHECKPOINT_AGE, CHECKPOINT_DURATION, CHECKPOINT_FAILED, CHECKPOINTS, COMPACTED,
    COMPACTION_COPIED, CONDITION, DEVICE_READ_BYTES, DEVICE_READ_LATENCY, DEVICE_READS,
    DEVICE_STORED, DEVICE_WRITE_BYTES, DEVICE_WRITE_LATENCY, DEVICE_WRITES, EVICTED, EXPIRED, HITS,
    INDEX_BUCKETS, INDEX_ENTRIES, INDEX_PREFIXES, LOG, LOG_READERS, MEMORY_BUDGET, MEMORY_FLOOR,
    MEMORY_WAITED, MISSES, Metric, OPERATIONS, PROMOTIONS, READ_CACHE_HITS, SCANS, SCANS_NEEDED,
    SEATS, SPACE, SPACE_BUDGET, SPACE_DEBT, SPACE_PINNED, SPACE_REFUSED, SPACE_WAITING,
    SPACE_WAITS, SUSPENSIONS, WAL, WAL_COMMITS, WAL_LATENCY, WAL_STORED, WAL_WRITTEN,
};
use std::time::Duration;

/// A label that a metric adds to the labels of the caller.
type Own = Option<(&'static str, &'static str)>;

/// The way of one snapshot to the installed recorder.
#[derive(Debug)]
pub(crate) struct Publisher<'l> {
    labels: &'l [(&'l str, &'l str)],
}

impl<'l> Publisher<'l> {
    pub(crate) fn new(labels: &'l [(&'l str, &'l str)]) -> Self {
        Self { labels }
    }

    /// Publishes the present sum of a counter. Between openings a counter starts at 0 again.
    pub(crate) fn counter(&self, metric: Metric, own: Own, sum: u64) {
        let Metric { name, unit, text } = metric;
        metrics::describe_counter!(name, unit, text);
        metrics::counter!(name, self.labels(own)).absolute(sum);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is exact up to 2^53")]
    pub(crate) fn gauge(&self, metric: Metric, own: Own, value: u64) {
        self.gauge_of(metric, own, value as f64);
    }

    fn seconds(&self, metric: Metric, own: Own, value: Duration) {
        self.gauge_of(metric, own, value.as_secs_f64());
    }

    fn gauge_of(&self, metric: Metric, own: Own, value: f64) {
        let Metric { name, unit, text } = metric;
        metrics::describe_gauge!(name, unit, text);
        metrics::gauge!(name, self.labels(own)).set(value);
    }

    fn labels(&self, own: Own) -> Vec<Label> {
        let given = self.labels.iter().map(|(key, value)| {
            let (key, value) = ((*key).to_owned(), (*value).to_owned());
            Label::new(key, value)
        });
        given.chain(own.map(|(key, value)| Label::from_static_parts(key, value))).collect()
    }
}

impl Stats {
    /// Needs the feature `metrics`. Publishes the statistics to the installed recorder of the crate
    /// `metrics`, version 0.24.
    ///
    /// A service calls it on each scrape, or in an interval. `labels` are added to each metric, and
    /// distinguish several stores. The guide has a
    /// [table of the metrics](crate::guide::running#metrics).
    ///
    /// ```
    /// # use kvick::config::Backend;
    /// # use kvick::{Config, FasterKv};
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
    /// store.stats().record_metrics(&[("store", "links")]);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn record_metrics(&self, labels: &[(&str, &str)]) {
        let to = Publisher::new(labels);
        self.operations.publish(&to);
        self.hits.publish(&to);
        to.counter(SUSPENSIONS, None, self.suspensions);
        to.counter(APPENDS, None, self.appends);
        to.counter(EXPIRED, None, self.expired);
        to.counter(MISSES, None, self.misses);
        to.counter(PROMOTIONS, None, self.promotions);
        to.gauge(INDEX_ENTRIES, None, self.index.entries);
        to.gauge(INDEX_PREFIXES, None, self.index.prefixes);
        to.gauge(INDEX_BUCKETS, None, self.index.buckets);
        self.log.publish(&to);
        to.gauge(SCANS, None, self.scans.in_progress);
        to.gauge(LOG_READERS, None, self.scans.log_readers);
        to.gauge(SCANS_NEEDED, None, self.scans.needed);
        self.space.publish(&to);
        self.device.publish_reads(&to);
        self.device.publish_writes(&to);
        self.memory.publish(&to);
        to.gauge(SEATS, None, self.seats as u64);
        self.checkpoints.publish(&to);
        if let Some(wal) = &self.wal {
            wal.publish(&to);
        }
    }
}

impl OperationCounts {
    fn publish(&self, to: &Publisher<'_>) {
        to.counter(OPERATIONS, Some(("kind", "read")), self.reads);
        to.counter(OPERATIONS, Some(("kind", "upsert")), self.upserts);
        to.counter(OPERATIONS, Some(("kind", "modify")), self.modifies);
        to.counter(OPERATIONS, Some(("kind", "delete")), self.deletes);
    }
}

impl CacheHits {
    fn publish(&self, to: &Publisher<'_>) {
        to.counter(HITS, Some(("place", "mutable")), self.mutable);
        to.counter(HITS, Some(("place", "read-only")), self.read_only);
        to.counter(HITS, Some(("place", "on-device")), self.on_device);
        to.counter(HITS, Some(("place", "absent")), self.absent);
        to.counter(READ_CACHE_HITS, None, self.read_cache);
    }
}

impl LogBytes {
    fn publish(&self, to: &Publisher<'_>) {
        to.gauge(LOG, Some(("region", "mutable")), self.mutable);
        to.gauge(LOG, Some(("region", "read-only")), self.read_only);
        to.gauge(LOG, Some(("region", "on-device")), self.on_device);
    }
}

impl SpaceStats {
    fn publish(&self, to: &Publisher<'_>) {
        if let Some(budget) = self.budget {
            to.gauge(SPACE_BUDGET, None, budget);
        }
        to.gauge(SPACE, Some(("of", "files")), self.used_bytes);
        to.gauge(SPACE, Some(("of", "live-records")), self.live_bytes);
        to.gauge(SPACE, Some(("of", "dead-records")), self.dead_bytes);
        to.gauge(SPACE_PINNED, None, self.pinned_bytes);
        to.gauge(SPACE_DEBT, None, self.debt_bytes);
        to.gauge(SPACE_WAITING, None, self.waiting);
        to.counter(SPACE_WAITS, None, self.waits);
        to.counter(SPACE_REFUSED, None, self.refused);
        to.counter(COMPACTED, None, self.compacted_bytes);
        to.counter(COMPACTION_COPIED, None, self.copied_bytes);
        to.counter(EVICTED, None, self.evicted_bytes);
    }
}

impl DeviceStats {
    fn publish_reads(&self, to: &Publisher<'_>) {
        to.counter(DEVICE_READS, None, self.reads);
        to.counter(DEVICE_READ_BYTES, None, self.read_bytes);
        to.seconds(DEVICE_READ_LATENCY, Some(("quantile", "0.5")), self.read_latency_p50);
        to.seconds(DEVICE_READ_LATENCY, Some(("quantile", "0.99")), self.read_latency_p99);
    }

    pub(crate) fn publish_writes(&self, to: &Publisher<'_>) {
        to.counter(DEVICE_WRITES, None, self.writes);
        to.counter(DEVICE_WRITE_BYTES, None, self.write_bytes);
        to.seconds(DEVICE_WRITE_LATENCY, Some(("quantile", "0.5")), self.write_latency_p50);
        to.seconds(DEVICE_WRITE_LATENCY, Some(("quantile", "0.99")), self.write_latency_p99);
        to.gauge(DEVICE_STORED, None, self.bytes_stored);
    }
}

impl MemoryBytes {
    fn publish(&self, to: &Publisher<'_>) {
        to.gauge(MEMORY, Some(("use", "index")), self.index);
        to.gauge(MEMORY, Some(("use", "frames")), self.frames);
        to.gauge(MEMORY, Some(("use", "buffers")), self.buffers);
        to.gauge(MEMORY, Some(("use", "read-cache")), self.read_cache);
        to.gauge(MEMORY, Some(("use", "sessions")), self.sessions);
        to.gauge(MEMORY, Some(("use", "waits")), self.waits);
        to.gauge(MEMORY_BUDGET, None, self.budget);
        to.gauge(MEMORY_FLOOR, None, self.floor);
        to.counter(MEMORY_WAITED, None, self.waited);
    }
}

impl CheckpointStats {
    fn publish(&self, to: &Publisher<'_>) {
        to.counter(CHECKPOINTS, Some(("outcome", "taken")), self.taken);
        to.counter(CHECKPOINTS, Some(("outcome", "failed")), self.failed);
        if let Some(last) = &self.last {
            to.seconds(CHECKPOINT_AGE, None, last.ago);
            to.seconds(CHECKPOINT_DURATION, None, last.took);
        }
    }
}

impl WalStats {
    fn publish(&self, to: &Publisher<'_>) {
        to.gauge(WAL, Some(("part", "kept")), self.kept_bytes);
        to.gauge(WAL, Some(("part", "to-replay")), self.replay_bytes);
        to.gauge(WAL, Some(("part", "uncommitted")), self.uncommitted_bytes);
        to.gauge(WAL_COMMITS, None, self.commits);
        to.gauge(MEMORY, Some(("use", "wal")), self.memory_bytes);
        to.counter(WAL_WRITTEN, None, self.device.write_bytes);
        to.seconds(WAL_LATENCY, Some(("quantile", "0.5")), self.device.write_latency_p50);
        to.seconds(WAL_LATENCY, Some(("quantile", "0.99")), self.device.write_latency_p99);
        to.gauge(WAL_STORED, None, self.device.bytes_stored);
    }
}

impl Health {
    /// Needs the feature `metrics`. Publishes the health to the installed recorder of the crate
    /// `metrics`, version 0.24.
    ///
    /// It is called like [`Stats::record_metrics`](crate::stats::Stats::record_metrics).
    pub fn record_metrics(&self, labels: &[(&str, &str)]) {
        let to = Publisher::new(labels);
        for condition in CONDITIONS {
            let is_present = u64::from(self.condition == condition);
            to.gauge(CONDITION, Some(("condition", condition.name())), is_present);
        }
        to.gauge(CHECKPOINT_FAILED, None, u64::from(self.checkpoint.is_some()));
    }
}

const CONDITIONS: [Condition; 6] = [
    Condition::Sound,
    Condition::Full,
    Condition::Unavailable,
    Condition::ReadOnly,
    Condition::Poisoned,
    Condition::Closed,
];

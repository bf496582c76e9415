//! The names, units and descriptions of the metrics.

use metrics::Unit;

/// A metric: its name, its unit and its description.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) text: &'static str,
}

pub(super) const OPERATIONS: Metric =
    Metric { name: "kvick_operations_total", unit: Unit::Count, text: "finished operations" };
pub(super) const HITS: Metric = Metric {
    name: "kvick_hits_total",
    unit: Unit::Count,
    text: "place of the newest record, per operation",
};
pub(super) const SUSPENSIONS: Metric =
    Metric { name: "kvick_suspensions_total", unit: Unit::Count, text: "waits of operations" };
pub(super) const APPENDS: Metric =
    Metric { name: "kvick_appends_total", unit: Unit::Count, text: "records appended to the log" };
pub(super) const EXPIRED: Metric = Metric {
    name: "kvick_expired_total",
    unit: Unit::Count,
    text: "reads that found an expired record",
};
pub(super) const MISSES: Metric =
    Metric { name: "kvick_misses_total", unit: Unit::Count, text: "reads that found no value" };
pub(super) const PROMOTIONS: Metric = Metric {
    name: "kvick_promotions_total",
    unit: Unit::Count,
    text: "records that reads of a cache moved to the front",
};
pub(super) const READ_CACHE_HITS: Metric = Metric {
    name: "kvick_read_cache_hits_total",
    unit: Unit::Count,
    text: "records on the device that the read cache had",
};
pub(super) const LOG: Metric =
    Metric { name: "kvick_log_bytes", unit: Unit::Bytes, text: "log of a store by region" };
pub(super) const SCANS: Metric =
    Metric { name: "kvick_scans", unit: Unit::Count, text: "scans in progress" };
pub(super) const LOG_READERS: Metric =
    Metric { name: "kvick_log_readers", unit: Unit::Count, text: "readers of the log" };
pub(super) const SCANS_NEEDED: Metric = Metric {
    name: "kvick_scans_needed_bytes",
    unit: Unit::Bytes,
    text: "end of the log that a scan or reader may still read",
};
pub(super) const SPACE_BUDGET: Metric = Metric {
    name: "kvick_space_budget_bytes",
    unit: Unit::Bytes,
    text: "budget of the device, if there is one",
};
pub(super) const SPACE: Metric =
    Metric { name: "kvick_space_bytes", unit: Unit::Bytes, text: "space on the device" };
pub(super) const SPACE_DEBT: Metric = Metric {
    name: "kvick_space_debt_bytes",
    unit: Unit::Bytes,
    text: "bytes that compaction has yet to free",
};
pub(super) const SPACE_WAITING: Metric = Metric {
    name: "kvick_space_waiting",
    unit: Unit::Count,
    text: "writers that wait for space within the budget",
};
pub(super) const SPACE_WAITS: Metric = Metric {
    name: "kvick_space_waits_total",
    unit: Unit::Count,
    text: "waits for space within the budget",
};
pub(super) const SPACE_REFUSED: Metric = Metric {
    name: "kvick_space_refused_total",
    unit: Unit::Count,
    text: "such waits that ended with an error",
};
pub(super) const SPACE_PINNED: Metric = Metric {
    name: "kvick_space_pinned_bytes",
    unit: Unit::Bytes,
    text: "log before its begin that checkpoints need",
};
pub(super) const COMPACTED: Metric = Metric {
    name: "kvick_compacted_bytes_total",
    unit: Unit::Bytes,
    text: "log that was compacted",
};
pub(super) const COMPACTION_COPIED: Metric = Metric {
    name: "kvick_compaction_copied_bytes_total",
    unit: Unit::Bytes,
    text: "records that compaction copied",
};
pub(super) const EVICTED: Metric = Metric {
    name: "kvick_evicted_bytes_total",
    unit: Unit::Bytes,
    text: "log that a cache has dropped",
};
pub(super) const DEVICE_READS: Metric = Metric {
    name: "kvick_device_reads_total",
    unit: Unit::Count,
    text: "completed reads of the device",
};
pub(super) const DEVICE_READ_BYTES: Metric = Metric {
    name: "kvick_device_read_bytes_total",
    unit: Unit::Bytes,
    text: "bytes read from the device",
};
pub(super) const DEVICE_READ_LATENCY: Metric = Metric {
    name: "kvick_device_read_latency_seconds",
    unit: Unit::Seconds,
    text: "latency of reads, an upper bound",
};
pub(super) const DEVICE_WRITES: Metric = Metric {
    name: "kvick_device_writes_total",
    unit: Unit::Count,
    text: "completed writes of the device",
};
pub(super) const DEVICE_WRITE_BYTES: Metric = Metric {
    name: "kvick_device_write_bytes_total",
    unit: Unit::Bytes,
    text: "bytes written to the device",
};
pub(super) const DEVICE_WRITE_LATENCY: Metric = Metric {
    name: "kvick_device_write_latency_seconds",
    unit: Unit::Seconds,
    text: "latency of writes, an upper bound",
};
pub(super) const DEVICE_STORED: Metric = Metric {
    name: "kvick_device_stored_bytes",
    unit: Unit::Bytes,
    text: "bytes that the log holds on the medium",
};
pub(super) const INDEX_ENTRIES: Metric = Metric {
    name: "kvick_index_entries",
    unit: Unit::Count,
    text: "about how many entries the hash index has",
};
pub(super) const INDEX_PREFIXES: Metric = Metric {
    name: "kvick_index_prefixes",
    unit: Unit::Count,
    text: "limit of the entries of the hash index",
};
pub(super) const INDEX_BUCKETS: Metric =
    Metric { name: "kvick_index_buckets", unit: Unit::Count, text: "buckets of the hash index" };
pub(crate) const MEMORY: Metric =
    Metric { name: "kvick_memory_bytes", unit: Unit::Bytes, text: "memory by its use" };
pub(super) const MEMORY_BUDGET: Metric =
    Metric { name: "kvick_memory_budget_bytes", unit: Unit::Bytes, text: "limit of the memory" };
pub(super) const MEMORY_FLOOR: Metric =
    Metric { name: "kvick_memory_floor_bytes", unit: Unit::Bytes, text: "smallest possible limit" };
pub(super) const MEMORY_WAITED: Metric = Metric {
    name: "kvick_memory_waited_total",
    unit: Unit::Count,
    text: "reads that waited for buffers",
};
pub(super) const SEATS: Metric =
    Metric { name: "kvick_seats", unit: Unit::Count, text: "existing sessions and pooled seats" };
pub(super) const CHECKPOINTS: Metric =
    Metric { name: "kvick_checkpoints_total", unit: Unit::Count, text: "ended checkpoints" };
pub(super) const CHECKPOINT_AGE: Metric = Metric {
    name: "kvick_last_checkpoint_age_seconds",
    unit: Unit::Seconds,
    text: "time since the last one ended or failed",
};
pub(super) const CHECKPOINT_DURATION: Metric = Metric {
    name: "kvick_last_checkpoint_duration_seconds",
    unit: Unit::Seconds,
    text: "duration of the last checkpoint",
};
pub(super) const CONDITION: Metric = Metric {
    name: "kvick_condition",
    unit: Unit::Count,
    text: "1 for the present condition, else 0",
};
pub(super) const CHECKPOINT_FAILED: Metric = Metric {
    name: "kvick_checkpoint_failed",
    unit: Unit::Count,
    text: "1 if the last checkpoint failed, else 0",
};

pub(crate) const LOG_ADDRESS: Metric =
    Metric { name: "kvick_log_address_bytes", unit: Unit::Bytes, text: "addresses of a log" };
pub(crate) const LOG_COMMIT: Metric = Metric {
    name: "kvick_log_commit_number",
    unit: Unit::Count,
    text: "number of the newest durable commit",
};
pub(super) const WAL: Metric =
    Metric { name: "kvick_wal_bytes", unit: Unit::Bytes, text: "entries of the write-ahead log" };
pub(super) const WAL_COMMITS: Metric = Metric {
    name: "kvick_wal_commits",
    unit: Unit::Count,
    text: "commits since the write-ahead log was created",
};
pub(super) const WAL_WRITTEN: Metric = Metric {
    name: "kvick_wal_written_bytes_total",
    unit: Unit::Bytes,
    text: "bytes written to its device",
};
pub(super) const WAL_LATENCY: Metric = Metric {
    name: "kvick_wal_write_latency_seconds",
    unit: Unit::Seconds,
    text: "latency of its writes",
};
pub(super) const WAL_STORED: Metric = Metric {
    name: "kvick_wal_stored_bytes",
    unit: Unit::Bytes,
    text: "bytes that it holds on the medium",
};

//! The statistics of a store at one moment.

use super::checkpoints::CheckpointStats;
use super::counters::{Counter, Counters};
use super::device::DeviceStats;
use super::space::SpaceStats;
use super::wal::WalStats;

/// The work and the contents of a store at one moment. Counts begin when it was opened.
///
/// The text is a table for people. With the feature `serde` statistics can be serialized: in the
/// structure and with the names of the fields. A duration is a number of seconds, and its name ends
/// with `_seconds`; the `error` of a checkpoint has a `kind` and a `message`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// The finished operations.
    pub operations: OperationCounts,
    /// The places of the newest record of the key, per finished operation.
    pub hits: CacheHits,
    /// The number of times that an operation had to wait: for the device, for room, for another
    /// operation.
    pub suspensions: u64,
    /// The number of reads that found an expired record, and so no value.
    pub expired: u64,
    /// The number of reads that found no value.
    pub misses: u64,
    /// The number of old records that reads of a [cache](crate::Config::cache) moved to the front.
    pub promotions: u64,
    /// The number of records appended to the log; the other writes happened in place.
    pub appends: u64,
    /// The entries and the size of the hash index.
    pub index: IndexStats,
    /// The bytes of the log by region.
    pub log: LogBytes,
    /// The scans in progress.
    pub scans: ScanStats,
    /// The work of the device.
    pub device: DeviceStats,
    /// The memory by its use, in bytes.
    pub memory: MemoryBytes,
    /// The number of existing sessions and pooled seats.
    pub seats: usize,
    /// The results of checkpoints.
    pub checkpoints: CheckpointStats,
    /// The space of the log, and its compaction.
    pub space: SpaceStats,
    /// The write-ahead log, if the store has one.
    pub wal: Option<WalStats>,
}

/// Finished operations by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OperationCounts {
    /// `read`, `read_with`, `contains`, `try_read`, `expiry` and each key of `read_many`.
    pub reads: u64,
    /// `upsert`, `upsert_with` and each pair of `upsert_many`.
    pub upserts: u64,
    /// `rmw`, `update`, `replace`, `take`, `insert_if_absent`, `compare_and_swap`, `delete_if`,
    /// `compare_and_delete`, `insert_with`, `update_with`, `set_expiry`, `persist`, and each key of
    /// `rmw_many` and `insert_many`.
    pub modifies: u64,
    /// `delete` and each key of `delete_many`.
    pub deletes: u64,
}

/// The places where operations found the newest record of their key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CacheHits {
    /// The record was in memory and updatable in place.
    pub mutable: u64,
    /// The record was in memory, and immutable or about to be.
    pub read_only: u64,
    /// The record was on the device. Blind writes of such keys count here too, although they read
    /// nothing.
    pub on_device: u64,
    /// The lookups that the [read cache](crate::Config::read_cache) answered, with a record or with
    /// the fact that there is none, in place of reads of the device. Their operations count in
    /// another field too, mostly `on_device`.
    pub read_cache: u64,
    /// There was no record of the key.
    pub absent: u64,
}

/// The hash index at one moment. Its bytes are in [`MemoryBytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct IndexStats {
    /// About how many entries there are: one for each live or deleted key of the log, unless keys
    /// share an entry, or a key was deleted while its only record was in memory.
    pub entries: u64,
    /// The limit of entries, which bounds the memory of the index. It is fixed when a store is
    /// created. With half as many keys a fifth of them share the entry of another key, with as many
    /// keys over a third.
    pub prefixes: u64,
    /// The number of buckets. It follows the entries, eleven or twelve a bucket.
    pub buckets: u64,
}

/// Bytes of the log between its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LogBytes {
    /// The bytes that are updatable in place.
    pub mutable: u64,
    /// The bytes that are in memory and no longer updatable.
    pub read_only: u64,
    /// The bytes that are on the device only.
    pub on_device: u64,
}

/// The scans and the readers of the log in progress, leaked ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ScanStats {
    /// The number of scans that have their moment and have not ended.
    pub in_progress: u64,
    /// The number of readers of the log that have not ended: `log_records` and `subscribe`.
    pub log_readers: u64,
    /// The bytes at the end of the log that one of them may still read. A scan or reader that is
    /// paused or leaked keeps this number high.
    pub needed: u64,
}

/// The memory by its use, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MemoryBytes {
    /// The hash index, overflow included.
    pub index: u64,
    /// The page frames of the log, as many as may be in memory.
    pub frames: u64,
    /// Buffers of device operations, in use or kept for the next operation.
    pub buffers: u64,
    /// The [read cache](crate::Config::read_cache).
    pub read_cache: u64,
    /// Sessions, and seats for operations on handles.
    pub sessions: u64,
    /// Operations that wait for the device, with their buffers, an estimate, which take the share
    /// of the buffers first; records that compaction has gathered, to look them up on the device
    /// together; and what it knows of newer records, in a store that compacts by itself.
    pub waits: u64,
    /// The limit of all of this together: [`Config::memory`](crate::Config::memory), or the memory
    /// that [`set_memory`](crate::FasterKv::set_memory) has set since.
    ///
    /// A store whose floor is above its budget takes more than the budget, and logs a warning. This
    /// follows an opening with little memory, or more keys or sessions than the budget has room for
    /// since it came down. It ends when the index has shrunk, or when `set_memory` has set more.
    pub budget: u64,
    /// The smallest budget that `set_memory` accepts now.
    ///
    /// It is the index, the sessions, the buffers, and an eighth of the new budget for pages, at
    /// least two pages. It grows with the keys: add some room to it.
    pub floor: u64,
    /// The number of reads of the device that waited until others had returned their buffers.
    pub waited: u64,
}

impl Stats {
    /// Returns the share of reads that found a value, from 0.0 to 1.0. Returns `None` before the
    /// first read.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # kvick::runtime::block_on(async {
    /// let cache: FasterKv<u64, u64> = FasterKv::open("", Config::cache()).await?;
    /// for key in [1, 1, 1, 2] {
    ///     cache.get_or_insert_with(&key, async || key).await?;
    /// }
    /// assert_eq!(cache.stats().hit_ratio(), Some(0.5));
    /// # cache.close().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        hit_ratio(self.operations.reads, self.misses)
    }

    pub(crate) fn count(&mut self, counters: &Counters) {
        self.operations.count(counters);
        self.hits.count(counters);
        counters.add_to([
            (&mut self.suspensions, Counter::Suspensions),
            (&mut self.expired, Counter::Expired),
            (&mut self.misses, Counter::Misses),
            (&mut self.promotions, Counter::Promotions),
            (&mut self.appends, Counter::Appends),
        ]);
    }
}

/// Returns the share of reads that found a value, if there were reads.
#[expect(clippy::cast_precision_loss, reason = "a ratio of large counts")]
fn hit_ratio(reads: u64, misses: u64) -> Option<f64> {
    let found = reads.saturating_sub(misses);
    (reads > 0).then(|| found as f64 / reads as f64)
}

impl OperationCounts {
    fn count(&mut self, counters: &Counters) {
        counters.add_to([
            (&mut self.reads, Counter::Reads),
            (&mut self.upserts, Counter::Upserts),
            (&mut self.modifies, Counter::Modifies),
            (&mut self.deletes, Counter::Deletes),
        ]);
    }
}

impl CacheHits {
    fn count(&mut self, counters: &Counters) {
        counters.add_to([
            (&mut self.mutable, Counter::Mutable),
            (&mut self.read_only, Counter::ReadOnly),
            (&mut self.on_device, Counter::OnDevice),
            (&mut self.read_cache, Counter::ReadCache),
            (&mut self.absent, Counter::Absent),
        ]);
    }
}

/// The work of the operations on one table. Counts begin when the store was opened.
///
/// [`Stats`] has the sums of all tables, those of dropped tables too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TableStats {
    /// The finished operations.
    pub operations: OperationCounts,
    /// The places of the newest record of the key, per finished operation.
    pub hits: CacheHits,
    /// The number of times that an operation had to wait: for the device, for room, for another
    /// operation.
    pub suspensions: u64,
    /// The number of reads that found an expired record, and so no value.
    pub expired: u64,
    /// The number of reads that found no value.
    pub misses: u64,
    /// The number of records that were appended to the log: new keys, tombstones, changes that did
    /// not take place in memory, and old records that reads of a [cache](crate::Config::cache)
    /// moved to the front.
    pub appended_records: u64,
    /// The bytes of these records, without the pieces of long values.
    pub appended_bytes: u64,
    /// The removals that have left something to compact: those of keys that were not known to be
    /// absent.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) removals: u64,
}

impl TableStats {
    /// Returns the share of reads that found a value, as [`Stats::hit_ratio`] does.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        hit_ratio(self.operations.reads, self.misses)
    }

    pub(crate) fn count(&mut self, counters: &Counters) {
        self.operations.count(counters);
        self.hits.count(counters);
        counters.add_to([
            (&mut self.suspensions, Counter::Suspensions),
            (&mut self.expired, Counter::Expired),
            (&mut self.misses, Counter::Misses),
            (&mut self.appended_bytes, Counter::AppendedBytes),
            (&mut self.removals, Counter::Removals),
        ]);
        self.appended_records += counters.sum(Counter::Appends) + counters.sum(Counter::Promotions);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

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

//! Statistics of compaction.

/// The space of the log, and the compaction since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SpaceStats {
    /// The bytes before the begin of the log that kept checkpoints need, or whose files are not
    /// deleted yet.
    pub pinned_bytes: u64,
    /// The number of rounds of compaction.
    pub rounds: u64,
    /// The number of rounds that failed. The warning in the traces has the reason, and a request
    /// by hand gets it.
    pub failed: u64,
    /// The bytes of log that were compacted.
    pub compacted_bytes: u64,
    /// The number of records that were copied to the end of the log.
    pub copied_records: u64,
    /// The bytes of these records.
    pub copied_bytes: u64,
    /// The number of records that are gone.
    pub dropped_records: u64,
    /// The bytes of log that a [cache](crate::Config::cache) has dropped.
    pub evicted_bytes: u64,
}

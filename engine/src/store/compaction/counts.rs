//! Counts of one round of compaction.

/// The work of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// The bytes of log that were compacted.
    pub(crate) source_bytes: u64,
    pub(crate) copied_records: u64,
    pub(crate) copied_bytes: u64,
    pub(crate) dropped_records: u64,
}

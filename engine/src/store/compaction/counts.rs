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

impl Round {
    /// Adds the work of another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.source_bytes += other.source_bytes;
        self.copied_records += other.copied_records;
        self.copied_bytes += other.copied_bytes;
        self.dropped_records += other.dropped_records;
    }
}

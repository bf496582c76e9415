//! Statistics of the space on the device, and of compaction.

/// The space of a store on its device, and the compaction since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SpaceStats {
    /// The budget, [`Config::disk`](crate::Config::disk).
    pub budget: Option<u64>,
    /// The bytes of all files: of the log, and of the files beside it when a checkpoint last ended.
    /// Without a budget only the files of the log count.
    pub used_bytes: u64,
    /// The estimate of the bytes of the log that are still needed: the entries of the index, with
    /// records as long as those that recent rounds of compaction have copied, or the share that
    /// these rounds have found, if that is more. Rounds of earlier openings count. Before the first
    /// round it is the whole log, and in a store that never compacted by itself. Keys that have
    /// expired, and cold keys that were deleted, may count until a round meets them. Values in
    /// pieces, and keys that share an entry, may count too little.
    pub live_bytes: u64,
    /// The rest of the log by the same estimate: compaction can free it.
    pub dead_bytes: u64,
    /// The bytes before the begin of the log that kept checkpoints need, or whose files are not
    /// deleted yet.
    pub pinned_bytes: u64,
    /// The bytes by which too little of the budget is left, or the log is beyond its space ratio.
    /// Compaction works while it is not 0.
    pub debt_bytes: u64,
    /// The number of writers that wait for space within the budget, or for their turn while
    /// compaction makes some.
    pub waiting: u64,
    /// The number of such waits so far.
    pub waits: u64,
    /// The number of such waits that ended with an error.
    pub refused: u64,
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

impl SpaceStats {
    /// Returns how many times the live bytes the files take, by the estimate of
    /// [`live_bytes`](Self::live_bytes). It is 1 for an empty store. An estimate is no basis for
    /// alarms: watch [`waiting`](Self::waiting) and [`refused`](Self::refused) instead.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.live_bytes == 0 {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio of estimates is an estimate")]
        let ratio = self.used_bytes as f64 / self.live_bytes as f64;
        ratio
    }
}

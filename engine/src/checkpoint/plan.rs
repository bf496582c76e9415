//! The plan of a checkpoint: its kind, and what it has and survives.

use crate::base::error::{Error, Result};
use crate::base::kinds::{CheckpointKind, Durability, check_cookie};
use crate::statistics::{OperationCounts, Stats};

/// The options of a checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointPlan {
    pub(crate) kind: CheckpointKind,
    pub(crate) index: IndexWish,
    pub(crate) durability: Durability,
    /// Bytes of the caller that the checkpoint keeps.
    pub(crate) cookie: Vec<u8>,
}

/// The choice whether to write an image of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexWish {
    /// Only if the log has grown since the last image by at least the bytes of a new image.
    IfWorthwhile,
    Always,
    Never,
}

impl CheckpointPlan {
    /// Refuses a cookie that is too long, or that no checkpoint would keep.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn check(&self) -> Result<()> {
        if self.kind == CheckpointKind::IndexOnly && !self.cookie.is_empty() {
            let what = "an image of the index keeps no cookie; take another kind of checkpoint";
            return Err(Error::invalid(what));
        }
        check_cookie(&self.cookie)
    }

    /// Returns the default plan for this kind of checkpoint.
    pub(crate) fn full(kind: CheckpointKind) -> Self {
        let (index, durability) = (IndexWish::IfWorthwhile, Durability::PowerCut);
        Self { kind, index, durability, cookie: Vec::new() }
    }
}

/// The work of a store since it was opened, and the sizes of its log: all that the choice of a kind
/// depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// The number of writes.
    writes: u64,
    /// The number of operations that found their record in memory.
    hits: u64,
    /// The bytes of the log, and of its memory.
    log: u64,
    memory: u64,
}

/// A log that has less than this many times its memory is never folded over by choice. With more, a
/// fold-over makes at most one record in four immutable.
const MEMORIES: u64 = 4;
/// A fold-over is chosen only if at most one operation for this many writes found its record in
/// memory. If all of these append because of the fold-over, the log grows by an eighth more.
const WRITES: u64 = 8;

impl Work {
    pub(super) fn of(stats: &Stats) -> Self {
        let OperationCounts { upserts, modifies, deletes, .. } = stats.operations;
        Self {
            writes: upserts + modifies + deletes,
            hits: stats.hits.mutable + stats.hits.read_only,
            log: stats.log.mutable + stats.log.read_only + stats.log.on_device,
            memory: stats.memory.frames,
        }
    }

    /// Returns the kind of an automatic checkpoint after this work, if `last` was the work at the
    /// last checkpoint.
    ///
    /// An incremental checkpoint leaves the log mutable, so no record is copied because of it. It
    /// writes new records beside the log, and they are written into the log later. That is wasted
    /// if no operation finds them while they are in memory, as in a load of a store that is far
    /// larger than its memory.
    pub(super) fn kind_after(&self, last: &Self) -> CheckpointKind {
        // The counts of tasks are read one after the other.
        let writes = self.writes.saturating_sub(last.writes);
        let hits = self.hits.saturating_sub(last.hits);
        let is_memory_unused = writes > 0 && hits <= writes / WRITES;
        let is_far_larger = self.log / MEMORIES >= self.memory;
        if is_memory_unused && is_far_larger {
            CheckpointKind::FoldOver
        } else {
            CheckpointKind::Incremental
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn records_stay_mutable_unless_memory_is_of_no_use() {
        use CheckpointKind::{FoldOver, Incremental};
        let last = Work { writes: 50, hits: 1000, log: 0, memory: 100 };
        for (writes, hits, log, expected) in [
            // All in memory: a load, and changes.
            (800, 0, 90, Incremental),
            (800, 800, 90, Incremental),
            // Larger than memory, but not by far.
            (800, 0, 399, Incremental),
            // Far larger: a load, writes that rarely meet memory, and more and more that do.
            (800, 0, 400, FoldOver),
            (800, 100, 400, FoldOver),
            (800, 101, 400, Incremental),
            (800, 800, 4000, Incremental),
            // Reads of what is in memory count, too: they may become changes.
            (10, 500, 4000, Incremental),
            // Only compaction has appended anything.
            (0, 0, 4000, Incremental),
        ] {
            let now = Work { writes: 50 + writes, hits: 1000 + hits, log, memory: 100 };
            assert_eq!(now.kind_after(&last), expected, "{writes} {hits} {log}");
        }
    }
}

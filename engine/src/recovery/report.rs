//! The report of a recovery.

use crate::checkpoint::CheckpointToken;
use crate::store::sessions::identity::{CommitPoint, SessionId};
use crate::store::sessions::points::Points;
use std::collections::BTreeMap;
use std::time::Duration;

/// The result of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The checkpoint that was recovered. `None` if the store started empty: it had no checkpoint,
    /// or only damaged checkpoints that need not survive a power cut.
    pub chosen: Option<CheckpointToken>,
    /// The newer checkpoints that were not used, and the reasons.
    pub rejected: Vec<(CheckpointToken, String)>,
    /// Whether the copy of the manifest was used, because the manifest was damaged or missing.
    pub from_copy: bool,
    /// The sessions with more operations in rejected checkpoints. These operations are lost.
    /// Contains only commit points that can still be read.
    pub lost: BTreeMap<SessionId, LostOperations>,
    /// The commit points of sessions in the chosen checkpoint.
    pub sessions: BTreeMap<SessionId, CommitPoint>,
    /// The number of bytes of log that were read to complete the index, or to fill memory.
    pub replayed_bytes: u64,
    /// The number of records that were put into the index.
    pub replayed_records: u64,
    /// The number of bytes that were read of the image of the index and of files of commit points.
    pub image_bytes: u64,
    /// The duration of the recovery.
    pub took: Duration,
}

/// The operations of a session that are in a rejected checkpoint, and not in the chosen checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostOperations {
    /// The serial number of the first lost operation.
    pub first: u64,
    /// The serial number of the last lost operation.
    pub last: u64,
}

/// The progress of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryProgress {
    /// The number of bytes read so far.
    pub bytes: u64,
    /// The number of all bytes to read.
    pub total: u64,
}

impl RecoveryReport {
    /// Records that `chosen` is served in place of `rejected`.
    pub(super) fn note_lost(&mut self, rejected: &Points, chosen: &Points) {
        let chosen = chosen.all();
        for (id, point) in &rejected.all() {
            let kept = chosen.get(id).map_or(0, |point| point.until);
            if kept < point.until {
                let first = kept + 1;
                let lost = self.lost.entry(*id).or_insert(LostOperations { first, last: 0 });
                lost.last = lost.last.max(point.until);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A commit point said that a session had done all operations that there are numbers for, and
    /// the number of the next one overflowed. A fuzz target forged that point.
    #[test]
    fn a_session_without_a_next_number_loses_nothing() {
        let point = |until| {
            let mut points = Points::default();
            let point = CommitPoint { until, ..CommitPoint::default() };
            points.set(SessionId::new(1, 1), &point);
            points
        };
        let mut report = RecoveryReport::default();
        report.note_lost(&point(9), &point(u64::MAX));
        assert!(report.lost.is_empty());
        report.note_lost(&point(u64::MAX), &point(9));
        let lost = report.lost.values().next().expect("a session lost operations");
        assert_eq!((lost.first, lost.last), (10, u64::MAX));
    }
}

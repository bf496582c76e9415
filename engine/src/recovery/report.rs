//! What recovery found and did.

use crate::checkpoint::CheckpointToken;
use crate::store::identity::{CommitPoint, SessionId};
use crate::store::points::Points;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a store came back when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The checkpoint whose state this is; `None` if none had ever been taken: then the store began
    /// empty.
    pub chosen: Option<CheckpointToken>,
    /// Newer checkpoints that were not used, and why.
    pub rejected: Vec<(CheckpointToken, String)>,
    /// Whether the manifest was damaged, and its copy was used.
    pub from_copy: bool,
    /// Sessions of which the rejected checkpoints had more: their operations in between are lost.
    /// As far as what they had can still be read.
    pub lost: BTreeMap<SessionId, LostOperations>,
    /// What the chosen checkpoint has of each session.
    pub sessions: BTreeMap<SessionId, CommitPoint>,
    /// Bytes of log that were gone through to complete the index, or to fill memory.
    pub replayed_bytes: u64,
    /// Records that were put into the index.
    pub replayed_records: u64,
    /// Bytes of the image of the index, and of files beside the log, that were read.
    pub image_bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// Operations of a session that a rejected checkpoint had and the chosen one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostOperations {
    /// The first one lost, by serial number.
    pub first: u64,
    /// The last one lost.
    pub last: u64,
}

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryProgress {
    /// Bytes read so far.
    pub bytes: u64,
    /// Bytes to be read in all.
    pub total: u64,
}

impl RecoveryReport {
    /// Notes that what is in `chosen` is served in place of what was in `rejected`.
    pub(super) fn note_lost(&mut self, rejected: &Points, chosen: &Points) {
        let chosen = chosen.all();
        for (id, point) in &rejected.all() {
            let first = chosen.get(id).map_or(0, |point| point.until) + 1;
            if first <= point.until {
                let lost = self.lost.entry(*id).or_insert(LostOperations { first, last: 0 });
                lost.last = lost.last.max(point.until);
            }
        }
    }
}

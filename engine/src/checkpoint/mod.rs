//! Requests for checkpoints, their progress and their results.
//!
//! Await [`FasterKv::checkpoint`](crate::FasterKv::checkpoint) to take a checkpoint, or set its
//! options in the [`Request`] first. The guide explains [durability](crate::guide::durability).

// Checkpoints: they make a version of the store durable while operations continue.
//
// # Phases
// ```text
//   index          cut                     capture                 publish
//   image of ----> no change for an ----> log, or parts, ---sync---> manifest.new -> manifest
//   the index      instant: address,      written and                (one rename)
//   (fuzzy)        commit points          synced
// ```
//
// * The *index image* is written first, while operations continue, if it is worth its bytes.
//   Otherwise the checkpoint uses the image of an earlier checkpoint. The image is fuzzy. Recovery
//   reads the records from the start of the image up to the end of the version. It lets each entry
//   lead to the newest record.
// * The *version barrier* (`store/system_state.rs`) ends the version. The end of a version is
//   an address of the log.
// * The *capture* writes the log below that address to the device. *Fold-over*: the log becomes
//   read-only up to the address and is flushed. *Snapshot*: the log in memory is frozen, written
//   to a file beside the log, and then mutable again. *Incremental*: like a snapshot, of the new
//   records and of the records that have changed since the last one. Changes of many commit points
//   also go to a file (`points`). The driver chooses one of these if none was asked for (`plan`).
// * *Publishing* replaces the manifest. Before that the checkpoint does not exist; afterwards it
//   is the newest.
//
// # The driver
// One driver takes checkpoints, one job at a time. It is an `async fn` of the maintenance task. A
// request is submitted as a job (`jobs`) and answered through a channel. So a checkpoint continues
// if its future is dropped. A failure before publication leaves the store as it was, in a later
// version.
//
// # Invariants
// 1. An answered checkpoint is durable as its `Durability` says (`checkpoint_files`, invariant 1).
// 2. Every exit thaws the frozen records and ends the barrier.
// 3. Tokens are numbers that only grow; the token of a checkpoint is the version that it ends.
// 4. The newest checkpoint is never removed, nor the last one that survives power cuts.

mod driver;
pub(crate) mod files;
mod jobs;
mod maintenance;
mod outcome;
mod plan;
mod progress;
mod reply;
mod request;
mod run;
mod schedule;
mod tables;

pub use self::CheckpointInfo as Info;
pub use self::CheckpointTimes as Times;
pub use crate::base::kinds::CheckpointKind as Kind;
pub use crate::base::kinds::CheckpointToken as Token;
pub use crate::base::kinds::Durability;
pub use progress::CheckpointPhase as Phase;
pub use progress::CheckpointProgress as Progress;
pub use request::CheckpointHandle as Handle;
pub use request::CheckpointRequest as Request;

pub(crate) use crate::base::kinds::{CheckpointKind, CheckpointToken};
pub(crate) use progress::CheckpointProgress;

pub(crate) use driver::Checkpoints;
pub(crate) use files::delta::Patches;
pub(crate) use files::manifest::{StoreFormat, TableFormat};
pub(crate) use jobs::{RemovalJob, TableChange};
pub(crate) use maintenance::maintain;
pub(crate) use plan::CheckpointPlan;
pub(crate) use reply::{Answer, Reply};
pub(crate) use run::{delta_seal, part_salt};
pub(crate) use schedule::Schedule;

use crate::store::sessions::identity::{CommitPoint, SessionId};
use files::manifest::CheckpointEntry;
use std::collections::BTreeMap;
use std::time::Duration;

/// A completed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The name of the checkpoint.
    pub token: CheckpointToken,
    /// The kind that was taken. It is a snapshot if an incremental checkpoint was requested but a
    /// snapshot was due.
    pub kind: CheckpointKind,
    /// The events that the checkpoint survives.
    pub durability: Durability,
    /// The [cookie](crate::checkpoint::Request::cookie) of the request.
    pub cookie: Vec<u8>,
    /// The commit points of sessions with an identity that did something since the previous
    /// checkpoint. The commit points of other sessions are unchanged:
    /// [`Session::commit_point`](crate::Session::commit_point) has that of any session.
    pub sessions: BTreeMap<SessionId, CommitPoint>,
    /// The number of bytes written for it: the index, the log and files beside it.
    pub bytes: u64,
    /// The duration of each phase.
    pub times: CheckpointTimes,
}

/// The durations of the phases of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointTimes {
    /// The time to write the image of the index.
    pub index: Duration,
    /// The time of the version barrier. No operation changed anything meanwhile.
    pub cut: Duration,
    /// The time to write and sync the log, or files beside it.
    pub capture: Duration,
    /// The time to replace the manifest.
    pub publish: Duration,
}

/// A checkpoint that the store keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The name of the checkpoint.
    pub token: CheckpointToken,
    /// The kind of the checkpoint.
    pub kind: CheckpointKind,
    /// The events that the checkpoint survives.
    pub durability: Durability,
    /// The [cookie](crate::checkpoint::Request::cookie) of its request.
    pub cookie: Vec<u8>,
    /// The number of bytes of log that it covers.
    pub log_bytes: u64,
    /// The number of bytes of log that recovery would read to complete the index.
    pub replayed_bytes: u64,
    /// The number of sessions with a commit point in it.
    pub sessions: usize,
}

impl CheckpointInfo {
    pub(crate) fn of(record: &CheckpointEntry, manifest: &files::manifest::Manifest) -> Self {
        let image = record.index.and_then(|token| manifest.index(token));
        debug_assert_eq!(image.is_some(), record.index.is_some(), "a checkpoint keeps its image");
        let replayed_from = image.map_or(record.begin, |image| image.start);
        Self {
            token: CheckpointToken(record.token),
            kind: record.kind.into(),
            durability: record.durability,
            cookie: record.cookie(),
            log_bytes: record.end - record.begin,
            replayed_bytes: record.end.saturating_sub(replayed_from),
            sessions: record.count_sessions(),
        }
    }
}

impl From<files::manifest::Kind> for CheckpointKind {
    fn from(kind: files::manifest::Kind) -> Self {
        match kind {
            files::manifest::Kind::FoldOver => Self::FoldOver,
            files::manifest::Kind::Snapshot => Self::Snapshot,
            files::manifest::Kind::Incremental => Self::Incremental,
        }
    }
}

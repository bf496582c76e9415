//! Checkpoints: how a version of the store becomes durable while operations go on.
//!
//! # The course of one
//! ```text
//!   index          cut                     capture                 publish
//!   image of ----> no change for an ----> log, or parts, ---sync---> manifest.new -> manifest
//!   the index      instant: address,      written and                (one rename)
//!   (fuzzy)        commit points          synced
//! ```
//!
//! * The *index image* is taken first, while operations go on, if it is worth its bytes: else that
//!   of an earlier checkpoint will do. It is fuzzy: recovery goes through the records from its
//!   start on, up to the end of the version, and lets each entry lead to the newest.
//! * The *cut* ends the version ([`phase`](crate::store::phase)). It is an address of the log.
//! * The *capture* brings what is below that address to the device. *Fold-over*: the log becomes
//!   read-only up to there and is flushed. *Snapshot*: what is in memory is frozen, written to a
//!   file beside the log, and mutable again afterwards. *Incremental*: as a snapshot, of what is
//!   new or has changed since the last one.
//!   What has changed of the commit points of many sessions goes to a file, too (`points`).
//! * *Publishing* is replacing the manifest. Before, the checkpoint does not exist; afterwards it
//!   is the newest.
//!
//! # Who does it
//! One driver, an `async fn` of the maintenance task, one job at a time. A request is put into its
//! mailbox and answered through a channel, so dropping the future of a checkpoint changes nothing:
//! it goes on. Whatever fails before publication leaves the store as it was, in a later version.
//!
//! # Invariants
//! 1. A checkpoint that is answered is durable as its `Durability` says (`catalog`, invariant 1).
//! 2. Frozen records are thawed and a cut is ended on every way out.
//! 3. Tokens are numbers that only grow; the token of a checkpoint is the version that it ends.
//! 4. The newest checkpoint that survives power cuts is never removed.

mod announce;
pub(crate) mod catalog;
mod delta;
mod driver;
pub(crate) mod index_image;
pub(crate) mod manifest;
mod outcome;
pub(crate) mod points;
mod progress;
mod reply;
mod request;
mod run;
pub(crate) mod stream;

pub(crate) use crate::kinds::{CheckpointKind, CheckpointToken, Durability};
pub use progress::{CheckpointPhase, CheckpointProgress};
pub use request::{CheckpointRequest, Checkpointing};

pub(crate) use delta::Patches;
pub(crate) use driver::{Checkpoints, Job, Removal, Schedule, maintain};
pub(crate) use reply::Reply;
pub(crate) use run::{delta_seal, part_salt};

use crate::store::identity::{CommitPoint, SessionId};
use manifest::{Kind, Record};
use std::collections::BTreeMap;
use std::time::Duration;

/// A checkpoint that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its name.
    pub token: CheckpointToken,
    /// What it is; not what was asked for if a snapshot was due in place of an incremental one.
    pub kind: CheckpointKind,
    /// What it survives.
    pub durability: Durability,
    /// What it has of each session with an identity that did something since the checkpoint before.
    /// Of the others it has what that one had.
    pub sessions: BTreeMap<SessionId, CommitPoint>,
    /// Bytes written for it: index, log and files beside it.
    pub bytes: u64,
    /// How long each phase took.
    pub times: CheckpointTimes,
}

/// How long the phases of a checkpoint took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointTimes {
    /// Writing the image of the index.
    pub index: Duration,
    /// The cut: for so long no operation changed anything.
    pub cut: Duration,
    /// Writing and syncing the log, or files beside it.
    pub capture: Duration,
    /// Replacing the manifest.
    pub publish: Duration,
}

/// A checkpoint that the store keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// Its name.
    pub token: CheckpointToken,
    /// How it was taken.
    pub kind: CheckpointKind,
    /// What it survives.
    pub durability: Durability,
    /// Bytes of log that it covers.
    pub log_bytes: u64,
    /// Bytes of log that recovery would go through to complete the index.
    pub replayed_bytes: u64,
    /// Sessions that it has something of.
    pub sessions: usize,
}

impl CheckpointInfo {
    pub(crate) fn of(record: &Record, manifest: &manifest::Manifest) -> Self {
        let image = record.index.and_then(|token| manifest.index(token));
        let replayed_from = image.map_or(record.begin, |image| image.start);
        Self {
            token: CheckpointToken(record.token),
            kind: record.kind.into(),
            durability: record.durability,
            log_bytes: record.end - record.begin,
            replayed_bytes: record.end.saturating_sub(replayed_from),
            sessions: record.count_sessions(),
        }
    }
}

impl From<Kind> for CheckpointKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::FoldOver => Self::FoldOver,
            Kind::Snapshot => Self::Snapshot,
            Kind::Incremental => Self::Incremental,
        }
    }
}

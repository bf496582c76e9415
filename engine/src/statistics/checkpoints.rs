//! What checkpoints have come to.

use crate::error::ErrorKind;
use crate::kinds::{CheckpointKind, CheckpointToken};
use std::time::Duration;

/// What checkpoints have come to since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStats {
    /// Those that were published.
    pub taken: u64,
    /// Those that failed.
    pub failed: u64,
    /// The one that ended last, well or not.
    pub last: Option<LastCheckpoint>,
}

/// How a checkpoint ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastCheckpoint {
    /// Its name; one that failed is not among those that are kept.
    pub token: CheckpointToken,
    /// What was asked for.
    pub kind: CheckpointKind,
    /// How long ago it ended.
    pub ago: Duration,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<(ErrorKind, String)>,
}

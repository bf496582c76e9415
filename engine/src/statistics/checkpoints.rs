//! Statistics of checkpoints.

use crate::base::error::ErrorKind;
use crate::base::kinds::{CheckpointKind, CheckpointToken};
use std::time::Duration;

/// The results of checkpoints since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStats {
    /// The number of published checkpoints.
    pub taken: u64,
    /// The number of failed checkpoints.
    pub failed: u64,
    /// The checkpoint that ended last, successful or failed.
    pub last: Option<LastCheckpoint>,
}

/// The result of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastCheckpoint {
    /// The token of the checkpoint. A failed checkpoint is not among the kept checkpoints.
    pub token: CheckpointToken,
    /// The requested kind.
    pub kind: CheckpointKind,
    /// The time since it ended.
    pub ago: Duration,
    /// The time that it took.
    pub took: Duration,
    /// The reason for its failure, if it failed.
    pub error: Option<(ErrorKind, String)>,
}

//! Statistics of checkpoints.

use crate::base::error::ErrorKind;
use crate::base::kinds::{CheckpointKind, CheckpointToken};
use std::time::Duration;

#[cfg(feature = "serde")]
use crate::base::serialized::{failure, seconds};

/// The results of checkpoints since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LastCheckpoint {
    /// The token of the checkpoint. A failed checkpoint is not among the kept checkpoints.
    pub token: CheckpointToken,
    /// The kind that was taken or, if it failed, was to be taken. It is never
    /// [`Auto`](CheckpointKind::Auto).
    pub kind: CheckpointKind,
    /// The time since it ended.
    #[cfg_attr(feature = "serde", serde(rename = "ago_seconds", serialize_with = "seconds"))]
    pub ago: Duration,
    /// The time that it took.
    #[cfg_attr(feature = "serde", serde(rename = "took_seconds", serialize_with = "seconds"))]
    pub took: Duration,
    /// The reason for its failure, if it failed.
    #[cfg_attr(feature = "serde", serde(serialize_with = "failure"))]
    pub error: Option<(ErrorKind, String)>,
}

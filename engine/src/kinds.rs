//! What checkpoints are called: their names, how they are taken, what they survive.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Names a checkpoint of a store: the version that it ends. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointToken(pub(crate) u64);

impl CheckpointToken {
    /// The token with this number, as it is shown.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, which is the version of the store that the checkpoint ends.
    #[must_use]
    pub const fn version(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CheckpointToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// How a checkpoint is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckpointKind {
    /// The log is made read-only and flushed. Writes what was not flushed yet; records that are hot
    /// are copied to the tail when they change next.
    #[default]
    FoldOver,
    /// What the log has in memory beyond its flushed part is written beside it, and stays mutable.
    Snapshot,
    /// What has changed since the last snapshot or incremental checkpoint is written beside the
    /// log. Where there is none to go on from, a snapshot is taken; so it is, now and then, when
    /// the changes have become more than what they change.
    Incremental,
    /// An image of the index alone. Makes nothing durable; the next recovery has less to go
    /// through.
    IndexOnly,
}

/// What a checkpoint survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process and a power cut: everything is synced before the checkpoint counts.
    #[default]
    PowerCut,
    /// The end of the process only: nothing of the log is synced. After a power cut it may be found
    /// damaged, and the newest checkpoint that survives power cuts is used instead.
    ProcessCrash,
}

//! The names of checkpoints, their kinds and their durability.

use crate::base::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a checkpoint: the version that it ends. Later checkpoints have greater tokens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CheckpointToken(pub(crate) u64);

/// The longest cookie of a commit or a checkpoint, in bytes.
pub(crate) const LONGEST_COOKIE: usize = 512;

/// Refuses a cookie that is too long.
pub(crate) fn check_cookie(bytes: &[u8]) -> Result<()> {
    if bytes.len() > LONGEST_COOKIE {
        let message = format!("a cookie of {} bytes: at most {LONGEST_COOKIE}", bytes.len());
        return Err(Error::invalid(message));
    }
    Ok(())
}

impl CheckpointToken {
    /// Returns the token with this number, which is its text.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number: the version of the store that the checkpoint ends.
    #[must_use]
    pub const fn version(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for CheckpointToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Under its public name, `checkpoint::Token`.
        write!(formatter, "Token({self})")
    }
}

impl fmt::Display for CheckpointToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The way in which a checkpoint is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckpointKind {
    /// Chooses the kind when the checkpoint begins. Records that change in place stay mutable, so
    /// the store is as fast afterwards as before.
    ///
    /// It is [`Incremental`](Self::Incremental), unless a store far larger than its memory is
    /// written without any use of its memory, as in a load. If the log has at least four times its
    /// memory, and at most one operation for eight writes has found its record in memory since the
    /// last checkpoint, it is [`FoldOver`](Self::FoldOver). Then each record is written once.
    ///
    /// A checkpoint that was taken has one of the other kinds.
    #[default]
    Auto,
    /// Makes the log read-only and flushes it. It writes only bytes that were not flushed yet. A
    /// hot record is copied to the tail at its next change.
    FoldOver,
    /// Writes the unflushed log in memory to a file beside the log. The log stays mutable. If
    /// [`Config::disk`](crate::Config::disk) has no room for the file, it is a fold-over instead.
    Snapshot,
    /// Writes the changes since the last snapshot or incremental checkpoint to files beside the
    /// log. A snapshot is taken instead if there is no such checkpoint to build on. It is also
    /// taken now and then, when the changes have become more than the data that they change.
    Incremental,
    /// Writes only an image of the index. It makes nothing durable; the next recovery has less to
    /// read.
    IndexOnly,
}

/// The events that a checkpoint survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Durability {
    /// Survives the end of the process and a power cut. Everything is synced before the checkpoint
    /// counts.
    #[default]
    PowerCut,
    /// Survives only the end of the process. Nothing of the log is synced, so a power cut may
    /// damage the checkpoint. Then recovery uses the newest checkpoint that survives power cuts.
    ProcessCrash,
}

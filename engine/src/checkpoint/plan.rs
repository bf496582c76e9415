//! The plan of a checkpoint: its kind, and what it has and survives.

use crate::base::kinds::{CheckpointKind, Durability};

/// The options of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckpointPlan {
    pub(crate) kind: CheckpointKind,
    pub(crate) index: IndexWish,
    pub(crate) durability: Durability,
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
    /// Returns the default plan for this kind of checkpoint.
    pub(crate) fn full(kind: CheckpointKind) -> Self {
        Self { kind, index: IndexWish::IfWorthwhile, durability: Durability::PowerCut }
    }
}

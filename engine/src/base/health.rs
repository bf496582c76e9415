//! The problems of a store or a log at one moment, for monitoring.

use crate::base::error::{Error, ErrorKind};

/// The problems of a store or a log at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// The remaining abilities of the store or log.
    pub condition: Condition,
    /// The cause, unless the store or log is sound.
    pub cause: Option<Error>,
    /// The reason why the last checkpoint of a store failed, if none has succeeded since.
    ///
    /// Later changes are in no checkpoint. It is always `None` for a log.
    pub checkpoint: Option<Error>,
}

/// The remaining abilities of a store or a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// All operations work.
    Sound,
    /// The medium is full. Operations that need room are refused until there is space again.
    Full,
    /// The system is short of descriptors, tasks or memory. The effect is that of a full medium.
    Unavailable,
    /// The file system was read-only at the opening. Reads work.
    ReadOnly,
    /// An earlier write or sync failed. Reads work; the store or log must be opened again.
    Poisoned,
    /// No operation works.
    Closed,
}

impl Health {
    pub(crate) fn new(cause: Option<Error>, checkpoint: Option<Error>) -> Self {
        let condition = match cause.as_ref().map(Error::kind) {
            None => Condition::Sound,
            Some(ErrorKind::StorageFull) => Condition::Full,
            Some(ErrorKind::Closed) => Condition::Closed,
            Some(ErrorKind::ReadOnly) => Condition::ReadOnly,
            Some(ErrorKind::Poisoned) => Condition::Poisoned,
            Some(_) => Condition::Unavailable,
        };
        Self { condition, cause, checkpoint }
    }

    /// Returns whether there is no problem.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.condition == Condition::Sound && self.checkpoint.is_none()
    }
}

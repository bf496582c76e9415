//! What is wrong with a store or a log now, for those who watch it.

use crate::error::{Error, ErrorKind};

/// What is wrong with a store or a log, as of one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// What it can still do.
    pub condition: Condition,
    /// Why, unless it is sound.
    pub cause: Option<Error>,
    /// Why the last checkpoint of a store failed, if none was taken since. What was done meanwhile
    /// is in no checkpoint. Always `None` for a log.
    pub checkpoint: Option<Error>,
}

/// What a store or a log can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// Everything.
    Sound,
    /// The medium is full: who needs room is refused until there is space again.
    Full,
    /// The system lacks descriptors, tasks or memory: as if the medium were full, for now.
    Unavailable,
    /// An earlier write or sync failed: it can be read, and has to be opened again.
    Poisoned,
    /// Nothing.
    Closed,
}

impl Health {
    pub(crate) fn new(cause: Option<Error>, checkpoint: Option<Error>) -> Self {
        let condition = match cause.as_ref().map(Error::kind) {
            None => Condition::Sound,
            Some(ErrorKind::StorageFull) => Condition::Full,
            Some(ErrorKind::Closed) => Condition::Closed,
            Some(ErrorKind::Poisoned) => Condition::Poisoned,
            Some(_) => Condition::Unavailable,
        };
        Self { condition, cause, checkpoint }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.condition == Condition::Sound && self.checkpoint.is_none()
    }
}

//! The results of a step of a cursor.

use crate::base::address::Address;
use crate::base::error::Error;
use crate::log::read::entry::Entry;

/// The next step of a cursor.
pub(crate) enum Step {
    Entry(Entry),
    End,
    Failed(Error),
    /// No frame begins at this address, or it may not follow the previous frame.
    Damaged(Address),
    /// Memory has no frame yet where a caller says that one begins.
    Claimed,
}

impl From<Error> for Step {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

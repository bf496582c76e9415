//! The reasons why a change is not made.

use crate::base::error::Result;
use crate::base::hash::KeyHash;
use crate::hybrid_log::Room;
use crate::log::NotAppended;
use crate::store::operation::attempt::Blocked;

/// The reason why a change was not made.
#[derive(Debug)]
pub(in crate::store) enum Unlogged {
    /// The log of the store has no room for its record.
    NoRoom(Room),
    /// The write-ahead log does not take its entry.
    NotAppended(NotAppended),
    /// A batch holds its key.
    Held(KeyHash),
}

impl Unlogged {
    /// Returns what the operation waits for.
    ///
    /// # Errors
    /// The write-ahead log refuses the entry.
    #[cold]
    pub(in crate::store) fn blocked(self) -> Result<Blocked> {
        match self {
            Self::NoRoom(room) => Ok(Blocked::NoSpace(room)),
            Self::NotAppended(why) => why.into_space().map(Blocked::NoWalSpace),
            Self::Held(hash) => Ok(Blocked::HeldKey(hash)),
        }
    }
}

//! Append a record and make it the newest of its chain, in one stretch under one guard.

use super::{Blocked, Core, Step};
use crate::address::Address;
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::record::{NewRecord, Shape};
use crate::statistics::{Counter, Counters};

/// How linking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Link {
    /// The record is the newest of its chain.
    Linked,
    /// The chain has changed since its entry was found; start again from there.
    Lost,
    /// The log has no room for so many bytes.
    NoRoom(u64),
}

/// How often an attempt starts over, and an operation that is overtaken, before it lets other tasks
/// run.
pub(super) const TRIES: usize = 64;

impl Core {
    /// Appends `record` in front of the chain that `entry` was found to lead to, and links it if
    /// the entry has not changed since.
    #[inline(always)]
    pub(super) fn link<S: Shape>(
        &self,
        entry: FoundEntry,
        record: NewRecord<'_>,
        guard: &Guard<'_>,
        counters: &Counters,
    ) -> Link {
        let previous = match entry.address() {
            Address::UNSET => Address::NONE,
            newest => newest,
        };
        match self.log.append(S::LAYOUT, previous, record, guard) {
            Err(no_room) => Link::NoRoom(no_room.bytes),
            Ok((address, _)) if self.index.try_update(entry, address) => {
                counters.add(Counter::Appends, 1);
                Link::Linked
            }
            Ok((_, appended)) => {
                self.log.abandon(appended);
                Link::Lost
            }
        }
    }
}

/// Repeats `once` while it loses races, for as long as others are likely to be making progress.
#[inline(always)]
pub(super) fn until_settled<T>(
    mut once: impl FnMut() -> crate::error::Result<Option<Step<T>>>,
) -> crate::error::Result<Step<T>> {
    for _ in 0..TRIES {
        if let Some(step) = once()? {
            return Ok(step);
        }
        kvick_io::sync::hint::spin_loop();
    }
    Ok(Step::Blocked(Blocked::Contended))
}

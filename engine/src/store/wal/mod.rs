//! The write-ahead log of a store: every change of a key, in the order in which the changes take
//! effect.
//!
//! It is a [`FasterLog`](crate::FasterLog) that shares the epoch of the store. So one version
//! barrier ends both logs: its *cut* is the end of the write-ahead log at that moment. A checkpoint
//! has exactly the changes below its cut. Recovery restores a checkpoint, and then repeats the
//! changes from the cut on ([`replay`]).
//!
//! # A logged change
//! 1. The writer encodes the entry, in a buffer of its thread. It locks the *stripe* of the key
//!    ([`stripes`]), under its guard.
//! 2. It takes space for the entry, and fills it. Without space it waits, and nothing has happened.
//!    If the change needs room in the log of the store, it looks for that first.
//! 3. It makes the change.
//! 4. It shows the entry, by its header; an entry that takes several frames is filled here, too. A
//!    change that another operation was faster than has an entry of zeros.
//!
//! No code of the user runs in between: a new value is computed and encoded first.
//!
//! # Misses of the cache
//! The record is asked for before the first step: it comes while the entry is encoded, copied and
//! summed up. After the change little is left to do, so the processor reaches the next operation
//! of the task, and its line of the index, while it waits for the record.
//!
//! # Invariants
//! 1. The entries of one key are in the order of its changes, since a writer has the stripe from
//!    the change to its entry. So a replay in the order of the log leaves each key as it was.
//! 2. The entries of one session are in the order of its operations, since a session does one at a
//!    time. An entry has the number of its operation, and the numbers that were put off since the
//!    entry before. An operation of a number that was put off may change nothing: then the whole
//!    commit point comes before the next change. So the recovered point of a session has the
//!    operations whose changes are there, those with lower numbers that had ended before one of
//!    these, and no others that have changed anything.
//! 3. An entry is below the cut exactly if its change belongs to the ended version: both are under
//!    one guard, and the barrier waits for all guards.
//! 4. The log is durable up to the cut before the checkpoint is published, or its device is full,
//!    and the next opening continues it at the cut. So entries of a later life never lie below a
//!    cut.
//! 5. The log keeps every entry from the oldest cut of a kept checkpoint on; while its device is
//!    full, from the cut of the newest that survives power cuts.
//! 6. An entry of a value has all of it. So a replay that begins below the cut, and goes on to the
//!    end, repeats nothing wrongly.
//! 7. A change in place is made to the newest record of the key, which is found or confirmed under
//!    the stripe. Without this log it may be made to a record that was replaced meanwhile: then it
//!    counts as made before, and here its entry would be after.
//! 8. A batch has one entry, and takes effect whole before it (`whole`). It has the stripes of all
//!    of its keys meanwhile, so invariant 1 holds for them, too.
//! 9. Until the replay has ended, no record expires: a later entry may let it live on.

mod changes;
mod durability;
pub(crate) mod entry;
mod key_change;
mod logging;
pub(crate) mod relief;
mod replay;
mod stripes;
mod write_ahead_log;

pub(crate) use changes::{LoggedChange, LoggedChanges};
pub(in crate::store) use entry::WalEntry;
pub(crate) use key_change::{BatchChanges, KeyChange, append_change};
pub(in crate::store) use logging::{
    TakesEffect, Unlogged, logged, logged_step, logged_try, needs_no_room,
};
pub(crate) use replay::ReplayedTables;
pub(in crate::store) use stripes::stripes_of;
pub(crate) use write_ahead_log::WriteAheadLog;

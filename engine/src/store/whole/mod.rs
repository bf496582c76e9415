//! Batches that are recovered whole, with the offset of their session, or not at all.
//!
//! A batch is one attempt under one guard. It is prepared outside: its keys are hashed, and its
//! sizes are checked ([`prepared`]). So nothing is in progress between two polls.
//!
//! # The attempt
//! 1. It locks the stripes of all keys, if the changes have an entry in the write-ahead log.
//! 2. It holds the index entries of all keys, and makes those that are missing.
//! 3. It finds out which changes need a record: each new value, and each removal of a key that
//!    memory does not show as absent. It needs no read of the device, as no blind write does.
//! 4. It looks for room for all records together. They are neighbours in one page,
//!    and take at most half of it.
//! 5. It checks the account of the session, and takes space for the entry in the write-ahead log.
//! 6. It takes the room.
//! 7. It writes the records, and makes them the newest of their entries, which are held no longer.
//! 8. It counts in the account of the session, sets the offset, and writes the entry.
//!
//! A step up to 6 that fails leaves everything as it was: entries are released as they were, and
//! space in the write-ahead log gets an entry of zeros. Then the batch waits, as any operation
//! does, for the next version, room, space, or its turn, and starts again. It holds nothing
//! meanwhile, so neither a checkpoint nor compaction waits for it.
//!
//! # Why it is whole
//! * The write-ahead log has the batch in one entry, with the commit point after it, and is
//!   recovered up to an entry. The stripes of all keys are locked from before the changes until
//!   the entry is written, so the entries of each key are in the order of its changes.
//! * A version ends at a barrier, which waits for all guards (`system_state`). The records, the
//!   number of the last operation and the offset change under one guard, after a look at the
//!   barrier. So a checkpoint has all of them or none, also without a write-ahead log.
//!
//! # Why nothing fails after step 6
//! * *An entry has changed.* A held entry is changed by its holder alone
//!   (`hash_index/steps/hold.rs`). So no other record, of a writer or a copy, comes into these
//!   chains after step 2. Each address of the new records is thus above those of its chain, and
//!   the change of an entry is a CAS that succeeds.
//! * *A bucket is split or merged.* The holder has the lock of the steps.
//! * *There is no room.* It was taken in step 6, all at once.
//! * *A record is frozen, sealed or locked.* A batch changes no record in place. Each change
//!   appends one.
//! * *A page becomes immutable, or leaves memory.* The guard is older than the room.
//! * *The account of the session has changed.* The batch has its session for itself, and holds the
//!   lock of the account from step 5 on.
//! * *The table is dropped.* A drop waits for the guards that have not seen it.
//! * *There is no space for the entry.* It was taken in step 5.
//! * *A future is dropped, or a runtime ends.* There is no wait, so this is before the attempt or
//!   after it.
//!
//! # What others see
//! Readers may see some changes of a batch before others, each as soon as it is made. Other writers
//! of its index entries try again meanwhile, and append no record.

mod attempt;
mod link;
mod prepared;

pub(in crate::store) use attempt::RepeatBatch;
pub(crate) use attempt::WriteWhole;

#[cfg(all(test, not(loom)))]
mod tests;

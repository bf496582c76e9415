//! Batches that are recovered whole, with the offset of their session, or not at all.
//!
//! # How a batch takes effect
//! 1. *Begin*, in one attempt of the session: the batch is open, its keys are held, the write-ahead
//!    log has one entry of all of it, and the session has its numbers and its offset. Without space
//!    for the entry nothing has happened.
//! 2. A task of the store makes the changes one after the other ([`apply`]). It waits for memory
//!    and
//!    for the device, and for no code of the user.
//! 3. The keys are released, and the batch is no longer open.
//!
//! # Why it is whole
//! * A version barrier waits until no batch is open, and no batch begins meanwhile ([`gate`]). So a
//!   checkpoint has all changes of a batch, and its offset, or none of them.
//! * The write-ahead log has the batch in one entry, and the log is recovered up to an entry. The
//!   changes have no entries of their own.
//! * While a batch holds a key no other change of the key is made. So the entries of a key are in
//!   the order of its changes, although those of a batch follow after its entry.
//!
//! # Waits
//! A batch that waits to begin holds nothing. An open batch needs no space in the write-ahead log,
//! so a checkpoint that relieves a full log can wait for it. Its records may use the room that is
//! kept for copies. It ends without the future that began it.

mod apply;
mod begin;
mod gate;

pub(crate) use begin::write_whole;
pub(crate) use gate::{BatchGate, Pause};

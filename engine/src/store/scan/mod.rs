//! Scans: which records are the newest of their keys, as of one moment.
//!
//! # Modules
//! * `active`: [`ActiveScans`], the scans in progress: their moments, and what they still need.
//! * `driver`: finds the moment of a scan, and ends its freeze.
//! * `progress`: one scan in progress.
//! * `pulse`: [`Pulse`], whether a scan is being used, and whether it has expired.
//! * `liveness`: decides which records of a page, the *candidates*, are the newest of their keys.
//!   It reads the chains for that from the device, many at once. Compaction uses it, too.
//! * `removal`: deletes the keys whose records, which a scan has shown, are still the newest.
//! * `pages`: stretches of the log, and copies of what is in memory.
//! * `device_reads`: [`DeviceReads`], stretches from the device, several reads ahead.
//! * `share`: the ranges that a scan reads: all, a part, or those after a [`Cursor`].
//! * `found`: the way from a scan to its stream.
//! * `finder`: [`Finder`](finder::Finder), finds the live records in ranges of the log.
//! * `live_records`: [`LiveRecords`], a scan from its moment to its end.
//!
//! # A moment
//! A scan shows the store as of a *moment*: an address, the tail at an instant at which no
//! operation changes anything (`SystemState`). Below the moment are all records of that state. It
//! is enough to know two things.
//!
//! * *The newest record of a key*, below the moment. It is the first record of the key in its
//!   chain, without the records above the moment. So records below the moment must stay in their
//!   chains ([`ActiveScans::kept_below`]).
//! * *Its value at the moment*. Records below `read-only` are final. Records above it change in
//!   place. So everything below the moment is frozen until the scan has read what was mutable then.
//!   It reads that first, and then thaws; the older rest takes its time.
//!
//! # A log that begins later
//! A scan reads nothing below [`ActiveScans::needs`] any more. If the log begins above that, the
//! scan ends with `Truncated`. A removal (`retain`) takes a key as unchanged while its record is
//! the newest. So a task that copies live records to the tail leaves alone those that a scan needs.
//!
//! # A scan that is dropped or leaked
//! A dropped scan wakes the driver, which ends its freeze. A leaked scan stays frozen. Then each
//! key whose record was mutable at the moment costs one copy to the tail when it changes next, and
//! an entry of a deleted key may stay in the index. Neither repeats. But compaction waits for
//! scans, so a scan that is not polled *expires* after a while, if compaction waits. Its memory
//! goes then, too. Until then it keeps a stretch and what it has gathered: an eighth of the memory
//! and 32 MiB at most for all scans and rounds together, or a 64th and a MiB for each one beyond
//! that.

mod active;
mod batch;
mod device_reads;
mod driver;
mod finder;
mod found;
mod live_records;
mod liveness;
mod pages;
mod progress;
mod pulse;
mod removal;
mod share;

pub(in crate::store) use active::ActiveScans;
pub(crate) use batch::{Batch, LiveRecord};
pub(in crate::store) use device_reads::DeviceReads;
pub(crate) use finder::Wish;
pub(crate) use live_records::LiveRecords;
pub(in crate::store) use liveness::{
    Candidate, CopySizes, Live, NOW, Payload, Place, Proof, REACH, SpanReads, Uncertain, look_up,
    whole_record,
};
pub(in crate::store) use pages::{COPY_BYTES, Stretch};
pub(in crate::store) use pulse::Pulse;
pub(crate) use removal::Removed;
pub use share::Cursor;

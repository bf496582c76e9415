//! Scans of a table: all live keys with their values, as of one moment.
//!
//! A scan is a [`Stream`](::futures::Stream). It begins when it is polled first, and finds the
//! *moment* that it shows: an instant at which no operation changes anything. Writers wait some
//! microseconds for that, as for the version barrier of a checkpoint. Afterwards operations,
//! flushing, eviction and checkpoints continue. Their effects do not show in the scan.
//!
//! # Memory
//! A scan takes a few MiB: up to eight reads of 256 KiB ahead, the bytes in which it is looking for
//! live records with their list, and one value of any length that is stored in pieces. With little
//! memory for buffers its reads are smaller. It keeps no page in memory, and no list of all keys.
//!
//! It gathers the keys of older records that may have newer ones on the device. Their memory comes
//! from the pages: an eighth of the budget and 32 MiB at most, for all scans together. A scan that
//! finds less left takes a 64th, at most 1 MiB. A scan that pauses or is leaked keeps its part.
//!
//! # Work
//! It reads the whole log once, in order, and the index. What it has gathered it looks up together,
//! when that memory is full, and after each 16th of the log, at first more often. Each time it
//! reads the log after these records at most once, and up to the moment of the scan, or about as
//! much of what was written since. So writers beside it do not keep a scan from its end.
//!
//! # A slow scan
//! The scan first shows the records that were mutable at its moment. Until it has, operations copy
//! each of them to the tail when they change it, instead of changing it in place: once for each
//! key. So a scan that pauses costs little, at the beginning and later. Dropping it ends that. A
//! leaked scan (`std::mem::forget`) costs as much as a paused one, until the store is closed;
//! [`ScanStats`](crate::stats::ScanStats) shows it.
//!
//! Compaction waits for scans. Within a full [budget](crate::guide::running#a-full-budget), and
//! when it was due by a [space ratio](crate::Config::space_ratio) for a while, new scans wait for
//! it, too. While it waits, a scan that is not polled for a minute *expires*: its
//! next record is the error `Truncated`, and compaction continues. So neither a slow scan nor a
//! leaked one keeps the space of dead records for ever. [`scan_from`](crate::FasterKv::scan_from)
//! continues from the cursor of a scan that has expired.
//!
//! # An older moment
//! [`at`](crate::FasterKv::at) shows a kept checkpoint, which can be scanned in the same way. Its
//! scans hold nothing up, but its files stay.
//!
//! # Cancel safety
//! A scan can be dropped at any time. A call of `next` that is dropped loses no record.

mod records;
mod stream;

pub use crate::store::scan::Cursor;
pub use stream::{Scan, ScanWith};

pub(crate) use records::Records;

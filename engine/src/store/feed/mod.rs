//! The records of the log in its order, for tools and for change capture.
//!
//! # Modules
//! * `readers`: [`LogReaders`], the readers in progress, and the part of the log that they need.
//! * `reader`: [`LogReader`], one of them: a range, or the log as it becomes immutable.
//! * `in_memory`: copies records from memory.
//! * `batch`: [`RecordBatch`](batch::RecordBatch), records that were copied.
//! * `found`: [`FoundRecords`], the way from a reader to its stream.
//!
//! # Invariants
//! 1. Each record of the range is shown once, in the order of addresses. A stretch begins where the
//!    one before has ended, in memory or on the device. Nothing damaged is passed over.
//! 2. A reader of a range ends at the tail of its beginning, after a drain. So each record below
//!    was written as a whole, and a word of zeros is padding.
//! 3. A reader that follows the log shows only what is below `safe read-only`, the mark itself, not
//!    the end of a freeze. So what it shows of a record is final.
//! 4. A record that is mutable is copied under its seqlock, so its value is never torn.
//! 5. The log does not begin above the first record that a reader needs, unless the reader has
//!    *lapsed*: it was not polled for a minute while compaction waited for it.
//! 6. A reader compares its place with the begin of the log whenever it reads. So it misses no
//!    record after it has lapsed: it goes on, or ends with `Truncated`.
//!
//! A reader holds no guard and no page between two polls. In a cache it holds nothing up.

mod batch;
mod found;
mod in_memory;
mod reader;
mod readers;

pub(crate) use found::{FoundRecords, LongValue, ShownRecord};
pub(crate) use reader::{LogReader, Which};
pub(in crate::store) use readers::LogReaders;

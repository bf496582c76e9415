//! The records of the log of a store, in its order: for tools, and for change capture.
//!
//! The log has a record for each key that was set or deleted, and for each change that could not be
//! made in place. [`Database::log_records`](crate::Database::log_records) shows a part of it as it
//! is stored, for tools. [`FasterKv::log_records`](crate::FasterKv::log_records) shows the values
//! and deletions of one table. [`FasterKv::subscribe`](crate::FasterKv::subscribe) shows changes as
//! they become final. For the present contents there is [`scan`](crate::FasterKv::scan).
//!
//! # Which records the log has
//! A record that was appended recently is *mutable*: its value is changed in place, and it is
//! deleted in place. A reader shows it with the value that it has when it is read. What becomes
//! immutable is copied when its key changes, so the log has the older record too. It does not tell
//! which record of a key is the newest: the last one is.
//!
//! [Compaction](crate::FasterKv::compact), and reads of a [cache](crate::Config::cache), append
//! records again that are still needed. Such a copy looks as if its key was set to the same value
//! again.
//!
//! The log has no record of a key that expires, nor of the keys of a dropped table, nor of keys
//! that [`keep`](crate::compaction::Request::keep) removed, nor of those that a cache has evicted.
//!
//! # Following the log
//! A subscription is a stream, not a callback. So a consumer may wait within its loop, and an error
//! or the end reaches it. It shows
//!
//! * each record once, in the order of the log, when no operation can change it any more;
//! * of a record that was changed in place, the last value only. If it was deleted in place, it
//!   shows as a tombstone. A reader of the log never sees the values before;
//! * a key and value again, if compaction or a promotion has appended a copy. The log does not tell
//!   copies from changes. So a consumer must be idempotent: the last record of a key is its state.
//!
//! A record becomes immutable when enough is appended after it: see
//! [`Config::mutable_fraction`](crate::Config::mutable_fraction). In a store that is seldom
//! written that takes long. [`flush`](crate::FasterKv::flush) makes all records immutable at once,
//! and so does a checkpoint of the kind
//! [`FoldOver`](crate::checkpoint::Kind::FoldOver), as the one of
//! [`close`](crate::FasterKv::close). Other checkpoints leave records mutable, by intention. Each
//! of these has a cost: a hot key is copied once afterwards.
//!
//! The order of the records of one key is the order of its changes. Records of different keys have
//! the order of their first changes in the log, so a later change of one in place may show first.
//!
//! # After a restart
//! After a clean [`close`](crate::FasterKv::close) with a checkpoint each record has the same
//! address at the next opening, and [`LogRecords::position`] is the place to continue at, in
//! `subscribe_from`. Keep it with the effects of the records, and now and then while there are
//! none: it goes on through records of other tables, and the log may begin after them later.
//!
//! After a crash the store is as of its last checkpoint. Records that were shown since then are
//! gone, and records that were still mutable when it was taken may have an older value. Their
//! addresses are used again, and a record does not tell that it is another one. But the opening
//! does: [`Report::kept_until`](crate::recovery::Report::kept_until) is the address up to which the
//! records are as they were. A consumer goes on if its position is not after that; else it has seen
//! what never was, and begins anew. It looks at the report of each opening, since a later one knows
//! nothing of an earlier crash.
//!
//! # A replica
//! A copy of a table that stays up to date begins with a subscription. After that comes a
//! [scan](crate::FasterKv::scan) into an empty table, and then the changes. In this order nothing
//! is missed: the scan shows what was there when it began, and the subscription shows all that came
//! later. What shows twice does no harm, as the last record of a key is its state. Three things
//! count:
//!
//! * a scan shows values that no checkpoint has yet, so the copy counts from the next
//!   [checkpoint](crate::FasterKv::checkpoint) of the store on. A crash before that may take what
//!   the scan has shown, so the copy begins anew;
//! * after `Truncated` deletions were missed too. So the copy is replaced, and not completed. The
//!   same is true after a crash that has lost what the copy has;
//! * some changes have no record: see [above](#which-records-the-log-has). A replica lets its own
//!   copies of values expire, and drops a table when the subscription ends with `InvalidArgument`,
//!   as the table was dropped.
//!
//! The example `replica` has all of it in some lines.
//!
//! # Memory and work
//! A reader takes a few MiB at most: up to eight reads of 256 KiB ahead, the records in one of
//! them, and one value of any length that is stored in pieces. It keeps no page in memory. Writers
//! do nothing for it, but within a budget of the device they wait for compaction, which a slow
//! reader may hold up.
//!
//! # A slow reader
//! The log does not begin after a record that a reader has yet to read. So compaction ends before
//! it, and a [request](crate::FasterKv::compact) is refused with `Busy` if the reader needs the
//! oldest page. From then on, while it is in the way, a reader that is not polled for a minute
//! *lapses*: it keeps nothing any more. It goes on when it is polled again. If the log begins later
//! by then, its next record is the error `Truncated`. In a [cache](crate::Config::cache) a reader
//! keeps nothing from the start. [`ScanStats`](crate::stats::ScanStats) counts the readers. Within
//! a budget of the device, writers that need space are refused with `StorageFull` after 5 seconds
//! in which the reader that is in the way has not moved, until it lapses, or after 30 seconds of
//! readers of the oldest page.
//!
//! # Cancel safety
//! A reader can be dropped at any time. A call of `next` that is dropped loses no record.

mod record;
mod stream;

pub use crate::base::address::PublicAddress as Address;
pub use record::{Content, LogRecord};
pub use stream::LogRecords;

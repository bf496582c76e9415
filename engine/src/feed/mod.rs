//! The changes of a store and the records of its log, in their order: for change capture, and for
//! tools.
//!
//! A store with a [write-ahead log](crate::config::DurableBy::Wal) has the better
//! feed: [`Database::changes`](crate::Database::changes) and
//! [`FasterKv::changes`](crate::FasterKv::changes) show each change when it is durable. Every store
//! has the records of its log, of which the rest of this page tells:
//!
//! | | `changes` | `subscribe` |
//! |---|---|---|
//! | the store | has a write-ahead log | any |
//! | a change shows | when it is durable | when its record is immutable |
//! | several changes of a key | each | the last in place |
//! | copies by compaction | do not show | show again |
//! | after a crash | goes on | may have shown what is lost |
//! | stays for a slow reader | until checkpoints remove it | for a minute of compaction |
//!
//! # Changes
//! A stream of changes shows
//!
//! * each change of a key once, with its whole value, whether that was set or computed, short or
//!   long. So [`clear`](crate::FasterKv::clear) and [`retain`](crate::FasterKv::retain) show a
//!   deletion of each key. A deletion may be of a key that was absent;
//! * a change only when it is durable: after a [`sync`](crate::Database::sync), a `durable()`
//!   operation, or a commit of the settings
//!   ([`commit_every`](crate::Config::commit_every));
//! * the changes of a key in their order, and those of a session. If one operation has ended before
//!   another began, its change shows first.
//!
//! There is no change when a key expires, nor when
//! [`keep`](crate::compaction::Request::keep) removes one. The changes of a table that was dropped
//! do not show any more, and its own stream ends with `InvalidArgument`.
//!
//! A stream holds nothing but the bytes that it reads: up to a few MiB if it lags. No writer waits
//! for it, and no operation does anything for it. The write-ahead log goes back to the oldest kept
//! checkpoint, to the first change before there is one, and by
//! [`wal_keep`](crate::Config::wal_keep) at least. A reader that comes later gets `Truncated`, with
//! the oldest place: so `wal_keep` says how far a reader may lag. One that has looked at
//! every entry, also at those of other tables and of sessions, is never too late.
//!
//! # Tokens
//! A [`ChangeToken`] is a place between two changes that are not of one
//! [batch](crate::session::WriteBatch). Each [`Change`] has the token after it, or that before its
//! batch if more of that follows. A stream has that of [its place](Changes::token). So a consumer
//! that stores tokens has whole batches, and may be shown a part of one again.
//!
//! A crash of the store takes back nothing that was shown, so the token is good in any later
//! opening. A consumer stores it together with what it has done.
//!
//! A token is of one write-ahead log. A [backup](crate::Database::backup) gets another one with its
//! first opening. A recovery by the token of a checkpoint gives up the changes after it: then the
//! tokens of before are refused with `Truncated`, and [`Start::Oldest`] is after what was given up.
//! So does [`replace_contents`](crate::Database::replace_contents), and a
//! [repair](crate::log::repair) of a log whose end is lost. If the device of the log was full and
//! the store crashes, its newest checkpoint may have changes that the log lacks: then the tokens
//! before that checkpoint are refused, too.
//! If an older copy of the files is put in the place of a store, nothing can tell: begin anew.
//!
//! # A replica of changes
//! A copy begins with a place, then a scan, then the changes from that place on:
//!
//! ```
//! # use kvick::{Config, Database};
//! # use kvick::config::{Backend, DurableBy};
//! # kvick::runtime::block_on(async {
//! use futures::TryStreamExt;
//! use kvick::feed::{ChangeKind, Start};
//!
//! # let config = Config::default().with_durability(DurableBy::Wal).with_backend(Backend::Memory);
//! # let [source, replica] = [
//! #     Database::open("unused", config.clone()).await?,
//! #     Database::open("unused", config).await?,
//! # ];
//! # let [from, to] = [&source, &replica].map(|database| database.table::<str, u64>("stock"));
//! # let (from, to) = (from.await?, to.await?);
//! # from.upsert("pears", &4).await?;
//! let mut changes = from.changes(Start::Now)?; // before the scan
//! let mut scan = from.scan();
//! while let Some((key, value)) = scan.try_next().await? {
//!     to.upsert(&key, &value).await?;
//! }
//! source.sync().await?; // a scan may show what is not durable yet
//! # from.upsert("apples", &3).await?;
//! # from.delete("pears").durable().await?;
//! let mut session = to.session_named("replica")?;
//! while let Some(change) = changes.next_durable().await? {
//!     match change.kind {
//!         ChangeKind::Upsert { value, .. } => drop(session.upsert(&change.key, &value).await?),
//!         ChangeKind::Delete => drop(session.delete(&change.key).await?),
//!         _ => {} // a new expiry: this table has none
//!     }
//!     session.set_offset(&change.token.to_bytes())?; // the copy has everything up to here
//! }
//! session.sync().await?;
//! # assert_eq!((to.read("apples").await?, to.read("pears").await?), (Some(3), None));
//! # drop((changes, scan, session, from, to));
//! # source.close().await?;
//! # replica.close().await
//! # }).unwrap();
//! ```
//!
//! What was written while the scan went on shows twice. That does no harm, as a change has the
//! whole value: at the latest when the changes of that time are taken in, the copy is exact. If the
//! source crashes before the `sync`, the copy begins anew.
//!
//! A crash of the copy takes back no change before its offset. It may keep a few changes after it:
//! these show again, from the first on, and the copy is exact when they are taken in. A table of
//! [`Expiring`](crate::codec::Expiring) values has times, too: [`expiry`](crate::FasterKv::expiry)
//! has that of a scanned key, and [`ChangeKind::SetExpiry`] is a new one.
//!
//! A copy of a large store begins as a [backup](crate::Database::backup), opened as a store of its
//! own. `store.changes(&backup)` shows exactly the changes that the backup lacks. The log keeps
//! them while the backup is taken, and [`wal_keep`](crate::Config::wal_keep) as long as the copy
//! needs to begin. The example `mirror` is a whole program, whose stores are dropped without a
//! close and go on.
//!
//! # Records of the log
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

mod change;
mod changes;
mod record;
mod stream;
mod token;

pub use crate::base::address::PublicAddress as Address;
pub use change::{Change, ChangeKind};
pub use changes::Changes;
pub use record::{Content, LogRecord};
pub use stream::LogRecords;
pub use token::{ChangeToken, Start};

//! Explains which data survives which event, and when.
//!
//! # The store
//! An operation that has returned is in memory. It is durable when a *checkpoint* has it, or the
//! [write-ahead log](#the-write-ahead-log) of a store that has one.
//!
//! | call | survives the end of the process | survives a power cut |
//! |---|---|---|
//! | `upsert`, `rmw`, `delete`, ... | no | no |
//! | `flush`, `flush_and_evict` | no: it writes pages, but takes no checkpoint | no |
//! | `checkpoint` with [`Durability::ProcessCrash`] | yes | no |
//! | `checkpoint` (default, [`Durability::PowerCut`]) | yes | yes |
//! | `close` (default settings) | yes | yes |
//! | drop of the last handle and session | only earlier checkpoints | only earlier checkpoints |
//! | `sync` and durable writes (with a write-ahead log) | yes | yes |
//!
//! Without a write-ahead log, the next opening recovers the newest checkpoint. Every operation
//! after that checkpoint is lost, and no other operation. After a power cut, recovery passes over a
//! newer checkpoint of the kind `ProcessCrash` if the power cut has damaged it.
//!
//! A checkpoint becomes valid in one atomic step. So a crash during a checkpoint leaves the earlier
//! checkpoint complete.
//!
//! [`Durability::ProcessCrash`]: crate::checkpoint::Durability::ProcessCrash
//! [`Durability::PowerCut`]: crate::checkpoint::Durability::PowerCut
//!
//! ## Kinds of checkpoints
//! The default is *auto*: the store chooses, so that no checkpoint makes it slower. It takes
//! incremental checkpoints, and fold-overs only while a store that is far larger than its memory is
//! written without any use of its memory, as in a load. See
//! [`checkpoint::Kind`](crate::checkpoint::Kind) for the rule. A
//! [`Checkpoint`](crate::checkpoint::Checkpoint) has the kind that was taken.
//!
//! * *Fold-over* writes the unflushed log. The first later change of each record copies the record
//!   to the end of the log. It suits data that changes rarely, and needs no files beside the log.
//! * *Snapshot* writes the log in memory to a file beside the log, and the log does not grow. It
//!   suits a small hot set that changes all the time.
//! * *Incremental* writes only the changes since the last snapshot or incremental checkpoint. It
//!   suits frequent checkpoints of a large hot set.
//! * *Index only* writes an image of the index. It makes nothing durable; the next recovery is
//!   faster.
//!
//! All kinds run while operations continue. Once per checkpoint all writers pause, for
//! microseconds.
//!
//! ```
//! use kvick::{Config, FasterKv};
//! use kvick::checkpoint::Durability;
//! # use kvick::config::Backend;
//! use std::time::Duration;
//!
//! # kvick::runtime::block_on(async {
//! let config = Config::default()
//!     .with_checkpoint_every(Duration::from_secs(30)); // by time, if anything has changed
//! # let config = config.with_backend(Backend::Memory);
//! let store: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//! store.upsert(&1, &10).await?;
//!
//! let full = store.checkpoint().await?; // on request, and durable when it returns
//! let weaker = store.checkpoint().snapshot().durability(Durability::ProcessCrash).await?;
//! assert!(weaker.token > full.token);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! Automatic checkpoints have the kind of the setting `checkpoint_kind`, and always survive power
//! cuts. An automatic checkpoint has no caller for its error. [`FasterKv::health`] and
//! [`Stats::checkpoints`] report it.
//!
//! [`FasterKv::health`]: crate::FasterKv::health
//! [`Stats::checkpoints`]: crate::stats::Stats::checkpoints
//!
//! ## Sessions and commit points
//! A session numbers its writes 1, 2, 3. A checkpoint has the writes of each session up to its
//! [commit point](crate::session::CommitPoint), each exactly once, and no later ones.
//! [`Session::wait_durable`] waits for a checkpoint that has all present writes of the session. It
//! takes no checkpoint: another task or the settings must do that.
//!
//! ```
//! # use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let store: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//! let mut session = store.session()?;
//! let id = session.id(); // from now on, checkpoints keep the session
//! session.upsert(&1, &10).await?;
//! session.upsert(&2, &20).await?;
//!
//! let checkpoint = store.checkpoint().start()?; // in the background
//! session.wait_durable().await?;
//! assert!(session.commit_point().covers(2));
//! assert_eq!(checkpoint.await?.sessions[&id].until, 2); // it wrote since the checkpoint before
//! # drop(session);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! A checkpoint returns only sessions with an id that did something since the checkpoint before,
//! which any task may have taken. So ask the session for its commit point.
//!
//! Only a session whose [`id`](crate::Session::id) was requested can be resumed after a crash; see
//! [exactly once](super::patterns#exactly-once).
//!
//! [`Session::wait_durable`]: crate::Session::wait_durable
//!
//! ## The write-ahead log
//! With [`durability = "wal"`](crate::Config::durability) a store writes each change of a key to a
//! log beside its checkpoints. So one operation can be durable by itself:
//!
//! ```
//! use kvick::{Config, FasterKv};
//! use kvick::config::DurableBy;
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! let config = Config::default().with_durability(DurableBy::Wal);
//! # let config = config.with_backend(Backend::Memory);
//! let store: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//! let sum = store.rmw(&1, |sum| sum.unwrap_or(0) + 5).durable().await?; // survives a power cut
//! assert_eq!(sum, 5);
//! let mut session = store.session_named("worker")?;
//! session.upsert_many(&[(2, 20), (3, 30)]).await?;
//! session.set_offset(b"17")?;
//! session.sync().await?; // all of the session so far, and its offset
//! # drop(session);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! * Each write of one key has a form [`durable`](crate::futures::Upsert::durable). Tasks that wait
//!   at the same time share one write and one sync.
//! * With [`acknowledge = "durable"`](crate::Config::acknowledge) every write is ready only when it
//!   is durable, and a batch waits once, at its end.
//!   [`Session::set_acknowledge`](crate::Session::set_acknowledge) sets this for one session, and
//!   [`in_memory`](crate::futures::Upsert::in_memory) excepts one write.
//! * [`FasterKv::sync`] makes every change durable whose operation has ended. [`Session::sync`]
//!   does this for a session, with its [offset](crate::Session::set_offset) and its last operations
//!   that changed nothing. A `sync` of the store, a commit by itself, and a `close` without a
//!   checkpoint do not: such a session may come back with the offset before, or with its last
//!   change as its last operation. So acknowledge input up to an offset only after `sync` of its
//!   session.
//! * [`Session::write_batch`](crate::Session::write_batch) makes changes that are recovered whole,
//!   with the offset after them, or not at all. It works without this log, too: then a checkpoint
//!   has all of a batch.
//! * Other operations become durable after [`commit_every`](crate::Config::commit_every), a second
//!   by default, or [`commit_bytes`](crate::Config::commit_bytes).
//! * The next opening recovers the newest checkpoint, and repeats the changes after it. A crash
//!   loses operations only from the end: what is recovered is a prefix of all changes, and so of
//!   each session. A session with an id comes back with its last durable operation.
//! * [`Report::repeated`](crate::recovery::Report::repeated) counts the changes. The store takes a
//!   checkpoint whenever the log has grown by [`wal_size`](crate::Config::wal_size), which limits
//!   the time of an opening and the space of the log. It is not within
//!   [`disk`](crate::Config::disk).
//! * Reads see changes that are not durable yet.
//! * The log is in `wal` in the directory of the store, or in
//!   [`wal_directory`](crate::Config::wal_directory). It belongs to the store: an opening that does
//!   not find it fails. An opening with `durability = "checkpoint"` leaves the log: it repeats its
//!   changes, takes a checkpoint, and deletes the log. A store may get a log again later. Recovery
//!   of a checkpoint by its token gives up all operations after that checkpoint,
//!   for ever. A [backup](super::formats#backup) has no log, and needs none.
//! * A compaction with a closure, and the expiry of keys, are no changes of a key. They happen
//!   again after a crash.
//! * A value and the longest key together are at most three eighths of
//!   [`wal_memory`](crate::Config::wal_memory) long.
//! * A [cookie](crate::checkpoint::Request::cookie) belongs to its checkpoint, and the store has
//!   more than that after a crash. So keep the place in your input as an offset of a session.
//!
//! [`FasterKv::sync`]: crate::FasterKv::sync
//! [`Session::sync`]: crate::Session::sync
//!
//! # The log
//! | call | the entry survives when it has returned |
//! |---|---|
//! | `append`, `append_many`, `try_append` | nothing |
//! | `commit`, `append_durable`, `wait_for_commit` | the end of the process, and a power cut |
//! | `complete`, `close` | the end of the process, and a power cut |
//! | drop of the last handle | nothing beyond earlier commits |
//!
//! A commit makes every entry durable that was appended before it. Tasks that wait at the same time
//! share one write and one sync. [`log::Config::commit_every`](crate::log::Config::commit_every)
//! and [`commit_bytes`](crate::log::Config::commit_bytes) commit automatically.
//!
//! ```
//! # use kvick::{log, FasterLog};
//! # use kvick::config::Backend;
//! # kvick::runtime::block_on(async {
//! # let config = log::Config::default().with_backend(Backend::Memory);
//! let log = FasterLog::open("log", config).await?;
//! let address = log.append(b"in memory").await?;
//! assert!(log.committed_until() <= address);
//! let commit = log.commit().await?;
//! assert!(address < commit.until && commit.until == log.committed_until());
//! # log.close().await
//! # }).unwrap();
//! ```
//!
//! A crash loses entries that no completed commit covers; some of them may be recovered even so.
//! The recovered entries are in order and without gaps. If a committed entry is damaged, opening
//! fails and names the place. There is one exception: damage of the *end* of the log after it was
//! written. Recovery cannot tell damaged commits, after which nothing sound was written, from
//! unfinished ones, and drops them. The end reaches back to the last manifest of the log. A clean
//! close writes the manifest, and so does a running log after at most
//! [`memory`](crate::log::Config::memory) bytes.
//!
//! # Conditions
//! * The disk must keep what it has synced. A disk that acknowledges a sync and loses the bytes
//!   breaks every promise here; recovery reports the damage that it finds by checksums.
//! * A failed write or sync never counts as stored. After an error that may have cost data the
//!   store or log is [`Poisoned`](crate::ErrorKind::Poisoned), until it is opened again.
//! * `Backend::Memory` and `Backend::Null` keep nothing after the last handle.

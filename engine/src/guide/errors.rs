//! Lists each kind of error: when it occurs, and what to do.
//!
//! An absent key is `None`, never an error. Every failure is an [`Error`](crate::Error). Its text
//! is one line: the thing, the cause, the next step. Code branches on
//! [`Error::kind`](crate::Error::kind), and [`source`](std::error::Error::source) has the cause.
//!
//! [`Error::is_retryable`](crate::Error::is_retryable) tells whether the same call can succeed
//! later on the same store or log.
//!
//! # Kinds
//! See [`ErrorKind`](crate::ErrorKind). Retryable are the first three.
//!
//! * **`Busy`**: `checkpoint().start()` finds another checkpoint in progress, an iterator of that
//!   name is in use, `try_append` finds no room, or a scan or a reader of the log is in the way of
//!   `compact()`. Call again a moment later.
//! * **`StorageFull`**: the medium, a quota or a limit of file size is full. Free space, and call
//!   again. Or the live data fill [`Config::disk`](crate::Config::disk), or a scan holds compaction
//!   up: see [there](super::running#a-full-budget).
//! * **`Unavailable`**: the system is short of descriptors, tasks or memory. Raise the limit, and
//!   call again.
//! * **`InvalidArgument`**: a setting, key, value, address or token is out of its bounds. A table
//!   has other types, was dropped, is one too many, or does not exist for `rename_table` and
//!   `drop_table`. The memory is below its floor. Correct the call.
//! * **`AlreadyExists`**: the directory of a new store or log has foreign files. Choose an empty
//!   directory.
//! * **`InUse`**: another store or log, maybe in another process, has the directory open. Close it
//!   there. After a kill, or after a drop without `close`, open again a moment later.
//! * **`Corrupt`**: the read bytes are not the written bytes. See [below](#corrupt).
//! * **`NotFound`**: a file that the call needs is missing. Restore it from a backup.
//! * **`Truncated`**: a reader asked to fail if it misses truncated entries. Go on where the log
//!   begins. Or the writer of a store has removed what a [reader](crate::reader) shows: refresh.
//! * **`ReadOnly`**: the file system was read-only at the opening. Mount it for writing, and open
//!   again.
//! * **`AddressesExhausted`**: all addresses are used. Go on in a new directory; the old one stays
//!   readable.
//! * **`Io`**: the system refused an operation. The source has the reason.
//! * **`Poisoned`**: a write or sync failed, or the runtime ended. Close, find the cause, and open
//!   again. See [below](#poisoned).
//! * **`Closed`**: the store or log was closed. Open it again.
//! * **`Completed`**: the log was completed, which is permanent. Append to a new log, in another
//!   directory.
//! * **`Codec`**: a value cannot be encoded, or stored bytes do not decode. Correct the type.
//! * **`Unsupported`**: this build, system, device or format cannot do it. The text has the reason.
//!
//! # Retrying
//! A call that had an effect before its error has the effect again when it is repeated. After an
//! error of `append_durable` the entry is in the log: repeat the `commit`. After an error of
//! `upsert_many` the pairs before the failing pair are set, and after one of `delete_many` the keys
//! before the failing key are removed. After an error of `rmw_many` or `insert_many` some of the
//! other keys may be modified, before and after the failing key. Operations on one key had no
//! effect, except durable writes whose commit failed with `StorageFull` or `Poisoned`: these are
//! made. Repeat `sync`, not the write. Best write in memory, and `sync` then.
//!
//! ```
//! use kvick::{log, ErrorKind, FasterLog, Result};
//! # use kvick::config::Backend;
//!
//! async fn push(log: &FasterLog, entry: &[u8]) -> Result<()> {
//!     log.append(entry).await?; // once
//!     loop {
//!         match log.commit().await {
//!             Err(error) if error.kind() == ErrorKind::StorageFull => free_space().await,
//!             committed => return committed.map(drop),
//!         }
//!     }
//! }
//!
//! async fn free_space() {
//!     // Delete files, or wait for an operator.
//! }
//! # kvick::runtime::block_on(async {
//! # let config = log::Config::default().with_backend(Backend::Memory);
//! # let log = FasterLog::open("unused", config).await?;
//! # push(&log, b"entry").await?;
//! # log.close().await
//! # }).unwrap();
//! ```
//!
//! # Busy and closed, in code
//! ```
//! use kvick::{Config, ErrorKind, FasterKv};
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let store: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//! let error = store.prune_checkpoints(0).await.expect_err("the last one is never removed");
//! assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::InvalidArgument, false));
//!
//! store.close().await?;
//! let error = store.read(&1).await.expect_err("it is closed");
//! assert_eq!(error.to_string(), "the store is closed; open it again");
//! # assert_eq!(error.kind(), ErrorKind::Closed);
//! # Ok::<(), kvick::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Corrupt
//! The text names the file and the offset. A read of a damaged record fails; other records can be
//! read. If opening fails, no file has changed. Then, in this order:
//!
//! 1. Check the directory from outside: [`inspect`](crate::inspect()) for a store,
//!    [`log::check`](crate::log::check) for a log. Keep a copy.
//! 2. Restore the damaged file from a [backup](super::formats#backup), or the whole directory.
//! 3. For a store, [`allow_fallback`](crate::Config::allow_fallback) opens an older checkpoint;
//!    [`recovery`](crate::FasterKv::recovery) reports the lost operations of each session.
//! 4. For a log, [`log::repair`](crate::log::repair) drops the damaged ranges that `log::check`
//!    reports.
//!
//! # Poisoned
//! A failed write or sync means that it is unknown which bytes the medium has. So no later write
//! may claim to be durable. Reads go on. `close` returns the cause and releases the directory; the
//! next opening recovers the newest sound checkpoint or commit.
//!
//! # Panics
//! A panic in your closure or codec passes through the operation, and changes nothing. A panic of
//! the store's own maintenance poisons the store, and errors name it.

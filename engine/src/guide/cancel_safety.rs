//! Explains what a dropped future leaves: with `select!`, with timeouts, on shutdown.
//!
//! # The rule
//! All futures are lazy: a future that was never polled has done nothing. An operation on one key
//! takes effect within one poll, the poll that makes it ready. So a dropped operation has had its
//! whole effect, or none. It holds no lock and no memory of the store while it waits, so a parked
//! or leaked future blocks no other task.
//!
//! A future that is dropped *before it returned `Ready`* has had no effect, except where the table
//! says otherwise. One exception concerns all writes: a write that waits until it is durable
//! (`durable()`, or [`acknowledge`](crate::Config::acknowledge) `= "durable"`) first takes effect,
//! and then waits. Dropped in between, it has taken effect, and may or may not be durable.
//!
//! | call | a dropped future |
//! |---|---|
//! | `read`, `read_with`, `contains`, `read_many` | has no effect |
//! | `upsert`, `rmw`, `delete`, `insert_if_absent`, `compare_and_swap` | has had no effect |
//! | `get_or_insert_with` | has had no effect, and another caller computes |
//! | `update`, `replace`, `take`, `delete_if`, `compare_and_delete` | has had no effect |
//! | `upsert_with`, `insert_with`, `update_with` | has had no effect |
//! | `expiry`, `set_expiry`, `persist` | has had no effect |
//! | `write_batch` | has had no effect |
//! | `upsert_many` | has set some pairs from the start, and no later ones |
//! | `delete_many` | has removed some keys from the start, and no later ones |
//! | `rmw_many` | has modified some keys, each once or not at all |
//! | `insert_many` | has set some pairs, each whole or not at all |
//! | `Scan`, `ScanWith` (streams), `count` | has no effect |
//! | `retain`, `clear` | has deleted some keys |
//! | writes that wait until they are durable | may have written; takes nothing back |
//! | `sync` | a begun commit continues |
//! | `wait_durable` | has no effect |
//! | `checkpoint`, `delete_checkpoint`, `prune_checkpoints`, `compact` | a started job continues |
//! | `StoreReader::open`, `refresh` | has no effect, or a refresh has happened |
//! | `replace_contents` | leaves a closed store with the old or the new contents |
//! | `backup` | leaves an unfinished directory, which the next backup replaces |
//! | `table`, `rename_table`, `drop_table` | a begun change continues |
//! | `flush`, `flush_and_evict` | the writing continues |
//! | `set_memory` | the new memory stays set, and pages leave memory |
//! | `close` | closing continues |
//! | `open` | may leave a lock file; the next opening repeats a recovery |
//! | `FasterLog::append`, `append_many` | has appended nothing |
//! | `append_durable` | may have appended the entry |
//! | `commit`, `truncate_suffix` | a begun commit continues |
//! | `complete`, `truncate_until` | may have happened; call it again |
//! | `wait_for_commit`, `read`, `last` | has no effect |
//! | `log::Scan`, `log::NamedIterator` (streams) | loses no entry that it did not return |
//! | `log::repair` | may have repaired the log; repeat the repair |
//!
//! # `select!`
//! A stream of a log in a `select!` loop is safe: an entry that it did not return is returned
//! later. A write in a branch is safe too: either it has returned, or it has not happened. A
//! durable one may have happened. So write in memory there, and make it durable outside of the
//! branch.
//!
//! ```
//! use futures::{FutureExt, StreamExt, future, select};
//! use kvick::{log, FasterLog};
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = log::Config::default().with_backend(Backend::Memory);
//! # let log = FasterLog::open("unused", config).await?;
//! log.append_durable(b"job").await?;
//! log.complete().await?; // permanently; the stream ends after the last entry
//!
//! let mut shutdown = future::pending::<()>().fuse();
//! let mut entries = log.follow_from(log.begin_address()).fuse();
//! let mut seen = 0;
//! loop {
//!     select! {
//!         entry = entries.next() => match entry {
//!             Some(entry) => { entry?; seen += 1 }
//!             None => break,
//!         },
//!         () = shutdown => break,
//!     }
//! }
//! assert_eq!(seen, 1);
//! # log.close().await
//! # }).unwrap();
//! ```
//!
//! # Timeouts
//! A timeout drops the operation. After a timeout of `upsert` or `rmw` the value is unchanged, and
//! the operation can be tried again. After a timeout of a durable `rmw` it may be changed already:
//! the [serial number](#serial-numbers) of the session tells, as such an operation has taken its
//! number. After a timeout of `append_durable` the entry may be in the
//! log: a second `append_durable` may add it twice. So time out the commit, not the append:
//!
//! ```
//! use kvick::{log, FasterLog};
//! # use kvick::config::Backend;
//! use std::time::Duration;
//!
//! #[tokio::main]
//! async fn main() -> kvick::Result<()> {
//! #   let config = log::Config::default().with_backend(Backend::Memory);
//! #   #[cfg(any())]
//!     let config = log::Config::default();
//!     let log = FasterLog::open("log", config).await?;
//!
//!     let address = log.append(b"once").await?;
//!     let mut commits = log.commit().start()?; // continues, whatever happens to the future
//!     while tokio::time::timeout(Duration::from_secs(1), &mut commits).await.is_err() {
//!         println!("the device is slow");
//!     }
//!     assert!(address < log.committed_until());
//!     log.close().await
//! }
//! ```
//!
//! Likewise write to a store in memory, and give the timeout to the [`sync`](crate::Session::sync)
//! after it: a `sync` can be repeated.
//!
//! An operation waits only for the device, for room in memory, for space in a `disk` budget, for
//! the commit that makes it durable, or microseconds for a checkpoint. So a timeout of seconds
//! means that the device is slow or full, or that compaction makes space; see
//! [`health`](crate::FasterKv::health) and `stats().space`.
//!
//! # Serial numbers
//! A dropped or failed operation of a session takes no serial number, unless it had taken effect
//! and waited until it was durable. So numbers and effects always agree. A dropped `rmw_many` or
//! `insert_many` may have modified some of its keys. The numbers of the other keys go to the next
//! operations of the session; [`Session::next_serials`](crate::Session::next_serials) shows them.
//!
//! ```
//! # use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
//! let mut session = store.session()?;
//! drop(session.upsert(&1, &10)); // was never polled
//! assert_eq!((session.serial(), session.read(&1).await?), (0, None));
//! session.upsert(&1, &11).await?;
//! assert_eq!((session.serial(), session.read(&1).await?), (1, Some(11)));
//! # drop(session);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Leaked futures
//! A future that is leaked while it waits for the device keeps its buffer, and nothing else. It
//! delays no other task and no checkpoint.

//! Opens a first store and a first log, on tokio and without it.
//!
//! # Dependencies
//! ```toml
//! [dependencies]
//! kvick = { git = "https://github.com/kvick-rs/kvick" }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] } # or another executor
//! futures = "0.3" # for streams: scans, subscribers, the log
//! ```
//!
//! | feature | adds |
//! |---|---|
//! | `derive` | `#[derive(Key, Value)]` |
//! | `serde`, `messagepack`, `rkyv` | values of these libraries and formats |
//! | `uuid`, `time`, `chrono` | keys and values of these crates |
//! | `metrics` | statistics and health through the crate `metrics` |
//! | `tokio` | maintenance on a tokio runtime, in place of a thread |
//! | `glommio` | maintenance and reads on a glommio executor (Linux) |
//!
//! Only `derive` is on by default. A tokio program needs no other feature: the futures run on any
//! executor. See [`running`](super::running#runtimes) for when `tokio` is worth it.
//!
//! # A store on tokio
//! A store has a directory of its own. [`FasterKv::open`](crate::FasterKv::open) creates the store
//! if the directory has none, and recovers the newest checkpoint otherwise.
//!
//! ```
//! use kvick::{Config, FasterKv};
//!
//! #[tokio::main]
//! async fn main() -> kvick::Result<()> {
//! #   let place = tempfile::tempdir().unwrap();
//! #   let path = place.path().join("data");
//! #   #[cfg(any())]
//!     let path = "data";
//!     let store: FasterKv<str, u64> = FasterKv::open(path, Config::default()).await?;
//!
//!     // A session belongs to one task. The handle can be cloned into any number of tasks.
//!     let mut session = store.session()?;
//!     session.upsert("apples", &3).await?;
//!     session.rmw("apples", |count| count.unwrap_or(0) + 1).await?;
//!     assert_eq!(session.read("apples").await?, Some(4));
//!
//!     let shared = store.clone();
//!     let reader = tokio::spawn(async move { shared.read("apples").await });
//!     assert_eq!(reader.await.expect("the task does not panic")?, Some(4));
//!
//!     store.close().await // takes a last checkpoint
//! }
//! ```
//!
//! # A store without tokio
//! [`runtime::block_on`](crate::runtime::block_on) drives a future on the calling thread. The store
//! has a thread of its own for maintenance.
//!
//! ```
//! use kvick::runtime::block_on;
//! use kvick::{Config, FasterKv};
//! use kvick::config::Backend;
//!
//! fn main() -> kvick::Result<()> {
//!     block_on(async {
//!         // In memory, for a test: no file is written, and the path means nothing.
//!         let config = Config::default().with_backend(Backend::Memory);
//!         let store: FasterKv<u64, [u8]> = FasterKv::open("unused", config).await?;
//!         store.upsert(&7, b"seven").await?;
//!         assert_eq!(store.read(&7).await?.as_deref(), Some(&b"seven"[..]));
//!         store.close().await
//!     })
//! }
//! ```
//!
//! # A log
//! A [`FasterLog`](crate::FasterLog) is a separate product: entries of bytes, in order, appended by
//! many writers and read by many readers. An entry is durable when
//! [`append_durable`](crate::FasterLog::append_durable) or a later
//! [`commit`](crate::FasterLog::commit) returns.
//!
//! ```
//! use futures::TryStreamExt;
//! use kvick::{log, FasterLog};
//!
//! # kvick::runtime::block_on(async {
//! # let place = tempfile::tempdir().unwrap();
//! # let path = place.path().join("log");
//! # #[cfg(any())]
//! let path = "log";
//! let log = FasterLog::open(path, log::Config::default()).await?;
//! log.append(b"one").await?;
//! log.append(b"two").await?;
//! log.commit().await?; // one write and one sync for both
//! log.append_durable(b"three").await?;
//!
//! let entries: Vec<_> = log.scan(..).try_collect().await?;
//! assert_eq!(&entries[2].payload[..], b"three");
//! log.close().await
//! # }).unwrap();
//! ```
//!
//! Entries of one type: [`FasterLog::typed`](crate::FasterLog::typed) encodes and decodes them.
//!
//! # Types of keys and values
//! Numbers, arrays and vectors of numbers, byte strings, text, options and tuples are stored as
//! they are. A vector of another type needs [`Serde`](crate::codec) or a type of your own. The
//! table of [`Value`](crate::Value) has all types. An unsized type (`str`, `[u8]`) is stored by
//! reference and read as its owned form (`String`, `Vec<u8>`).
//!
//! ```
//! use kvick::{Config, FasterKv};
//! use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! let config = Config::default().with_backend(Backend::Memory);
//! let store: FasterKv<(u32, String), Option<f64>> = FasterKv::open("unused", config).await?;
//! store.upsert(&(1, "height".to_owned()), &Some(1.5)).await?;
//! let value = store.read(&(1, "height".to_owned())).await?;
//! assert_eq!(value, Some(Some(1.5)));
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! Each lookup by such a tuple makes a `String`. A store of
//! [`Encoded<(u32, String)>`](crate::codec::Encoded) has the same bytes and is looked up by
//! `Encoded::of((1, "height"))`, without a `String`.
//!
//! Derive [`Value`](crate::codec::Value) for a type of your own, with `version = 1` from the start:
//! a type without a version can never [change](super::patterns#change-a-type).
//!
//! # Many tables
//! A [`Database`](crate::Database) holds named tables of different types in one directory. They
//! share the memory budget, the log, the index and the threads, so operations cost the same on many
//! tables as on one. A checkpoint covers all of them.
//!
//! ```
//! use kvick::{Config, Database};
//! use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! let config = Config::default().with_backend(Backend::Memory);
//! let database = Database::open("unused", config).await?;
//! let users = database.table::<u64, str>("users").await?; // created if it is new
//! let visits = database.table::<str, u64>("visits").await?;
//!
//! let mut session = users.session()?;
//! session.upsert(&7, "ada").await?;
//! session.on(&visits)?.rmw("ada", |count| count.unwrap_or(0) + 1).await?;
//! assert_eq!(session.serial(), 2); // one sequence, one commit point
//!
//! database.rename_table("visits", "logins").await?;
//! database.drop_table("users").await?; // operations on its keys fail from now on
//! # drop(session);
//! database.close().await
//! # }).unwrap();
//! ```
//!
//! A handle of a table is a [`FasterKv`](crate::FasterKv). But `close`, `checkpoint`, `set_memory`
//! and `stats` concern the whole database: see
//! [one table or all](crate::FasterKv#one-table-or-all). A store of one type needs no database:
//! [`FasterKv::open`](crate::FasterKv::open) creates one with the single table `default`.
//!
//! After an opening, open each table again by [`table`](crate::Database::table), with its types.
//!
//! # Session or handle?
//! Both have the same operations. A [`Session`](crate::Session) is cheaper in a loop. It numbers
//! its writes; a checkpoint tells up to which number it contains them. It takes `&mut self`, so it
//! has one operation in flight. The handle [`FasterKv`](crate::FasterKv) takes `&self` and suits
//! code that is called from everywhere.
//!
//! For many keys at once both have `read_many`, `upsert_many`, `rmw_many`, `insert_many` and
//! `delete_many`. They overlap cache misses and device reads. The forms for iterators (`read_each`
//! and others) take keys by value or by reference. A key may be `&str` or `String` for `str`, but
//! not `&String`: map with `String::as_str`. A key of `[u8]` is `&b"a"[..]`, not `b"a"`.
//! A task that holds several single operations at once, of different kinds or tables, makes them
//! [`interleaved`](crate::futures::Read::interleaved).
//!
//! # Next
//! Read [`durability`](super::durability) before the first checkpoint, and
//! [`sizing`](super::sizing) before the first large store.

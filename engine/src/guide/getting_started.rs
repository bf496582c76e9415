//! Opens a first store and a first log, on tokio and without it.
//!
//! # Dependencies
//! ```toml
//! [dependencies]
//! kvick = "0.1"
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! | feature | adds |
//! |---|---|
//! | `serde`, `messagepack`, `rkyv` | values of these libraries and formats |
//! | `uuid`, `time`, `chrono` | keys and values of these crates |
//! | `tokio` | maintenance on a tokio runtime |
//! | `glommio` | maintenance and reads on a glommio executor (Linux) |
//!
//! All are off by default. A tokio program needs none of them: the futures run on any executor.
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
//!         // In memory, for a test: no file is written, and the path is not used.
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
//! Integers, arrays, byte strings, text, options and tuples are stored as they are. The table of
//! [`Value`](crate::Value) has all types, and the ways to store your own type. An unsized type
//! (`str`, `[u8]`) is stored by reference and read as its owned form (`String`, `Vec<u8>`).
//!
//! ```
//! use kvick::{Config, FasterKv};
//! use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let store: FasterKv<(u32, String), Option<f64>> = FasterKv::open("unused", config).await?;
//! store.upsert(&(1, "height".to_owned()), &Some(1.5)).await?;
//! let value = store.read(&(1, "height".to_owned())).await?;
//! assert_eq!(value, Some(Some(1.5)));
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Session or handle?
//! Both have the same operations. A [`Session`](crate::Session) has its own place in the epoch
//! table, so it is the faster one in a loop. It numbers its writes, and a checkpoint has them up to
//! some number. It takes `&mut self`, so it has one operation in flight. The handle
//! [`FasterKv`](crate::FasterKv) takes `&self` and suits code that is called from everywhere.
//!
//! For many keys at once both have `read_many`, `upsert_many`, `rmw_many`, `insert_many` and
//! `delete_many`. They overlap cache misses and device reads.
//!
//! # Next
//! Read [`durability`](super::durability) before the first checkpoint, and
//! [`sizing`](super::sizing) before the first large store.

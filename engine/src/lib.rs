//! A larger-than-memory key-value store after FASTER, with futures in place of callbacks.
//!
//! Memory speed on hot keys, real asynchronous I/O on cold keys, on any executor.
//!
//! It is not a server, an ordered index (there are no range scans), or a transaction system.
//!
//! The [`guide`] begins with [`getting_started`](guide::getting_started). It explains
//! [`durability`](guide::durability), [`cancel_safety`](guide::cancel_safety),
//! [`sizing`](guide::sizing), [`running`](guide::running), [`errors`](guide::errors),
//! [`formats`](guide::formats), [`from_faster`](guide::from_faster) and
//! [`patterns`](guide::patterns).
//!
//! | module | contents |
//! |---|---|
//! | the root | the store, its sessions and settings, the log, errors |
//! | [`prelude`] | the types that most programs name |
//! | [`database`] | named tables of different types in one store |
//! | [`session`] | answers of operations, identities of sessions |
//! | [`futures`] | the futures of operations, by name |
//! | [`scan`] | streams of all keys and values |
//! | [`feed`] | durable changes, and the records of the log, in their order |
//! | [`codec`] | types as keys and values, and how to write one |
//! | [`config`] | sizes, backends |
//! | [`checkpoint`] | how to take a checkpoint, and its progress |
//! | [`backup`] | copies of a running store |
//! | [`compaction`] | how space comes back |
//! | [`recovery`] | what an opening has found |
//! | [`reader`] | a store that another process writes, as of a checkpoint |
//! | [`log`] | settings, readers, followers and checks of a log |
//! | [`stats`] | counts, bytes, health |
//! | [`inspect`](mod@inspect) | a look at a store from outside |
//! | [`io`], [`runtime`], [`epoch`] | devices, executors, epoch protection for other structures |
//!
//! ```
//! use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! # #[cfg(any())]
//! let config = Config::default(); // 256 MiB of memory, the rest on disk
//! let store: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//!
//! let mut session = store.session()?; // one per task: cheap, Send, sequential
//! session.upsert(&42, &100).await?; // in memory: ready at the first poll
//! session.rmw(&42, |v| v.unwrap_or(0) + 1).await?; // atomic per key
//! assert_eq!(session.read(&42).await?, Some(101)); // awaits the device only when cold
//! session.delete(&42).await?;
//!
//! let values = session.read_many(&[1, 2, 3]).await?; // prefetched together
//! assert_eq!(values, [None, None, None]);
//!
//! store.checkpoint().await?; // durable when it returns; opening recovers the newest one
//! # drop(session);
//! store.close().await
//! # }).unwrap();
//! ```
//!
//! ```text
//!  user call                                                                   user's .await
//!     |                                                                              ^
//!     v                                                                              | Ready
//!  session -> store -> hash_index   "which address is newest?"                       |
//!                `---> hybrid_log -> io::Device -> io::Completion - Waker -> the operation's
//!                      "which bytes?"  "do it"      "it is done"              future
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc(test(attr(deny(warnings))))]

pub mod backup;
mod base;
#[doc(hidden)]
pub mod bench_support;
mod builder;
pub mod checkpoint;
pub mod codec;
pub mod compaction;
pub mod config;
pub mod database;
pub mod epoch;
pub mod feed;
pub mod futures;
pub mod guide;
mod hash_index;
mod hybrid_log;
pub mod inspect;
mod kv;
mod lifecycle;
pub mod log;
mod manifest;
mod memory;
mod opening;
mod read_cache;
pub mod reader;
mod record;
pub mod recovery;
pub mod scan;
pub mod session;
mod space;
mod statistics;
mod store;

/// Counts of what a store has done and holds, and its health.
pub mod stats {
    pub use crate::base::health::{Condition, Health};
    pub use crate::statistics::{
        CacheHits, CheckpointStats, DeviceStats, IndexStats, LastCheckpoint, LogBytes, MemoryBytes,
        OperationCounts, ScanStats, SpaceStats, Stats, TableStats, WalStats,
    };
}

/// The types that most programs name, for `use kvick::prelude::*`.
///
/// Beside the types of the root these are the sizes of settings ([`ByteSize`](config::ByteSize)),
/// the answer of `upsert` ([`Previous`](session::Previous)), the decision of `update`
/// ([`Update`](session::Update)) and the argument of `upsert_with` ([`Expiry`](session::Expiry)).
///
/// It brings no modules. `use kvick::*` brings `kvick::log`, `kvick::futures` and `kvick::io`,
/// which hide crates of these names.
pub mod prelude {
    pub use crate::config::ByteSize;
    pub use crate::session::{Expiry, Previous, Update};
    pub use crate::{
        Builder, Config, Database, Error, ErrorKind, FasterKv, FasterLog, Key, Session, Value,
    };
}

pub use base::error::{Error, ErrorKind, Result};
#[cfg(shuttle)]
#[doc(hidden)]
pub use base::weak_spot::{Stage, WeakSpots};
pub use builder::Builder;
pub use codec::{Key, Value};
pub use config::Config;
pub use database::Database;
pub use inspect::inspect;
pub use kv::FasterKv;
pub use log::handle::FasterLog;
pub use session::Session;

/// The I/O layer: directories, devices, and the simulated disk.
pub use kvick_io as io;
/// The runtime layer: handles of executors, `block_on`, and the simulation.
pub use kvick_runtime as runtime;

/// Compiles the examples of the page that a newcomer reads first.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

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
//! ```
//! use kvick::{Config, FasterKv};
//! # use kvick::Backend;
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

mod base;
#[doc(hidden)]
pub mod bench_support;
mod builder;
mod checkpoint;
mod codec;
mod config;
pub mod epoch;
pub mod futures;
pub mod guide;
mod hash_index;
mod hybrid_log;
mod inspect;
mod kv;
mod lifecycle;
mod log;
mod manifest;
mod opening;
mod record;
mod recovery;
mod session;
mod statistics;
mod store;

pub use base::error::{Error, ErrorKind, Result};
pub use base::health::{Condition, Health};
pub use base::kinds::{CheckpointKind, CheckpointToken, Durability};
#[cfg(shuttle)]
#[doc(hidden)]
pub use base::weak_spot::{Stage, WeakSpots};
pub use builder::Builder;
pub use checkpoint::{
    Checkpoint, CheckpointHandle, CheckpointInfo, CheckpointPhase, CheckpointProgress,
    CheckpointRequest, CheckpointTimes,
};
pub use codec::*;
pub use config::{Backend, ByteSize, Config};
pub use futures::TryRead;
pub use inspect::{
    FileRole, InspectedCheckpoint, InspectedFile, InspectedIndex, InspectedStore, Inspection,
    ManifestCopy, Problem, RecordCounts, inspect,
};
pub use kv::FasterKv;
pub use log::{
    Append, Appended, Commit, CommitPhase, CommitProgress, CommitRequest, Committing, FasterLog,
    LogAddress, LogBuilder, LogCheck, LogConfig, LogDamage, LogEntry, LogFollower, LogGroup,
    LogIterator, LogRecovery, LogSink, LogStats, Scan, TypedLog, Values, check_log, repair_log,
};
pub use recovery::{LostOperations, RecoveryProgress, RecoveryReport};
pub use session::Session;
pub use statistics::{
    CheckpointStats, DeviceStats, Hits, LastCheckpoint, LogBytes, MemoryBytes, Operations, Stats,
};
pub use store::answers::{Previous, Update};
pub use store::sessions::identity::{CommitPoint, SessionId};
pub use store::sessions::serials::Serials;

/// The I/O layer: directories, devices, and the simulated disk.
pub use kvick_io as io;
/// The runtime layer: handles of executors, `block_on`, and the simulation.
pub use kvick_runtime as runtime;

/// Compiles the examples of the page that a newcomer reads first.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

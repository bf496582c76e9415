//! Settings, builders, readers, iterators and followers of a log.
//!
//! Begin with [`FasterLog`](crate::FasterLog) and its [`Config`]. A [`Scan`] is a stream of
//! entries, a [`NamedIterator`] a durable queue, a [`Follower`] a reader in another process, and a
//! [`Group`] runs many logs. The guide has [examples](crate::guide::patterns#a-queue).

// The second product on the hybrid log: a sequence of entries. Many writers append them, and
// readers read them in order.
//
// # Terms
// * A *frame*, in this folder, is an entry frame: an entry, a piece of an entry, the record of a
//   commit, or padding. Frames follow each other without a gap (`frame/format.rs`).
// * A *commit* is a record in the log and everything before it, written and synced
//   (`commit/driver.rs`). The *manifest* holds one durable commit; recovery continues from there
//   (`recover/opening.rs`).
// * `begin`: entries below are truncated. `durable`: the end of the newest commit. The *tail*:
//   space below is allocated, and its writer may still be writing.
// * A *hole* is a range whose entries were taken back (`truncate/holes.rs`).
//
// # Invariants
// 1. A frame is written once, in space that only its writer has allocated, under one guard. Its
//    header is written last. So a reader that follows the headers sees whole frames. A zero header
//    means that a writer is still writing.
// 2. Only padding follows the record of a commit in its physical block. So the bytes flushed up to
//    the end of that block are exactly the bytes of the commit.
// 3. `durable` moves to the end of a commit after everything below was written and a sync that
//    began afterwards has succeeded. Commits become durable in order. No failed write or sync
//    moves `durable`.
// 4. A commit record becomes durable together with the frames that it covers, or recovery does not
//    find it. So recovery finds a prefix of the appended entries.
// 5. A physical block that a commit has made durable is never written again: the next frame begins
//    in the next block. This holds after a recovery too, which first removes the rest.
// 6. Files are deleted only below the `begin` of the manifest on the medium.
// 7. A waiting task holds nothing, and checks again after every change. So it misses no failure.
//
// # Access
// Appenders write frames. Only `commit/driver.rs` writes commit records and moves `durable`. Only
// `commit/manifest_driver.rs` writes the manifest and deletes files. Readers (`read/reader.rs`)
// write nothing.
//
// Source: FasterLog, as documented by microsoft/FASTER. There is no paper about it.

mod append;
mod builder;
mod check;
mod commit;
mod config;
mod follow;
mod frame;
mod group;
pub(crate) mod handle;
mod inner;
mod iterator;
mod lifecycle;
mod memory;
mod read;
mod recover;
mod stats;
mod truncate;
mod typed;
mod view;

pub use crate::base::address::PublicAddress as Address;

pub use self::append::future::{Append, Appended};
pub use self::append::sink::Sink;
pub use self::builder::Builder;
pub use self::check::damage::Damage;
pub use self::check::examine::{Check, check_log as check, repair_log as repair};

pub(crate) use self::check::examine::check_with_salt;
pub use self::commit::request::{CommitPhase, CommitProgress, CommitRequest, Committing};
pub use self::commit::state::Commit;
pub use self::config::Config;
pub use self::follow::follower::Follower;
pub use self::group::Group;
pub use self::iterator::named::NamedIterator;
pub use self::read::entry::Entry;
pub use self::read::scan::Scan;
pub use self::recover::report::Recovery;
pub use self::stats::Stats;
pub use self::typed::{TypedLog, TypedScan};

pub(crate) use self::Address as LogAddress;
pub(crate) use self::append::space::{NotAppended, Space};
pub(crate) use self::builder::{SharedLog, open_on};
pub(crate) use self::commit::manifest::Manifest as LogManifest;
pub(crate) use self::recover::opening::{Continuation, Renews};
pub(crate) use self::recover::removal::remove;

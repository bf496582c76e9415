//! The second product on the hybrid log: entries one behind the other, appended by many, read in
//! order.
//!
//! # Terms
//! * A *frame* is what lies in the log: an entry, a piece of one, the record of a commit, padding.
//!   Frames follow each other without a gap (`entry.rs`).
//! * A *commit* is a record in the log and everything before it, written and synced (`driver.rs`).
//!   The *manifest* has one that is durable; recovery walks on from there (`opening.rs`).
//! * `begin`: entries below are truncated. `durable`: the end of the newest commit. The *tail*:
//!   what lies below was taken by somebody, who may still be writing.
//! * A *void* is a range whose entries were taken back (`voids.rs`).
//!
//! # Invariants
//! 1. A frame is written once, in room that its writer alone has taken, under one guard; its header
//!    is written last. So who walks along headers sees whole frames, and a zero means that somebody
//!    is still writing.
//! 2. Nothing stands between the record of a commit and the end of its unit: what is flushed up to
//!    there is exactly what the commit has.
//! 3. `durable` moves to the end of a commit after everything below was written and a sync that
//!    began afterwards has succeeded; commits settle in order; no failed write or sync moves it.
//! 4. A record is made durable with what it speaks of, or is not found: what recovery finds is a
//!    prefix of what was appended.
//! 5. A unit that a commit has made durable is never written again: the next frame is in the next
//!    unit, also after a recovery, which cuts the rest off first.
//! 6. Files are deleted only below the begin that the manifest on the medium has.
//! 7. Whoever waits holds nothing, and looks again after every change: no failure is missed.
//!
//! # Who may touch what
//! Appenders write frames; `driver.rs` alone writes records, and moves `durable`; `publishing.rs`
//! alone writes the manifest and deletes files; readers (`reader.rs`) write nothing.
//!
//! Source: FasterLog, as microsoft/FASTER documents it; there is no paper about it.

mod address;
mod ahead;
mod alarm;
mod append;
mod builder;
mod check;
mod commit_record;
mod commit_request;
mod commits;
mod config;
mod core;
mod damage;
mod driver;
mod entry;
mod followed_device;
mod follower;
mod group;
mod last;
mod log;
mod manifest;
mod named;
mod opening;
mod places;
mod plan;
mod publishing;
mod reader;
mod recovered;
mod scan;
mod settled;
mod sink;
mod skipped;
mod source;
mod start;
mod statistics;
mod stored;
mod survey;
mod truncation;
mod typed;
mod voids;
mod waiting;
mod walk;

pub use self::address::LogAddress;
pub use self::append::{Append, Appended};
pub use self::builder::LogBuilder;
pub use self::check::{LogCheck, check_log, repair_log};
pub use self::commit_request::{CommitPhase, CommitProgress, CommitRequest, Committing};
pub use self::config::LogConfig;
pub use self::damage::LogDamage;
pub use self::follower::LogFollower;
pub use self::group::LogGroup;
pub use self::log::FasterLog;
pub use self::named::LogIterator;
pub use self::reader::LogEntry;
pub use self::recovered::LogRecovery;
pub use self::scan::Scan;
pub use self::settled::Commit;
pub use self::sink::LogSink;
pub use self::statistics::LogStats;
pub use self::typed::{TypedLog, Values};

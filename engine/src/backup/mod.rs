//! Backups: copies of a checkpoint of a running store, in other directories.
//!
//! Await [`FasterKv::backup`](crate::FasterKv::backup) to take one. The guide explains how to
//! [restore](crate::guide::formats#backup) it.

// A backup is a directory that opens like any store, with one checkpoint.
//
// # Steps
// ```text
//   lock the       mark it as     checkpoint,    read its files once:     sync,   manifest,
//   target     ->  unfinished ->  pinned     ->  each read is checked ->      ->  then no mark
//                                                and written
// ```
//
// # Invariants
// 1. The files of a pinned checkpoint stay as they are while they are copied. Units of the log are
//    written once, so the log below the end of the checkpoint does not change.
// 2. The bytes that were checked are the bytes that are written: one read gives both. What no
//    recovery reads, as the units of the first page before the first record, is copied unchecked.
// 3. A backup has a manifest only after each file that it names is durable and was checked. Until
//    then it has a mark, so that no store opens it, and only a backup removes its files.
// 4. The source writes nothing for a backup but the checkpoint. A backup that is dropped or fails
//    unpins.
//
// # Replacements
// A backup replaces the contents of a store (`replacement`): it is copied in the same way beside
// them, and an opening publishes the manifest that names the copy (`recovery`).
//
// # Access
// `request` is for users. `target` is the directory of the copy, `copying` fills it. `tee` is the
// source as the check reads it, `origin` the place that it is of, `pair` a device and its copy,
// `ranges` what of it is written.

mod copying;
mod origin;
mod pair;
mod ranges;
mod replacement;
mod request;
mod target;
mod tee;

pub use request::BackupRequest as Request;

pub(crate) use replacement::prepare as prepare_replacement;
pub(crate) use request::files_of;

use crate::base::kinds::CheckpointToken;
use crate::checkpoint::files::manifest::WalPlace;
use std::time::Duration;

/// A completed backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The checkpoint that it has.
    pub token: CheckpointToken,
    /// The number of bytes copied.
    pub bytes: u64,
    /// The duration, with the checkpoint that was taken first.
    pub took: Duration,
    /// The place after its changes, if the store has a write-ahead log.
    pub(crate) place: Option<WalPlace>,
}

/// A file that a checkpoint needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// The name of the file in the directory of the store.
    pub name: String,
    /// The number of bytes that the checkpoint needs, from the start of the file. A file of the log
    /// may have more.
    pub bytes: u64,
}

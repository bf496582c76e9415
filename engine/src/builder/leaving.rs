//! The directory of the write-ahead log, and the opening of a store without the log that it has
//! had.
//!
//! 1. The store is opened with the log, which repeats its changes, and takes a checkpoint.
//! 2. It is closed, and opened at this checkpoint without the log. The manifest names the log as
//!    left.
//! 3. The files of the log are deleted, the manifest of the log last.
//!
//! A crash before 2 leaves a store with a log, and after it one without. An opening of either kind
//! repeats 3 for as long as the manifest of the log is there. If another directory was out of
//! reach, a later opening that names it does so: the manifest knows the last 16 logs.

use super::{Builder, Places, launch};
use crate::base::error::{Error, Result};
use crate::checkpoint::{CheckpointPlan, Token};
use crate::config::DurableBy;
use crate::database::Database;
use crate::recovery::{Opening, RecoveryReport, TypeNames, has_wal, remove_left_wal};
use kvick_io::Directory;
use std::path::Path;
use std::sync::Arc;

impl<S> Builder<S> {
    /// Returns the directory of the write-ahead log, if the store shall have one. `path` is that of
    /// the store, unless a directory was set for it.
    pub(super) fn wal_directory_of(
        &self,
        path: Option<&Path>,
    ) -> Result<Option<Arc<dyn Directory>>> {
        if !self.config.has_wal() {
            return Ok(None);
        }
        let directory = self.wal_directory_in(path, |_path| true)?;
        directory.map(Some).ok_or_else(|| {
            Error::invalid(
                "durability = wal: a store in a given directory needs `wal_directory(..)`, too",
            )
        })
    }

    /// Returns the directory in which the store may have a write-ahead log that it shall not have.
    pub(super) fn left_directory_of(
        &self,
        path: Option<&Path>,
    ) -> Result<Option<Arc<dyn Directory>>> {
        if self.config.has_wal() || self.config.is_in_memory() {
            return Ok(None);
        }
        self.wal_directory_in(path, Path::is_dir)
    }

    /// Returns the directory that was set for the log, or that of its path, if the path is wanted.
    /// A store in a given directory has no path.
    fn wal_directory_in(
        &self,
        path: Option<&Path>,
        is_wanted: impl FnOnce(&Path) -> bool,
    ) -> Result<Option<Arc<dyn Directory>>> {
        let config = &self.config;
        if self.wal_directory.is_some() {
            return Ok(self.wal_directory.clone());
        }
        let path = config.wal_directory.clone().or_else(|| Some(path?.join("wal")));
        let path = path.filter(|path| self.surroundings.directory.is_none() && is_wanted(path));
        let Some(path) = path else {
            return Ok(None);
        };
        let io = || config.backend.io_config(config);
        self.surroundings.directory(&path, (&config.backend, "write-ahead log"), io).map(Some)
    }

    /// Opens the store, with these types if it has one table.
    pub(super) async fn open_in(
        mut self,
        places: Places,
        types: Option<&TypeNames>,
    ) -> Result<Database> {
        let backup = self.backup.take().map(|place| place.open(&self.config)).transpose()?;
        let left = places.left.clone();
        let mut opening = self.opening(places)?;
        let first = match (&left, &backup) {
            (Some(left), None) => checkpoint_changes(&mut opening, types, left).await?,
            _ => None,
        };
        let database = launch(opening, types, (backup, first)).await?;
        if let Some(left) = left {
            remove_left_wal(&database.lifecycle().checkpoints, &*left).await;
        }
        Ok(database)
    }
}

/// Takes a checkpoint of a store with a write-ahead log in `left`, for an opening without the log.
/// Then that is one of the checkpoint. Returns the report of the recovery. Does nothing for a store
/// without such a log, and for an opening of a given checkpoint, which gives up the changes after
/// it.
///
/// # Errors
/// Those of an opening with the log, of a checkpoint and of closing.
pub(super) async fn checkpoint_changes(
    opening: &mut Opening,
    types: Option<&TypeNames>,
    left: &Arc<dyn Directory>,
) -> Result<Option<RecoveryReport>> {
    if opening.token.is_some() || !has_wal(&*opening.directory).await? {
        return Ok(None);
    }
    let mut first = opening.again();
    first.config = first.config.with_durability(DurableBy::Wal);
    first.wal_directory = Some(Arc::clone(left));
    let database = Box::pin(launch(first, types, (None, None))).await?;
    let report = database.recovery().cloned();
    let checkpoints = &database.lifecycle().checkpoints;
    // One of the schedule may be in progress.
    let taken = checkpoints.start_in_turn(CheckpointPlan::full(checkpoints.kind())).await;
    database.close().await?;
    let Token(taken) = taken?.token;
    // Closing, or compaction before it, may have replaced the checkpoint.
    let newest = checkpoints.checkpoint_files().manifest().newest_safe();
    let newest = newest.expect("a checkpoint that survives power cuts was taken");
    assert!(newest >= taken, "tokens ascend: {newest} after {taken}");
    opening.token = Some(newest);
    // Sessions of two openings have different identities.
    opening.life = opening.life.wrapping_add(0x9e37_79b9_7f4a_7c15);
    Ok(report)
}

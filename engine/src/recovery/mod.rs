//! Reports of openings: the recovered checkpoint, and the lost operations.
//!
//! [`FasterKv::recovery`](crate::FasterKv::recovery) returns the [`Report`] of the last opening.

// Opens a directory: creates a store in it, or recovers the store that it has.
//
// A directory is locked first, and then listed. Its contents decide:
//
// | contents | result |
// |---|---|
// | nothing, or a creation that did not reach its manifest | a store is created |
// | a sound manifest | its newest checkpoint is recovered |
// | a damaged or missing manifest with a copy | an error; with `allow_fallback` the copy is used |
// | a damaged manifest, or a log without a manifest, and no copy | an error |
// | files of other programs, and no manifest | an error |
//
// # Recovery of a checkpoint
// 1. Recovery first reads and checks everything that the checkpoint needs, and writes nothing. It
//    reads the image of the index, the parts and deltas beside the log, and the log from the start
//    of that image on. The index then leads to the newest record of each entry; the last pages
//    stay in memory.
// 2. It truncates the log after the records that the checkpoint has there, durably. Bytes after
//    them belong to no checkpoint, and may be of any age.
// 3. Parts that are in memory are flushed later, like all other pages. Other parts are written
//    into the log now, with their changes.
//
// An interrupted recovery can be repeated, and gives the same result.
//
// # Replaced contents
// An opening may replace the contents of the store by those of a backup (`backup/replacement.rs`).
// Their files are there then. The recovery restores their checkpoint and publishes their manifest,
// which is the moment of the replacement. Only then the files of the contents before go. The
// write-ahead log stays: the manifest names its end as the cut of the checkpoint, so no entry of
// the contents before is repeated.
//
// # Readers
// A reader (`show`) takes no lock and makes steps 1 only. So the records that the log itself lacks
// must all stay in memory, and the log is read under the life that the manifest names: units that a
// later life wrote in their place do not count.
//
// # Fallback
// Recovery serves at least the newest checkpoint that survives power cuts, or fails and reports
// the reason. It serves less than was durable only if the configuration allows it, and then it
// reports the losses. It passes over a newer, weaker checkpoint if the end of the machine has
// damaged that.

mod create;
mod extent;
mod recover;
mod repeat;
mod replay;
mod report;
mod show;
mod stored;
mod type_change;
mod types;
mod wal;

pub use report::LostOperations;
pub use report::RecoveryPhase as Phase;
pub use report::RecoveryProgress as Progress;
pub use report::RecoveryReport as Report;

pub(crate) use repeat::repeat_logged;
pub(crate) use report::{RecoveryPhase, RecoveryProgress, RecoveryReport};
pub(crate) use show::show;
pub(crate) use types::TypeNames;
pub(crate) use wal::{has_wal, remove_left_wal};

use crate::base::error::{Error, Result};
use crate::base::wall_clock::WallClock;
use crate::checkpoint::files::checkpoint_files::{CheckpointFiles, is_of_contents, owner};
use crate::checkpoint::files::manifest::Manifest;
use crate::checkpoint::{Checkpoints, Schedule};
use crate::config::{Config, Geometry};
use crate::manifest::contents::{is_of_others, numbered, remove_others};
use crate::manifest::files::{self, LOG, is_log_segment};
use crate::manifest::read::{ManifestRead, read_manifest};
use crate::opening::directory::admit_read_only;
use crate::opening::ending::Maintenance;
use crate::opening::lock;
use kvick_io::{DeviceOptions, Directory, Lock};
use kvick_runtime::Handle;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Called with the progress of a recovery, by one task at a time.
pub(crate) struct OnProgress(Mutex<Box<dyn FnMut(RecoveryProgress) + Send>>);

impl OnProgress {
    pub(crate) fn new(tell: impl FnMut(RecoveryProgress) + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(tell)))
    }

    fn tell(&self, progress: RecoveryProgress) {
        let mut tell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tell(progress);
    }
}

/// The settings and the environment of an opening.
pub(crate) struct Opening {
    pub(crate) config: Config,
    pub(crate) directory: Arc<dyn Directory>,
    /// The directory of the write-ahead log, if the store shall have one.
    pub(crate) wal_directory: Option<Arc<dyn Directory>>,
    pub(crate) handle: Handle,
    pub(crate) clock: Arc<WallClock>,
    /// The seed of a new store.
    pub(crate) seed: u64,
    /// A number that tells this life of the store from all others.
    pub(crate) life: u64,
    /// The number of lives of the log whose numbers this opening skips.
    pub(crate) lost_lives: u32,
    /// Whether the recovery publishes new contents.
    pub(crate) replaces: bool,
    /// The contents that replace those of the store, if they shall be replaced.
    pub(crate) replacement: Option<Replacement>,
    /// The checkpoint to recover. `None` means the newest.
    pub(crate) token: Option<u64>,
    /// Whether types with other names than the store's types are accepted as the same types.
    pub(crate) accepts_type_change: bool,
    /// Whether nothing is written: the opening is of a reader, beside a writer or without one.
    pub(crate) reads_only: bool,
    /// Whether a reader keeps only the pages in memory that the log itself lacks.
    pub(crate) is_lean: bool,
    pub(crate) on_progress: Option<Arc<OnProgress>>,
}

/// Contents that replace those of a store. Their files are there already, durable and checked.
pub(crate) struct Replacement {
    /// The lock of the directory.
    pub(crate) locked: Box<dyn Lock>,
    /// The manifest that names them. It has one checkpoint.
    pub(crate) manifest: Manifest,
    /// Whether the manifest of the present contents is lost, and its copy was used.
    pub(crate) from_copy: bool,
    /// The number of lives that the present contents have had more.
    pub(crate) lost_lives: u32,
}

/// An open store. The lock must be kept as long as the store writes.
pub(crate) struct Opened {
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) report: Option<RecoveryReport>,
    /// The maintenance of the write-ahead log.
    pub(crate) wal: Option<Maintenance>,
}

/// The next step for damage that an opening has found.
const INSPECT: &str = "`kvick::inspect` lists all damage: restore this file from a copy";

/// Creates a store, or recovers the store in the directory. `types` are those of its only table;
/// `None` means that it may have any tables.
pub(crate) async fn open(opening: Opening, types: Option<&TypeNames>) -> Result<Opened> {
    let place = opening.directory.describe();
    let opened = Box::pin(opening.open(types)).await;
    opened.map_err(|error| error.with_place(&place, INSPECT))
}

impl Opening {
    async fn open(mut self, types: Option<&TypeNames>) -> Result<Opened> {
        Geometry::of(&self.config)?;
        let begun = self.handle.now();
        let raw = Arc::clone(&self.directory);
        let (lock, found) = match self.replacement.take() {
            None => (lock::lock(&*raw).await?, self.look().await?),
            Some(replacement) => self.replace(replacement),
        };
        let others = match &found {
            Found::Store { manifest, has_others: true, .. } => Some(manifest.contents()),
            _ => None,
        };
        let (core, checkpoint_files, report, wal) = match found {
            Found::Nothing => {
                if let Some(token) = self.token {
                    let place = self.directory.describe();
                    return Err(Error::invalid(format!(
                        "checkpoint {token}: there is no store in {place}"
                    )));
                }
                let (core, manifest, wal) = self.create(types).await?;
                (core, self.files(manifest), None, wal)
            }
            Found::Store { manifest, from_copy, has_others: _ } => {
                self.directory = numbered(&raw, manifest.contents());
                if manifest.checkpoints.is_empty() && !from_copy {
                    self.remove_dropped_log().await?;
                }
                let (core, checkpoint_files, mut report, wal) =
                    Box::pin(self.recover(types, *manifest, from_copy)).await?;
                report.took = self.handle.now().saturating_sub(begun);
                (core, checkpoint_files, Some(report), wal)
            }
        };
        // Not earlier, because the debris was evidence, and other contents may have been needed.
        if let Some(number) = others {
            self.remove_others(&*raw, number).await?;
        }
        let next_token = checkpoint_files.remove_debris().await?;
        let schedule = Schedule::of(&core.config);
        admit_read_only(&*self.directory, &core.log);
        core.space.set_history(checkpoint_files.manifest().rounds);
        let (core, handle) = (Arc::new(core), self.handle.clone());
        let checkpoints = Checkpoints::new(checkpoint_files, handle, core, schedule, next_token);
        let checkpoints = Arc::new(checkpoints);
        // A power cut may have brought some back.
        checkpoints.free_log_files().await?;
        // Before any operation.
        checkpoints.divide_space().await?;
        Ok(Opened { checkpoints, lock, report, wal })
    }

    /// Returns the lock, and the store with its new contents. They count once a recovery has
    /// published their manifest.
    fn replace(&mut self, replacement: Replacement) -> (Box<dyn Lock>, Found) {
        let Replacement { locked, manifest, from_copy, lost_lives } = replacement;
        (self.lost_lives, self.replaces) = (lost_lives, true);
        (locked, Found::Store { manifest: Box::new(manifest), from_copy, has_others: true })
    }

    /// Removes the files of contents that were replaced, or that did not come to replace others.
    /// The recovery has made the manifest durable.
    async fn remove_others(&self, raw: &dyn Directory, number: u64) -> Result<()> {
        if raw.is_read_only() {
            return Ok(());
        }
        let removed = remove_others(raw, number, is_of_contents).await;
        removed.map_err(|error| {
            Error::io(format!("removing unused contents in {}", raw.describe()), error)
        })
    }

    /// Removes the log if its first file is gone: a cache without a checkpoint has dropped it. No
    /// manifest has named a record of this log, and the new log needs the first file.
    async fn remove_dropped_log(&self) -> Result<()> {
        let mut files = files::list(&*self.directory).await?;
        files.retain(|name| is_log_segment(name));
        if self.directory.is_read_only() || files.iter().any(|name| is_first_segment(name)) {
            return Ok(());
        }
        for file in files {
            let removed = self.directory.remove_file(&file).await;
            removed
                .map_err(|error| Error::io(format!("removing {file}, which was dropped"), error))?;
        }
        Ok(())
    }

    /// Returns the files of the store, whose newest manifest is `manifest`.
    fn files(&self, manifest: Manifest) -> CheckpointFiles {
        CheckpointFiles::new(Arc::clone(&self.directory), manifest, Arc::clone(&self.clock))
    }

    async fn look(&self) -> Result<Found> {
        let files = files::list(&*self.directory).await?;
        let allow_fallback = self.config.allow_fallback;
        let read = read_manifest::<Manifest>(&*self.directory, &files, allow_fallback).await?;
        if let Some(ManifestRead { manifest, from_copy }) = read {
            let number = manifest.contents();
            let has_others = files.iter().any(|name| is_of_others(name, number, is_of_contents));
            return Ok(Found::Store { manifest: Box::new(manifest), from_copy, has_others });
        }
        let has_segments = files.iter().any(|name| is_log_segment(name));
        let has_numbered = files.iter().any(|name| is_of_others(name, 0, is_of_contents));
        let has_parts = has_numbered || files.iter().any(|name| owner(name).is_some());
        if has_parts || has_segments && !self.is_unfinished().await? {
            return Err(Error::lost_manifests(&self.directory.describe()));
        }
        files::refuse_foreign(&self.directory.describe(), &files, is_log_segment)?;
        Ok(Found::Nothing)
    }

    /// Returns whether the log is left over from a creation that did not reach its manifest. Then
    /// it has no byte, and the creation can continue.
    async fn is_unfinished(&self) -> Result<bool> {
        let segment_bytes = Geometry::of(&self.config)?.segment_bytes;
        let options = DeviceOptions { create: false, segment_bytes };
        let looking = |error| {
            Error::io(format!("looking at the log in {}", self.directory.describe()), error)
        };
        let device = self.directory.open_device(LOG, options).await.map_err(looking)?;
        Ok(device.bytes_stored() == 0)
    }
}

/// Returns whether a file of the log is its first.
fn is_first_segment(name: &str) -> bool {
    name == files::segment_name(LOG, 0)
}

/// The contents of a directory.
enum Found {
    Nothing,
    Store {
        manifest: Box<Manifest>,
        from_copy: bool,
        /// Whether there are files of other contents than the manifest names.
        has_others: bool,
    },
}

impl fmt::Debug for Opening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opening").field("config", &self.config).finish_non_exhaustive()
    }
}

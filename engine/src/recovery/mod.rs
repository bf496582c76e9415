//! Opens a directory: creates a store in it, or recovers the store that it has.
//!
//! A directory is locked first, and then listed. Its contents decide:
//!
//! | contents | result |
//! |---|---|
//! | nothing, or a creation that did not reach its manifest | a store is created |
//! | a sound manifest | its newest checkpoint is recovered |
//! | a damaged or missing manifest with a copy | an error; with `allow_fallback` the copy is used |
//! | a damaged manifest, or a log without a manifest, and no copy | an error |
//! | files of other programs, and no manifest | an error |
//!
//! # Recovery of a checkpoint
//! 1. Recovery first reads and checks everything that the checkpoint needs, and writes nothing. It
//!    reads the image of the index, the parts and deltas beside the log, and the log from the start
//!    of that image on. The index then leads to the newest record of each entry; the last pages
//!    stay in memory.
//! 2. It truncates the log after the records that the checkpoint has there, durably. Bytes after
//!    them belong to no checkpoint, and may be of any age.
//! 3. Parts that are in memory are flushed later, like all other pages. Other parts are written
//!    into the log now, with their changes.
//!
//! An interrupted recovery can be repeated, and gives the same result.
//!
//! # Fallback
//! Recovery serves at least the newest checkpoint that survives power cuts, or fails and reports
//! the reason. It serves less than was durable only if the configuration allows it, and then it
//! reports the losses. It passes over a newer, weaker checkpoint if the end of the machine has
//! damaged that.

mod create;
mod recover;
mod replay;
mod report;
mod types;

pub use report::{LostOperations, RecoveryProgress, RecoveryReport};

use crate::checkpoint::catalog::{Catalog, owner};
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::{Checkpoints, Schedule};
use crate::codec::{Key, Value};
use crate::config::{Backend, Config, Geometry};
use crate::error::{Error, ErrorKind, Result};
use crate::publication::{self, COPY, LOG, MANIFEST, Publishable};
use crate::store::Core;
use kvick_io::{DeviceOptions, Directory, IoConfig, Lock, MemoryDirectory, NullDirectory};
use kvick_runtime::Handle;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use types::TypeNames;

/// Called with the progress of a recovery.
pub(crate) type OnProgress = Box<dyn FnMut(RecoveryProgress) + Send>;

/// The settings and the environment of an opening.
pub(crate) struct Opening {
    pub(crate) config: Config,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) handle: Handle,
    /// The seed of a new store.
    pub(crate) seed: u64,
    /// A number that tells this life of the store from all others.
    pub(crate) life: u64,
    /// The checkpoint to recover. `None` means the newest.
    pub(crate) token: Option<u64>,
    /// Whether types with other names than the store's types are accepted as the same types.
    pub(crate) accepts_type_change: bool,
    /// In a mutex that no thread locks. A mutex is `Sync`, so the opening may move between threads.
    pub(crate) on_progress: Option<Mutex<OnProgress>>,
}

/// An open store. The lock must be kept as long as the store writes.
pub(crate) struct Opened {
    pub(crate) core: Arc<Core>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) report: Option<RecoveryReport>,
}

/// Returns the directory of the configured backend.
pub(crate) fn directory(path: &Path, config: &Config) -> Result<Arc<dyn Directory>> {
    let io = match config.backend {
        Backend::Memory => return Ok(Arc::new(MemoryDirectory::new())),
        Backend::Null => return Ok(Arc::new(NullDirectory::new())),
        ref disk => disk.io_config(config)?,
    };
    open_disk(path, &io)
}

fn open_disk(path: &Path, io: &IoConfig) -> Result<Arc<dyn Directory>> {
    kvick_io::open_directory(path, io)
        .map_err(|error| Error::io("the directory of the store", error))
}

/// Creates a store, or recovers the store in the directory.
pub(crate) async fn open<K: Key + ?Sized, V: Value + ?Sized>(opening: Opening) -> Result<Opened> {
    opening.open(&TypeNames::of::<K, V>()).await
}

impl Opening {
    async fn open(mut self, types: &TypeNames) -> Result<Opened> {
        Geometry::of(&self.config)?;
        let lock = publication::lock(&*self.directory).await?;
        let begun = self.handle.now();
        let found = self.look().await?;
        let (core, catalog, report) = match found {
            Found::Nothing => {
                if let Some(token) = self.token {
                    let place = self.directory.describe();
                    return Err(Error::invalid(format!(
                        "checkpoint {token}: there is no store in {place}"
                    )));
                }
                let (core, manifest) = self.create(types).await?;
                (core, Catalog::new(Arc::clone(&self.directory), manifest), None)
            }
            Found::Store { manifest, from_copy } => {
                let (core, catalog, mut report) =
                    Box::pin(self.recover(types, *manifest, from_copy)).await?;
                report.took = self.handle.now().saturating_sub(begun);
                (core, catalog, Some(report))
            }
        };
        // Not earlier, because the debris was evidence.
        let next_token = catalog.remove_debris().await?;
        let schedule = Schedule::of(&core.config);
        if self.directory.is_read_only() {
            core.log.health().transition_to_read_only(&self.directory.describe());
        }
        let (core, handle) = (Arc::new(core), self.handle.clone());
        let checkpoints =
            Checkpoints::new(catalog, handle, Arc::clone(&core), schedule, next_token);
        let checkpoints = Arc::new(checkpoints);
        Ok(Opened { core, checkpoints, lock, report })
    }

    async fn look(&self) -> Result<Found> {
        let files = self.list().await?;
        let has = |wanted: &str| files.iter().any(|name| name == wanted);
        let is_segment =
            |name: &str| publication::segment(name).is_some_and(|(device, _)| device == LOG);
        let segments = files.iter().filter(|name| is_segment(name)).count();
        if has(MANIFEST) {
            let bytes = self.read(MANIFEST).await?;
            match Manifest::decode(MANIFEST, &bytes) {
                Ok(manifest) => {
                    return Ok(Found::Store { manifest: Box::new(manifest), from_copy: false });
                }
                Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
                Err(error) => return self.look_at_copy(has(COPY), error).await,
            }
        }
        if has(COPY) {
            let what = format!("{MANIFEST} in {}", self.directory.describe());
            let way_out =
                "open with `allow_fallback` to use manifest.copy, or restore it from a copy";
            let missing = Error::not_found(&what, way_out);
            return self.look_at_copy(true, missing).await;
        }
        let has_parts = files.iter().any(|name| owner(name).is_some());
        if has_parts || segments > 0 && !self.is_unfinished().await? {
            let what = format!(
                "{segments} log segments, or files of checkpoints, without a manifest; nothing was \
                 touched"
            );
            return Err(Error::already_exists(self.directory.describe(), &what));
        }
        publication::refuse_foreign(&self.directory.describe(), &files, is_segment)?;
        Ok(Found::Nothing)
    }

    /// Returns the store in the copy of a manifest that is damaged or missing.
    async fn look_at_copy(&self, is_there: bool, damage: Error) -> Result<Found> {
        if !is_there || !self.config.allow_fallback {
            return Err(damage);
        }
        let bytes = self.read(COPY).await?;
        let manifest = Box::new(Manifest::decode(COPY, &bytes)?);
        tracing::warn!(%damage, "the copy of the manifest is used");
        Ok(Found::Store { manifest, from_copy: true })
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

    async fn list(&self) -> Result<Vec<String>> {
        let place = self.directory.describe();
        let listed = self.directory.list().await;
        listed.map_err(|error| Error::io(format!("listing {place}"), error))
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let place = self.directory.describe();
        let read = self.directory.read_file(name).await;
        read.map_err(|error| Error::io(format!("reading {name} in {place}"), error))
    }
}

/// The contents of a directory.
enum Found {
    Nothing,
    Store { manifest: Box<Manifest>, from_copy: bool },
}

impl fmt::Debug for Opening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opening").field("config", &self.config).finish_non_exhaustive()
    }
}

//! Requests for backups.

use super::copying::{Source, copy_all};
use super::target::Target;
use super::{Backup, File};
use crate::base::error::{Error, Result};
use crate::base::kinds::CheckpointToken;
use crate::checkpoint::{CheckpointKind, CheckpointPlan, Checkpoints};
use crate::config::Backend;
use crate::manifest::contents::name_in;
use crate::opening::directory::{check_named, not_opened};
use kvick_io::{BoxFuture, Directory};
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::Instrument;

/// Options for a backup. Await the request to take it.
#[derive(Debug)]
#[must_use = "a backup is taken when the request is awaited"]
pub struct BackupRequest<'s> {
    checkpoints: &'s Checkpoints,
    place: Place,
    token: Option<CheckpointToken>,
    reads_back: bool,
}

/// The place of a copy.
#[derive(Debug)]
enum Place {
    Path(PathBuf),
    Directory(Arc<dyn Directory>),
}

impl<'s> BackupRequest<'s> {
    pub(crate) fn to_path(checkpoints: &'s Checkpoints, path: &Path) -> Self {
        Self { checkpoints, place: Place::Path(path.to_owned()), token: None, reads_back: false }
    }

    pub(crate) fn to_directory(
        checkpoints: &'s Checkpoints,
        directory: Arc<dyn Directory>,
    ) -> Self {
        Self { checkpoints, place: Place::Directory(directory), token: None, reads_back: false }
    }

    /// Copies this checkpoint, which the store keeps. By default the backup takes a new one, a
    /// [snapshot](CheckpointKind::Snapshot). So this also works while the store is poisoned.
    ///
    /// To check the copy of an incremental checkpoint takes memory beside that of the store: about
    /// three times the bytes of its `delta` files.
    pub fn of(mut self, token: impl Into<Option<CheckpointToken>>) -> Self {
        self.token = token.into();
        self
    }

    /// Reads the copy back after it was synced, and checks it again. By default the medium of the
    /// target is trusted to keep what it has synced.
    ///
    /// It finds a medium that loses or changes bytes at once, and costs another read of every byte.
    /// With [direct I/O](crate::Config::direct), the default where the file system has it, the
    /// bytes come from the medium. Otherwise they may come from the page cache, which proves less.
    /// Rot that comes later is found by [`inspect`](crate::inspect()) of the copy.
    pub fn read_back(mut self, reads_back: bool) -> Self {
        self.reads_back = reads_back;
        self
    }

    async fn take(self) -> Result<Backup> {
        let Self { checkpoints, place, token, reads_back } = self;
        let (core, handle) = (checkpoints.core(), checkpoints.handle());
        let begun = handle.now();
        core.check_read()?;
        refuse_in_memory(checkpoints)?;
        let target = Target::claim(place.open(checkpoints)?).await?;
        let filling = async {
            if token.is_none() {
                // Without increments, which the check of the copy would hold in memory.
                let plan = CheckpointPlan::full(CheckpointKind::Snapshot);
                checkpoints.start_in_turn(plan).await?;
            }
            let pinned = checkpoints.pin(token)?;
            let source = Source::of(&pinned, checkpoints).await?;
            let bytes = copy_all(&source, target.directory()).await?;
            if reads_back {
                target.read_back(pinned.manifest()).await?;
            }
            target.publish(pinned.manifest()).await?;
            pinned.release_files();
            let token = CheckpointToken(source.token());
            Ok((token, bytes, pinned))
        };
        let filled = filling.await;
        if let Err(error) = checkpoints.free_in_turn().await {
            tracing::info!(target: "kvick::backup", %error, "the next checkpoint frees files");
        }
        match filled {
            Ok((token, bytes, pinned)) => {
                let (took, place) = (handle.now().saturating_sub(begun), pinned.place());
                Ok(Backup { token, bytes, took, place })
            }
            Err(error) => {
                target.give_up().await;
                Err(error)
            }
        }
    }
}

impl<'s> IntoFuture for BackupRequest<'s> {
    type Output = Result<Backup>;
    type IntoFuture = BoxFuture<'s, Result<Backup>>;

    /// Takes the backup, and waits until it is checked and durable.
    ///
    /// # Errors
    /// `AlreadyExists` if the target holds anything but an unfinished backup, `InUse` if another
    /// backup is writing to it. `InvalidArgument` if the store keeps no such checkpoint.
    /// `Unsupported` for a cache that keeps nothing on a device, and for a target whose blocks are
    /// larger than the units of the store. `Corrupt` if a file of the store does not match its
    /// checksums. `StorageFull` and `Io` of either directory, and the errors of
    /// a [checkpoint](crate::checkpoint::Request). After an error the target has no file of the
    /// backup, as far as files can be removed there.
    ///
    /// # Cancel safety
    /// A backup that is dropped leaves an unfinished directory. No store opens it; the next backup
    /// to it begins anew. A backup that is leaked keeps its checkpoint pinned until the store is
    /// closed.
    fn into_future(self) -> Self::IntoFuture {
        let span = tracing::info_span!(target: "kvick::backup", "backup", place = ?self.place);
        Box::pin(self.take().instrument(span))
    }
}

impl Place {
    /// Opens the directory. A path is on the backend of the store, if that has files.
    fn open(self, checkpoints: &Checkpoints) -> Result<Arc<dyn Directory>> {
        let path = match self {
            Self::Directory(directory) => return Ok(directory),
            Self::Path(path) => path,
        };
        check_named(&path, "backup")?;
        let config = &checkpoints.core().config;
        let backend = match config.backend {
            Backend::Memory | Backend::Null => Backend::Auto,
            backend => backend,
        };
        let opened = kvick_io::open_directory(&path, &backend.io_config(config)?);
        opened.map_err(|error| not_opened(&path, "backup", error))
    }
}

/// Returns the files that a checkpoint needs, by name.
///
/// # Errors
/// `InvalidArgument` if the store keeps no such checkpoint, `Unsupported` for a cache that keeps
/// nothing on a device, `Io`.
pub(crate) async fn files_of(
    checkpoints: &Checkpoints,
    token: CheckpointToken,
) -> Result<Vec<File>> {
    refuse_in_memory(checkpoints)?;
    let pinned = checkpoints.pin(Some(token))?;
    let number = checkpoints.checkpoint_files().manifest().contents();
    let mut files = Source::of(&pinned, checkpoints).await?.files();
    files.iter_mut().for_each(|file| file.name = name_in(number, &file.name));
    Ok(files)
}

fn refuse_in_memory(checkpoints: &Checkpoints) -> Result<()> {
    if checkpoints.core().config.is_in_memory() {
        return Err(Error::unsupported("a backup of a cache without files"));
    }
    Ok(())
}

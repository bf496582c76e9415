//! Backups of a store.

use super::FasterKv;
use crate::backup::{File, Request};
use crate::base::error::Result;
use crate::checkpoint::Token;
use crate::codec::{Key, Value};
use kvick_io::Directory;
use std::path::Path;
use std::sync::Arc;

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Copies the store to the empty directory `path`, while operations continue. Await the
    /// request.
    ///
    /// The backup takes a checkpoint, copies the files that it needs, and checks the bytes on their
    /// way. So damage of the store ends a backup and does not spread; with
    /// [`read_back`](Request::read_back) the copy is read again, too. It is durable when this
    /// returns. It is a store like any other, with that
    /// one checkpoint: [`open`](Self::open) recovers it, here or on another machine. So it has all
    /// operations that ended before the call, and for each session those up to some operation.
    ///
    /// The files of the checkpoint stay until they are copied. So the directory of the store grows
    /// by what compaction would have freed meanwhile (`pinned_bytes` of
    /// [`SpaceStats`](crate::stats::SpaceStats)). With a [`disk`](crate::Config::disk) budget,
    /// writers may get `StorageFull` when that is spent.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # kvick::runtime::block_on(async {
    /// # let place = tempfile::tempdir().unwrap();
    /// # let (data, copy) = (place.path().join("data"), place.path().join("copy"));
    /// let store: FasterKv<u64, u64> = FasterKv::open(&data, Config::default()).await?;
    /// store.upsert(&1, &10).await?;
    /// let backup = store.backup(&copy).await?;
    /// store.upsert(&1, &11).await?; // the store goes on
    ///
    /// let restored: FasterKv<u64, u64> = FasterKv::open(&copy, Config::default()).await?;
    /// assert_eq!(restored.recovery().and_then(|report| report.chosen), Some(backup.token));
    /// assert_eq!(restored.read(&1).await?, Some(10));
    /// # restored.close().await?;
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn backup(&self, path: impl AsRef<Path>) -> Request<'_> {
        self.database().backup(path)
    }

    /// Copies the store to an empty directory on any medium. See [`backup`](Self::backup).
    pub fn backup_to_directory(&self, directory: Arc<dyn Directory>) -> Request<'_> {
        self.database().backup_to_directory(directory)
    }

    /// Returns the files that a checkpoint needs, by name, without the manifest.
    ///
    /// The bytes of these files do not change while the store keeps the checkpoint
    /// ([`keep_checkpoints`](crate::Config::keep_checkpoints)). A program that copies only new
    /// files makes incremental copies: files of the log other than the last stay as they are. A
    /// copy needs the `manifest`, too, which must be copied **first** and while the checkpoint is
    /// kept; [`recover`](Self::recover) opens it with the token. [`backup`](Self::backup) does all
    /// of this, and checks the copy.
    ///
    /// # Errors
    /// `InvalidArgument` if the store keeps no such checkpoint, `Unsupported` for a cache that
    /// keeps nothing on a device, `Io`.
    pub async fn files_of(&self, token: Token) -> Result<Vec<File>> {
        self.database().files_of(token).await
    }
}

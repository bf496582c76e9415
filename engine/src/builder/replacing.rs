//! Replaces the contents of a store by those of a backup.

use super::read_only::BackupPlace;
use super::{Builder, launch};
use crate::base::error::{Error, Result};
use crate::codec::{Key, Value};
use crate::database::Database;
use crate::kv::FasterKv;
use crate::recovery::{Opening, TypeNames};
use kvick_io::Directory;
use std::path::Path;
use std::sync::Arc;

impl<S> Builder<S> {
    /// Replaces the contents of the store by those of the [backup](FasterKv::backup) in `path` when
    /// it is opened. See [`Database::replace_contents`].
    ///
    /// The store must exist and be closed. Nothing changes in the directory of the backup, which
    /// may be on a read-only file system. A store without a write-ahead log that is closed is as
    /// good as a backup: its newest checkpoint is used.
    ///
    /// The opening fails in addition with `NotFound` if there is no store or no backup, and with
    /// `InvalidArgument` beside [`recover`](Self::recover).
    pub fn replace_contents(mut self, path: impl AsRef<Path>) -> Self {
        self.backup = Some(BackupPlace::Path(path.as_ref().to_owned()));
        self
    }

    /// As [`replace_contents`](Self::replace_contents), by a backup on any medium.
    pub fn replace_contents_from(mut self, directory: Arc<dyn Directory>) -> Self {
        self.backup = Some(BackupPlace::Directory(directory));
        self
    }
}

impl Database {
    /// Replaces the contents of the database by those of the [backup](FasterKv::backup) in `path`,
    /// in one atomic step: after a crash it has the old contents or the new ones. Returns the
    /// database with the new contents. It is what installing a snapshot of a replicated state
    /// machine needs.
    ///
    /// The database is closed, and opened again with the settings of its opening. So this must be
    /// its last handle, without sessions, tables and scans. The backup is copied into the directory
    /// of the database and checked on the way; then a rename makes the copy count, and the files of
    /// the old contents are deleted. Until then both need space, which a
    /// [`disk`](crate::Config::disk) budget does not count. All of the contents are those of the
    /// backup: keys, tables, types, commit points of sessions. It may be of another store, with
    /// pages of another size if [`page_size`](crate::Config::page_size) was not set.
    ///
    /// The new contents are a new checkpoint of this database: its token is above all before, and
    /// its cookie is that of the backup. No older checkpoint remains. Nothing of a write-ahead log
    /// is repeated on the new contents.
    ///
    /// ```
    /// # use kvick::{Config, Database};
    /// # kvick::runtime::block_on(async {
    /// # let place = tempfile::tempdir().unwrap();
    /// # let (data, received) = (place.path().join("data"), place.path().join("received"));
    /// # let leader = Database::open(place.path().join("leader"), Config::default()).await?;
    /// # leader.table::<u64, str>("state").await?.upsert(&1, "new").await?;
    /// # leader.checkpoint().cookie(b"term 3, index 20".to_vec()).await?;
    /// # let newest = leader.checkpoints().pop().map(|info| info.token);
    /// # leader.backup(&received).of(newest).await?;
    /// # leader.close().await?;
    /// let database = Database::open(&data, Config::default()).await?;
    /// database.table::<u64, str>("state").await?.upsert(&1, "old").await?;
    ///
    /// // A backup of the leader has arrived in `received`.
    /// let database = database.replace_contents(&received).await?;
    /// let state = database.table::<u64, str>("state").await?;
    /// assert_eq!(state.read(&1).await?.as_deref(), Some("new"));
    /// let cookie = database.recovery().map(|report| report.cookie.clone());
    /// assert_eq!(cookie.as_deref(), Some(&b"term 3, index 20"[..]));
    /// # drop(state);
    /// # database.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InUse` while there are other handles, sessions, scans or feeds; a checkpoint has been taken
    /// then. `NotFound` if there is no backup,
    /// `AlreadyExists` if it is unfinished. `InvalidArgument` if it has other types or sizes than
    /// this database can be opened with, or changes that only a write-ahead log has. `Corrupt` if
    /// the backup does not match its checksums. `Unsupported` for a cache without files.
    /// `StorageFull`, `Io`, and the errors of [`close`](Self::close) and of an
    /// [opening](Self::open). The handle is gone after an error. The directory has the old contents
    /// then, or, if the error came after the rename, the new ones: open it again.
    ///
    /// # Cancel safety
    /// A future that is dropped leaves a closed database with the old or the new contents.
    pub async fn replace_contents(self, path: impl AsRef<Path>) -> Result<Self> {
        let place = BackupPlace::Path(path.as_ref().to_owned());
        replace(self, place, None).await
    }

    /// Replaces the contents by a backup on any medium. See
    /// [`replace_contents`](Self::replace_contents).
    ///
    /// # Errors
    /// As for [`replace_contents`](Self::replace_contents).
    ///
    /// # Cancel safety
    /// As for [`replace_contents`](Self::replace_contents).
    pub async fn replace_contents_from(self, directory: Arc<dyn Directory>) -> Result<Self> {
        replace(self, BackupPlace::Directory(directory), None).await
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> FasterKv<K, V> {
    /// Replaces the contents of the store by those of the [backup](Self::backup) in `path`, in one
    /// atomic step. See [`Database::replace_contents`]. The backup has one table of these types.
    ///
    /// # Errors
    /// As for [`Database::replace_contents`].
    ///
    /// # Cancel safety
    /// As for [`Database::replace_contents`].
    pub async fn replace_contents(self, path: impl AsRef<Path>) -> Result<Self> {
        self.replace_by(BackupPlace::Path(path.as_ref().to_owned())).await
    }

    /// Replaces the contents by a backup on any medium. See
    /// [`replace_contents`](Self::replace_contents).
    ///
    /// # Errors
    /// As for [`Database::replace_contents`].
    ///
    /// # Cancel safety
    /// As for [`Database::replace_contents`].
    pub async fn replace_contents_from(self, directory: Arc<dyn Directory>) -> Result<Self> {
        self.replace_by(BackupPlace::Directory(directory)).await
    }

    async fn replace_by(self, place: BackupPlace) -> Result<Self> {
        let database = self.database().clone();
        drop(self);
        let types = TypeNames::of::<K, V>();
        let database = replace(database, place, Some(&types)).await?;
        Ok(Self::new(database.only_table(&types)?, database))
    }
}

/// Closes the last handle of a store, and opens it with the contents of a backup.
async fn replace(
    database: Database,
    place: BackupPlace,
    types: Option<&TypeNames>,
) -> Result<Database> {
    if database.config().is_in_memory() {
        return Err(Error::unsupported("other contents for a cache without files"));
    }
    let opening = {
        let again = database.lifecycle().reopening.as_ref().expect("a writer has it").again();
        // Sessions of two openings have different identities.
        Opening { life: again.life.wrapping_add(0x9e37_79b9_7f4a_7c15), ..again }
    };
    if Arc::strong_count(database.lifecycle()) > 1 {
        // The last of the others may be one that cannot close the store.
        if database.config().checkpoint_on_close {
            database.checkpoint().await?;
        }
        return Err(Error::has_handles(opening.directory.describe()));
    }
    // First, so that no error costs an operation.
    database.close().await?;
    drop(database);
    let backup = place.open(&opening.config)?;
    launch(opening, types, (Some(backup), None)).await
}

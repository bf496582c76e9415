//! The directory of a backup, until it is complete.
//!
//! It has a mark (`UNFINISHED_BACKUP`) before any other file, and until it has its manifest. No
//! store opens a directory with the mark and without a manifest.

use super::copying::refuse;
use crate::base::error::{Error, Result};
use crate::checkpoint::files::checkpoint_files::is_of_contents;
use crate::checkpoint::files::manifest::Manifest;
use crate::inspect;
use crate::manifest::copy::keep_copy;
use crate::manifest::files::{self, COPY, MANIFEST, NEW, UNFINISHED_BACKUP};
use crate::manifest::publish;
use crate::opening::lock::lock;
use kvick_io::{Directory, Lock};
use std::io;
use std::sync::Arc;

/// The locked and marked directory of a backup.
#[derive(Debug)]
pub(super) struct Target {
    directory: Arc<dyn Directory>,
    // Held until the backup is complete or given up.
    _lock: Box<dyn Lock>,
}

impl Target {
    /// Locks and marks an empty directory, or one with an unfinished backup, whose files it
    /// removes.
    ///
    /// # Errors
    /// `AlreadyExists` if the directory holds anything else, `InUse`, `Io`, `StorageFull`.
    pub(super) async fn claim(directory: Arc<dyn Directory>) -> Result<Self> {
        // Before the lock, which leaves a file. And again when no other task changes anything.
        check_free(&*directory).await?;
        let locked = lock(&*directory).await?;
        check_free(&*directory).await?;
        let target = Self { directory, _lock: locked };
        let place = target.directory.describe();
        let marking = async {
            target.remove_files().await?;
            target.directory.write_file(UNFINISHED_BACKUP, &[]).await?;
            target.directory.sync().await
        };
        let marked: io::Result<()> = marking.await;
        marked.map_err(|error| Error::io(format!("beginning a backup in {place}"), error))?;
        Ok(target)
    }

    pub(super) fn directory(&self) -> &dyn Directory {
        &*self.directory
    }

    /// Reads every file that `manifest` names back from the medium, and checks it.
    ///
    /// # Errors
    /// `Corrupt` with the first problem. `Io` if a file cannot be read.
    pub(super) async fn read_back(&self, manifest: &Manifest) -> Result<()> {
        refuse(&inspect::problems_of(&self.directory, manifest).await?)
    }

    /// Completes the backup with its manifest.
    pub(super) async fn publish(&self, manifest: &Manifest) -> Result<()> {
        let published = publish::publish(self.directory(), manifest, true).await;
        let bytes = published.map_err(|failed| failed.error)?;
        keep_copy(self.directory(), &bytes).await;
        let finishing = async {
            self.directory.remove_file(UNFINISHED_BACKUP).await?;
            self.directory.sync().await
        };
        let finished: io::Result<()> = finishing.await;
        let place = self.directory.describe();
        finished.map_err(|error| Error::io(format!("completing the backup in {place}"), error))
    }

    /// Removes the files of a backup that has failed, as far as that is possible. The mark goes
    /// last.
    pub(super) async fn give_up(&self) {
        let giving_up = async {
            // The mark may be gone already.
            self.directory.write_file(UNFINISHED_BACKUP, &[]).await?;
            for name in [MANIFEST, COPY] {
                remove_if_there(self.directory(), name).await?;
            }
            self.directory.sync().await?;
            self.remove_files().await?;
            self.directory.sync().await?;
            remove_if_there(self.directory(), UNFINISHED_BACKUP).await?;
            self.directory.sync().await
        };
        let given_up: io::Result<()> = giving_up.await;
        if let Err(error) = given_up {
            let place = self.directory.describe();
            tracing::warn!(target: "kvick::backup", %error, place, "an unfinished backup is left");
        }
    }

    /// Removes all files of a backup except its mark.
    async fn remove_files(&self) -> io::Result<()> {
        for name in self.directory.list().await? {
            if is_of_backup(&name) && name != UNFINISHED_BACKUP {
                self.directory.remove_file(&name).await?;
            }
        }
        Ok(())
    }
}

/// Refuses a directory that is neither empty nor has an unfinished backup.
async fn check_free(directory: &dyn Directory) -> Result<()> {
    let place = directory.describe();
    let names = files::list(directory).await?;
    if names.iter().any(|name| [MANIFEST, COPY].contains(&&**name)) {
        return Err(Error::already_exists(place, "a store or a log"));
    }
    let is_unfinished = names.iter().any(|name| name == UNFINISHED_BACKUP);
    files::refuse_foreign(&place, &names, |name| is_unfinished && is_of_backup(name))
}

/// Returns whether an unfinished backup may have a file of this name.
fn is_of_backup(name: &str) -> bool {
    is_of_contents(name) || [UNFINISHED_BACKUP, NEW].contains(&name)
}

async fn remove_if_there(directory: &dyn Directory, name: &str) -> io::Result<()> {
    match directory.remove_file(name).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

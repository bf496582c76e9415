//! Removes a log that its owner has left.

use super::opening::look;
use crate::base::error::{Error, Result};
use crate::manifest::files::{self, COPY, MANIFEST, NEW, is_log_segment};
use crate::opening::lock;
use kvick_io::Directory;
use std::io;

/// Deletes the files of the log in `directory` if it has one of these `salts`. The manifest is
/// deleted last, so an interrupted removal can be repeated.
///
/// # Errors
/// `InUse` if the log is open. The errors of the directory.
pub(crate) async fn remove(directory: &dyn Directory, salts: &[u64]) -> Result<()> {
    if salts.is_empty() {
        return Ok(());
    }
    let has_salt = async || -> Result<bool> {
        let names = files::list(directory).await?;
        if !names.iter().any(|name| name == MANIFEST) {
            return Ok(false);
        }
        Ok(look(directory, false).await?.is_some_and(|found| salts.contains(&found.log.salt.0)))
    };
    if !has_salt().await? {
        return Ok(());
    }
    let _lock = lock::lock(directory).await?;
    if !has_salt().await? {
        return Ok(());
    }
    let failed = |error| Error::io(format!("deleting the log in {}", directory.describe()), error);
    for name in files::list(directory).await? {
        if is_log_segment(&name) || [COPY, NEW].contains(&&*name) {
            directory.remove_file(&name).await.map_err(failed)?;
        }
    }
    directory.sync().await.map_err(failed)?;
    match directory.remove_file(MANIFEST).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(failed)?,
    }
    directory.sync().await.map_err(failed)
}

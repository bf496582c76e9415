//! The lock of a directory, and the files that a creation leaves in it.

use crate::base::error::{Error, Result};
use crate::manifest::files::{LOCK, NEW, is_log_segment};
use kvick_io::{Directory, Lock};
use std::io;

/// Takes the lock of a directory.
///
/// # Errors
/// `InUse` if another store or log holds it.
pub(crate) async fn lock(directory: &dyn Directory) -> Result<Box<dyn Lock>> {
    directory.lock(LOCK).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::in_use(directory.describe()),
        _ => Error::io(format!("locking {}", directory.describe()), error),
    })
}

/// Removes the files of a creation that did not reach its manifest. Only the lock file remains. The
/// next creation recognises files that cannot be removed now as unfinished.
pub(crate) async fn give_up_creation(directory: &dyn Directory) {
    let Ok(files) = directory.list().await else {
        return;
    };
    let is_ours = |name: &&String| *name == NEW || is_log_segment(name);
    for file in files.iter().filter(is_ours) {
        if let Err(error) = directory.remove_file(file).await {
            tracing::warn!(%error, file, "left by a creation that has failed");
        }
    }
}

//! The one step that makes a manifest count, and the files that every directory of ours has.
//!
//! | file | what it is |
//! |---|---|
//! | `lock` | held by descriptor while the directory is open |
//! | `manifest` | the manifest, replaced by rename |
//! | `manifest.new` | the next one, before its rename |
//! | `manifest.copy` | the same as `manifest`, for when that is damaged |
//! | `log.000000` ... | the log |

use crate::error::{Error, Result};
use kvick_io::{Directory, Lock};
use std::io;

pub(crate) const LOCK: &str = "lock";
pub(crate) const MANIFEST: &str = "manifest";
pub(crate) const COPY: &str = "manifest.copy";
pub(crate) const LOG: &str = "log";
pub(crate) const ASIDE: &str = "manifest.new";

/// A manifest that did not become the one that counts, or of which nobody knows.
#[derive(Debug)]
pub(crate) struct NotPublished {
    pub(crate) error: Error,
    /// The manifest before is still the one that counts.
    pub(crate) is_certain: bool,
}

/// Makes `manifest` the one that counts, in one atomic step. What it names is durable already. If
/// `synced`, it survives a power cut.
pub(crate) async fn publish(
    directory: &dyn Directory,
    manifest: &[u8],
    synced: bool,
) -> Result<(), NotPublished> {
    let written = directory.write_file(ASIDE, manifest).await;
    written.map_err(|error| not_published(directory, "writing", error, true))?;
    let renamed = directory.rename(ASIDE, MANIFEST).await;
    renamed.map_err(|error| not_published(directory, "renaming", error, false))?;
    if synced {
        let synced = directory.sync().await;
        synced.map_err(|error| not_published(directory, "publishing", error, false))?;
    }
    Ok(())
}

/// Keeps a copy of what was published, for when that is damaged later; nothing depends on it.
pub(crate) async fn keep_copy(directory: &dyn Directory, manifest: &[u8]) {
    if let Err(error) = directory.write_file(COPY, manifest).await {
        tracing::warn!(%error, "the copy of the manifest was not written");
    }
}

/// Takes the lock of a directory.
///
/// # Errors
/// `InUse` if somebody has it.
pub(crate) async fn lock(directory: &dyn Directory) -> Result<Box<dyn Lock>> {
    directory.lock(LOCK).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::in_use(directory.describe()),
        _ => Error::io(format!("locking {}", directory.describe()), error),
    })
}

fn not_published(
    directory: &dyn Directory,
    doing: &str,
    error: io::Error,
    before: bool,
) -> NotPublished {
    let place = directory.describe();
    let error = Error::io(format!("{doing} the manifest in {place}"), error);
    // A write that failed for want of space or descriptors left the file aside incomplete, no
    // more. Of any other failure nobody knows what it did to what was synced.
    let is_certain = before && error.is_shortage();
    NotPublished { error, is_certain }
}

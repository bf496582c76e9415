//! The copy of a manifest, in case that is damaged later.

use super::files::{COPY, MANIFEST, NEW};
use kvick_io::Directory;
use std::io;

/// Writes a copy of the published manifest, in case that is damaged later. No other state depends
/// on it. Returns whether it was written.
pub(crate) async fn keep_copy(directory: &dyn Directory, manifest: &[u8]) -> bool {
    let written = directory.write_file(COPY, manifest).await;
    if let Err(error) = &written {
        tracing::warn!(%error, "the copy of the manifest was not written");
    }
    written.is_ok()
}

/// Makes the file `NEW` the copy, durably. Otherwise the next file with that name might survive a
/// power cut in its place.
pub(super) async fn take_for_copy(directory: &dyn Directory) -> io::Result<()> {
    directory.rename(NEW, COPY).await?;
    directory.sync().await
}

/// Ensures that an opened store or log has a copy of its manifest. It uses the file that an
/// interrupted publication left, if there is one.
pub(crate) async fn restore_copy(directory: &dyn Directory) {
    let restoring = async {
        let files = directory.list().await?;
        let has = |wanted: &str| files.iter().any(|file| file == wanted);
        if has(COPY) || !has(MANIFEST) {
            return Ok(());
        }
        if has(NEW) {
            take_for_copy(directory).await?;
        }
        let bytes = directory.read_file(MANIFEST).await?;
        directory.write_file(COPY, &bytes).await
    };
    let restored: io::Result<()> = restoring.await;
    if let Err(error) = restored {
        tracing::info!(%error, "there is no copy of the manifest");
    }
}

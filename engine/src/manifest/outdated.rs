//! The removal of a copy that would bring back what the next manifest gives up.

use super::files::COPY;
use super::publish::Publishable;
use super::read::read_sound_manifest;
use kvick_io::Directory;
use std::io;

/// Removes the copy, durably, if the manifest is sound: the next manifest gives up what the copy
/// would bring back.
pub(crate) async fn remove_copy<M: Publishable>(directory: &dyn Directory) -> io::Result<()> {
    if !matches!(read_sound_manifest::<M>(directory).await, Ok(Some(_))) {
        // It is all that there is.
        return Ok(());
    }
    match directory.remove_file(COPY).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed?;
            directory.sync().await
        }
    }
}

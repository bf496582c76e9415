//! The directory of a path, on the configured backend.

use crate::config::Backend;
use crate::error::{Error, Result};
use kvick_io::{Directory, IoConfig, MemoryDirectory, NullDirectory};
use std::path::Path;
use std::sync::Arc;

/// Returns the directory of `path` on a backend. `io` returns the settings of a backend with files.
/// `owner` is the owner of the directory in messages: "store".
pub(crate) fn open_directory(
    path: &Path,
    backend: &Backend,
    io: impl FnOnce() -> Result<IoConfig>,
    owner: &str,
) -> Result<Arc<dyn Directory>> {
    match backend {
        Backend::Memory => Ok(Arc::new(MemoryDirectory::new())),
        Backend::Null => Ok(Arc::new(NullDirectory::new())),
        _ => kvick_io::open_directory(path, &io()?)
            .map_err(|error| Error::io(format!("the directory of the {owner}"), error)),
    }
}

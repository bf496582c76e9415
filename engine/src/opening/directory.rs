//! The surroundings of a store or log: its directory and its runtime.

use crate::base::error::{Error, Result};
use crate::config::Backend;
use crate::hybrid_log::HybridLog;
use kvick_io::{Directory, IoConfig, MemoryDirectory, NullDirectory};
use kvick_runtime::Handle;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The surroundings that a builder was given.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// `None` means a background thread.
    pub(crate) runtime: Option<Handle>,
    /// `None` means the directory of the path, on the configured backend.
    pub(crate) directory: Option<Arc<dyn Directory>>,
}

impl Surroundings {
    /// Returns the directory that was given, or else the directory of `path` on a backend. `io`
    /// returns the settings of a backend with files. `owner` is the owner of the directory in
    /// messages: "store".
    pub(crate) fn directory(
        &self,
        path: &Path,
        (backend, owner): (&Backend, &str),
        io: impl FnOnce() -> Result<IoConfig>,
    ) -> Result<Arc<dyn Directory>> {
        match (&self.directory, backend) {
            (Some(directory), _) => Ok(Arc::clone(directory)),
            (None, Backend::Memory) => Ok(Arc::new(MemoryDirectory::new())),
            (None, Backend::Null) => Ok(Arc::new(NullDirectory::new())),
            (None, _) => {
                check_named(path, owner)?;
                let opened = kvick_io::open_directory(path, &io()?);
                opened.map_err(|error| not_opened(path, owner, error))
            }
        }
    }

    /// Returns the directory that was given.
    ///
    /// # Errors
    /// `InvalidArgument` if none was given.
    pub(crate) fn given_directory(&self) -> Result<Arc<dyn Directory>> {
        let given = self.directory.clone();
        given.ok_or_else(|| Error::invalid("open_in_directory needs `directory(..)`"))
    }

    /// Returns the runtime that was given, or starts a background thread.
    pub(crate) fn handle(self) -> Result<Handle> {
        self.runtime.map_or_else(background, Ok)
    }
}

/// Refuses a path without a name, for a store or log (`owner`).
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn check_named(path: &Path, owner: &str) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid(format!("the path of the {owner} is empty; name a directory")));
    }
    Ok(())
}

/// Returns the error of a directory of a store or log (`owner`) that could not be opened.
#[cold]
pub(crate) fn not_opened(path: &Path, owner: &str, error: io::Error) -> Error {
    if path.is_file() {
        let path = path.display();
        return Error::invalid(format!("{path} is a file; a {owner} needs a directory"));
    }
    Error::io(format!("the directory of the {owner}"), error)
}

/// Refuses writers of a log that was opened on a read-only file system.
pub(crate) fn admit_read_only(directory: &dyn Directory, log: &HybridLog) {
    if directory.is_read_only() {
        let place = directory.describe();
        tracing::info!(place, "the file system is read-only: what is there can only be read");
        log.health().transition_to_read_only(&place);
    }
}

/// Starts a background thread that runs tasks.
pub(crate) fn background() -> Result<Handle> {
    Handle::background().map_err(|error| Error::io("start of the background thread", error))
}

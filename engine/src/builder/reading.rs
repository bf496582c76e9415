//! The directories of readers, which change nothing there.

use super::{Builder, Places};
use crate::base::error::{Error, Result};
use crate::config::{Config, Geometry};
use crate::opening::directory::{check_named, not_opened};
use crate::recovery::Opening;
use kvick_io::wrap::ReadOnly;
use kvick_io::{Directory, ReadOnlyDirectory};
use std::io;
use std::path::Path;
use std::sync::Arc;

impl<S> Builder<S> {
    /// Returns the opening of a reader in the directory that was set, or else in `path`.
    ///
    /// # Errors
    /// `NotFound` if there is no such directory, `InvalidArgument` if there is neither, `Io`.
    pub(crate) fn reading(self, path: Option<&Path>) -> Result<Opening> {
        Geometry::of(&self.config)?;
        let directory: Arc<dyn Directory> = match (&self.surroundings.directory, path) {
            (None, Some(path)) => Arc::new(directory_of(path, &self.config)?),
            _ => Arc::new(ReadOnly::new(self.surroundings.given_directory()?)),
        };
        Ok(self.opening(Places { store: directory, wal: None })?.for_reader())
    }
}

fn directory_of(path: &Path, config: &Config) -> Result<ReadOnlyDirectory> {
    check_named(path, "store")?;
    let opened = ReadOnlyDirectory::open(path);
    let threads = usize::try_from(config.io_threads).unwrap_or(usize::MAX);
    opened.and_then(|directory| directory.with_threads(threads)).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return Error::no_store(&path.display().to_string());
        }
        not_opened(path, "store", error)
    })
}

//! The directories of readers, which change nothing there.

use super::read_only::directory_of;
use super::{Builder, Places};
use crate::base::error::Result;
use crate::config::Geometry;
use crate::recovery::Opening;
use kvick_io::Directory;
use kvick_io::wrap::ReadOnly;
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
        Ok(self.opening(Places { store: directory, wal: None, left: None })?.for_reader())
    }
}

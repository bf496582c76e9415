//! Directories that are only read.

use crate::base::error::{Error, Result};
use crate::config::Config;
use crate::opening::directory::{check_named, not_opened};
use kvick_io::wrap::ReadOnly;
use kvick_io::{Directory, ReadOnlyDirectory};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The place of a backup.
#[derive(Debug)]
pub(super) enum BackupPlace {
    Path(PathBuf),
    Directory(Arc<dyn Directory>),
}

impl BackupPlace {
    /// Opens the directory, in which nothing is changed.
    pub(super) fn open(self, config: &Config) -> Result<Arc<dyn Directory>> {
        Ok(match self {
            Self::Path(path) => Arc::new(directory_of(&path, config)?),
            Self::Directory(directory) => Arc::new(ReadOnly::new(directory)),
        })
    }
}

/// Opens the directory of a store, in which nothing is changed.
///
/// # Errors
/// `NotFound` if there is no such directory, `InvalidArgument` for a path without a name, `Io`.
pub(super) fn directory_of(path: &Path, config: &Config) -> Result<ReadOnlyDirectory> {
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

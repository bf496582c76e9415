//! A fresh directory for the files of a benchmark.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Creates a directory within `parent`, named after the benchmark and this process.
    ///
    /// # Errors
    ///
    /// Returns an error of the file system.
    pub fn new(parent: &Path, benchmark: &str) -> io::Result<Self> {
        let path = parent.join(format!("{benchmark}-{}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} cannot be removed: {error}", self.0.display());
        }
    }
}

//! A fresh directory for the files of a benchmark.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

/// A directory that is removed in the end.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one within `parent`, called after the benchmark and this process.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn new(parent: &Path, benchmark: &str) -> io::Result<Self> {
        let path = parent.join(format!("{benchmark}-{}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

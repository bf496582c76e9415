//! The place where a benchmark works, and the files of its results.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::scratch::Scratch;

/// The place of the files of a benchmark, and the file of its results.
#[derive(Clone, Debug, Args)]
pub struct Output {
    /// Directory for the store or log. The program makes a fresh directory within it and removes
    /// it.
    #[arg(long, default_value = ".")]
    pub path: PathBuf,
    /// File for the results, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Output {
    /// Creates a fresh directory for the files of a benchmark.
    ///
    /// # Errors
    ///
    /// Returns an error of the file system.
    pub fn scratch(&self, benchmark: &str) -> std::io::Result<Scratch> {
        Scratch::new(&self.path, benchmark)
    }

    /// Writes the results, if the command line names a file.
    ///
    /// # Errors
    ///
    /// Returns an error of the file system.
    pub fn write_json(&self, results: &impl Serialize) -> Result<(), Box<dyn Error>> {
        if let Some(file) = &self.json {
            write(file, &serde_json::to_string_pretty(results)?)?;
        }
        Ok(())
    }
}

/// Writes a file of results. The error names the file.
///
/// # Errors
///
/// Returns an error of the file system.
pub fn write(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    Ok(fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?)
}

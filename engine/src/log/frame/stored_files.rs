//! The stored bytes of a log on the medium, by file, independent of a manifest.

use crate::base::error::{Error, Result};
use crate::manifest::files::{LOG, list};
use kvick_io::Directory;
use std::collections::BTreeMap;

/// The lengths of the files of a log.
#[derive(Clone, Debug)]
pub(crate) struct StoredFiles {
    segment_bytes: u64,
    /// The lengths by number of the segment.
    lengths: BTreeMap<u64, u64>,
}

impl StoredFiles {
    /// Reads the lengths of the current files.
    pub(crate) async fn look(directory: &dyn Directory, segment_bytes: u64) -> Result<Self> {
        assert!(segment_bytes > 0, "an address is in one segment");
        let place = directory.describe();
        let files = list(directory).await?;
        let mut lengths = BTreeMap::new();
        for file in files {
            let Some(index) = segment_of(&file) else {
                continue;
            };
            match directory.file_bytes(&file).await {
                Ok(bytes) => drop(lengths.insert(index, bytes.min(segment_bytes))),
                // A running log has deleted it in the meantime.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Error::io(format!("looking at {file} in {place}"), error));
                }
            }
        }
        Ok(Self { segment_bytes, lengths })
    }

    /// Returns the number of bytes stored from `offset` of the device on, without a gap, in the
    /// same file.
    pub(crate) fn from(&self, offset: u64) -> u64 {
        let length = self.lengths.get(&(offset / self.segment_bytes)).copied().unwrap_or(0);
        debug_assert!(length <= self.segment_bytes, "no file reaches into the next segment");
        length.saturating_sub(offset % self.segment_bytes)
    }

    /// Returns the end of the last file on the device.
    pub(crate) fn end(&self) -> u64 {
        let last = self.lengths.last_key_value();
        last.map_or(0, |(index, length)| index * self.segment_bytes + length)
    }

    /// Returns whether there is a file after the one of `offset` on the device.
    pub(crate) fn has_file_behind(&self, offset: u64) -> bool {
        self.last().is_some_and(|last| last > offset / self.segment_bytes)
    }

    /// Returns the number of the last file.
    pub(crate) fn last(&self) -> Option<u64> {
        self.lengths.last_key_value().map(|(index, _)| *index)
    }

    /// Returns the start of the first file on the device, if there is one.
    pub(crate) fn first(&self) -> Option<u64> {
        self.lengths.first_key_value().map(|(index, _)| index * self.segment_bytes)
    }
}

/// Returns the number of the segment in a file of a log.
fn segment_of(file: &str) -> Option<u64> {
    let digits = file.strip_prefix(LOG)?.strip_prefix('.')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

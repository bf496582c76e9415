//! The raw file system: a write and a sync for each call, to a file for each caller.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::rivals::{Append, Rival};

/// The alignment of transfers past the page cache.
const BLOCK: usize = 4096;

/// Files in a directory.
pub struct Raw {
    directory: PathBuf,
    is_direct: bool,
}

impl Raw {
    /// Creates the directory. Direct writes bypass the page cache.
    ///
    /// # Errors
    ///
    /// Returns an error of the file system.
    pub fn new(directory: &Path, is_direct: bool) -> io::Result<Self> {
        create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned(), is_direct })
    }

    fn file(&self, number: usize) -> io::Result<File> {
        let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(if self.is_direct { direct } else { 0 })
            .open(self.directory.join(number.to_string()))
    }
}

impl Rival for Raw {
    fn caller(&self, number: usize) -> Append<'_> {
        let file = self.file(number).expect("a file of its own");
        let mut room = Vec::new();
        let mut offset = 0;
        Box::new(move |batch, durable| {
            let bytes: usize = batch.iter().map(Vec::len).sum();
            let length = if self.is_direct { bytes.next_multiple_of(BLOCK) } else { bytes };
            room.resize(length + BLOCK, 0);
            let start = room.as_ptr().align_offset(BLOCK);
            let buffer = &mut room[start..start + length];
            let mut at = 0;
            for entry in batch {
                buffer[at..at + entry.len()].copy_from_slice(entry);
                at += entry.len();
            }
            file.write_all_at(buffer, offset).expect("a write");
            offset += length as u64;
            if durable {
                file.sync_data().expect("a sync");
            }
        })
    }
}

//! The open files of a directory that is only read, shared by its devices.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::ErrorClass;
use crate::files::file::StorageFile;
use crate::files::limits;
use crate::files::root::{Access, Root};
use crate::files::segments::{Extents, Segments};

/// Opens the files of a directory, each once for all devices. A file is closed with the last device
/// that uses it, or to make room for another.
#[derive(Debug)]
pub(crate) struct SharedFiles {
    // Fixed.
    root: Root,
    /// The largest number of open files of a device.
    max_open: usize,
    // Any thread, atomic: rises with each opened file.
    clock: AtomicU64,
    // Under its lock: the open files by name.
    open: Mutex<BTreeMap<String, Weak<StorageFile>>>,
}

impl SharedFiles {
    pub(crate) fn new(root: Root) -> Self {
        let max_open = limits::open_segments();
        Self { root, max_open, clock: AtomicU64::new(0), open: Mutex::default() }
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Opens a segment of a device. Closes the segment that was used longest ago if too many are
    /// open, or if the process may open no more.
    pub(crate) fn open(
        &self,
        segments: &Segments<StorageFile>,
        index: u64,
    ) -> io::Result<Arc<StorageFile>> {
        while segments.open_count() >= self.max_open && close_one(segments) {}
        let name = segments.file_name(index);
        match self.open_named(&name) {
            Err(error) if ErrorClass::of(&error) == ErrorClass::NotNow && close_one(segments) => {
                self.open_named(&name)
            }
            opened => opened,
        }
    }

    fn open_named(&self, name: &str) -> io::Result<Arc<StorageFile>> {
        // Every update is one call.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match open.get(name).and_then(Weak::upgrade).filter(|file| !file.is_deleted()) {
            Some(file) => {
                file.note_length(self.root.file_bytes(name)?);
                file
            }
            None => {
                let file = Arc::new(self.root.open_storage(name, Access::READ)?);
                open.retain(|_, file| file.strong_count() > 0);
                open.insert(name.to_owned(), Arc::downgrade(&file));
                file
            }
        };
        // Relaxed, here and below: an estimate of the last use.
        file.touch(self.clock.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(file)
    }

    /// Sets the largest number of open files of a device.
    #[cfg(test)]
    pub(crate) fn with_max_open(self, max_open: usize) -> Self {
        Self { max_open, ..self }
    }

    /// Returns the number of open files.
    #[cfg(test)]
    pub(crate) fn count_open(&self) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().filter(|file| file.strong_count() > 0).count()
    }

    /// Records that these segments are in use.
    pub(crate) fn touch(&self, extents: &Extents<StorageFile>) {
        let now = self.clock.load(Ordering::Relaxed);
        extents.first.file.touch(now);
        extents.rest.iter().for_each(|extent| extent.file.touch(now));
    }
}

/// Closes the segment that was used longest ago. Returns false if no segment can be closed.
fn close_one(segments: &Segments<StorageFile>) -> bool {
    let mut idle = segments.idle_files();
    idle.sort_by_cached_key(|(_, file)| file.used());
    idle.into_iter().any(|(index, file)| {
        let length = file.length();
        // Then only the table has the file.
        drop(file);
        segments.close(index, length, |_| true)
    })
}

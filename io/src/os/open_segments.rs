//! The segment files of a device: the open files, the files to sync, and the files to delete.
//!
//! A device may have more segments than a process may have descriptors. So the number of open
//! segments is limited. A closed segment is opened again when it is needed; the segment that was
//! used longest ago is closed to make room. Three kinds are never closed: a segment that a transfer
//! uses, a segment that must be synced, and a segment whose sync has failed. The system reports
//! failures through the descriptor.
//!
//! An earlier process may have written a segment that this process has not written. Such a segment
//! is synced before it is closed, or with the first sync if it was never opened.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contract::directory::DeviceOptions;
use crate::contract::names;
use crate::error::ErrorClass;
use crate::error::with_context;
use crate::files::file::StorageFile;
use crate::files::segments::{Extents, Insertion, Lookup, Segments, Truncation};
use crate::files::unsynced::Unsynced;
use crate::os::place::Place;

/// The table of a device, and the state that keeps the number of open files small.
#[derive(Debug)]
pub(crate) struct OsSegments {
    // Fixed after open.
    pub(crate) table: Segments<StorageFile>,
    max_open: usize,
    unsynced: Arc<Unsynced>,
    // Any thread, atomic: rises with each opened file.
    clock: AtomicU64,
    /// Whether the closed segments are durable.
    closed_synced: AtomicBool,
    /// Held by code that opens, creates and closes files.
    making: Mutex<()>,
}

impl OsSegments {
    pub(crate) fn open(place: &Place, name: &str, options: DeviceOptions) -> io::Result<Self> {
        options.check()?;
        let listed = place.list_segments(name)?;
        let count = listed.len();
        let segments = Self {
            table: Segments::new(name, options.segment_bytes, BTreeMap::new()),
            max_open: place.max_open,
            unsynced: Arc::default(),
            clock: AtomicU64::new(0),
            closed_synced: AtomicBool::new(count <= place.max_open),
            making: Mutex::default(),
        };
        if count > place.max_open {
            tracing::info!(name, segments = count, open = place.max_open, "not all stay open");
        }
        for (position, (index, file)) in listed.into_iter().enumerate() {
            // The highest segments are written, and read the most.
            if position + place.max_open < count {
                segments.table.insert_closed(index, place.file_bytes(&file)?);
            } else {
                segments.add(index, place.open_segment(&file)?);
            }
        }
        if count == 0 {
            let first = names::segment(name, 0);
            let file = match options.create {
                true => place.create_segment(&first)?,
                false => place.open_segment(&first)?,
            };
            segments.add(0, file);
        }
        segments.table.begin_at_the_lowest();
        Ok(segments)
    }

    /// Returns the extents of a range whose segments may be closed. For a write, creates the
    /// missing segments.
    pub(crate) fn bring(
        &self,
        place: &Place,
        (offset, end): (u64, u64),
        create: bool,
    ) -> io::Result<Extents<StorageFile>> {
        // One at a time: a file that another write has just created must not be truncated.
        let _making = unpoisoned(&self.making);
        // No segment of the range is closed to make room for another.
        let mut pinned = Vec::new();
        loop {
            match self.table.look_up(offset, end) {
                Lookup::Present(extents) => return Ok(extents),
                Lookup::Discarded(error) => return Err(error),
                Lookup::Missing(index) => {
                    let file = if self.table.is_closed(index) {
                        self.make(|name| place.open_segment(name), index)?
                    } else if create {
                        self.make(|name| place.create_segment(name), index)?
                    } else {
                        return Err(self.table.past_the_end(offset));
                    };
                    match self.add(index, file) {
                        Some(file) => pinned.push(file),
                        None => place.remove(&self.table.file_name(index))?,
                    }
                }
            }
        }
    }

    /// Opens a file, and closes others if too many are open.
    fn make(
        &self,
        open: impl Fn(&str) -> io::Result<StorageFile>,
        index: u64,
    ) -> io::Result<StorageFile> {
        while self.table.open_count() >= self.max_open && self.close_one() {}
        let name = self.table.file_name(index);
        match open(&name) {
            // Other parts of this process may use all descriptors.
            Err(error) if ErrorClass::of(&error) == ErrorClass::NotNow && self.close_one() => {
                open(&name)
            }
            opened => opened,
        }
    }

    /// Adds a segment. Returns `None` if the segment was discarded meanwhile.
    fn add(&self, index: u64, file: StorageFile) -> Option<Arc<StorageFile>> {
        // Relaxed, here and below: an estimate of the last use.
        let now = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
        let file = file.listed_in(Arc::clone(&self.unsynced), index);
        file.touch(now);
        // An earlier process may have written the file.
        self.unsynced.insert(index);
        let file = Arc::new(file);
        (self.table.insert(index, Arc::clone(&file)) == Insertion::Present).then_some(file)
    }

    /// Records that these segments are in use.
    pub(crate) fn touch(&self, extents: &Extents<StorageFile>) {
        let now = self.clock.load(Ordering::Relaxed);
        extents.first.file.touch(now);
        extents.rest.iter().for_each(|extent| extent.file.touch(now));
    }

    /// Closes the segment that was used longest ago. Returns false if no segment can be closed.
    fn close_one(&self) -> bool {
        let mut candidates = self.table.idle_files();
        // Readers touch files meanwhile, so each time is loaded once.
        candidates.sort_by_cached_key(|(_, file)| file.used());
        for (index, file) in candidates {
            if file.durability().is_untouched() {
                // Writes of an earlier process: closing the descriptor would lose the result of
                // their sync.
                let covers = file.durability().begin_sync();
                let synced = file.sync().map_err(|error| file.durability().note_failed(error));
                let noted = synced.and_then(|()| file.durability().note_synced(covers));
                if let Err(error) = noted {
                    // The next sync of the device reports it.
                    tracing::warn!(%error, name = file.name(), "a segment stays open");
                    continue;
                }
            }
            let length = file.length();
            // Then only the table has the file.
            drop(file);
            if self.table.close(index, length, |file| !file.needs_sync()) {
                return true;
            }
        }
        false
    }

    /// Returns the open segments that must be synced.
    pub(crate) fn unsynced_files(&self) -> Vec<Arc<StorageFile>> {
        // A write that completes after this look puts its segment back on the list.
        self.unsynced.retain(|index| self.table.file(index).filter(|file| file.needs_sync()))
    }

    /// Returns whether [`sync_closed`](Self::sync_closed) has nothing to do.
    pub(crate) fn is_closed_synced(&self) -> bool {
        // Acquire pairs with the Release below: the syncs have succeeded.
        self.closed_synced.load(Ordering::Acquire)
    }

    /// Syncs the segments that were never opened, which an earlier process may have written.
    pub(crate) fn sync_closed(&self, place: &Place) -> io::Result<()> {
        let _making = unpoisoned(&self.making);
        while let Some(index) = self.table.first_unsynced_closed() {
            let name = self.table.file_name(index);
            let file = self.make(|name| place.open_segment(name), index)?;
            match file.sync() {
                Ok(()) => self.table.note_closed_synced(index),
                Err(error) => {
                    // The segment stays open, and so fails each later sync.
                    let error = file.durability().note_failed(error);
                    self.add(index, file);
                    return Err(with_context(error, format!("syncing {name}")));
                }
            }
        }
        // Release pairs with the Acquire above.
        self.closed_synced.store(true, Ordering::Release);
        Ok(())
    }

    /// Deletes the segments below `offset`, and segments that could not be deleted before. A
    /// segment that cannot be deleted does not keep the others.
    pub(crate) fn discard(&self, place: &Place, offset: u64) -> io::Result<()> {
        let _making = unpoisoned(&self.making);
        let mut result = Ok(());
        for (index, file) in self.table.discard_below(offset) {
            match place.remove(&self.table.file_name(index)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    result = result.and(Err(error));
                    continue;
                }
                _ => self.table.note_deleted(index),
            }
            if let Some(file) = file {
                place.close_deleted(file);
            }
        }
        result
    }

    pub(crate) fn truncate(&self, place: &Place, end: u64) -> io::Result<()> {
        let _making = unpoisoned(&self.making);
        let mut truncation = self.table.truncation(end)?;
        if let Some(index) = truncation.closed_cut {
            let file = self.make(|name| place.open_segment(name), index)?;
            self.add(index, file);
            truncation = self.table.truncation(end)?;
        }
        let Truncation { removed, removed_closed, cut, .. } = truncation;
        let open = removed.into_iter().map(|(index, file)| (index, Some(file)));
        let mut all: Vec<_> =
            open.chain(removed_closed.into_iter().map(|index| (index, None))).collect();
        all.sort_by_key(|&(index, _)| std::cmp::Reverse(index));
        for (index, file) in all {
            place.remove(&self.table.file_name(index))?;
            self.table.remove(index);
            file.into_iter().for_each(|file| place.close_deleted(file));
            if let Some(entries) = place.entries() {
                entries.note_written(0);
            }
        }
        match cut {
            Some((file, length)) => file.truncate(length).map_err(|error| {
                with_context(error, format!("truncating {} to {length} bytes", file.name()))
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn bytes_stored(&self) -> u64 {
        self.table.sum(StorageFile::length)
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every update is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

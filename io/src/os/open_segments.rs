//! The segment files of a device: which are open, which are to be made durable, which must go.
//!
//! A device may have more segments than a process may have descriptors. So only so many are open.
//! Those that are not are opened again when they are needed, and make room by closing the one that
//! was used longest ago. Never closed is a segment that a transfer has, one that must be synced, or
//! one whose sync has failed: a descriptor is what the system tells of failures through.
//!
//! A segment that nothing here has written may have been written by a process before this one. It
//! is synced before it is closed, and with the first sync if it was never opened.

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

/// The table of a device, and what it takes to keep it small.
#[derive(Debug)]
pub(crate) struct OsSegments {
    // Fixed after open.
    pub(crate) table: Segments<StorageFile>,
    max_open: usize,
    unsynced: Arc<Unsynced>,
    // Any thread, atomic: goes up with each file that is opened.
    clock: AtomicU64,
    /// Whether those that are closed are durable.
    closed_synced: AtomicBool,
    /// Held by what opens, creates and closes files.
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
            // The highest are written, and read the most.
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

    /// The extents of a range whose segments may have to be opened. Those that are missing are
    /// created for a write.
    pub(crate) fn bring(
        &self,
        place: &Place,
        (offset, end): (u64, u64),
        create: bool,
    ) -> io::Result<Extents<StorageFile>> {
        // One at a time: what another write has just created is not to be cut.
        let _making = unpoisoned(&self.making);
        // None of them is closed for another.
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

    /// Opens a file, and closes others if there are too many.
    fn make(
        &self,
        open: impl Fn(&str) -> io::Result<StorageFile>,
        index: u64,
    ) -> io::Result<StorageFile> {
        while self.table.open_count() >= self.max_open && self.close_one() {}
        let name = self.table.file_name(index);
        match open(&name) {
            // Others of this process may have them all.
            Err(error) if ErrorClass::of(&error) == ErrorClass::NotNow && self.close_one() => {
                open(&name)
            }
            opened => opened,
        }
    }

    /// Adds a segment; nothing if it was discarded meanwhile.
    fn add(&self, index: u64, file: StorageFile) -> Option<Arc<StorageFile>> {
        // Relaxed, here and below: an estimate of what was used last.
        let now = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
        let file = file.listed_in(Arc::clone(&self.unsynced), index);
        file.touch(now);
        // An earlier process may have written it.
        self.unsynced.insert(index);
        let file = Arc::new(file);
        (self.table.insert(index, Arc::clone(&file)) == Insertion::Present).then_some(file)
    }

    /// Notes that these are in use.
    pub(crate) fn touch(&self, extents: &Extents<StorageFile>) {
        let now = self.clock.load(Ordering::Relaxed);
        extents.first.file.touch(now);
        extents.rest.iter().for_each(|extent| extent.file.touch(now));
    }

    /// Closes the segment that was used longest ago; false if none can be closed.
    fn close_one(&self) -> bool {
        let mut candidates = self.table.idle_files();
        candidates.sort_by_key(|(_, file)| file.used());
        for (index, file) in candidates {
            if file.durability().is_untouched() {
                // What an earlier process wrote; the result would be lost with the descriptor.
                let covers = file.durability().begin_sync();
                let synced = file.sync().map_err(|error| file.durability().note_failed(error));
                let noted = synced.and_then(|()| file.durability().note_synced(covers));
                if let Err(error) = noted {
                    // The next sync of the device tells it.
                    tracing::warn!(%error, name = file.name(), "a segment stays open");
                    continue;
                }
            }
            let length = file.length();
            // The table has it alone then.
            drop(file);
            if self.table.close(index, length, |file| !file.needs_sync()) {
                return true;
            }
        }
        false
    }

    /// The open segments that are to be synced.
    pub(crate) fn unsynced_files(&self) -> Vec<Arc<StorageFile>> {
        // A write that completes after this look puts its segment back on the list.
        self.unsynced.retain(|index| self.table.file(index).filter(|file| file.needs_sync()))
    }

    /// Whether [`sync_closed`](Self::sync_closed) has nothing to do.
    pub(crate) fn is_closed_synced(&self) -> bool {
        // Acquire pairs with the Release below: the syncs have succeeded.
        self.closed_synced.load(Ordering::Acquire)
    }

    /// Makes durable what an earlier process may have written to segments that were never opened.
    pub(crate) fn sync_closed(&self, place: &Place) -> io::Result<()> {
        let _making = unpoisoned(&self.making);
        while let Some(index) = self.table.first_unsynced_closed() {
            let name = self.table.file_name(index);
            let file = self.make(|name| place.open_segment(name), index)?;
            match file.sync() {
                Ok(()) => self.table.note_closed_synced(index),
                Err(error) => {
                    // It stays open, and so fails each later sync.
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

    /// Deletes the segments below `offset`, and those that could not be deleted before. One that
    /// cannot be deleted does not keep the others.
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

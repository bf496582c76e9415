//! One address space over many files: the map from bytes to files.
//!
//! Segment `i` has the bytes `[i * bytes, (i + 1) * bytes)` and is the file `name.i`. A segment
//! appears at its first write, in any order. Segments are deleted from the low end, or from the
//! high end by a truncation. A range that crosses a boundary becomes several extents. The table is
//! generic over the file type, so that every backend shares this arithmetic.

mod extent;
#[cfg(test)]
mod tests;
mod truncation;

pub(crate) use extent::{Extent, Extents};
pub(crate) use truncation::Truncation;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::contract::names;

/// The segments of one device.
#[derive(Debug)]
pub(crate) struct Segments<F> {
    // Fixed after open.
    device: String,
    bytes: u64,
    // Under the lock, which is held only for a look-up.
    state: RwLock<State<F>>,
}

#[derive(Debug)]
struct State<F> {
    /// The lowest index that was not discarded. Segments below it never return.
    first: u64,
    files: BTreeMap<u64, Arc<F>>,
    /// Segments that exist and are not open. Empty if files need no descriptors.
    closed: BTreeMap<u64, Closed>,
    /// Segments below `first` whose files are not deleted yet.
    doomed: BTreeMap<u64, Option<Arc<F>>>,
}

/// The state of a segment that is not open.
#[derive(Clone, Copy, Debug)]
struct Closed {
    length: u64,
    is_synced: bool,
}

/// The result of a look-up.
#[must_use]
#[derive(Debug)]
pub(crate) enum Lookup<F> {
    /// All segments of the range exist.
    Present(Extents<F>),
    /// The segment with this index was never written.
    Missing(u64),
    /// Some of the range was discarded.
    Discarded(io::Error),
}

/// The outcome of adding a segment.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// The segment is in the table.
    Present,
    /// Its range was discarded meanwhile. The caller must delete its file.
    Discarded,
}

impl<F> Segments<F> {
    /// Creates the table of a device with these files. Segments below the lowest count as
    /// discarded.
    pub(crate) fn new(device: &str, bytes: u64, files: BTreeMap<u64, Arc<F>>) -> Self {
        assert!(bytes > 0, "segments hold something");
        let first = files.keys().next().copied().unwrap_or(0);
        let (closed, doomed) = (BTreeMap::new(), BTreeMap::new());
        let state = RwLock::new(State { first, files, closed, doomed });
        Self { device: device.to_owned(), bytes, state }
    }

    /// Returns the extents of `[offset, end)`, which is not empty.
    pub(crate) fn look_up(&self, offset: u64, end: u64) -> Lookup<F> {
        assert!(offset < end, "the range is not empty");
        let state = self.read();
        let index = offset / self.bytes;
        if index < state.first {
            return Lookup::Discarded(self.discarded(io::ErrorKind::NotFound, offset));
        }
        let Some(first) = self.extent(&state, index, offset, end) else {
            return Lookup::Missing(index);
        };
        let last = (end - 1) / self.bytes;
        let mut rest = Vec::new();
        for index in index + 1..=last {
            match self.extent(&state, index, offset, end) {
                Some(extent) => rest.push(extent),
                None => return Lookup::Missing(index),
            }
        }
        Lookup::Present(Extents { first, rest })
    }

    /// Adds a segment. If another thread added it meanwhile, that file stays.
    pub(crate) fn insert(&self, index: u64, file: Arc<F>) -> Insertion {
        let mut state = self.write();
        if index < state.first {
            return Insertion::Discarded;
        }
        state.closed.remove(&index);
        state.files.entry(index).or_insert(file);
        Insertion::Present
    }

    /// Forgets the whole segments below `offset`. Returns all segments whose files are not
    /// [deleted](Self::note_deleted) yet, including segments of earlier calls.
    pub(crate) fn discard_below(&self, offset: u64) -> Vec<(u64, Option<Arc<F>>)> {
        let mut state = self.write();
        state.first = state.first.max(offset / self.bytes);
        let first = state.first;
        let kept = state.files.split_off(&first);
        let gone = std::mem::replace(&mut state.files, kept);
        state.doomed.extend(gone.into_iter().map(|(index, file)| (index, Some(file))));
        let kept = state.closed.split_off(&first);
        let gone = std::mem::replace(&mut state.closed, kept);
        state.doomed.extend(gone.into_keys().map(|index| (index, None)));
        // Moved out, so that the last user of a deleted file closes it.
        state.doomed.iter_mut().map(|(&index, file)| (index, file.take())).collect()
    }

    /// Records that the file of a discarded segment is gone.
    pub(crate) fn note_deleted(&self, index: u64) {
        self.write().doomed.remove(&index);
    }

    /// Returns the changes to the files so that the device ends at `end`. The table stays the same;
    /// the caller [removes](Self::remove) a segment once its file is deleted.
    pub(crate) fn truncation(&self, end: u64) -> io::Result<Truncation<F>> {
        let state = self.read();
        let (index, within) = (end / self.bytes, end % self.bytes);
        if index < state.first {
            return Err(self.discarded(io::ErrorKind::InvalidInput, end));
        }
        let needed = if within > 0 { index + 1 } else { index };
        // The lowest file stays: it marks the start of the device.
        let kept = state.lowest().map_or(needed, |lowest| needed.max(lowest + 1));
        let removed = state.files.range(kept..).rev();
        let cut = state.files.range(index..kept).next_back();
        let closed_cut = state.closed.range(index..kept).next_back().map(|(&last, _)| last);
        let closed_cut = closed_cut.filter(|&last| cut.is_none_or(|(&open, _)| open < last));
        let cut = cut.filter(|_| closed_cut.is_none()).map(|(&last, file)| {
            let length = if last == index { within } else { 0 };
            (Arc::clone(file), length)
        });
        Ok(Truncation {
            removed: removed.map(|(&index, file)| (index, Arc::clone(file))).collect(),
            removed_closed: state.closed.range(kept..).map(|(&index, _)| index).collect(),
            cut,
            closed_cut,
        })
    }

    /// Forgets one segment, which may appear again.
    pub(crate) fn remove(&self, index: u64) {
        let mut state = self.write();
        state.files.remove(&index);
        state.closed.remove(&index);
    }

    /// Returns the index of the highest segment.
    pub(crate) fn last(&self) -> Option<u64> {
        let state = self.read();
        let (open, closed) = (state.files.last_key_value(), state.closed.last_key_value());
        open.map(|(&index, _)| index).max(closed.map(|(&index, _)| index))
    }

    /// Returns the files of all open segments at this moment.
    pub(crate) fn files(&self) -> Vec<Arc<F>> {
        self.read().files.values().map(Arc::clone).collect()
    }

    /// Returns the sum of a property over all segments.
    pub(crate) fn sum(&self, property: impl Fn(&F) -> u64) -> u64 {
        let state = self.read();
        let open: u64 = state.files.values().map(|file| property(file)).sum();
        open + state.closed.values().map(|closed| closed.length).sum::<u64>()
    }

    /// Adds a segment that exists, is not open, and may not be durable.
    pub(crate) fn insert_closed(&self, index: u64, length: u64) {
        self.write().closed.insert(index, Closed { length, is_synced: false });
    }

    /// Makes the segments below the lowest count as discarded.
    pub(crate) fn begin_at_the_lowest(&self) {
        let mut state = self.write();
        state.first = state.lowest().unwrap_or(0);
    }

    pub(crate) fn is_closed(&self, index: u64) -> bool {
        self.read().closed.contains_key(&index)
    }

    /// Returns whether there is a segment, open or not.
    pub(crate) fn exists(&self, index: u64) -> bool {
        let state = self.read();
        state.closed.contains_key(&index) || state.files.contains_key(&index)
    }

    pub(crate) fn file(&self, index: u64) -> Option<Arc<F>> {
        self.read().files.get(&index).map(Arc::clone)
    }

    pub(crate) fn open_count(&self) -> usize {
        self.read().files.len()
    }

    /// Returns the open segments that only the table refers to, except the highest.
    pub(crate) fn idle_files(&self) -> Vec<(u64, Arc<F>)> {
        let state = self.read();
        let all = state.files.iter().rev().skip(1);
        let idle = all.filter(|(_, file)| Arc::strong_count(file) == 1);
        idle.map(|(&index, file)| (index, Arc::clone(file))).collect()
    }

    /// Closes a synced segment, unless another owner has it or `may_close` refuses.
    pub(crate) fn close(
        &self,
        index: u64,
        length: u64,
        may_close: impl FnOnce(&F) -> bool,
    ) -> bool {
        let mut state = self.write();
        // Only the table gives files out, under this lock.
        let idle = |file: &&Arc<F>| Arc::strong_count(file) == 1;
        if !state.files.get(&index).filter(idle).is_some_and(|file| may_close(file)) {
            return false;
        }
        let file = state.files.remove(&index);
        state.closed.insert(index, Closed { length, is_synced: true });
        drop(state);
        // Closed without the lock.
        drop(file);
        true
    }

    pub(crate) fn first_unsynced_closed(&self) -> Option<u64> {
        let state = self.read();
        state.closed.iter().find(|(_, closed)| !closed.is_synced).map(|(&index, _)| index)
    }

    pub(crate) fn note_closed_synced(&self, index: u64) {
        if let Some(closed) = self.write().closed.get_mut(&index) {
            closed.is_synced = true;
        }
    }

    pub(crate) fn file_name(&self, index: u64) -> String {
        names::segment(&self.device, index)
    }

    pub(crate) fn locate(&self, offset: u64) -> (String, u64) {
        (self.file_name(offset / self.bytes), offset % self.bytes)
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the error of a read beyond the last written byte.
    pub(crate) fn past_the_end(&self, offset: u64) -> io::Error {
        let (file, within) = self.locate(offset);
        past_the_end(&file, within)
    }

    fn discarded(&self, kind: io::ErrorKind, offset: u64) -> io::Error {
        let (file, within) = self.locate(offset);
        let message = format!("offset {within} of {file} was discarded; use a higher offset");
        io::Error::new(kind, message)
    }

    fn extent(&self, state: &State<F>, index: u64, offset: u64, end: u64) -> Option<Extent<F>> {
        let file = Arc::clone(state.files.get(&index)?);
        let base = index * self.bytes;
        let (from, to) = (offset.max(base), end.min(base + self.bytes));
        debug_assert!(from < to, "a segment of the range has bytes of it");
        let len = usize::try_from(to - from).expect("a length within a buffer fits memory");
        Some(Extent { file, offset: from - base, len })
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<F>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, State<F>> {
        // Every update is one assignment or map call, so a panic elsewhere leaves no half update.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> State<F> {
    fn lowest(&self) -> Option<u64> {
        let open = self.files.first_key_value().map(|(&index, _)| index);
        let closed = self.closed.first_key_value().map(|(&index, _)| index);
        open.into_iter().chain(closed).min()
    }
}

/// Returns the error of a read beyond the end of `file`.
pub(crate) fn past_the_end(file: &str, offset: u64) -> io::Error {
    let message = format!("offset {offset} of {file} is past the end");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

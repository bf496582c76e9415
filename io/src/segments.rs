//! One address space over many files: which file holds which byte.
//!
//! Segment `i` holds the bytes `[i * bytes, (i + 1) * bytes)` and is the file `name.i`. Segments
//! appear when first written, in any order, and are deleted from the low end, or from the high end
//! by a truncation. A range that crosses a boundary becomes several extents. The table is generic
//! over what a file is, so that every backend shares this arithmetic.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::names;

/// The segments of one device.
#[derive(Debug)]
pub(crate) struct Segments<F> {
    // Fixed after open.
    device: String,
    bytes: u64,
    // Under the lock, which is held for a look-up only.
    state: RwLock<State<F>>,
    /// Held by what makes files for the table.
    creating: Mutex<()>,
}

#[derive(Debug)]
struct State<F> {
    /// Segments below this index are gone for good.
    first: u64,
    files: BTreeMap<u64, Arc<F>>,
}

/// A range of bytes within one file.
#[derive(Debug)]
pub(crate) struct Extent<F> {
    pub(crate) file: Arc<F>,
    pub(crate) offset: u64,
    pub(crate) len: usize,
}

/// A range of bytes in order: nearly always one extent, so that one needs no allocation.
#[derive(Debug)]
pub(crate) struct Extents<F> {
    pub(crate) first: Extent<F>,
    pub(crate) rest: Vec<Extent<F>>,
}

/// What a look-up found.
#[must_use]
#[derive(Debug)]
pub(crate) enum Lookup<F> {
    /// All segments of the range are there.
    Present(Extents<F>),
    /// This segment was never written.
    Missing(u64),
    /// A part of the range was discarded.
    Discarded(io::Error),
}

/// What became of a new segment.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// The segment is in the table.
    Present,
    /// Its range was discarded meanwhile: its file must go.
    Discarded,
}

/// What deletes every byte from some offset on.
#[derive(Debug)]
pub(crate) struct Truncation<F> {
    /// Segments that go as a whole, the highest first: whatever fails leaves no gap.
    pub(crate) removed: Vec<(u64, Arc<F>)>,
    /// The highest segment that stays, and the length that it may have at most.
    pub(crate) cut: Option<(Arc<F>, u64)>,
}

impl<F> Segments<F> {
    /// The table of a device with these files; segments below the lowest count as discarded.
    pub(crate) fn new(device: &str, bytes: u64, files: BTreeMap<u64, Arc<F>>) -> Self {
        assert!(bytes > 0, "segments hold something");
        let first = files.keys().next().copied().unwrap_or(0);
        let state = RwLock::new(State { first, files });
        Self { device: device.to_owned(), bytes, state, creating: Mutex::default() }
    }

    /// The extents of `[offset, end)`, which is not empty.
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

    /// Lets one caller at a time make files for segments that are missing.
    pub(crate) fn creating(&self) -> MutexGuard<'_, ()> {
        self.creating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a segment. If somebody added it meanwhile, that file stays.
    pub(crate) fn insert(&self, index: u64, file: Arc<F>) -> Insertion {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if index < state.first {
            return Insertion::Discarded;
        }
        state.files.entry(index).or_insert(file);
        Insertion::Present
    }

    /// Forgets the whole segments below `offset`, and gives them out.
    pub(crate) fn discard_below(&self, offset: u64) -> BTreeMap<u64, Arc<F>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.first = state.first.max(offset / self.bytes);
        let first = state.first;
        let kept = state.files.split_off(&first);
        std::mem::replace(&mut state.files, kept)
    }

    /// What to do to the files so that the device ends at `end`. The table stays as it is: a
    /// segment is to be [removed](Self::remove) once its file is.
    pub(crate) fn truncation(&self, end: u64) -> io::Result<Truncation<F>> {
        let state = self.read();
        let (index, within) = (end / self.bytes, end % self.bytes);
        if index < state.first {
            return Err(self.discarded(io::ErrorKind::InvalidInput, end));
        }
        let needed = if within > 0 { index + 1 } else { index };
        // The lowest file stays, or nothing would say where the device begins.
        let kept = state.files.keys().next().map_or(needed, |&lowest| needed.max(lowest + 1));
        let removed = state.files.range(kept..).rev();
        let cut = state.files.range(index..kept).next_back().map(|(&last, file)| {
            let length = if last == index { within } else { 0 };
            (Arc::clone(file), length)
        });
        Ok(Truncation {
            removed: removed.map(|(&index, file)| (index, Arc::clone(file))).collect(),
            cut,
        })
    }

    /// Forgets one segment, which may appear again.
    pub(crate) fn remove(&self, index: u64) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).files.remove(&index);
    }

    /// The highest segment.
    pub(crate) fn last(&self) -> Option<u64> {
        self.read().files.last_key_value().map(|(&index, _)| index)
    }

    /// All segments at this moment.
    pub(crate) fn files(&self) -> Vec<Arc<F>> {
        self.read().files.values().map(Arc::clone).collect()
    }

    /// Sum of a property of all segments.
    pub(crate) fn sum(&self, property: impl Fn(&F) -> u64) -> u64 {
        self.read().files.values().map(|file| property(file)).sum()
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

    /// The error of a read beyond what was written.
    pub(crate) fn past_the_end(&self, offset: u64) -> io::Error {
        let (file, within) = self.locate(offset);
        past_the_end(&file, within)
    }

    fn discarded(&self, kind: io::ErrorKind, offset: u64) -> io::Error {
        let (file, within) = self.locate(offset);
        let message = format!("offset {within} of {file} was discarded");
        io::Error::new(kind, message)
    }

    fn extent(&self, state: &State<F>, index: u64, offset: u64, end: u64) -> Option<Extent<F>> {
        let file = Arc::clone(state.files.get(&index)?);
        let base = index * self.bytes;
        let (from, to) = (offset.max(base), end.min(base + self.bytes));
        debug_assert!(from < to, "a segment of the range holds a part of it");
        let len = usize::try_from(to - from).expect("a part of a buffer fits memory");
        Some(Extent { file, offset: from - base, len })
    }

    fn read(&self) -> RwLockReadGuard<'_, State<F>> {
        // Every update is one assignment or map call: a panic elsewhere cannot leave it half done.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Truncation<F> {
    /// Whether it takes a part of this extent away.
    pub(crate) fn reaches(&self, extent: &Extent<F>) -> bool {
        let same = |file: &Arc<F>| Arc::ptr_eq(file, &extent.file);
        let end = extent.offset + extent.len as u64;
        let cut = self.cut.as_ref();
        cut.is_some_and(|(file, length)| same(file) && end > *length)
            || self.removed.iter().any(|(_, file)| same(file))
    }
}

/// The error of a read beyond the end of `file`.
pub(crate) fn past_the_end(file: &str, offset: u64) -> io::Error {
    let message = format!("offset {offset} of {file} is past the end");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(indices: &[u64]) -> Segments<u64> {
        let files = indices.iter().map(|&index| (index, Arc::new(index))).collect();
        Segments::new("log", 100, files)
    }

    fn present(lookup: Lookup<u64>) -> Vec<(u64, u64, usize)> {
        let Lookup::Present(extents) = lookup else { panic!("not present: {lookup:?}") };
        let all = std::iter::once(extents.first).chain(extents.rest);
        all.map(|extent| (*extent.file, extent.offset, extent.len)).collect()
    }

    #[test]
    fn ranges_are_cut_at_boundaries() {
        let table = segments(&[0, 1, 2]);
        assert_eq!(present(table.look_up(0, 100)), [(0, 0, 100)]);
        assert_eq!(present(table.look_up(150, 160)), [(1, 50, 10)]);
        assert_eq!(present(table.look_up(90, 210)), [(0, 90, 10), (1, 0, 100), (2, 0, 10)]);
        assert!(matches!(table.look_up(290, 310), Lookup::Missing(3)));
    }

    #[test]
    fn discarding_keeps_the_segment_that_holds_the_offset() {
        let table = segments(&[0, 1, 2]);
        assert!(table.discard_below(199).into_keys().eq([0]));
        assert!(matches!(table.look_up(99, 110), Lookup::Discarded(_)));
        assert_eq!(present(table.look_up(100, 110)), [(1, 0, 10)]);
        assert_eq!(table.insert(0, Arc::new(0)), Insertion::Discarded);
        assert!(matches!(table.look_up(0, 10), Lookup::Discarded(_)));
        assert!(table.discard_below(1000).into_keys().eq([1, 2]));
        assert!(matches!(table.look_up(1000, 1001), Lookup::Missing(10)));
    }

    /// The segments that go, and the one that is cut, with its length.
    fn truncation(table: &Segments<u64>, end: u64) -> (Vec<u64>, Option<(u64, u64)>) {
        let Truncation { removed, cut } = table.truncation(end).expect("not discarded");
        assert!(removed.iter().all(|(index, file)| *index == **file));
        (removed.into_iter().map(|(index, _)| index).collect(), cut.map(|(file, to)| (*file, to)))
    }

    #[test]
    fn truncating_cuts_one_segment_and_removes_those_above() {
        let table = segments(&[0, 1, 2, 4]);
        assert_eq!(truncation(&table, 500), (vec![], None));
        assert_eq!(truncation(&table, 410), (vec![], Some((4, 10))));
        assert_eq!(truncation(&table, 400), (vec![4], None));
        assert_eq!(truncation(&table, 310), (vec![4], None));
        assert_eq!(truncation(&table, 299), (vec![4], Some((2, 99))));
        assert_eq!(truncation(&table, 100), (vec![4, 2, 1], None));
        assert_eq!(truncation(&table, 0), (vec![4, 2, 1], Some((0, 0))));
        table.remove(4);
        assert!(matches!(table.look_up(400, 401), Lookup::Missing(4)));
        assert_eq!(table.insert(4, Arc::new(4)), Insertion::Present);
    }

    #[test]
    fn truncating_keeps_the_lowest_file_and_stays_above_what_was_discarded() {
        let table = segments(&[0, 1, 2, 5]);
        assert!(table.discard_below(299).into_keys().eq([0, 1]));
        let refused = table.truncation(199).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(truncation(&table, 200), (vec![5], Some((2, 0))));
        table.remove(2);
        assert_eq!(truncation(&table, 250), (vec![], Some((5, 0))));
        table.remove(5);
        assert_eq!(truncation(&table, 200), (vec![], None));
    }

    #[test]
    fn a_truncation_knows_what_it_reaches() {
        let table = segments(&[0, 1]);
        let truncation = table.truncation(50).unwrap();
        let reaches = |offset, end| {
            let Lookup::Present(extents) = table.look_up(offset, end) else { panic!("present") };
            truncation.reaches(&extents.first)
        };
        assert!(!reaches(0, 50) && reaches(0, 51) && reaches(60, 70) && reaches(100, 110));
    }

    #[test]
    fn the_lowest_file_says_what_was_discarded_before() {
        assert!(matches!(segments(&[3]).look_up(0, 1), Lookup::Discarded(_)));
        assert!(matches!(segments(&[]).look_up(0, 1), Lookup::Missing(0)));
    }
}

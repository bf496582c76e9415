//! The problems that an inspection has found, each once.

use super::Problem;
use crate::base::error::Error;
use std::collections::{BTreeMap, BTreeSet};

/// Collects problems. It knows the files of the directory.
#[derive(Debug)]
pub(super) struct Problems {
    lengths: BTreeMap<String, u64>,
    found: BTreeSet<(String, u64, String)>,
    /// The first error of the system, which says nothing about the bytes of a file.
    unreadable: Option<Error>,
}

impl Problems {
    /// Starts an empty collection. `lengths` are the lengths of the files of the directory.
    pub(super) fn new(lengths: BTreeMap<String, u64>) -> Self {
        Self { lengths, found: BTreeSet::new(), unreadable: None }
    }

    pub(super) fn lengths(&self) -> &BTreeMap<String, u64> {
        &self.lengths
    }

    /// Notes an error. It is about `(file, offset)`, unless it names a place itself.
    pub(super) fn note(&mut self, error: &Error, (file, offset): (&str, u64)) {
        let text = error.to_string();
        if error.place().is_none() && self.lengths.contains_key(file) {
            self.unreadable.get_or_insert_with(|| error.clone());
        }
        let (file, offset, what) = error.place().unwrap_or((file, offset, &text));
        if self.lengths.contains_key(file) {
            self.add(file, offset, what);
        } else {
            self.add_missing(file);
        }
    }

    /// Notes that `bytes` bytes at `(file, offset)` cannot be read. A missing or short file is
    /// noted only once.
    pub(super) fn note_unreadable(
        &mut self,
        error: &Error,
        (file, offset): (&str, u64),
        bytes: u64,
    ) {
        match self.lengths.get(file) {
            None => self.add_missing(file),
            Some(&length) if length < offset.saturating_add(bytes) => self.add_end(file, length),
            Some(_) => self.note(error, (file, offset)),
        }
    }

    /// Notes a problem in another directory than that of the store.
    pub(super) fn note_beside(&mut self, file: &str, offset: u64, what: &str) {
        self.add(file, offset, what);
    }

    /// Notes that a file is needed beyond its end, or is missing.
    pub(super) fn note_end(&mut self, file: &str) {
        match self.lengths.get(file) {
            Some(&length) => self.add_end(file, length),
            None => self.add_missing(file),
        }
    }

    pub(super) fn add(&mut self, file: &str, offset: u64, what: &str) {
        self.found.insert((file.to_owned(), offset, what.to_owned()));
    }

    fn add_missing(&mut self, file: &str) {
        self.add(file, 0, "the file is missing");
    }

    fn add_end(&mut self, file: &str, length: u64) {
        self.add(file, length, "the file ends here, and more of it is needed");
    }

    /// Returns the first error of the system: a file is there, and cannot be read.
    pub(super) fn unreadable(&mut self) -> Option<Error> {
        self.unreadable.take()
    }

    /// Returns the problems by file and offset.
    pub(super) fn into_list(self) -> Vec<Problem> {
        let problem = |(file, offset, message)| Problem { file, offset, message };
        self.found.into_iter().map(problem).collect()
    }
}

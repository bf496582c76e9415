//! Descriptors of segments that an executor opened for itself, and their closing.
//!
//! glommio closes a file through the ring of its executor, some time later, and not at all if the
//! executor has ended. So a drop takes the descriptor from glommio and closes it on the file
//! threads, as it does for deleted segments.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use glommio::io::{DmaFile, OwnedDmaFile};

use crate::files::file::StorageFile;
use crate::threads::blocking::Blocking;

/// The descriptors of one executor, by the address of the segment.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    files: HashMap<*const StorageFile, Entry>,
}

/// A descriptor, and its segment.
type Entry = (Weak<StorageFile>, Rc<OwnFile>);

/// A descriptor of ours that glommio reads through.
#[derive(Debug)]
pub(super) struct OwnFile {
    /// `Some` until this value is dropped.
    file: Option<DmaFile>,
    closer: Arc<Blocking>,
}

impl OwnFile {
    pub(super) fn new(file: DmaFile, closer: Arc<Blocking>) -> Self {
        Self { file: Some(file), closer }
    }

    pub(super) fn dma(&self) -> &DmaFile {
        self.file.as_ref().expect("the file is open until the drop")
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // A file of this type is closed at once, by the thread that drops it.
        let file = self.file.take().map(OwnedDmaFile::from);
        self.closer.run_late(move || drop(file));
    }
}

impl Descriptors {
    pub(super) fn of(&self, segment: &Arc<StorageFile>) -> Option<Rc<OwnFile>> {
        let (owner, file) = self.files.get(&Arc::as_ptr(segment))?;
        // After a segment is gone, another segment may use its address.
        (owner.strong_count() > 0).then(|| Rc::clone(file))
    }

    /// Stores a descriptor for a segment. Returns the replaced entry, which the caller drops
    /// outside any borrow.
    pub(super) fn insert(
        &mut self,
        segment: &Arc<StorageFile>,
        file: &Rc<OwnFile>,
    ) -> Option<Entry> {
        self.files.insert(Arc::as_ptr(segment), (Arc::downgrade(segment), Rc::clone(file)))
    }

    /// Removes and returns the descriptors of segments that are deleted or closed.
    pub(super) fn take_stale(&mut self) -> Vec<Entry> {
        let is_stale = |owner: &Weak<StorageFile>| {
            owner.upgrade().is_none_or(|segment| segment.is_marked_deleted())
        };
        self.files.extract_if(|_, (owner, _)| is_stale(owner)).map(|(_, entry)| entry).collect()
    }
}

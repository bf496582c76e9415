//! The state of the executor of an attached thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use glommio::io::DmaFile;

use crate::backends::glommio::descriptors::{Descriptors, OwnFile};
use crate::files::file::StorageFile;
use crate::files::operation::{Engine, Operation};
use crate::files::sweep::Sweep;
use crate::threads::blocking::Blocking;

thread_local! {
    pub(super) static ATTACHED: RefCell<Option<Attached>> = const { RefCell::new(None) };
    /// Never reused: a task that outlives its attachment must not find an operation of the next.
    pub(super) static NEXT_NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// The state of an attached executor.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) sweep: Arc<Sweep>,
    pub(super) files: Descriptors,
    /// Reads that have begun here and not ended, by number.
    pub(super) reads: HashMap<u64, LocalRead>,
}

#[derive(Debug)]
pub(super) struct LocalRead {
    pub(super) operation: Operation,
    pub(super) driver: Arc<dyn Engine>,
}

/// Runs `work` on this thread's executor, if one is attached. A thread that ends may still read in
/// the destructors of its values, after its attachment is gone.
pub(super) fn with_attached<T>(work: impl FnOnce(&mut Attached) -> T) -> Option<T> {
    let found = ATTACHED.try_with(|attached| attached.borrow_mut().as_mut().map(work));
    found.ok().flatten()
}

impl Drop for Attached {
    fn drop(&mut self) {
        // This also runs if the thread ends while it is attached.
        self.sweep.forget();
        for (_, read) in self.reads.drain() {
            read.driver.submit(read.operation);
        }
    }
}

/// Returns this executor's descriptor of a segment, which the first read opens.
pub(super) async fn descriptor_of(
    segment: &Arc<StorageFile>,
    closer: &Arc<Blocking>,
) -> io::Result<Rc<OwnFile>> {
    if let Some(file) = with_attached(|attached| attached.files.of(segment)).flatten() {
        return Ok(file);
    }
    // By its descriptor: the name may have been deleted while a read still uses the segment.
    let path = format!("/proc/self/fd/{}", segment.descriptor());
    let file = DmaFile::open(path).await.map_err(io::Error::from)?;
    let file = Rc::new(OwnFile::new(file, Arc::clone(closer)));
    let replaced = with_attached(|attached| {
        // A deleted segment serves this read to its end, and no later read.
        if segment.is_marked_deleted() {
            return None;
        }
        attached.files.insert(segment, &file)
    });
    drop(replaced);
    Ok(file)
}

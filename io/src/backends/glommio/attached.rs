//! What belongs to the executor of a thread that is attached.

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
    /// Never reused: a task that outlives its attachment must not meet an operation of the next.
    pub(super) static NEXT_NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// What belongs to an attached executor.
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

/// Does `work` for this thread's executor, if it has one that is attached. A thread that ends may
/// read yet, in the destructors of what it owns, when its attachment is gone.
pub(super) fn with_attached<T>(work: impl FnOnce(&mut Attached) -> T) -> Option<T> {
    let found = ATTACHED.try_with(|attached| attached.borrow_mut().as_mut().map(work));
    found.ok().flatten()
}

impl Drop for Attached {
    fn drop(&mut self) {
        // Also when the thread ends while it is attached.
        self.sweep.forget();
        for (_, read) in self.reads.drain() {
            read.driver.submit(read.operation);
        }
    }
}

/// This executor's descriptor of a segment, opened at the first read.
pub(super) async fn descriptor_of(
    segment: &Arc<StorageFile>,
    closer: &Arc<Blocking>,
) -> io::Result<Rc<OwnFile>> {
    if let Some(file) = with_attached(|attached| attached.files.of(segment)).flatten() {
        return Ok(file);
    }
    // By its descriptor: the name may have been deleted while the segment is still read.
    let path = format!("/proc/self/fd/{}", segment.descriptor());
    let file = DmaFile::open(path).await.map_err(io::Error::from)?;
    let file = Rc::new(OwnFile::new(file, Arc::clone(closer)));
    let replaced = with_attached(|attached| {
        // A deleted segment is read to the end of this read, and not again.
        if segment.is_marked_deleted() {
            return None;
        }
        attached.files.insert(segment, &file)
    });
    drop(replaced);
    Ok(file)
}

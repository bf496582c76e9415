//! Descriptors of segments that an executor opened for itself, and when they are closed.
//!
//! glommio closes a file through the ring of its executor, some time later, and not at all if the
//! executor has ended. So they are taken from glommio when they are dropped, and closed on the file
//! threads, as deleted segments are.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use glommio::io::{DmaFile, OwnedDmaFile};

use crate::blocking::Blocking;
use crate::file::StorageFile;
use crate::glommio::with_attached;
use crate::sync::AtomicWaker;

/// The descriptors of one executor, by the address of the segment.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    files: HashMap<*const StorageFile, (Weak<StorageFile>, Rc<OwnFile>)>,
}

/// A descriptor of ours that glommio reads through.
#[derive(Debug)]
pub(super) struct OwnFile {
    /// There until this is dropped.
    file: Option<DmaFile>,
    closer: Arc<Blocking>,
}

impl OwnFile {
    pub(super) fn dma(&self) -> &DmaFile {
        self.file.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // In this form it is closed at once, by whichever thread drops it.
        let file = self.file.take().map(OwnedDmaFile::from);
        self.closer.run_late(move || drop(file));
    }
}

impl Descriptors {
    fn of(&self, segment: &Arc<StorageFile>) -> Option<Rc<OwnFile>> {
        let (owner, file) = self.files.get(&Arc::as_ptr(segment))?;
        // An address may be used again by another segment after the first is gone.
        (owner.strong_count() > 0).then(|| Rc::clone(file))
    }

    /// Gives out the descriptors of segments that are deleted or closed.
    pub(super) fn take_stale(&mut self) -> Vec<(Weak<StorageFile>, Rc<OwnFile>)> {
        let is_stale = |owner: &Weak<StorageFile>| {
            owner.upgrade().is_none_or(|segment| segment.is_marked_deleted())
        };
        self.files.extract_if(|_, (owner, _)| is_stale(owner)).map(|(_, entry)| entry).collect()
    }
}

/// This executor's descriptor of a segment, opened at the first read.
pub(super) async fn of(
    segment: &Arc<StorageFile>,
    closer: &Arc<Blocking>,
) -> io::Result<Rc<OwnFile>> {
    if let Some(file) = with_attached(|attached| attached.files.of(segment)).flatten() {
        return Ok(file);
    }
    // By its descriptor: the name may have been deleted while the segment is still read.
    let path = format!("/proc/self/fd/{}", segment.descriptor());
    let file = DmaFile::open(path).await.map_err(io::Error::from)?;
    let file = Rc::new(OwnFile { file: Some(file), closer: Arc::clone(closer) });
    let replaced = with_attached(|attached| {
        // A deleted segment is read to the end of this read, and not again.
        if segment.is_marked_deleted() {
            return None;
        }
        let entry = (Arc::downgrade(segment), Rc::clone(&file));
        attached.files.files.insert(Arc::as_ptr(segment), entry)
    });
    drop(replaced);
    Ok(file)
}

/// Wakes the task of an executor that drops descriptors.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    due: AtomicBool,
    ended: AtomicBool,
    waker: AtomicWaker,
}

/// Those of all executors that are attached.
static SWEEPS: Mutex<Vec<Weak<Sweep>>> = Mutex::new(Vec::new());

/// A segment was deleted or closed: executors drop their descriptors of it.
pub(crate) fn sweep() {
    // Outside the lock: a waker is a stranger's code.
    let sweeps: Vec<_> = sweeps().iter().filter_map(Weak::upgrade).collect();
    for sweep in sweeps {
        // Release pairs with the Acquire in `due`: the task sees the segment deleted.
        sweep.due.store(true, Ordering::Release);
        sweep.waker.wake();
    }
}

fn sweeps() -> MutexGuard<'static, Vec<Weak<Sweep>>> {
    // Every update is one call of the list.
    SWEEPS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sweep {
    /// One more executor is told.
    pub(super) fn announce() -> Arc<Self> {
        let sweep = Arc::new(Self::default());
        let mut sweeps = sweeps();
        sweeps.retain(|other| other.strong_count() > 0);
        sweeps.push(Arc::downgrade(&sweep));
        sweep
    }

    /// Waits until there may be something to drop; says `false` at the end.
    pub(super) async fn due(&self) -> bool {
        poll_fn(|context| {
            // Before the look: what is told in between wakes.
            self.waker.register(context.waker());
            // Acquire pairs with the Release in `end` and in `sweep`.
            if self.ended.load(Ordering::Acquire) {
                Poll::Ready(false)
            } else if self.due.swap(false, Ordering::Acquire) {
                Poll::Ready(true)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Ends the task. On its executor.
    pub(super) fn end(&self) {
        // Release pairs with the Acquire in `due`.
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// The task may have been forgotten by an executor that ended: it is not woken any more.
    pub(super) fn forget(&self) {
        sweeps().retain(|other| !std::ptr::eq(other.as_ptr(), self));
        // Dropping it would schedule the task of an executor that is gone.
        mem::forget(self.waker.take());
    }
}

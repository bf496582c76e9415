//! Reads through the ring of the glommio executor that issues them.
//!
//! A thread-per-core service has an executor, and with it a ring, on every core. A read issued
//! there saves two wakes of other threads if it goes through that ring: a local task reads with a
//! `DmaFile` of this executor, copies the bytes into the caller's buffer, and completes the same
//! `Send` completion as every other backend. Writes and syncs stay with the driver thread, since
//! large submissions would stall the executor, and so do large reads, reads that cross a segment,
//! and reads from any other thread.
//!
//! glommio cannot be asked whether a thread runs an executor without a panic if it does not, so
//! an executor says so itself, with [`attach_glommio`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use glommio::io::DmaFile;

use crate::engine::Engine;
use crate::file::StorageFile;
use crate::operation::{Kind, Operation, Progress};

/// While it lives, reads issued on this thread go through the ring of its glommio executor, in
/// directories opened with [`BackendChoice::Glommio`](crate::BackendChoice::Glommio).
///
/// Drop it on the executor, before that ends.
#[derive(Debug)]
#[must_use = "reads take the ordinary way again when this is dropped"]
pub struct GlommioAttachment {
    // Belongs to this thread.
    _local: PhantomData<*const ()>,
}

/// Announces that this thread runs a glommio executor, until the result is dropped.
///
/// ```no_run
/// glommio::LocalExecutor::default().run(async {
///     let _attachment = kvick_io::attach_glommio();
///     // Open a directory with BackendChoice::Glommio, and read.
/// });
/// ```
///
/// # Panics
/// If the calling thread does not run a glommio executor, or is attached already.
pub fn attach_glommio() -> GlommioAttachment {
    // Panics outside an executor.
    let _ = glommio::executor().id();
    ATTACHED.with_borrow_mut(|attached| {
        assert!(attached.is_none(), "this executor is attached already");
        *attached = Some(OpenFiles::default());
    });
    GlommioAttachment {
        _local: PhantomData,
    }
}

impl Drop for GlommioAttachment {
    fn drop(&mut self) {
        // Taken out first: closing a file must not meet the borrow.
        let files = ATTACHED.with_borrow_mut(Option::take);
        drop(files);
    }
}

thread_local! {
    static ATTACHED: RefCell<Option<OpenFiles>> = const { RefCell::new(None) };
}

/// This executor's own descriptors of segments, by the address of the segment.
type OpenFiles = HashMap<*const StorageFile, (Weak<StorageFile>, Rc<DmaFile>)>;

/// Longer reads go to the driver: they would fill the executor's registered memory.
const MAX_READ: usize = 128 << 10;

/// Sends reads to the executor of the calling thread, and everything else to a driver.
#[derive(Debug)]
pub(crate) struct Glommio {
    driver: Arc<dyn Engine>,
}

impl Glommio {
    pub(crate) fn new(driver: Arc<dyn Engine>) -> Self {
        Self { driver }
    }
}

impl Engine for Glommio {
    fn submit(&self, operation: Operation) {
        if let Some(operation) = self.submit_here(operation) {
            self.driver.submit(operation);
        }
    }

    fn submit_many(&self, operations: Vec<Operation>) {
        let elsewhere = operations
            .into_iter()
            .filter_map(|one| self.submit_here(one));
        let elsewhere: Vec<_> = elsewhere.collect();
        if !elsewhere.is_empty() {
            self.driver.submit_many(elsewhere);
        }
    }

    fn name(&self) -> &'static str {
        "glommio"
    }
}

impl Glommio {
    /// Starts a read on this thread's executor; gives back what belongs to the driver.
    fn submit_here(&self, operation: Operation) -> Option<Operation> {
        let suits = operation.kind() == Kind::Read
            && operation
                .only_extent()
                .is_some_and(|extent| extent.len <= MAX_READ);
        if !suits || ATTACHED.with_borrow(Option::is_none) {
            return Some(operation);
        }
        let driver = Arc::clone(&self.driver);
        glommio::spawn_local(async move {
            let file = operation
                .only_extent()
                .map(|extent| Arc::clone(&extent.file));
            match own_descriptor(&file.expect("checked above")).await {
                Ok(file) => read(&file, operation).await,
                Err(error) => {
                    tracing::debug!(%error, "glommio cannot open a segment: the driver reads it");
                    driver.submit(operation);
                }
            }
        })
        .detach();
        None
    }
}

/// This executor's descriptor of a segment, opened at the first read.
async fn own_descriptor(segment: &Arc<StorageFile>) -> io::Result<Rc<DmaFile>> {
    let key = Arc::as_ptr(segment);
    let known = ATTACHED.with_borrow(|attached| {
        let (owner, file) = attached.as_ref()?.get(&key)?;
        // An address may be used again by another segment after the first is gone.
        (owner.as_ptr() == key && owner.strong_count() > 0).then(|| Rc::clone(file))
    });
    if let Some(file) = known {
        return Ok(file);
    }
    // By its descriptor: the name may have been deleted while the segment is still read.
    let path = format!("/proc/self/fd/{}", segment.descriptor());
    let file = Rc::new(DmaFile::open(path).await.map_err(io::Error::from)?);
    let gone = ATTACHED.with_borrow_mut(|attached| {
        let files = attached.as_mut()?;
        files.insert(key, (Arc::downgrade(segment), Rc::clone(&file)));
        // The descriptors of deleted segments go when a new segment appears.
        Some(
            files
                .extract_if(|_, (owner, _)| owner.strong_count() == 0)
                .collect::<Vec<_>>(),
        )
    });
    drop(gone);
    Ok(file)
}

async fn read(file: &DmaFile, mut operation: Operation) {
    loop {
        let (offset, len) = {
            let call = operation.call();
            (call.offset, call.range.len())
        };
        let answer = match file.read_at_aligned(offset, len).await {
            Ok(bytes) => {
                let call = operation.call();
                let buf = call.buf.expect("a read carries a buffer");
                buf[call.range][..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Err(error) => Err(io::Error::from(error)),
        };
        if let Progress::Finished(result) = operation.advance(answer) {
            return operation.finish(result);
        }
    }
}

//! Reads through the ring of the glommio executor that issues them.
//!
//! A thread-per-core service has an executor with a ring on every core. A read that uses the ring
//! of its own executor saves two wakes of other threads. A local task reads with a `DmaFile` of
//! this executor and copies the bytes into the caller's buffer. It completes the same `Send`
//! completion as every other backend. Writes and syncs stay with the driver thread, since large
//! submissions would stall the executor. So do large reads, reads that cross a segment, and reads
//! from any other thread.
//!
//! glommio panics if a thread asks for its executor and has none. So an executor announces itself,
//! with [`attach_glommio`].
//!
//! An executor has its own descriptors of the segments that it reads. They would keep a deleted
//! segment and its space, so they are closed with it. The thread that deletes or closes a segment
//! wakes a task on each executor that drops them ([`descriptors`]).
//!
//! An executor that ends forgets its tasks without dropping them. So a task owns nothing that a
//! caller waits for: the attachment has the operation, and the task has its number. The kernel
//! fills a buffer of glommio, never the caller's. So unfinished reads start again on the driver
//! when the attachment is dropped.

mod attached;
mod descriptors;

use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::backends::glommio::attached::{
    ATTACHED, Attached, LocalRead, NEXT_NUMBER, descriptor_of, with_attached,
};
use crate::backends::glommio::descriptors::Descriptors;
use crate::files::file::StorageFile;
use crate::files::operation::{Engine, Kind, Operation, Progress};
use crate::files::sweep::Sweep;
use crate::threads::blocking::Blocking;

/// Routes reads of this thread to the ring of its glommio executor while it lives.
///
/// It affects directories opened with [`BackendChoice::Glommio`](crate::BackendChoice::Glommio).
///
/// Drop it on the executor, before the executor ends. Unfinished reads then go to the driver.
#[derive(Debug)]
#[must_use = "reads go to the driver again when this is dropped"]
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
    let sweep = Sweep::announce();
    ATTACHED.with_borrow_mut(|attached| {
        assert!(attached.is_none(), "this executor is attached already");
        let sweep = Arc::clone(&sweep);
        *attached =
            Some(Attached { sweep, files: Descriptors::default(), reads: HashMap::default() });
    });
    glommio::spawn_local(drop_stale(sweep)).detach();
    GlommioAttachment { _local: PhantomData }
}

/// Drops descriptors of deleted or closed segments at each sweep.
async fn drop_stale(sweep: Arc<Sweep>) {
    while sweep.due().await {
        // Taken out of the borrow: a descriptor ends outside it.
        drop(with_attached(|attached| attached.files.take_stale()));
    }
}

impl Drop for GlommioAttachment {
    fn drop(&mut self) {
        // Taken out first: the code below must not run inside the borrow.
        let attached = ATTACHED.with_borrow_mut(Option::take);
        if let Some(attached) = &attached {
            // On the executor, so that the task can end.
            attached.sweep.end();
        }
        drop(attached);
    }
}

/// The largest read of an executor. Longer reads would fill its registered memory.
const MAX_READ: usize = 128 << 10;

/// Sends reads to the executor of the calling thread, and all other operations to a driver.
#[derive(Debug)]
pub(crate) struct Glommio {
    driver: Arc<dyn Engine>,
    /// The threads that close the descriptors of executors.
    closer: Arc<Blocking>,
}

impl Glommio {
    pub(crate) fn new(driver: Arc<dyn Engine>, closer: Arc<Blocking>) -> Self {
        Self { driver, closer }
    }

    /// Starts a read on this thread's executor. Returns an operation that belongs to the driver.
    fn submit_here(&self, operation: Operation) -> Option<Operation> {
        let suits = operation.kind() == Kind::Read
            && operation.only_extent().is_some_and(|extent| extent.len <= MAX_READ);
        if !suits || with_attached(|_| ()).is_none() {
            return Some(operation);
        }
        let number = NEXT_NUMBER.replace(NEXT_NUMBER.get() + 1);
        let driver = Arc::clone(&self.driver);
        keep(number, LocalRead { operation, driver });
        glommio::spawn_local(carry_out(number, Arc::clone(&self.closer))).detach();
        None
    }
}

impl Engine for Glommio {
    fn submit(&self, operation: Operation) {
        if let Some(operation) = self.submit_here(operation) {
            self.driver.submit(operation);
        }
    }

    fn submit_many(&self, operations: Vec<Operation>) {
        let elsewhere = operations.into_iter().filter_map(|one| self.submit_here(one));
        let elsewhere: Vec<_> = elsewhere.collect();
        if !elsewhere.is_empty() {
            self.driver.submit_many(elsewhere);
        }
    }

    fn name(&self) -> &'static str {
        "glommio"
    }
}

fn keep(number: u64, read: LocalRead) {
    let replaced = with_attached(|attached| attached.reads.insert(number, read));
    let replaced = replaced.expect("the attachment was present just now");
    debug_assert!(replaced.is_none(), "a number is given once");
}

/// Takes a read out of the attachment. Returns `None` if the attachment, and with it the read, is
/// gone.
fn take(number: u64) -> Option<LocalRead> {
    with_attached(|attached| attached.reads.remove(&number)).flatten()
}

/// Makes the calls of one read, until it has ended or belongs to the driver.
async fn carry_out(number: u64, closer: Arc<Blocking>) {
    while let Some((segment, offset, len)) = next_call(number) {
        let file = match descriptor_of(&segment, &closer).await {
            Ok(file) => file,
            Err(error) => {
                tracing::debug!(%error, "glommio cannot open a segment; the driver reads it");
                return leave_to_driver(number);
            }
        };
        let answer = file.dma().read_at_aligned(offset, len).await;
        if answer.as_ref().is_ok_and(|bytes| bytes.len() != len) {
            // Rare: the driver starts the read again, and finds the cause.
            return leave_to_driver(number);
        }
        let Some(mut read) = take(number) else { return };
        let answer = answer.map_err(io::Error::from).map(|bytes| {
            let call = read.operation.call();
            let buf = call.buf.expect("a read carries a buffer");
            buf[call.range].copy_from_slice(&bytes);
            len
        });
        match read.operation.advance(answer) {
            Progress::Finished(result) => return read.operation.finish(result),
            Progress::More => keep(number, read),
        }
    }
}

/// Returns the next segment, offset and length to read. Returns `None` if no caller waits any more.
fn next_call(number: u64) -> Option<(Arc<StorageFile>, u64, usize)> {
    let call = with_attached(|attached| {
        let operation = &mut attached.reads.get_mut(&number)?.operation;
        if operation.is_abandoned() {
            return None;
        }
        let extent = operation.only_extent().expect("looked at before");
        let segment = Arc::clone(&extent.file);
        let call = operation.call();
        Some((segment, call.offset, call.range.len()))
    });
    let call = call.flatten();
    if call.is_none() {
        // Outside the borrow: the values of the operation may be dropped with it.
        drop(take(number));
    }
    call
}

fn leave_to_driver(number: u64) {
    if let Some(LocalRead { operation, driver }) = take(number) {
        driver.submit(operation);
    }
}

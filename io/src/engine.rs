//! What carries operations to the kernel: the seam between devices and backends.

use std::fmt::Debug;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::operation::{Kind, Operation, Progress};

/// A backend. Submitting never blocks and never fails: an operation that cannot be carried out is
/// completed with an error.
///
/// Reads on one side and writes and syncs on the other are admitted separately: however many of
/// one kind wait, the other kind proceeds. Within a class the order is first come, first served,
/// whichever device it is for.
pub(crate) trait Engine: Send + Sync + Debug {
    fn submit(&self, operation: Operation);

    /// Submits several with one wake of whoever carries them out.
    fn submit_many(&self, operations: Vec<Operation>);

    fn name(&self) -> &'static str;

    /// Whether every operation fails from now on.
    fn is_dead(&self) -> bool {
        false
    }
}

/// What is admitted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Read,
    Write,
}

impl From<Kind> for Class {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Read => Self::Read,
            Kind::Write | Kind::Sync => Self::Write,
        }
    }
}

/// Runs what may end in a waker, which is a stranger's code: its panic must not stop the transfers
/// of all directories.
pub(crate) fn unharmed(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("a job or a waker panicked on a thread of the backend");
    }
}

/// Carries out an operation with blocking calls, on this thread.
pub(crate) fn run_blocking(mut operation: Operation) {
    if operation.is_abandoned() {
        return;
    }
    loop {
        let answer = call_blocking(&mut operation);
        if let Progress::Finished(result) = operation.advance(answer) {
            operation.finish(result);
            return;
        }
    }
}

fn call_blocking(operation: &mut Operation) -> io::Result<usize> {
    let kind = operation.kind();
    let call = operation.call();
    match (kind, call.buf) {
        (Kind::Read, Some(buf)) => call.file.read_at(&mut buf[call.range], call.offset),
        (Kind::Write, Some(buf)) => call.file.write_at(&buf[call.range], call.offset),
        (Kind::Sync, None) => call.file.sync().map(|()| 0),
        _ => unreachable!("reads and writes carry a buffer, syncs do not"),
    }
}

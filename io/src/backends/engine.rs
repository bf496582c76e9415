//! Code that backends share: the classes of operations, and blocking calls for one operation.

use std::fmt::Debug;
use std::io;

use crate::files::operation::{Kind, Operation, Progress};

/// A class of operations. Backends admit each class separately.
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

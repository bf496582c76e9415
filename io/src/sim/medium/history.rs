//! The history of a simulated disk: counters, and the last operations as text.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

/// The kinds of operations that a simulated disk counts and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationKind {
    /// `Device::read_at`, and each read of `read_many`.
    Read,
    /// `Device::write_at`, and the contents of `Directory::write_file`.
    Write,
    /// `Device::sync`, and the end of `Directory::write_file`.
    Sync,
    /// `Device::discard_below`.
    Discard,
    /// `Device::truncate`.
    Truncate,
    /// `Directory::open_device`.
    Open,
    /// `Directory::list`.
    List,
    /// `Directory::read_file`.
    ReadFile,
    /// The start of `Directory::write_file`: creates or truncates.
    Create,
    /// `Directory::rename`.
    Rename,
    /// `Directory::remove_file`.
    Remove,
    /// `Directory::sync`.
    SyncDirectory,
    /// `Directory::lock`.
    Lock,
}

impl OperationKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Discard,
        Self::Truncate,
        Self::Open,
        Self::List,
        Self::ReadFile,
        Self::Create,
        Self::Rename,
        Self::Remove,
        Self::SyncDirectory,
        Self::Lock,
    ];

    pub(in crate::sim) fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::ReadFile)
    }

    pub(in crate::sim) fn is_write(self) -> bool {
        matches!(self, Self::Write | Self::Create)
    }

    /// Returns whether the operation needs a new descriptor.
    pub(in crate::sim) fn opens_files(self) -> bool {
        matches!(self, Self::Open | Self::List | Self::ReadFile | Self::Create | Self::Lock)
    }

    /// Returns whether a read-only medium refuses the operation. It refuses to delete bytes, too,
    /// unless there is nothing to delete; those operations check that themselves.
    pub(in crate::sim) fn is_change(self) -> bool {
        use OperationKind::{Create, Remove, Rename, Write};
        matches!(self, Write | Create | Rename | Remove)
    }

    /// Returns whether the operation is carried out even without a waiting caller.
    pub(in crate::sim) fn is_never_skipped(self) -> bool {
        matches!(self, Self::Discard | Self::Truncate)
    }

    pub(in crate::sim) fn is_sync(self) -> bool {
        matches!(self, Self::Sync | Self::SyncDirectory)
    }
}

/// Counters, and a ring of the last events.
#[derive(Debug, Default)]
pub(in crate::sim) struct History {
    started: u64,
    counts: [u64; OperationKind::ALL.len()],
    last: VecDeque<Event>,
}

#[derive(Debug)]
struct Event {
    time: Duration,
    number: u64,
    kind: OperationKind,
    what: What,
}

#[derive(Debug)]
enum What {
    Began(String),
    Ended(Result<(), io::ErrorKind>),
}

impl History {
    /// Records the start of an operation and returns its number.
    pub(in crate::sim) fn begin(
        &mut self,
        time: Duration,
        kind: OperationKind,
        subject: String,
    ) -> u64 {
        let number = self.started;
        self.started += 1;
        self.counts[kind as usize] += 1;
        self.push(time, (number, kind), What::Began(subject));
        number
    }

    pub(in crate::sim) fn end(
        &mut self,
        time: Duration,
        operation: (u64, OperationKind),
        result: Result<(), io::ErrorKind>,
    ) {
        self.push(time, operation, What::Ended(result));
    }

    pub(in crate::sim) fn started(&self) -> u64 {
        self.started
    }

    pub(in crate::sim) fn count(&self, kind: OperationKind) -> u64 {
        self.counts[kind as usize]
    }

    fn push(&mut self, time: Duration, (number, kind): (u64, OperationKind), what: What) {
        if self.last.len() == EVENTS_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(Event { time, number, kind, what });
    }
}

impl fmt::Display for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.last {
            let Event { time, number, kind, what } = event;
            write!(formatter, "\n  {time:?} #{number} {kind:?}")?;
            match what {
                What::Began(subject) => write!(formatter, " {subject}")?,
                What::Ended(Ok(())) => write!(formatter, " ended")?,
                What::Ended(Err(error)) => write!(formatter, " failed: {error:?}")?,
            }
        }
        Ok(())
    }
}

/// The number of events kept for messages.
const EVENTS_KEPT: usize = 64;

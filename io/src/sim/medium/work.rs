//! One operation in flight, and its effect when it ends.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{CompletionSink, Transfer};
use crate::files::segments::{Extent, past_the_end};
use crate::sim::failures::{Failures, NAMES};
use crate::sim::medium::file::SimFile;
use crate::sim::medium::history::OperationKind;

#[derive(Debug)]
pub(in crate::sim) struct InFlight<W> {
    pub(in crate::sim) number: u64,
    pub(in crate::sim) kind: OperationKind,
    pub(in crate::sim) subject: String,
    pub(in crate::sim) sink: CompletionSink,
    pub(in crate::sim) work: Work<W>,
}

/// The effect of an operation on the world `W` of its disk when it ends.
pub(in crate::sim) enum Work<W> {
    Read(Vec<Extent<SimFile>>, AlignedBuf),
    Write(Vec<Extent<SimFile>>, AlignedBuf, Option<NextSync>),
    /// With the buffer of the write that it follows.
    Sync(Coverage, Option<AlignedBuf>),
    Other(Effect<W>),
}

/// Begins the sync that follows a write: returns what it covers.
pub(in crate::sim) type NextSync = Box<dyn FnOnce() -> Coverage + Send>;

/// The changes that a sync makes durable.
#[derive(Debug)]
pub(in crate::sim) struct Coverage {
    /// The files, each with the stamp up to which the sync covers it.
    pub(in crate::sim) files: Vec<(Arc<SimFile>, u64)>,
    /// The directory in which the sync also covers the creation of these files.
    pub(in crate::sim) directory: Option<CoveredNames>,
    /// The failures of earlier syncs through the same handle.
    pub(in crate::sim) failures: Arc<Failures>,
}

/// The names that a sync makes durable with the files.
#[derive(Debug)]
pub(in crate::sim) struct CoveredNames {
    pub(in crate::sim) path: String,
    pub(in crate::sim) failures: Arc<Failures>,
}

impl Coverage {
    pub(in crate::sim) fn ids(&self) -> Vec<u64> {
        self.files.iter().map(|(file, _)| file.id).collect()
    }

    /// Fails if an earlier sync of a covered file or name failed.
    pub(in crate::sim) fn check(&self) -> io::Result<()> {
        self.failures.check(self.ids())?;
        self.directory.as_ref().map_or(Ok(()), |names| names.failures.check([NAMES]))
    }
}

/// An effect that receives the verdict on its operation and returns the outcome for the history.
pub(in crate::sim) type Effect<W> =
    Box<dyn FnOnce(&mut W, io::Result<()>) -> Result<(), io::ErrorKind> + Send>;

/// An ended operation, to be delivered without the lock.
pub(in crate::sim) type Ended = (CompletionSink, Transfer);

impl<W> Work<W> {
    pub(in crate::sim) fn into_buf(self) -> Option<AlignedBuf> {
        match self {
            Self::Read(_, buf) | Self::Write(_, buf, _) => Some(buf),
            Self::Sync(_, buf) => buf,
            Self::Other(_) => None,
        }
    }
}

impl<W> fmt::Debug for Work<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read(..) => "Read",
            Self::Write(..) => "Write",
            Self::Sync(..) => "Sync",
            Self::Other(..) => "Other",
        })
    }
}

pub(in crate::sim) fn read(
    extents: &[Extent<SimFile>],
    buf: &mut [u8],
    subject: &str,
) -> io::Result<()> {
    let mut rest = buf;
    for extent in extents {
        let (part, tail) = rest.split_at_mut(extent.len);
        rest = tail;
        if !extent.file.contents().read(extent.offset, part) {
            return Err(past_the_end(subject, extent.offset));
        }
    }
    Ok(())
}

pub(in crate::sim) fn overlap(one: &Extent<SimFile>, other: &Extent<SimFile>) -> bool {
    one.file.id == other.file.id
        && one.offset < other.offset + other.len as u64
        && other.offset < one.offset + one.len as u64
}

//! Entries as a stream.

use super::FasterLog;
use super::LogAddress;
use super::reader::{LogEntry, Reader};
use crate::error::Result;
use futures::Stream;
use futures::stream::FusedStream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Entries of a log in order: a [`Stream`], made by [`FasterLog::scan`] and [`FasterLog::tail`].
///
/// Entries are read from memory where they still are, else from the device, several reads ahead.
/// If the log is truncated meanwhile, the stream goes on with the first entry that is left. After
/// an error it has ended: it gives the error once, and then nothing.
///
/// # Cancel safety
/// An entry that was not returned is not lost; the stream can be dropped at any time.
#[must_use = "streams do nothing unless polled"]
pub struct Scan {
    reader: Reader,
    // What the reader reads is closed with the last of these.
    _log: Option<FasterLog>,
}

impl Scan {
    pub(super) fn new(reader: Reader, log: Option<FasterLog>) -> Self {
        Self { reader, _log: log }
    }

    /// Also entries that are not committed yet, as soon as they and all before them were written to
    /// memory. A crash may take them back. A scan ends then where the log does when it is polled
    /// first.
    pub fn uncommitted(mut self) -> Self {
        self.reader.terms().uncommitted = true;
        self
    }

    /// Ends with an error of kind `Truncated` when entries were truncated before it came to them,
    /// instead of going on with the first that is left. [`position`](Self::position) is there then.
    pub fn fail_on_truncated(mut self) -> Self {
        self.set_fail_on_truncated();
        self
    }

    pub(super) fn set_fail_on_truncated(&mut self) {
        self.reader.skipped().is_error = true;
    }

    /// Bytes of the log that it has jumped over so far, as they were truncated before it came
    /// there: 0 as long as it has missed nothing. A range without a start misses nothing that was
    /// truncated before its first poll. Entries that were taken back at the end do not count.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.reader.skipped_bytes()
    }

    /// Bytes of the log from where it stands to the end of the last entry that it would give now:
    /// those entries, and what lies between them. Records of commits behind the last entry do not
    /// count, so it is 0 once every entry was given. Also of a scan that was not polled yet.
    ///
    /// What is not committed counts as a whole, if the stream shows it; a range that ends before
    /// the last entry counts to its end.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.reader.lag()
    }

    /// Whether every entry that there is now was given: the next one is yet to be committed, or
    /// appended.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.lag() == 0
    }

    /// Where the next entry is looked for: a scan that begins here goes on where this one stands.
    #[must_use]
    pub fn position(&self) -> LogAddress {
        self.reader.position()
    }
}

impl Stream for Scan {
    type Item = Result<LogEntry>;

    #[inline]
    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        self.get_mut().reader.poll_next(context)
    }
}

impl FusedStream for Scan {
    fn is_terminated(&self) -> bool {
        self.reader.is_over()
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scan").field("position", &self.position()).finish_non_exhaustive()
    }
}

//! Entries as a stream.

use super::entry::Entry;
use super::reader::Reader;
use crate::base::error::Result;
use crate::log::Address;
use crate::log::lifecycle::LogLifecycle;
use futures::Stream;
use futures::stream::FusedStream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A [`Stream`] of entries in order, made by [`FasterLog::scan`](crate::FasterLog::scan) and
/// [`FasterLog::follow`](crate::FasterLog::follow).
///
/// Entries come from memory while they are there, otherwise from the device, with several reads
/// ahead. If the log is truncated in the meantime, the stream continues with the first remaining
/// entry. The stream returns an error once, and then ends.
///
/// # Cancel safety
/// An entry that was not returned is not lost. The stream can be dropped at any time.
#[must_use = "streams do nothing unless polled"]
pub struct Scan {
    reader: Reader,
    // The log is closed when its last handle is dropped, so a scan holds one.
    _log: Option<Arc<LogLifecycle>>,
}

impl Scan {
    pub(crate) fn new(reader: Reader, log: Option<Arc<LogLifecycle>>) -> Self {
        Self { reader, _log: log }
    }

    /// Returns uncommitted entries, too, as soon as they and all entries before them are written to
    /// memory. A crash may take them back. A scan then ends at the end that the log has at the
    /// first poll.
    pub fn uncommitted(mut self) -> Self {
        self.reader.options().uncommitted = true;
        self
    }

    /// Ends with an error of kind `Truncated` if entries were truncated before the scan reached
    /// them. Then [`position`](Self::position) is at the first remaining entry. Without this
    /// setting, the scan continues there.
    pub fn fail_on_truncated(mut self) -> Self {
        self.set_fail_on_truncated();
        self
    }

    pub(crate) fn set_fail_on_truncated(&mut self) {
        self.reader.fail_on_skipped();
    }

    /// Returns the number of bytes that the scan skipped because they were truncated before it
    /// reached them. It is 0 if the scan missed nothing. A range without a start does not count
    /// bytes truncated before its first poll. Entries taken back at the end do not count.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.reader.skipped_bytes()
    }

    /// Returns the number of bytes from the position to the end of the last entry that the scan
    /// would return now. It counts these entries and the bytes between them. Commit records after
    /// the last entry do not count, so it is 0 after every entry was returned. It also works before
    /// the first poll.
    ///
    /// A scan of uncommitted entries counts all uncommitted bytes. A range that ends before the
    /// last entry counts up to its end.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.reader.lag()
    }

    /// Returns whether every current entry was returned. The next entry is not committed, or not
    /// appended, yet.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.lag() == 0
    }

    /// Returns the address where the scan looks for the next entry. Another scan from here
    /// continues where this one stands.
    #[must_use]
    pub fn position(&self) -> Address {
        self.reader.position()
    }
}

impl Stream for Scan {
    type Item = Result<Entry>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
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

//! Reads a log from the device in order, several reads ahead.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::in_order::ahead;
use crate::hybrid_log::UnitFile;
use crate::log::read::entry::LogBytes;
use crate::log::view::LogView;
use bytes::BytesMut;
use futures::stream::{BoxStream, StreamExt};
use kvick_io::Transfer;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// The largest number of reads in flight. Each has at most `READ` bytes.
const READS: usize = 8;
const READ: usize = 512 << 10;
/// A gap of at most this many bytes is read and not skipped.
const NEAR: u64 = 1 << 20;

/// Parts of the log, in the order of their addresses.
pub(crate) struct ReadAhead {
    // Never locked. The mutex makes readers `Sync`, so that threads can share them.
    parts: Mutex<BoxStream<'static, Result<Part>>>,
    /// The address of the next part.
    next: Address,
}

/// Checked whole units of one page.
struct Part {
    chunk: LogBytes,
    end: Address,
}

impl ReadAhead {
    /// Reads from the unit of `from` up to the unit that ends at or after `end`. All of it must be
    /// written.
    pub(crate) fn new(view: &Arc<LogView>, from: Address, end: Address) -> Self {
        let units = view.units();
        debug_assert!(READ >= units.unit_bytes(), "a read has a whole unit");
        let next = units.unit_start(from);
        let mut at = next;
        let chunks = std::iter::from_fn(move || {
            let chunk = units.chunk([at, end], READ / units.unit_bytes())?;
            at = chunk.end;
            Some(chunk)
        });
        let view = Arc::clone(view);
        let parts = chunks.map(move |chunk| {
            let view = Arc::clone(&view);
            async move {
                let strip = UnitFile::new(&**view.device(), units, Address::NONE);
                let buffer = view.buffers().take(chunk.units * units.unit_bytes());
                let transfer = strip.transfer(chunk.start, buffer).await;
                if view.memory().is_none() && is_not_found(&transfer) {
                    // A follower may not have seen a truncation yet.
                    return Err(Error::truncated(chunk.start.raw()));
                }
                let mut stored = strip.read_back(chunk.start, transfer)?;
                let length = strip.open(chunk.start, &mut stored)?;
                debug_assert_eq!(
                    length as u64,
                    chunk.units as u64 * units.payload(),
                    "a read returns the units that it asked for"
                );
                let bytes = BytesMut::from(&stored[..length]).freeze();
                let start = chunk.start.raw();
                Ok(Part { chunk: LogBytes { start, bytes }, end: chunk.end })
            }
        });
        let parts = ahead(parts, READS).boxed();
        Self { parts: Mutex::new(parts), next }
    }

    /// Returns the address of the next part.
    pub(crate) fn next(&self) -> Address {
        self.next
    }

    /// Returns whether the next part begins at `unit` or shortly before it. With `exactly` it must
    /// begin at `unit`.
    pub(crate) fn leads_to(&self, unit: Address, exactly: bool) -> bool {
        let between = unit.raw().checked_sub(self.next.raw());
        between.is_some_and(|between| between <= if exactly { 0 } else { NEAR })
    }

    /// Returns the next part, after `left`, the rest of the previous part; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        left: LogBytes,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogBytes>>> {
        let parts = self.parts.get_mut().expect("never locked");
        let part = match std::task::ready!(parts.poll_next_unpin(context)) {
            Some(Ok(part)) => part,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        assert_eq!(part.chunk.start, self.next.raw(), "parts come in order and leave no gap");
        debug_assert!(self.next < part.end, "a part has bytes: {:?}", self.next);
        self.next = part.end;
        if left.bytes.is_empty() || left.end() != part.chunk.start {
            return Poll::Ready(Some(Ok(part.chunk)));
        }
        let mut bytes = BytesMut::with_capacity(left.bytes.len() + part.chunk.bytes.len());
        bytes.extend_from_slice(&left.bytes);
        bytes.extend_from_slice(&part.chunk.bytes);
        Poll::Ready(Some(Ok(LogBytes { start: left.start, bytes: bytes.freeze() })))
    }
}

fn is_not_found(transfer: &Transfer) -> bool {
    transfer.result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadAhead").field("next", &self.next).finish_non_exhaustive()
    }
}

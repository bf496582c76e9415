//! The reads of one reader from the device, several ahead.

use super::read_ahead::ReadAhead;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::log::read::entry::LogBytes;
use crate::log::view::LogView;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Reads a log from the device in order.
#[derive(Debug, Default)]
pub(crate) struct DeviceReader {
    ahead: Option<ReadAhead>,
    /// Whether reads must not reach into holes, which may lie on damaged parts of the device.
    is_careful: bool,
}

/// The bytes that a reader wants.
#[derive(Debug)]
pub(crate) struct WantedBytes {
    /// The address of the next frame.
    pub(crate) at: Address,
    /// The bytes from `at` on that the reader has.
    pub(crate) left: Option<LogBytes>,
    /// The bytes of the frame at `at`, or 0 if they are unknown.
    pub(crate) needed: usize,
    /// The reader wants no bytes from `end` on, except of the frame at `at`.
    pub(crate) end: Address,
    /// The reader may not read from `limit` on.
    pub(crate) limit: Address,
    /// The start of the next hole.
    pub(crate) hole: Option<Address>,
}

impl DeviceReader {
    /// Returns whether reads must not reach into holes.
    pub(crate) fn is_careful(&self) -> bool {
        self.is_careful
    }

    /// Drops the reads in flight.
    pub(crate) fn stop(&mut self) {
        self.ahead = None;
    }

    /// Returns the wanted bytes. Returns `None` if the caller must look again.
    pub(crate) fn poll(
        &mut self,
        view: &Arc<LogView>,
        wanted: WantedBytes,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<LogBytes>>> {
        let units = view.units();
        let WantedBytes { at, left, needed, end, limit, hole } = wanted;
        debug_assert!(at < limit, "a reader reads below its limit: {at:?}, {limit:?}");
        // The rest of the bytes continues in the next unit.
        let from = units.align_up(left.as_ref().map_or(at, |left| Address::new(left.end())));
        debug_assert!(at <= from, "the bytes left begin at the frame: {at:?}, {from:?}");
        let unit = units.unit_start(from);
        let leads = |ahead: &ReadAhead| ahead.leads_to(unit, self.is_careful);
        if !self.ahead.as_ref().is_some_and(leads) {
            // Read at least the bytes of the frame, and at most the written bytes.
            let limit = view.written_below(limit);
            let needed = Address::new(at.raw() + needed.max(1) as u64);
            let end = end.max(needed).min(limit).max(units.unit_behind(from).min(limit));
            self.ahead = Some(ReadAhead::new(view, from, end));
        }
        let ahead = self.ahead.as_mut().expect("made above");
        let has_hole = hole.is_some() || ahead.next() < unit;
        match ready!(ahead.poll_next(left.unwrap_or_default(), context)) {
            // Bytes within a hole are skipped.
            Some(Ok(bytes)) => Poll::Ready(Ok(Some(bytes).filter(|it| it.from(at).is_some()))),
            Some(Err(_)) if has_hole && !self.is_careful => {
                (self.is_careful, self.ahead) = (true, None);
                Poll::Ready(Ok(None))
            }
            Some(Err(error)) => {
                self.ahead = None;
                // Files below the begin of a log are deleted. Then the reader jumps.
                let is_gone = view.range().begin() > at;
                Poll::Ready(if is_gone { Ok(None) } else { Err(error) })
            }
            None => {
                self.ahead = None;
                Poll::Ready(Ok(None))
            }
        }
    }
}

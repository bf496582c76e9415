//! A reader goes to its start, and then returns one entry after the other.
//!
//! A caller may start at any address: of an entry, of a truncated entry, of an entry that a crash
//! took back, or just some number.

use super::cursor::EntryCursor;
use super::entry::LogEntry;
use super::skipped::Skipped;
use super::start::{Start, beyond, no_entry};
use crate::base::address::Address;
use crate::base::error::{ErrorKind, Result};
use crate::log::LogAddress;
use crate::log::view::LogView;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pub(crate) use super::cursor::ScanOptions;

/// A reader of a log.
#[derive(Debug)]
pub(crate) struct Reader {
    cursor: EntryCursor,
    phase: Phase,
}

/// The phase of a reader.
#[derive(Clone, Copy, Debug)]
enum Phase {
    New(Start),
    /// It has not reached its first entry.
    Starting(Start),
    Reading,
    Over,
}

impl Reader {
    pub(crate) fn new(view: Arc<LogView>, start: Start, options: ScanOptions) -> Self {
        let cursor = EntryCursor::new(view, start.address(), options);
        Self { cursor, phase: Phase::New(start) }
    }

    pub(crate) fn options(&mut self) -> &mut ScanOptions {
        &mut self.cursor.options
    }

    pub(crate) fn skipped(&mut self) -> &mut Skipped {
        &mut self.cursor.skipped
    }

    pub(crate) fn skipped_bytes(&self) -> u64 {
        self.cursor.skipped.bytes()
    }

    /// Returns the number of bytes from the position to the end of the last entry that the reader
    /// would return now.
    pub(crate) fn lag(&self) -> u64 {
        let (view, options) = (self.cursor.view(), self.cursor.options);
        let at = self.cursor.position();
        if at >= options.end {
            return 0;
        }
        // Load the tail first: an entry committed after that is then counted as committed.
        let tail = view.end();
        if options.uncommitted && tail > view.range().committed().until() {
            return tail.min(options.end).raw().saturating_sub(at.raw());
        }
        view.range().left_from(at).min(options.end.raw() - at.raw())
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Returns the address where the reader looks for the next entry.
    pub(crate) fn position(&self) -> LogAddress {
        self.cursor.position().into()
    }

    /// Returns the next entry; `None` at the end. The reader is over after the end, and after an
    /// error.
    #[inline]
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        let next = match self.phase {
            Phase::Reading => ready!(self.cursor.poll_entry(context)),
            Phase::Over => return Poll::Ready(None),
            Phase::New(_) | Phase::Starting(_) => ready!(self.poll_first(context)),
        };
        if !matches!(next, Some(Ok(_))) {
            self.cursor.end();
            self.phase = Phase::Over;
        }
        Poll::Ready(next)
    }

    /// Returns the first entry. First it fixes the end of the reader.
    #[cold]
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<LogEntry>>> {
        if let Phase::New(start) = self.phase {
            match self.begin(start) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        loop {
            let next = ready!(self.cursor.poll_entry(context));
            let Phase::Starting(start) = self.phase else {
                return Poll::Ready(next);
            };
            match (&next, start) {
                (Some(Ok(entry)), start) if !start.admits(entry.address.inner()) => {}
                (Some(Err(error)), Start::Kept(at))
                    if error.kind() == ErrorKind::InvalidArgument =>
                {
                    self.begin_near(at);
                }
                _ => {
                    self.phase = Phase::Reading;
                    self.cursor.set_out();
                    return Poll::Ready(next);
                }
            }
        }
    }

    /// Goes to the start. Returns false if there is no entry.
    fn begin(&mut self, start: Start) -> Result<bool> {
        let view = Arc::clone(self.cursor.view());
        view.check()?;
        let options = &mut self.cursor.options;
        if !options.follow {
            options.end = options.end.min(view.limit(options.uncommitted));
            if start.address() >= options.end {
                return Ok(false);
            }
        }
        match start {
            Start::First => {
                self.cursor.go_to(view.range().begin(), Address::NONE, false);
                self.phase = Phase::Reading;
            }
            Start::At(at) | Start::Behind(at) => self.begin_at(start, at)?,
            Start::Near(at) => self.begin_near(at.min(view.end())),
            Start::Kept(at) => {
                let at = at.min(view.end());
                if self.begin_at(Start::Kept(at), at).is_err() {
                    self.begin_near(at);
                }
            }
        }
        Ok(true)
    }

    /// Goes to an address where a frame begins, as a caller says.
    fn begin_at(&mut self, start: Start, at: Address) -> Result<()> {
        let view = Arc::clone(self.cursor.view());
        let end = view.end();
        if at > end && view.memory().is_some() {
            return Err(beyond(at, end));
        }
        // A follower cannot know the log after `end`.
        if at <= view.range().begin() || at >= end || view.is_boundary(at) {
            self.cursor.go_to(at, at, false);
            self.phase = Phase::Starting(start);
            return Ok(());
        }
        let units = view.units();
        let frame = if units.is_page_end(at) { units.align_up(at) } else { at };
        if !view.can_begin(frame) {
            return Err(no_entry(at));
        }
        self.cursor.go_to_claim(frame, at);
        self.phase = Phase::Starting(start);
        Ok(())
    }

    /// Goes to the start of a frame at or before `at`.
    fn begin_near(&mut self, at: Address) {
        let first = self.cursor.view().first_in_page(at);
        self.cursor.go_to(first, at, true);
        self.phase = Phase::Starting(Start::Near(at));
    }
}

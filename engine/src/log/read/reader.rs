//! A reader goes to its start, and then returns one entry after the other.
//!
//! A caller may start at any address: of an entry, of a truncated entry, of an entry that a crash
//! took back, or just some number.

use super::claim::Claim;
use super::cursor::entry_cursor::EntryCursor;
use super::cursor::position::Position;
use super::cursor::step::Step;
use super::entry::Entry;
use super::options::ScanOptions;
use super::start::{Start, beyond, no_entry};
use crate::base::address::Address;
use crate::base::error::{ErrorKind, Result};
use crate::log::LogAddress;
use crate::log::view::LogView;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A reader of a log.
#[derive(Debug)]
pub(crate) struct Reader {
    cursor: EntryCursor,
    /// The start, if a caller named it, up to the first entry.
    claim: Option<Claim>,
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
        let position = Position::new(start.address(), start.address());
        let cursor = EntryCursor::new(view, position, options);
        Self { cursor, claim: None, phase: Phase::New(start) }
    }

    pub(crate) fn options(&mut self) -> &mut ScanOptions {
        self.cursor.options_mut()
    }

    /// Ends the reader with an error when it misses entries.
    pub(crate) fn fail_on_skipped(&mut self) {
        self.cursor.fail_on_skipped();
    }

    pub(crate) fn skipped_bytes(&self) -> u64 {
        self.cursor.skipped().bytes()
    }

    /// Returns the number of bytes from the position to the end of the last entry that the reader
    /// would return now.
    pub(crate) fn lag(&self) -> u64 {
        let (view, options) = (self.cursor.view(), self.cursor.options());
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
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
        let before = self.cursor.position();
        let next = match self.phase {
            Phase::Reading => {
                debug_assert!(self.claim.is_none(), "a claim is of the first entry");
                ready!(self.cursor.poll_entry(context))
            }
            Phase::Over => return Poll::Ready(None),
            Phase::New(_) | Phase::Starting(_) => ready!(self.poll_first(context)),
        };
        if let Some(Ok(entry)) = &next {
            let (address, next) = (entry.address.inner(), entry.next.inner());
            debug_assert!(before <= address, "a reader goes forward: {before:?}, {address:?}");
            debug_assert!(address < next, "an entry has bytes: {address:?} to {next:?}");
            debug_assert!(
                address < self.cursor.options().end,
                "a reader ends before an entry at its end: {address:?}"
            );
        } else {
            self.cursor.end();
            self.phase = Phase::Over;
        }
        Poll::Ready(next)
    }

    /// Returns the first entry. First it fixes the end of the reader.
    #[cold]
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
        if let Phase::New(start) = self.phase {
            match self.begin(start) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        loop {
            let next = ready!(self.poll_claimed(context));
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
                    self.claim = None;
                    self.cursor.position_mut().set_out();
                    return Poll::Ready(next);
                }
            }
        }
    }

    /// Returns the next entry. First it proves the claim, if memory has no frame there yet.
    fn poll_claimed(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
        loop {
            let step = ready!(self.cursor.poll_step(context));
            let view = self.cursor.view();
            return Poll::Ready(match step {
                Step::Entry(entry) => Some(Ok(entry)),
                Step::End => None,
                Step::Failed(error) => Some(Err(error)),
                Step::Damaged(at) => Some(Err(Claim::unsound(self.claim.as_ref(), view, at))),
                Step::Claimed => {
                    let claim = self.claim.as_mut().expect("the position is of a claim");
                    if let Err(error) = ready!(claim.poll_proof(view, context)) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    self.cursor.position_mut().prove();
                    continue;
                }
            });
        }
    }

    /// Goes to the start. Returns false if there is no entry.
    fn begin(&mut self, start: Start) -> Result<bool> {
        let view = Arc::clone(self.cursor.view());
        view.check()?;
        let options = self.cursor.options_mut();
        if !options.follow {
            options.end = options.end.min(view.limit(options.uncommitted));
            if start.address() >= options.end {
                return Ok(false);
            }
        }
        match start {
            Start::First => {
                self.go_to(Position::new(view.range().begin(), Address::NONE), None);
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
            self.go_to(Position::new(at, at), None);
            self.phase = Phase::Starting(start);
            return Ok(());
        }
        let units = view.units();
        let frame = if units.is_page_end(at) { units.align_up(at) } else { at };
        if !view.can_begin(frame) {
            return Err(no_entry(at));
        }
        self.go_to(Position::new(frame, at).claimed(), Some(Claim::new(frame, at)));
        self.phase = Phase::Starting(start);
        Ok(())
    }

    /// Goes to the start of a frame at or before `at`.
    fn begin_near(&mut self, at: Address) {
        let first = self.cursor.view().first_in_page(at);
        self.go_to(Position::new(first, at).amid(), None);
        self.phase = Phase::Starting(Start::Near(at));
    }

    fn go_to(&mut self, position: Position, claim: Option<Claim>) {
        (*self.cursor.position_mut(), self.claim) = (position, claim);
    }
}

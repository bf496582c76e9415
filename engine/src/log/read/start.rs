//! The start of a reader, and the way to it.
//!
//! A caller may hold any address: of an entry, of a truncated entry, of an entry that a crash took
//! back, or just some number. A sound frame at an address proves that a frame begins there. Zeros
//! in memory prove nothing: a writer is about to write an entry there, or an entry contains zeros.
//! Then a walk from the start of the page decides, because a frame always begins there.

use super::reader::{LogEntry, Reader, Terms};
use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};
use crate::log::LogAddress;
use crate::log::view::Source;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The start of a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// The first entry of the log.
    First,
    /// An address where a frame certainly begins, maybe in the middle of an entry.
    Frame(Address),
    /// An address where an entry begins or the log ends, as a caller says. The reader refuses a
    /// wrong address.
    At(Address),
    /// The end of the entry that begins at this address, as a caller says.
    Behind(Address),
    /// The first entry that begins at this address or after it.
    Near(Address),
    /// Like `At`, but like `Near` if `At` is refused.
    Kept(Address),
}

/// The phase of a reader.
#[derive(Debug)]
pub(crate) enum Phase {
    New(Start),
    Starting(Starting),
    Reading,
    Over,
}

/// A reader that has not reached its first entry.
#[derive(Debug)]
pub(crate) struct Starting {
    start: Start,
    /// The address where a frame has to begin; `None` if a frame certainly begins.
    claim: Option<Address>,
    /// Walks up to the claim if the bytes there cannot decide.
    proof: Option<Box<Reader>>,
    is_proved: bool,
    /// Whether to leave out pieces of an entry that began before.
    is_amid: bool,
}

impl Start {
    pub(crate) fn of(range: &impl RangeBounds<LogAddress>) -> Self {
        match range.start_bound() {
            Bound::Included(start) => Self::At(start.inner()),
            Bound::Excluded(start) => Self::Behind(start.inner()),
            Bound::Unbounded => Self::First,
        }
    }

    pub(crate) fn address(self) -> Address {
        match self {
            Self::First => Address::FIRST,
            Self::Frame(at) | Self::At(at) | Self::Behind(at) | Self::Near(at) | Self::Kept(at) => {
                at
            }
        }
    }

    /// Returns whether the reader shows an entry at `address`.
    fn admits(self, address: Address) -> bool {
        match self {
            Self::Behind(at) => address > at,
            other => address >= other.address(),
        }
    }
}

impl Phase {
    /// Returns the lowest possible position of the reader.
    pub(crate) fn floor(&self) -> Address {
        match self {
            Self::New(start) | Self::Starting(Starting { start, .. }) => start.address(),
            Self::Reading | Self::Over => Address::NONE,
        }
    }

    /// Returns whether pieces may come without the pieces before them.
    pub(crate) fn is_amid(&self) -> bool {
        matches!(self, Self::Starting(Starting { is_amid: true, .. }))
    }
}

impl Starting {
    fn new(start: Start, claim: Option<Address>, is_amid: bool) -> Self {
        Self { start, claim, proof: None, is_proved: false, is_amid }
    }
}

impl Reader {
    /// Returns the first entry. First it fixes the end of the reader.
    #[cold]
    pub(crate) fn poll_first(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        if let Phase::New(start) = self.phase {
            match self.begin(start) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        loop {
            let next = ready!(self.poll_entry(context));
            let Phase::Starting(starting) = &mut self.phase else {
                return Poll::Ready(next);
            };
            match (&next, starting.start) {
                (Some(Ok(entry)), start) if !start.admits(entry.address.inner()) => {
                    starting.is_amid = false;
                }
                (Some(Err(error)), Start::Kept(at))
                    if error.kind() == ErrorKind::InvalidArgument =>
                {
                    self.begin_near(at);
                }
                _ => {
                    self.phase = Phase::Reading;
                    return Poll::Ready(next);
                }
            }
        }
    }

    /// Goes to the start. Returns false if there is no entry.
    fn begin(&mut self, start: Start) -> Result<bool> {
        self.source.check()?;
        let limit = self.source.limit(self.terms.uncommitted);
        if !self.terms.follow {
            self.terms.end = self.terms.end.min(limit);
            if start.address() >= self.terms.end {
                return Ok(false);
            }
        }
        match start {
            Start::First => {
                self.at = self.source.begin.load();
                self.phase = Phase::Reading;
            }
            Start::Frame(at) => {
                self.at = at;
                self.phase = Phase::Starting(Starting::new(start, None, true));
            }
            Start::At(at) | Start::Behind(at) => self.begin_at(start, at)?,
            Start::Near(at) => self.begin_near(at.min(self.source.end())),
            Start::Kept(at) => {
                let at = at.min(self.source.end());
                if self.begin_at(Start::Kept(at), at).is_err() {
                    self.begin_near(at);
                }
            }
        }
        Ok(true)
    }

    /// Goes to an address where a frame begins, as a caller says.
    fn begin_at(&mut self, start: Start, at: Address) -> Result<()> {
        let end = self.source.end();
        if at > end && self.source.live.is_some() {
            return Err(beyond(at, end));
        }
        // A follower cannot know the log after `end`.
        if at <= self.source.begin.load() || at >= end || self.source.is_boundary(at) {
            self.at = at;
            self.phase = Phase::Starting(Starting::new(start, None, false));
            return Ok(());
        }
        let units = self.source.framing.units;
        self.at = if units.is_page_end(at) { units.settle(at) } else { at };
        if !self.source.can_begin(self.at) {
            return Err(no_entry(at));
        }
        self.phase = Phase::Starting(Starting::new(start, Some(self.at), false));
        Ok(())
    }

    /// Goes to the start of a frame at or before `at`.
    fn begin_near(&mut self, at: Address) {
        self.at = page_of(&self.source, at);
        self.phase = Phase::Starting(Starting::new(Start::Near(at), None, true));
    }

    /// Proves that a frame will begin at the position, if memory has no header there yet.
    pub(crate) fn poll_proof(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Phase::Starting(starting) = &mut self.phase else {
            return Poll::Ready(Ok(()));
        };
        let Some(claim) = starting.claim.filter(|claim| *claim == self.at) else {
            return Poll::Ready(Ok(()));
        };
        if starting.is_proved {
            return Poll::Ready(Ok(()));
        }
        let source = &self.source;
        let proof = starting.proof.get_or_insert_with(|| {
            let terms = Terms { end: claim, follow: false, uncommitted: true };
            let start = Start::Frame(page_of(source, claim));
            Box::new(Self::new(Arc::clone(source), start, terms))
        });
        while let Some(before) = ready!(proof.poll_next(context)) {
            before?;
        }
        let is_there = proof.position().inner() == claim
            || claim < source.begin.load()
            || source.is_boundary(claim);
        if !is_there {
            return Poll::Ready(Err(no_entry(starting.start.address())));
        }
        (starting.proof, starting.is_proved) = (None, true);
        Poll::Ready(Ok(()))
    }

    /// Returns the error for a missing frame at `at`: a wrong address of the caller, or damage.
    #[cold]
    pub(crate) fn unsound(&self, at: Address) -> Error {
        match &self.phase {
            Phase::Starting(starting) if starting.claim == Some(at) => {
                no_entry(starting.start.address())
            }
            _ => self.source.damage(at),
        }
    }
}

/// Returns the start of the first frame in the page of `at`: no frame crosses into a page.
pub(crate) fn page_of(source: &Source, at: Address) -> Address {
    let page_bits = source.framing.units.page_bits();
    let page = Address::at(at.page(page_bits), 0, page_bits);
    // In its first page, the log begins after some bytes; after a truncation, it begins at an
    // entry.
    page.max(source.begin.load()).max(Address::FIRST)
}

#[cold]
pub(crate) fn no_entry(address: Address) -> Error {
    let address = address.raw();
    Error::invalid(format!(
        "no entry begins at address {address}; `read_at_or_after` finds the next one"
    ))
}

#[cold]
pub(crate) fn beyond(address: Address, end: Address) -> Error {
    Error::invalid(format!(
        "address {}: the log ends at {}; later entries will be there or after it",
        address.raw(),
        end.raw()
    ))
}

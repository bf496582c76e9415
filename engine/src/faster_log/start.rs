//! Where a reader begins, and how it gets there.
//!
//! A caller may hold any address: of an entry, of one that was truncated, of one that a crash took
//! back, or just some number. A frame that is sound at an address proves that one begins there. In
//! memory zeros prove nothing: an entry is about to be written there, or it has zeros in it. Then
//! the walk from the start of the page tells, where a frame always begins.

use super::LogAddress;
use super::reader::{LogEntry, Reader, Terms};
use super::source::Source;
use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Where a reader is to begin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// At the first entry that the log has.
    First,
    /// Where a frame begins for certain, maybe one in the middle of an entry.
    Frame(Address),
    /// Where an entry begins, or the log ends, as a caller says; refused if that is not so.
    At(Address),
    /// Behind the entry that begins there, as a caller says.
    Behind(Address),
    /// At the first entry that begins at this address or behind it.
    Near(Address),
    /// As `At`, and as `Near` if that is refused.
    Kept(Address),
}

/// How far a reader is.
#[derive(Debug)]
pub(super) enum Phase {
    New(Start),
    Starting(Starting),
    Reading,
    Over,
}

/// A reader that has not come to its first entry.
#[derive(Debug)]
pub(super) struct Starting {
    start: Start,
    /// Where a frame has to begin, unless it is sure that one does.
    claim: Option<Address>,
    /// Walks up to there if the claim cannot be judged by what is there.
    proof: Option<Box<Reader>>,
    is_proved: bool,
    /// Pieces of an entry that began before are left out.
    is_amid: bool,
}

impl Start {
    pub(super) fn of(range: &impl RangeBounds<LogAddress>) -> Self {
        match range.start_bound() {
            Bound::Included(start) => Self::At(start.inner()),
            Bound::Excluded(start) => Self::Behind(start.inner()),
            Bound::Unbounded => Self::First,
        }
    }

    pub(super) fn address(self) -> Address {
        match self {
            Self::First => Address::FIRST,
            Self::Frame(at) | Self::At(at) | Self::Behind(at) | Self::Near(at) | Self::Kept(at) => {
                at
            }
        }
    }

    /// Whether an entry at `address` is to be shown.
    fn admits(self, address: Address) -> bool {
        match self {
            Self::Behind(at) => address > at,
            other => address >= other.address(),
        }
    }
}

impl Phase {
    /// The reader stands here at the least.
    pub(super) fn floor(&self) -> Address {
        match self {
            Self::New(start) | Self::Starting(Starting { start, .. }) => start.address(),
            Self::Reading | Self::Over => Address::NONE,
        }
    }

    /// Whether pieces may come without those before them.
    pub(super) fn is_amid(&self) -> bool {
        matches!(self, Self::Starting(Starting { is_amid: true, .. }))
    }
}

impl Starting {
    fn new(start: Start, claim: Option<Address>, is_amid: bool) -> Self {
        Self { start, claim, proof: None, is_proved: false, is_amid }
    }
}

impl Reader {
    /// The first entry; decides before where the reader ends.
    #[cold]
    pub(super) fn poll_first(
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

    /// Goes to the start; false if there is nothing.
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
        // What the log is behind `end` nothing here can know.
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

    /// Goes to where a frame begins for certain, at or before `at`.
    fn begin_near(&mut self, at: Address) {
        self.at = page_of(&self.source, at);
        self.phase = Phase::Starting(Starting::new(Start::Near(at), None, true));
    }

    /// That a frame is to come where the reader stands, of which memory has nothing yet.
    pub(super) fn poll_proof(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
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

    /// That no frame is at `at`: because of who sent the reader there, or because of damage.
    #[cold]
    pub(super) fn unsound(&self, at: Address) -> Error {
        match &self.phase {
            Phase::Starting(starting) if starting.claim == Some(at) => {
                no_entry(starting.start.address())
            }
            _ => self.source.damage(at),
        }
    }
}

/// Where a frame begins for certain, in the page of `at`: no frame crosses into it.
pub(super) fn page_of(source: &Source, at: Address) -> Address {
    let page_bits = source.framing.units.page_bits();
    let page = Address::at(at.page(page_bits), 0, page_bits);
    // The log begins in its first page behind some bytes, and later where an entry does.
    page.max(source.begin.load()).max(Address::FIRST)
}

#[cold]
pub(super) fn no_entry(address: Address) -> Error {
    let address = address.raw();
    Error::invalid(format!(
        "no entry begins at address {address}; `read_at_or_after` finds the next one"
    ))
}

#[cold]
pub(super) fn beyond(address: Address, end: Address) -> Error {
    Error::invalid(format!(
        "address {}: the log ends at {}; later entries will be there or behind",
        address.raw(),
        end.raw()
    ))
}

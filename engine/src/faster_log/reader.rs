//! The reader: one entry after the other, from memory or from the device.
//!
//! A reader owns the bytes that it looks at, a chunk at a time, and holds nothing while it waits:
//! memory is copied under a guard, what is on the device comes several reads ahead. If the log
//! begins later meanwhile, or entries are taken back, it jumps.

use super::LogAddress;
use super::ahead::ReadAhead;
use super::entry::{Kind, Parsed};
use super::skipped::Skipped;
use super::source::{Chunk, InMemory, Source};
use super::start::{Phase, Start};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::wait::{Told, listen};
use bytes::{Bytes, BytesMut};
use futures::future::select_all;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Chunks after which other tasks get their turn.
const TURN: u32 = 8;

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// Where it is.
    pub address: LogAddress,
    /// Where to go on behind it.
    pub next: LogAddress,
    /// Its bytes. They may share memory with those of entries nearby: up to 1 MiB stays as long as
    /// one of them is kept.
    pub payload: Bytes,
}

/// What a reader is to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// It ends before an entry at this address or behind it. One that does not follow ends also
    /// where the log does when it is polled first.
    pub(super) end: Address,
    /// At the end of what there is it waits for more.
    pub(super) follow: bool,
    /// It does not wait for commits.
    pub(super) uncommitted: bool,
}

/// A position in a log, and what is known of what follows.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) source: Arc<Source>,
    pub(super) terms: Terms,
    /// Where the next frame begins.
    pub(super) at: Address,
    pub(super) chunk: Chunk,
    /// Frames of the chunk end at this address at the latest, and are read if they begin below
    /// that one.
    limit: Address,
    stop: Address,
    /// Where the next void begins.
    void: Option<Address>,
    /// Reads do not reach into voids: they may lie where the device is damaged.
    is_careful: bool,
    /// It has jumped, maybe to what the chunk has.
    has_jumped: bool,
    /// Truncations that these know of.
    cuts: u64,
    /// Bytes that the frame at `at` has.
    needed: usize,
    /// The pieces of an entry so far.
    pub(super) pieces: Option<(Address, BytesMut)>,
    ahead: Option<ReadAhead>,
    wait: Option<Waiting>,
    chunks: u32,
    /// What it jumped over that was truncated before it came there.
    pub(super) skipped: Skipped,
    pub(super) phase: Phase,
}

type Waiting = futures::future::SelectAll<Told>;

/// What the chunk has at the reader's position.
enum Next {
    Entry(LogEntry),
    /// More bytes are needed, or others.
    Nothing,
    /// No frame begins at this address, or not one that may follow.
    Damaged(Address),
}

impl Reader {
    pub(super) fn new(source: Arc<Source>, start: Start, terms: Terms) -> Self {
        Self {
            source,
            terms,
            at: start.address(),
            chunk: Chunk::default(),
            limit: Address::NONE,
            stop: Address::NONE,
            void: None,
            is_careful: false,
            has_jumped: false,
            cuts: 0,
            needed: 0,
            pieces: None,
            ahead: None,
            wait: None,
            chunks: 0,
            skipped: Skipped::default(),
            phase: Phase::New(start),
        }
    }

    pub(super) fn terms(&mut self) -> &mut Terms {
        &mut self.terms
    }

    /// Bytes from where it stands to the end of the last entry that it would give now.
    pub(super) fn lag(&self) -> u64 {
        let at = self.position().inner();
        if at >= self.terms.end {
            return 0;
        }
        // First: an entry that is committed meanwhile is counted among the others then.
        let tail = self.source.end();
        if self.terms.uncommitted && tail > self.source.durable.load() {
            return tail.min(self.terms.end).raw().saturating_sub(at.raw());
        }
        self.source.left_from(at).min(self.terms.end.raw() - at.raw())
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Where the next entry is looked for.
    pub(super) fn position(&self) -> LogAddress {
        let begun = self.pieces.as_ref().map_or(self.at, |(first, _)| *first);
        begun.max(self.phase.floor()).into()
    }

    /// The next entry; `None` at the end. After an error, and after the end, it is over.
    #[inline]
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        let next = match self.phase {
            Phase::Reading => ready!(self.poll_entry(context)),
            Phase::Over => return Poll::Ready(None),
            Phase::New(_) | Phase::Starting(_) => ready!(self.poll_first(context)),
        };
        if !matches!(next, Some(Ok(_))) {
            self.end();
        }
        Poll::Ready(next)
    }

    /// The next frame of an entry from `at` on, wherever the reader was to begin.
    #[inline]
    pub(super) fn poll_entry(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        loop {
            match self.next_in_chunk() {
                Next::Entry(entry) => return Poll::Ready(Some(Ok(entry))),
                Next::Damaged(at) => return Poll::Ready(Some(Err(self.unsound(at)))),
                Next::Nothing => {}
            }
            match ready!(self.poll_chunk(context)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// It gives nothing any more, and keeps nothing.
    #[cold]
    fn end(&mut self) {
        self.at = self.position().inner();
        self.phase = Phase::Over;
        (self.pieces, self.ahead, self.wait) = (None, None, None);
        self.chunk = Chunk::default();
    }

    #[inline]
    fn next_in_chunk(&mut self) -> Next {
        if self.cuts != self.source.voids.cuts() {
            self.look_again();
        }
        while self.at < self.stop
            && let Some(rest) = self.chunk.from(self.at)
        {
            match self.source.framing.parse(self.at, rest) {
                Parsed::Frame { kind, payload, next } => {
                    let start = rest.as_ptr().addr() - self.chunk.bytes.as_ptr().addr();
                    let payload = start + payload.start..start + payload.end;
                    let address = std::mem::replace(&mut self.at, next);
                    self.needed = 0;
                    match kind {
                        Kind::Whole => {
                            let payload = self.chunk.bytes.slice(payload);
                            let (address, next) = (address.into(), next.into());
                            return Next::Entry(LogEntry { address, next, payload });
                        }
                        Kind::Commit | Kind::Padding => {}
                        Kind::First | Kind::Middle | Kind::Last => {
                            match self.take_piece(address, kind, payload) {
                                Next::Nothing => {}
                                entry_or_damage => return entry_or_damage,
                            }
                        }
                    }
                }
                Parsed::Incomplete(needed) => {
                    self.needed = needed;
                    // Frames end where the log does, at the latest.
                    let is_cut = self.at.raw() + needed as u64 > self.limit.raw();
                    return if is_cut { Next::Damaged(self.at) } else { Next::Nothing };
                }
                Parsed::Damaged => return Next::Damaged(self.at),
            }
        }
        Next::Nothing
    }

    /// Leaves out entries of the chunk that were truncated since it was taken.
    #[cold]
    fn look_again(&mut self) {
        let limit = self.limit();
        self.limit = self.limit.min(limit);
        self.stop = self.stop.min(self.below_void(limit));
    }

    /// Adds a piece to those before it.
    #[cold]
    fn take_piece(
        &mut self,
        address: Address,
        kind: Kind,
        payload: std::ops::Range<usize>,
    ) -> Next {
        let bytes = &self.chunk.bytes[payload];
        match (kind, &mut self.pieces) {
            (Kind::First, None) => self.pieces = Some((address, BytesMut::from(bytes))),
            (Kind::Middle | Kind::Last, Some((_, pieces))) => pieces.extend_from_slice(bytes),
            (Kind::Middle | Kind::Last, None) if self.phase.is_amid() => return Next::Nothing,
            // Pieces follow each other: nothing else may come between.
            _ => return Next::Damaged(address),
        }
        if kind != Kind::Last {
            return Next::Nothing;
        }
        let (first, pieces) = self.pieces.take().expect("looked at above");
        // Only its own pieces were to be read behind the end.
        self.stop = self.stop.min(self.terms.end);
        let next = self.at.into();
        Next::Entry(LogEntry { address: first.into(), next, payload: pieces.freeze() })
    }

    /// Gets the chunk that holds the frame at `at`; false at the end.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<bool>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(Pin::new(wait).poll(context));
                self.wait = None;
            }
            let limit = self.limit();
            if let Some(from) = self.skipped.from {
                return Poll::Ready(Err(Error::truncated(from.raw())));
            }
            // The entry whose pieces are here is still to be completed.
            if self.at >= self.terms.end && self.pieces.is_none() {
                return Poll::Ready(Ok(false));
            }
            self.source.check()?;
            if self.at >= limit {
                if self.is_at_the_end() {
                    return Poll::Ready(Ok(false));
                }
                self.source.check_wait()?;
                self.wait_behind(limit);
                continue;
            }
            if std::mem::take(&mut self.has_jumped) && self.chunk.from(self.at).is_some() {
                let chunk = std::mem::take(&mut self.chunk);
                self.take_chunk(chunk, limit);
                return Poll::Ready(Ok(true));
            }
            if self.turn_is_over(context) {
                return Poll::Pending;
            }
            // Below, everything is written: no header means that no frame begins there.
            let durable = self.source.durable.load();
            match self.source.in_memory(self.at, limit, self.needed) {
                InMemory::Chunk(chunk) => {
                    self.ahead = None;
                    self.take_chunk(chunk, limit);
                    return Poll::Ready(Ok(true));
                }
                InMemory::Unwritten if self.at < durable => {
                    return Poll::Ready(Err(self.unsound(self.at)));
                }
                InMemory::Unwritten => {
                    ready!(self.poll_proof(context))?;
                    self.wait_for_frame();
                }
                InMemory::Evicted => {
                    if let Some(chunk) = ready!(self.poll_ahead(limit, context))? {
                        self.take_chunk(chunk, limit);
                        return Poll::Ready(Ok(true));
                    }
                }
            }
        }
    }

    fn take_chunk(&mut self, chunk: Chunk, limit: Address) {
        self.chunk = chunk;
        self.limit = limit;
        let stop = if self.pieces.is_some() { limit } else { limit.min(self.terms.end) };
        self.stop = self.below_void(stop);
    }

    fn below_void(&self, end: Address) -> Address {
        self.void.map_or(end, |void| void.min(end))
    }

    /// Jumps over what is no longer there; returns how far what follows may be read at once.
    fn limit(&mut self) -> Address {
        // Before what it counts is looked at.
        self.cuts = self.source.voids.cuts();
        let begin = self.source.begin.load();
        if self.at < begin {
            self.note_truncated(begin);
            self.jump(begin);
        }
        let (at, void) = self.source.voids.clip(self.at);
        if at != self.at {
            self.jump(at);
        }
        self.void = void;
        let limit = self.source.limit(self.terms.uncommitted);
        if self.is_careful { self.below_void(limit) } else { limit }
    }

    fn jump(&mut self, to: Address) {
        self.at = to;
        self.has_jumped = true;
        self.needed = 0;
        self.pieces = None;
    }

    fn is_at_the_end(&self) -> bool {
        // The end is looked at after the word that there will be no other.
        !self.terms.follow || self.source.is_completed() && self.at >= self.source.durable.load()
    }

    /// Waits for a commit, or for any entry if it need not be committed.
    fn wait_behind(&mut self, limit: Address) {
        if self.terms.uncommitted {
            return self.wait_for_frame();
        }
        let mut listeners = vec![listen([&self.source.moved])];
        listeners
            .extend(self.source.live.as_ref().map(|live| listen([live.log.health().changed()])));
        let is_over = self.source.is_completed() || self.source.check_wait().is_err();
        if !is_over && self.limit() <= limit {
            self.wait = Some(select_all(listeners));
        }
    }

    /// Waits until somebody has written the frame at `at`.
    fn wait_for_frame(&mut self) {
        let live = self.source.live.as_ref().expect("nothing is uncommitted elsewhere");
        let moved = listen([&self.source.moved]);
        let changed = listen([live.log.health().changed()]);
        let rung = live.alarm.set(self.at, &live.seats.epoch);
        let is_over = self.source.is_completed() || self.source.check_wait().is_err();
        if !is_over && !self.source.is_written(self.at) {
            self.wait = Some(select_all([moved, changed, rung]));
        }
    }

    /// Takes the next chunk from the device; `None` if another way has to be looked for.
    fn poll_ahead(
        &mut self,
        limit: Address,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Chunk>>> {
        let units = self.source.framing.units;
        let left = self.left_of_chunk();
        // What is left of a chunk goes on in the next unit.
        let from = left.as_ref().map_or(self.at, |left| Address::new(left.end()));
        let from = units.settle(from);
        let at = units.unit_start(from);
        let leads = |ahead: &ReadAhead| ahead.leads_to(at, self.is_careful);
        if !self.ahead.as_ref().is_some_and(leads) {
            // At least what the frame needs, at most what was written.
            let limit = self.source.written_below(limit);
            let needed = Address::new(self.at.raw() + self.needed.max(1) as u64);
            let end = self.terms.end.max(needed).min(limit).max(units.unit_behind(from).min(limit));
            self.ahead = Some(ReadAhead::new(&self.source, from, end));
        }
        let ahead = self.ahead.as_mut().expect("made above");
        let has_void = self.void.is_some() || ahead.next() < at;
        match ready!(ahead.poll_next(left.unwrap_or_default(), context)) {
            // What lies within a void is left out.
            Some(Ok(chunk)) => Poll::Ready(Ok(Some(chunk).filter(|it| it.from(self.at).is_some()))),
            Some(Err(_)) if has_void && !self.is_careful => {
                (self.is_careful, self.ahead) = (true, None);
                Poll::Ready(Ok(None))
            }
            Some(Err(error)) => {
                self.ahead = None;
                // Files are deleted below the begin of a log: then the reader jumps.
                let is_gone = self.source.begin.load() > self.at;
                Poll::Ready(if is_gone { Ok(None) } else { Err(error) })
            }
            None => {
                self.ahead = None;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// The bytes of the frame at `at` that the chunk has.
    fn left_of_chunk(&self) -> Option<Chunk> {
        let rest = self.chunk.from(self.at)?;
        let skipped = self.chunk.bytes.len() - rest.len();
        Some(Chunk { start: self.at.raw(), bytes: self.chunk.bytes.slice(skipped..) })
    }

    /// Lets other tasks run once in a while: a reader of memory is always ready.
    fn turn_is_over(&mut self, context: &Context<'_>) -> bool {
        self.chunks += 1;
        if self.chunks < TURN {
            return false;
        }
        self.chunks = 0;
        context.waker().wake_by_ref();
        true
    }
}

//! A reader returns one entry after the other, from memory or from the device.
//!
//! A reader owns the bytes that it looks at, a chunk at a time, and holds nothing while it waits.
//! It copies memory under a guard, and reads the device several reads ahead. It jumps if the log is
//! truncated in the meantime, or entries are taken back.

use super::read_ahead::ReadAhead;
use super::skipped::Skipped;
use super::start::{Phase, Start};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::log::LogAddress;
use crate::log::frame::format::{Kind, Parsed};
use crate::log::view::{Chunk, InMemory, Source};
use crate::wait::{Told, listen};
use bytes::{Bytes, BytesMut};
use futures::future::select_all;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The number of chunks after which other tasks may run.
const TURN: u32 = 8;

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// The address of the entry.
    pub address: LogAddress,
    /// The address where the log continues after the entry.
    pub next: LogAddress,
    /// The bytes of the entry. They may share memory with nearby entries: one kept entry may hold
    /// up to 1 MiB.
    pub payload: Bytes,
}

/// The options of a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The reader ends before an entry at this address or after it. A reader that does not follow
    /// also ends at the end that the log has at the first poll.
    pub(crate) end: Address,
    /// Whether the reader waits for more entries at the end.
    pub(crate) follow: bool,
    /// Whether the reader also returns uncommitted entries.
    pub(crate) uncommitted: bool,
}

/// A position in a log, with the known state of the following bytes.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) source: Arc<Source>,
    pub(crate) terms: Terms,
    /// The address of the next frame.
    pub(crate) at: Address,
    pub(crate) chunk: Chunk,
    /// No frame of the chunk ends after this address. The reader reads frames that begin below
    /// `stop`.
    limit: Address,
    stop: Address,
    /// The start of the next void.
    void: Option<Address>,
    /// Whether reads must not reach into voids, which may lie on damaged parts of the device.
    is_careful: bool,
    /// Whether the reader has jumped, maybe to an address within the chunk.
    has_jumped: bool,
    /// The count of truncations that `limit`, `stop` and `void` include.
    cuts: u64,
    /// The bytes of the frame at `at`, or 0 if they are unknown.
    needed: usize,
    /// The pieces of the current entry so far, with its address.
    pub(crate) pieces: Option<(Address, BytesMut)>,
    ahead: Option<ReadAhead>,
    wait: Option<Waiting>,
    chunks: u32,
    /// The bytes that the reader missed because they were truncated.
    pub(crate) skipped: Skipped,
    pub(crate) phase: Phase,
}

type Waiting = futures::future::SelectAll<Told>;

/// The next item of the chunk at the reader's position.
enum Next {
    Entry(LogEntry),
    /// The chunk has no further complete frame.
    Nothing,
    /// No frame begins at this address, or it may not follow the previous frame.
    Damaged(Address),
}

impl Reader {
    pub(crate) fn new(source: Arc<Source>, start: Start, terms: Terms) -> Self {
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

    pub(crate) fn terms(&mut self) -> &mut Terms {
        &mut self.terms
    }

    /// Returns the number of bytes from the position to the end of the last entry that the reader
    /// would return now.
    pub(crate) fn lag(&self) -> u64 {
        let at = self.position().inner();
        if at >= self.terms.end {
            return 0;
        }
        // Load the tail first: an entry committed after that is then counted as committed.
        let tail = self.source.end();
        if self.terms.uncommitted && tail > self.source.durable.load() {
            return tail.min(self.terms.end).raw().saturating_sub(at.raw());
        }
        self.source.left_from(at).min(self.terms.end.raw() - at.raw())
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Returns the address where the reader looks for the next entry.
    pub(crate) fn position(&self) -> LogAddress {
        let begun = self.pieces.as_ref().map_or(self.at, |(first, _)| *first);
        begun.max(self.phase.floor()).into()
    }

    /// Returns the next entry; `None` at the end. The reader is over after the end, and after an
    /// error.
    #[inline]
    pub(crate) fn poll_next(
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

    /// Returns the next entry from `at` on, without regard to the start of the reader.
    #[inline]
    pub(crate) fn poll_entry(
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

    /// Ends the reader and frees its buffers.
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
                    // No frame ends after the end of the log.
                    let is_cut = self.at.raw() + needed as u64 > self.limit.raw();
                    return if is_cut { Next::Damaged(self.at) } else { Next::Nothing };
                }
                Parsed::Damaged => return Next::Damaged(self.at),
            }
        }
        Next::Nothing
    }

    /// Excludes entries of the chunk that were truncated after it was read.
    #[cold]
    fn look_again(&mut self) {
        let limit = self.limit();
        self.limit = self.limit.min(limit);
        self.stop = self.stop.min(self.below_void(limit));
    }

    /// Adds a piece to the previous pieces of its entry.
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
            // The pieces of an entry follow each other, without another entry between them.
            _ => return Next::Damaged(address),
        }
        if kind != Kind::Last {
            return Next::Nothing;
        }
        let (first, pieces) = self.pieces.take().expect("looked at above");
        // Beyond the end, only the pieces of this entry were to be read.
        self.stop = self.stop.min(self.terms.end);
        let next = self.at.into();
        Next::Entry(LogEntry { address: first.into(), next, payload: pieces.freeze() })
    }

    /// Reads the chunk that holds the frame at `at`. Returns false at the end.
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
            // An entry with pieces here must still be completed.
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
            // Every frame below `durable` is written: a missing header there means that no frame
            // begins.
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

    /// Jumps over removed entries. Returns the address up to which the reader may read at once.
    fn limit(&mut self) -> Address {
        // Load the count first, so that a later truncation changes it.
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
        // `durable` is loaded after `completed`, so it is then the final end.
        !self.terms.follow || self.source.is_completed() && self.at >= self.source.durable.load()
    }

    /// Waits for a commit, or for the next frame if uncommitted entries are read.
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

    /// Waits until the frame at `at` is written.
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

    /// Takes the next chunk from the device. Returns `None` if the caller must look again.
    fn poll_ahead(
        &mut self,
        limit: Address,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Chunk>>> {
        let units = self.source.framing.units;
        let left = self.left_of_chunk();
        // The rest of a chunk continues in the next unit.
        let from = left.as_ref().map_or(self.at, |left| Address::new(left.end()));
        let from = units.settle(from);
        let at = units.unit_start(from);
        let leads = |ahead: &ReadAhead| ahead.leads_to(at, self.is_careful);
        if !self.ahead.as_ref().is_some_and(leads) {
            // Read at least the bytes of the frame, and at most the written bytes.
            let limit = self.source.written_below(limit);
            let needed = Address::new(self.at.raw() + self.needed.max(1) as u64);
            let end = self.terms.end.max(needed).min(limit).max(units.unit_behind(from).min(limit));
            self.ahead = Some(ReadAhead::new(&self.source, from, end));
        }
        let ahead = self.ahead.as_mut().expect("made above");
        let has_void = self.void.is_some() || ahead.next() < at;
        match ready!(ahead.poll_next(left.unwrap_or_default(), context)) {
            // Chunks within a void are skipped.
            Some(Ok(chunk)) => Poll::Ready(Ok(Some(chunk).filter(|it| it.from(self.at).is_some()))),
            Some(Err(_)) if has_void && !self.is_careful => {
                (self.is_careful, self.ahead) = (true, None);
                Poll::Ready(Ok(None))
            }
            Some(Err(error)) => {
                self.ahead = None;
                // Files below the begin of a log are deleted. Then the reader jumps.
                let is_gone = self.source.begin.load() > self.at;
                Poll::Ready(if is_gone { Ok(None) } else { Err(error) })
            }
            None => {
                self.ahead = None;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// Returns the bytes of the frame at `at` that the chunk has.
    fn left_of_chunk(&self) -> Option<Chunk> {
        let rest = self.chunk.from(self.at)?;
        let skipped = self.chunk.bytes.len() - rest.len();
        Some(Chunk { start: self.at.raw(), bytes: self.chunk.bytes.slice(skipped..) })
    }

    /// Lets other tasks run from time to time, because a reader of memory is always ready.
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

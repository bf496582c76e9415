//! A cursor goes from one entry to the next, in memory or on the device.
//!
//! A cursor owns the bytes that it looks at, and holds nothing while it waits. It copies memory
//! under a guard, and reads the device several reads ahead. It jumps if the log is truncated in the
//! meantime, or entries are taken back.
//!
//! # Claims
//! A sound frame at an address proves that a frame begins there. Zeros in memory prove nothing: a
//! writer is about to write an entry there, or an entry contains zeros. If a caller says that a
//! frame begins at such an address, a walk from the start of the page decides, because a frame
//! always begins there.

use super::device_reader::{DeviceReader, WantedBytes};
use super::entry::{LogBytes, LogEntry};
use super::skipped::Skipped;
use super::start::no_entry;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::{Told, listen};
use crate::log::frame::format::{Kind, Parsed};
use crate::log::memory::MemoryRead;
use crate::log::view::LogView;
use bytes::BytesMut;
use futures::future::{SelectAll, select_all};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The number of reads after which other tasks may run.
const TURN: u32 = 8;

/// The options of a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanOptions {
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
pub(crate) struct EntryCursor {
    view: Arc<LogView>,
    pub(crate) options: ScanOptions,
    /// The address of the next frame.
    at: Address,
    bytes: LogBytes,
    /// No frame of the bytes ends after this address. The cursor reads frames that begin below
    /// `stop`.
    limit: Address,
    stop: Address,
    /// The start of the next hole.
    hole: Option<Address>,
    /// Whether the cursor has jumped, maybe to an address within the bytes.
    has_jumped: bool,
    /// The count of truncations that `limit`, `stop` and `hole` include.
    truncations: u64,
    /// The bytes of the frame at `at`, or 0 if they are unknown.
    needed: usize,
    /// The pieces of the current entry so far, with its address.
    pieces: Option<(Address, BytesMut)>,
    device: DeviceReader,
    wait: Option<SelectAll<Told>>,
    reads: u32,
    /// The bytes that the cursor missed because they were truncated.
    pub(crate) skipped: Skipped,
    /// The lowest possible position.
    floor: Address,
    claim: Option<Claim>,
    /// Whether to leave out pieces of an entry that began before.
    is_amid: bool,
}

/// An address where a frame begins, as a caller says.
#[derive(Debug)]
struct Claim {
    at: Address,
    /// The address that the caller named.
    named: Address,
    /// Walks up to the claim if the bytes there cannot decide.
    proof: Option<Box<EntryCursor>>,
    is_proved: bool,
}

/// The next item of the bytes at the position of a cursor.
enum Next {
    Entry(LogEntry),
    /// The bytes have no further complete frame.
    Nothing,
    /// No frame begins at this address, or it may not follow the previous frame.
    Damaged(Address),
}

impl EntryCursor {
    pub(crate) fn new(view: Arc<LogView>, at: Address, options: ScanOptions) -> Self {
        Self {
            view,
            options,
            at,
            bytes: LogBytes::default(),
            limit: Address::NONE,
            stop: Address::NONE,
            hole: None,
            has_jumped: false,
            truncations: 0,
            needed: 0,
            pieces: None,
            device: DeviceReader::default(),
            wait: None,
            reads: 0,
            skipped: Skipped::default(),
            floor: at,
            claim: None,
            is_amid: false,
        }
    }

    pub(crate) fn view(&self) -> &Arc<LogView> {
        &self.view
    }

    /// Goes to `at`, where a frame certainly begins. With `is_amid`, it may be in the middle of an
    /// entry. Until [`set_out`](Self::set_out), no position is below `floor`.
    pub(crate) fn go_to(&mut self, at: Address, floor: Address, is_amid: bool) {
        (self.at, self.floor, self.claim, self.is_amid) = (at, floor, None, is_amid);
    }

    /// Goes to `at`, where a frame begins as a caller says that named the address `named`.
    pub(crate) fn go_to_claim(&mut self, at: Address, named: Address) {
        self.go_to(at, named, false);
        self.claim = Some(Claim { at, named, proof: None, is_proved: false });
    }

    /// Leaves the start: each position may be reported from now on.
    pub(crate) fn set_out(&mut self) {
        self.go_to(self.at, Address::NONE, false);
    }

    /// Ends, and frees its buffers.
    #[cold]
    pub(crate) fn end(&mut self) {
        self.at = self.position();
        (self.pieces, self.wait) = (None, None);
        self.device.stop();
        self.bytes = LogBytes::default();
    }

    /// Returns the address where the cursor looks for the next entry.
    pub(crate) fn position(&self) -> Address {
        let begun = self.pieces.as_ref().map_or(self.at, |(first, _)| *first);
        begun.max(self.floor)
    }

    /// Returns the next entry; `None` at the end.
    #[inline]
    pub(crate) fn poll_entry(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LogEntry>>> {
        loop {
            match self.next_in_bytes() {
                Next::Entry(entry) => {
                    self.is_amid = false;
                    return Poll::Ready(Some(Ok(entry)));
                }
                Next::Damaged(at) => return Poll::Ready(Some(Err(self.unsound(at)))),
                Next::Nothing => {}
            }
            match ready!(self.poll_bytes(context)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    #[inline]
    fn next_in_bytes(&mut self) -> Next {
        if self.truncations != self.view.range().holes().truncations() {
            self.look_again();
        }
        while self.at < self.stop
            && let Some(rest) = self.bytes.from(self.at)
        {
            match self.view.framing().parse(self.at, rest) {
                Parsed::Frame { kind, payload, next } => {
                    let start = rest.as_ptr().addr() - self.bytes.bytes.as_ptr().addr();
                    let payload = start + payload.start..start + payload.end;
                    let address = std::mem::replace(&mut self.at, next);
                    self.needed = 0;
                    match kind {
                        Kind::Whole => {
                            let payload = self.bytes.bytes.slice(payload);
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

    /// Excludes entries of the bytes that were truncated after they were read.
    #[cold]
    fn look_again(&mut self) {
        let limit = self.limit();
        self.limit = self.limit.min(limit);
        self.stop = self.stop.min(self.below_hole(limit));
    }

    /// Adds a piece to the previous pieces of its entry.
    #[cold]
    fn take_piece(
        &mut self,
        address: Address,
        kind: Kind,
        payload: std::ops::Range<usize>,
    ) -> Next {
        let bytes = &self.bytes.bytes[payload];
        match (kind, &mut self.pieces) {
            (Kind::First, None) => self.pieces = Some((address, BytesMut::from(bytes))),
            (Kind::Middle | Kind::Last, Some((_, pieces))) => pieces.extend_from_slice(bytes),
            (Kind::Middle | Kind::Last, None) if self.is_amid => return Next::Nothing,
            // The pieces of an entry follow each other, without another entry between them.
            _ => return Next::Damaged(address),
        }
        if kind != Kind::Last {
            return Next::Nothing;
        }
        let (first, pieces) = self.pieces.take().expect("looked at above");
        // Beyond the end, only the pieces of this entry were to be read.
        self.stop = self.stop.min(self.options.end);
        let next = self.at.into();
        Next::Entry(LogEntry { address: first.into(), next, payload: pieces.freeze() })
    }

    /// Reads the bytes that hold the frame at `at`. Returns false at the end.
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Result<bool>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(Pin::new(wait).poll(context));
                self.wait = None;
            }
            let limit = self.limit();
            if let Some(from) = self.skipped.error() {
                return Poll::Ready(Err(Error::truncated(from.raw())));
            }
            // An entry with pieces here must still be completed.
            if self.at >= self.options.end && self.pieces.is_none() {
                return Poll::Ready(Ok(false));
            }
            self.view.check()?;
            if self.at >= limit {
                if self.is_at_the_end() {
                    return Poll::Ready(Ok(false));
                }
                self.view.check_wait()?;
                self.wait_after(limit);
                continue;
            }
            if std::mem::take(&mut self.has_jumped) && self.bytes.from(self.at).is_some() {
                let bytes = std::mem::take(&mut self.bytes);
                self.take_bytes(bytes, limit);
                return Poll::Ready(Ok(true));
            }
            if self.turn_is_over(context) {
                return Poll::Pending;
            }
            // Every frame below `durable` is written: a missing header there means that no frame
            // begins.
            let durable = self.view.range().committed().until();
            match self.view.read_memory(self.at, limit, self.needed) {
                MemoryRead::Bytes(bytes) => {
                    self.device.stop();
                    self.take_bytes(bytes, limit);
                    return Poll::Ready(Ok(true));
                }
                MemoryRead::Unwritten if self.at < durable => {
                    return Poll::Ready(Err(self.unsound(self.at)));
                }
                MemoryRead::Unwritten => {
                    ready!(self.poll_proof(context))?;
                    self.wait_for_frame();
                }
                MemoryRead::Evicted => {
                    if let Some(bytes) = ready!(self.poll_device(limit, context))? {
                        self.take_bytes(bytes, limit);
                        return Poll::Ready(Ok(true));
                    }
                }
            }
        }
    }

    fn take_bytes(&mut self, bytes: LogBytes, limit: Address) {
        self.bytes = bytes;
        self.limit = limit;
        let stop = if self.pieces.is_some() { limit } else { limit.min(self.options.end) };
        self.stop = self.below_hole(stop);
    }

    fn below_hole(&self, end: Address) -> Address {
        self.hole.map_or(end, |hole| hole.min(end))
    }

    /// Jumps over removed entries. Returns the address up to which the cursor may read at once.
    fn limit(&mut self) -> Address {
        // Load the count first, so that a later truncation changes it.
        self.truncations = self.view.range().holes().truncations();
        let begin = self.view.range().begin();
        if self.at < begin {
            self.note_truncated(begin);
            self.jump(begin);
        }
        let (at, hole) = self.view.range().holes().clip(self.at);
        if at != self.at {
            self.jump(at);
        }
        self.hole = hole;
        let limit = self.view.limit(self.options.uncommitted);
        if self.device.is_careful() { self.below_hole(limit) } else { limit }
    }

    fn jump(&mut self, to: Address) {
        self.at = to;
        self.has_jumped = true;
        self.needed = 0;
        self.pieces = None;
    }

    /// Notes the bytes truncated before the cursor reached them, if they may contain entries.
    #[cold]
    fn note_truncated(&mut self, begin: Address) {
        let from = self.position();
        let mut at = if self.pieces.is_some() { from } else { self.at };
        while let Some(rest) = self.bytes.from(at)
            && let Parsed::Frame { kind: Kind::Commit | Kind::Padding, next, .. } =
                self.view.framing().parse(at, rest)
        {
            at = next;
        }
        if at < begin && !self.view.range().last_entry().has_all_from(at) {
            self.skipped.note(from, begin);
        }
    }

    fn is_at_the_end(&self) -> bool {
        let committed = self.view.range().committed();
        // The end is loaded after the flag, so it is then the final end.
        !self.options.follow || committed.is_completed() && self.at >= committed.until()
    }

    /// Waits for a commit, or for the next frame if uncommitted entries are read.
    fn wait_after(&mut self, limit: Address) {
        if self.options.uncommitted {
            return self.wait_for_frame();
        }
        let mut listeners = vec![listen([self.view.range().changed()])];
        let memory = self.view.memory();
        listeners.extend(memory.map(|memory| listen([memory.health().changed()])));
        if !self.is_over() && self.limit() <= limit {
            self.wait = Some(select_all(listeners));
        }
    }

    /// Waits until the frame at `at` is written.
    fn wait_for_frame(&mut self) {
        let memory = self.view.memory().expect("nothing is uncommitted elsewhere");
        let changed = listen([self.view.range().changed()]);
        let health = listen([memory.health().changed()]);
        let written = memory.told_beyond(self.at);
        if !self.is_over() && !memory.is_written(self.at) {
            self.wait = Some(select_all([changed, health, written]));
        }
    }

    /// Returns whether a wait would be in vain.
    fn is_over(&self) -> bool {
        self.view.range().committed().is_completed() || self.view.check_wait().is_err()
    }

    /// Takes the next bytes from the device. Returns `None` if the caller must look again.
    fn poll_device(
        &mut self,
        limit: Address,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<LogBytes>>> {
        let wanted = WantedBytes {
            at: self.at,
            left: self.bytes.rest_from(self.at),
            needed: self.needed,
            end: self.options.end,
            limit,
            hole: self.hole,
        };
        self.device.poll(&self.view, wanted, context)
    }

    /// Proves that a frame will begin at the position, if memory has no header there yet.
    fn poll_proof(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let view = &self.view;
        let is_here = |claim: &&mut Claim| claim.at == self.at && !claim.is_proved;
        let Some(claim) = self.claim.as_mut().filter(is_here) else {
            return Poll::Ready(Ok(()));
        };
        let proof = claim.proof.get_or_insert_with(|| {
            let options = ScanOptions { end: claim.at, follow: false, uncommitted: true };
            let from = view.first_in_page(claim.at);
            let mut proof = Self::new(Arc::clone(view), from, options);
            proof.go_to(from, Address::NONE, true);
            Box::new(proof)
        });
        while let Some(before) = ready!(proof.poll_entry(context)) {
            before?;
        }
        let is_there = proof.position() == claim.at
            || claim.at < view.range().begin()
            || view.is_boundary(claim.at);
        if !is_there {
            return Poll::Ready(Err(no_entry(claim.named)));
        }
        (claim.proof, claim.is_proved) = (None, true);
        Poll::Ready(Ok(()))
    }

    /// Returns the error for a missing frame at `at`: a wrong address of the caller, or damage.
    #[cold]
    fn unsound(&self, at: Address) -> Error {
        match &self.claim {
            Some(claim) if claim.at == at => no_entry(claim.named),
            _ => self.view.damage(at),
        }
    }

    /// Lets other tasks run from time to time, because a reader of memory is always ready.
    fn turn_is_over(&mut self, context: &Context<'_>) -> bool {
        self.reads += 1;
        if self.reads < TURN {
            return false;
        }
        self.reads = 0;
        context.waker().wake_by_ref();
        true
    }
}

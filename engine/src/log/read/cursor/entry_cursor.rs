//! A cursor goes from one entry to the next, in memory or on the device.
//!
//! A cursor owns the bytes that it looks at, and holds nothing while it waits. It copies memory
//! under a guard, and reads the device several reads ahead. It jumps if the log is truncated in the
//! meantime, or entries are taken back.

use super::buffer::{BufferedFrame, FrameBuffer};
use super::device_reader::{DeviceReader, WantedBytes};
use super::position::{Assembled, Position};
use super::seen_range::SeenRange;
use super::skipped::Skipped;
use super::step::Step;
use super::wait::{Changes, ReaderWaits, is_in_vain};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::log::frame::format::Kind;
use crate::log::memory::MemoryRead;
use crate::log::read::entry::{Entry, LogBytes};
use crate::log::read::options::ScanOptions;
use crate::log::view::LogView;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A position in a log, with the known state of the following bytes.
#[derive(Debug)]
pub(crate) struct EntryCursor {
    view: Arc<LogView>,
    options: ScanOptions,
    position: Position,
    buffer: FrameBuffer,
    seen: SeenRange,
    device: DeviceReader,
    waits: ReaderWaits,
}

impl EntryCursor {
    pub(crate) fn new(view: Arc<LogView>, position: Position, options: ScanOptions) -> Self {
        Self {
            view,
            options,
            position,
            buffer: FrameBuffer::new(),
            seen: SeenRange::default(),
            device: DeviceReader::default(),
            waits: ReaderWaits::default(),
        }
    }

    pub(crate) fn view(&self) -> &Arc<LogView> {
        &self.view
    }

    pub(crate) fn options(&self) -> &ScanOptions {
        &self.options
    }

    pub(crate) fn options_mut(&mut self) -> &mut ScanOptions {
        &mut self.options
    }

    /// Returns the bytes that the cursor missed because they were truncated.
    pub(crate) fn skipped(&self) -> &Skipped {
        self.seen.skipped()
    }

    /// Ends the cursor when it misses entries.
    pub(crate) fn fail_on_skipped(&mut self) {
        self.seen.skipped_mut().fail();
    }

    /// Returns the position, to change it.
    pub(crate) fn position_mut(&mut self) -> &mut Position {
        &mut self.position
    }

    /// Ends, and frees its buffers.
    #[cold]
    pub(crate) fn end(&mut self) {
        self.position = Position::new(self.position.shown(), Address::NONE);
        self.waits.stop();
        self.device.stop();
        self.buffer.fill(LogBytes::default());
    }

    /// Returns the address where the cursor looks for the next entry.
    pub(crate) fn position(&self) -> Address {
        self.position.shown()
    }

    /// Returns the next entry after a certain position; `None` at the end.
    #[inline]
    pub(crate) fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
        Poll::Ready(match ready!(self.poll_step(context)) {
            Step::Entry(entry) => Some(Ok(entry)),
            Step::End => None,
            Step::Failed(error) => Some(Err(error)),
            Step::Damaged(at) => Some(Err(self.view.damage(at))),
            Step::Claimed => unreachable!("the position is certain"),
        })
    }

    /// Goes to the next entry, or says why there is none.
    #[inline]
    pub(crate) fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some(entry_or_damage) = self.next_in_buffer() {
                return Poll::Ready(entry_or_damage);
            }
            if let Err(no_bytes) = ready!(self.poll_bytes(context)) {
                return Poll::Ready(no_bytes);
            }
        }
    }

    #[inline]
    fn next_in_buffer(&mut self) -> Option<Step> {
        if !self.seen.is_current(self.view.range()) {
            // Exclude entries of the buffer that were truncated after they were read.
            let limit = self.limit();
            self.buffer.narrow(limit, self.seen.below_hole(limit));
        }
        loop {
            match self.buffer.frame(self.view.framing(), self.position.at()) {
                BufferedFrame::Sound { kind, payload, next } => {
                    let address = self.position.pass_to(next);
                    let (first, payload) = match kind {
                        Kind::Whole if self.position.is_within_entry() => {
                            return Some(Step::Damaged(address));
                        }
                        Kind::Whole => (address, self.buffer.payload(payload)),
                        Kind::Commit | Kind::Padding => continue,
                        Kind::First | Kind::Middle | Kind::Last => {
                            let piece = self.buffer.piece(payload);
                            match self.position.add_piece(address, kind, piece) {
                                Assembled::Entry(first, payload) => {
                                    // Beyond the end, only the pieces of this entry were to be
                                    // read.
                                    self.buffer.stop_at(self.options.end);
                                    (first, payload)
                                }
                                Assembled::Incomplete => continue,
                                Assembled::Misplaced => return Some(Step::Damaged(address)),
                            }
                        }
                    };
                    self.position.leave_entry();
                    let (address, next) = (first.into(), next.into());
                    return Some(Step::Entry(Entry { address, next, payload }));
                }
                BufferedFrame::Incomplete(needed) => {
                    self.position.need(needed);
                    return None;
                }
                BufferedFrame::Damaged => return Some(Step::Damaged(self.position.at())),
                BufferedFrame::Missing => return None,
            }
        }
    }

    /// Reads the bytes that hold the frame at the position, or says why there are none.
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Step>> {
        loop {
            ready!(self.waits.poll(context));
            let (limit, at) = (self.limit(), self.position.at());
            if self.is_at_the_end(limit)? {
                return Poll::Ready(Err(Step::End));
            }
            if at >= limit {
                self.view.check_wait()?;
                self.wait_after(limit);
                continue;
            }
            let may_go_on = self.position.take_jump() || self.position.is_before_piece();
            if may_go_on && self.buffer.holds(at) {
                self.allow(limit);
                return Poll::Ready(Ok(()));
            }
            if self.waits.turn_is_over(context) {
                return Poll::Pending;
            }
            // Every frame below `durable` is written: a missing header there means that no frame
            // begins.
            let durable = self.view.range().committed().until();
            let bytes = match self.view.read_memory(at, limit, self.position.needed()) {
                MemoryRead::Bytes(bytes) => {
                    self.device.stop();
                    Some(bytes)
                }
                MemoryRead::Unwritten if at < durable => {
                    return Poll::Ready(Err(Step::Damaged(at)));
                }
                MemoryRead::Unwritten if self.position.is_claimed() => {
                    return Poll::Ready(Err(Step::Claimed));
                }
                MemoryRead::Unwritten => {
                    self.waits.wait_for_frame(&self.view, at);
                    None
                }
                MemoryRead::Evicted => ready!(self.poll_device(limit, context))?,
            };
            if let Some(bytes) = bytes {
                debug_assert!(bytes.from(at).is_some(), "the bytes hold the frame at {at:?}");
                self.buffer.fill(bytes);
                self.allow(limit);
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Allows the frames of the buffer below `limit`. Beyond the end of the cursor, it allows only
    /// the pieces of the current entry.
    fn allow(&mut self, limit: Address) {
        let is_within = self.position.is_within_entry();
        let stop = if is_within { limit } else { limit.min(self.options.end) };
        self.buffer.allow(limit, self.seen.below_hole(stop));
    }

    /// Jumps over removed entries. Returns the address up to which the cursor may read at once.
    fn limit(&mut self) -> Address {
        let begin = self.seen.look(self.view.range());
        if self.position.at() < begin {
            self.note_truncated(begin);
            self.position.jump(begin);
        }
        let at = self.seen.clip(self.view.range(), self.position.at());
        if at != self.position.at() {
            self.position.jump(at);
        }
        let limit = self.view.limit(self.options.uncommitted);
        if self.device.is_careful() { self.seen.below_hole(limit) } else { limit }
    }

    /// Notes the bytes truncated before the cursor reached them, if they may contain entries.
    #[cold]
    fn note_truncated(&mut self, begin: Address) {
        let shown = self.position.shown();
        let next = if self.position.is_within_entry() { shown } else { self.position.at() };
        let at = self.buffer.skip_overhead(self.view.framing(), next);
        // Truncated entries below the floor were not to be shown.
        if shown.max(at) < begin && !self.view.range().last_entry().has_all_from(at) {
            self.seen.skipped_mut().note(shown, begin);
        }
    }

    /// Returns whether the cursor is at its end, or the end of the log.
    ///
    /// # Errors
    /// `Truncated` if the cursor is to end when it misses entries; the error of a closed log.
    fn is_at_the_end(&self, limit: Address) -> Result<bool> {
        if let Some(from) = self.seen.skipped().error() {
            return Err(Error::truncated(from.raw()));
        }
        // An entry with pieces here must still be completed.
        let at = self.position.at();
        if at >= self.options.end && !self.position.is_within_entry() {
            return Ok(true);
        }
        self.view.check()?;
        let committed = self.view.range().committed();
        // The end is loaded after the flag, so it is then the final end.
        let is_final =
            || !self.options.follow || committed.is_completed() && at >= committed.until();
        Ok(at >= limit && is_final())
    }

    /// Waits for a commit, or for the next frame if uncommitted entries are read.
    fn wait_after(&mut self, limit: Address) {
        if self.options.uncommitted {
            return self.waits.wait_for_frame(&self.view, self.position.at());
        }
        let changes = Changes::of_commits(&self.view);
        if !is_in_vain(&self.view) && self.limit() <= limit {
            self.waits.wait_for(changes);
        }
    }

    /// Takes the next bytes from the device. Returns `None` if the caller must look again.
    fn poll_device(
        &mut self,
        limit: Address,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<LogBytes>>> {
        let at = self.position.at();
        let wanted = WantedBytes {
            at,
            left: self.buffer.rest_from(at),
            needed: self.position.needed(),
            end: self.options.end,
            limit,
            hole: self.seen.hole(),
        };
        self.device.poll(&self.view, wanted, context)
    }
}

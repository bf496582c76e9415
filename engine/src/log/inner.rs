//! The state that the users of one open log share, and appending to it.
//!
//! An attempt to append is synchronous and runs under one guard. It ends done or blocked, with
//! nothing half done. It allocates its space in one step, even across pages. Then it writes the
//! frames, and shows each by its header. It also writes the padding that it has caused.

use super::LogAddress;
use super::commit::requests::Commits;
use super::config::LogConfig;
use super::frame::format::{Header, Kind, frame_bytes};
use super::frame::layout::{Placed, Plan};
use super::iterator::positions::Places;
use super::view::{Live, Seat, Source};
use crate::address::Address;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::hybrid_log::{HybridLog, Need, NoRoom, Position, Rest};
use crate::opening::ending::Maintained;
use crate::record::WORD;
use kvick_io::Directory;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kvick_runtime::Handle;
use std::fmt;
use std::sync::Arc;

/// One open log.
#[derive(Debug)]
pub(crate) struct Core {
    // Fixed after opening.
    pub(crate) config: LogConfig,
    pub(crate) plan: Plan,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) handle: Handle,
    pub(crate) source: Arc<Source>,
    // Shared structures, each with its own rules.
    pub(crate) commits: Commits,
    pub(crate) iterators: Places,
    /// Whether the log takes no more entries.
    pub(crate) sealed: AtomicBool,
}

/// The resource that a blocked append waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blocked {
    /// Space for a frame of this many bytes.
    Room(u64),
    /// Free pages after the page of the tail, this many.
    Pages(u64),
}

impl Core {
    /// Returns the log in memory. Only a log that is open for appending has one.
    #[inline(always)]
    pub(crate) fn live(&self) -> &Live {
        self.source.live.as_ref().expect("open for appending")
    }

    /// Runs `body` with a seat.
    #[inline]
    pub(crate) fn seated<R>(&self, body: impl FnOnce(&mut Seat) -> R) -> R {
        self.live().seats.stripes.with(body)
    }

    /// Takes a seat and tries to append one entry.
    #[inline]
    pub(crate) fn attempt(&self, entry: &[u8]) -> Result<Result<LogAddress, Blocked>> {
        self.live().seats.protected(|guard| self.try_append(entry, guard))
    }

    /// Tries to append one entry.
    #[inline]
    pub(crate) fn try_append(
        &self,
        entry: &[u8],
        guard: &Guard<'_>,
    ) -> Result<Result<LogAddress, Blocked>> {
        self.check_append()?;
        let bytes = frame_bytes(entry.len()) as u64;
        if bytes > self.plan.inline {
            let mut address = LogAddress::FIRST;
            let appended = self.try_append_many(&[entry], |at| address = at, guard)?;
            return Ok(appended.map(|()| address));
        }
        let live = self.live();
        match live.log.allocator().take(bytes, |rest| self.pad(rest, guard), guard) {
            Ok(address) => {
                self.write(address, Kind::Whole, entry, guard);
                self.wake(Address::new(address.raw() + bytes));
                Ok(Ok(address.into()))
            }
            Err(NoRoom { bytes }) => Ok(Err(Blocked::Room(bytes))),
        }
    }

    /// Tries to append all entries in sequence. Calls `appended` with the address of each.
    pub(crate) fn try_append_many<E: AsRef<[u8]>>(
        &self,
        entries: &[E],
        mut appended: impl FnMut(LogAddress),
        guard: &Guard<'_>,
    ) -> Result<Result<(), Blocked>> {
        self.check_append()?;
        let lengths = || entries.iter().map(|entry| entry.as_ref().len());
        if entries.is_empty() {
            return Ok(Ok(()));
        }
        let plan = self.plan;
        let pages = plan.pages_behind(lengths());
        self.check_pages(pages, lengths().sum())?;
        let lay = |from| Some(plan.lay(from, lengths(), |_| {}));
        let taken = self.live().log.allocator().take_with(Need::records(pages), lay, guard);
        let Some([from, to]) = taken else {
            return Ok(Err(Blocked::Pages(pages)));
        };
        let end = plan.lay(from, lengths(), |placed| match placed {
            Placed::Padding { at, bytes } => self.pad(Rest { start: self.at(at), bytes }, guard),
            Placed::Piece { at, kind, item, range } => {
                let address = self.at(at);
                if matches!(kind, Kind::Whole | Kind::First) {
                    appended(address.into());
                }
                self.write(address, kind, &entries[item].as_ref()[range], guard);
            }
        });
        assert_eq!(end, to, "what was planned was taken");
        self.wake(self.at(to));
        Ok(Ok(()))
    }

    /// Returns the resource that an entry of `bytes` bytes needs.
    ///
    /// # Errors
    /// `InvalidArgument` if memory could never take it.
    pub(crate) fn need(&self, bytes: usize) -> Result<Blocked> {
        if bytes as u64 > self.config.memory.bytes() {
            self.check_pages(u64::MAX, bytes)?;
        }
        let frame = frame_bytes(bytes) as u64;
        if frame <= self.plan.inline {
            return Ok(Blocked::Room(frame));
        }
        let pages = self.plan.pages_behind([bytes]);
        self.check_pages(pages, bytes)?;
        Ok(Blocked::Pages(pages))
    }

    /// Returns the error of an attempt that does not wait. Requests the pages that it needs.
    #[cold]
    pub(crate) fn busy(&self, blocked: Blocked) -> Error {
        let log = &self.live().log;
        let need = match blocked {
            Blocked::Room(_) => Need::records(1),
            Blocked::Pages(pages) => Need::records(pages),
        };
        if let Err(error) = log.allocator().check_room(need) {
            return error;
        }
        log.allocator().want_pages(need);
        Error::busy("memory is full of entries to be written")
    }

    /// Returns the address after the entry of `bytes` bytes that was appended at `address`.
    pub(crate) fn behind(&self, address: Address, bytes: usize) -> Address {
        let units = self.source.framing.units;
        let bits = units.page_bits();
        let from = Position { page: address.page(bits), offset: address.offset(bits) };
        // The entry lies where the plan put it, so the same plan returns its end.
        units.settle(self.at(self.plan.lay(from, [bytes], |_| {})))
    }

    /// Waits for the resource that blocked an attempt.
    pub(crate) async fn unblocked(&self, blocked: Blocked) -> Result<()> {
        match blocked {
            Blocked::Room(bytes) => self.live().log.allocator().room(bytes).await,
            Blocked::Pages(pages) => {
                self.live().log.allocator().room_for_pages(Need::records(pages)).await
            }
        }
    }

    /// Writes a frame into space that was allocated under this guard.
    #[inline]
    pub(crate) fn write(&self, address: Address, kind: Kind, payload: &[u8], guard: &Guard<'_>) {
        let words = self.live().log.pages().words(address, guard);
        let (header, rest) = words.split_first().expect("a frame has a header");
        debug_assert!(Header::load(header).is_none(), "{address:?} is written once");
        fill(rest, payload);
        self.source.framing.header(address, kind, payload).release(header);
    }

    /// Writes the padding frame of space that no entry uses.
    pub(crate) fn pad(&self, rest: Rest, guard: &Guard<'_>) {
        let bytes = usize::try_from(rest.bytes).expect("within a page");
        let header = self.source.framing.padding(rest.start, bytes);
        header.release(&self.live().log.pages().words(rest.start, guard)[0]);
        self.wake(Address::new(rest.start.raw() + rest.bytes));
    }

    pub(crate) fn at(&self, position: Position) -> Address {
        Address::at(position.page, position.offset, self.source.framing.units.page_bits())
    }

    #[inline(always)]
    fn wake(&self, end: Address) {
        let live = self.live();
        live.alarm.written(end, &live.seats.epoch);
    }

    #[inline(always)]
    pub(crate) fn check_append(&self) -> Result<()> {
        self.live().log.health().check_write()?;
        // Relaxed: pairs with the store in `seal`, whose drain orders it. No append runs here after
        // that.
        if self.sealed.load(Ordering::Relaxed) { Err(Error::completed()) } else { Ok(()) }
    }

    /// Refuses entries that memory could never take in one step.
    fn check_pages(&self, pages: u64, bytes: usize) -> Result<()> {
        let most = u64::from(self.live().log.pages().count()) / 2;
        if pages <= most {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{bytes} bytes in one step: with memory = {} at most about {}",
            self.config.memory,
            most.saturating_sub(1) * self.plan.capacity
        )))
    }
}

impl Maintained for Core {
    fn noun(&self) -> &'static str {
        "log"
    }

    fn log(&self) -> &HybridLog {
        &self.live().log
    }

    /// Tasks that wait for a commit watch the health of the log.
    fn abandon(&self) {}
}

/// Stores `payload` in words that no reader looks at yet. The rest of the last word stays zero.
#[inline(always)]
fn fill(words: &[AtomicU64], payload: &[u8]) {
    let (whole, rest) = payload.as_chunks::<WORD>();
    let (front, behind) = words.split_at(whole.len());
    for (word, bytes) in front.iter().zip(whole) {
        // Relaxed: the Release of the header publishes them.
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        behind[0].store(u64::from_le_bytes(last), Ordering::Relaxed);
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Live").field("log", &self.log).finish_non_exhaustive()
    }
}

//! Appending entries to the pages in memory.
//!
//! An attempt to append is synchronous and runs under one guard. It appends everything or nothing,
//! and leaves nothing half done. It allocates its space in one step, even across pages. Then it
//! writes the frames, and shows each by its header. It also writes the padding that it has caused.

use super::frame_writer::FrameWriter;
use super::reservation::Reservation;
use super::space::{EntrySpace, NotAppended, Space};
use crate::base::error::{Error, Result};
use crate::epoch::Guard;
use crate::hybrid_log::{Claim, Need, NoRoom, Position, Room};
use crate::log::LogAddress;
use crate::log::config::Config;
use crate::log::frame::format::frame_bytes;
use kvick_io::sync::atomic::{AtomicBool, Ordering};
use kvick_runtime::Handle;
use std::task::Poll;

/// Appends the entries of one log.
#[derive(Debug)]
pub(crate) struct Appender {
    // Fixed after opening.
    frames: FrameWriter,
    space: EntrySpace,
    yield_every: u32,
    // Any thread, atomic.
    /// Whether the log takes no more entries.
    is_stopped: AtomicBool,
}

impl Appender {
    pub(crate) fn new(frames: FrameWriter, config: &Config, is_stopped: bool) -> Self {
        Self {
            space: EntrySpace::new(&frames, config.memory),
            frames,
            yield_every: config.yield_every,
            is_stopped: AtomicBool::new(is_stopped),
        }
    }

    pub(crate) fn frames(&self) -> &FrameWriter {
        &self.frames
    }

    /// Returns the space for entries.
    pub(crate) fn space(&self) -> &EntrySpace {
        &self.space
    }

    /// Tries to append an entry. Returns `Pending` if a task that has appended a lot should let
    /// other tasks run first; a task that has done so is not `new`.
    #[inline]
    pub(crate) fn poll(&self, entry: &[u8], is_new: bool) -> Poll<Result<LogAddress, NotAppended>> {
        self.frames.memory().with_context(|context| {
            if is_new && context.turn_is_over(self.yield_every) {
                return Poll::Pending;
            }
            Poll::Ready(context.protected(|guard| self.try_append(entry, guard)))
        })
    }

    /// Appends an entry if there is space for it now.
    ///
    /// # Errors
    /// `Busy` if there is none. Then the pages that it needs are requested.
    pub(crate) fn append_now(&self, entry: &[u8]) -> Result<LogAddress> {
        self.attempt(entry).map_err(|not_appended| match not_appended {
            NotAppended::NoSpace(space) => self.space.busy(space),
            NotAppended::Refused(error) => error,
        })
    }

    /// Waits for `space`, and then appends an entry.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has appended nothing.
    pub(crate) async fn append_after(&self, space: Space, entry: &[u8]) -> Result<LogAddress> {
        self.space.wait_for(space).await?;
        self.until_appended(|| self.attempt(entry)).await
    }

    /// Appends all entries in sequence.
    ///
    /// # Cancel safety
    /// As [`append_after`](Self::append_after).
    pub(crate) async fn append_many<E: AsRef<[u8]> + Sync>(
        &self,
        entries: &[E],
    ) -> Result<Vec<LogAddress>> {
        let mut addresses = Vec::with_capacity(entries.len());
        let memory = self.frames.memory();
        let attempt = || {
            debug_assert!(addresses.is_empty(), "an attempt without space appends nothing");
            memory.protected(|guard| {
                self.try_append_many(entries, |address| addresses.push(address), guard)
            })
        };
        self.until_appended(attempt).await?;
        debug_assert_eq!(addresses.len(), entries.len(), "each entry has one address");
        debug_assert!(
            addresses.is_sorted_by(|before, next| before < next),
            "entries are appended in sequence: {addresses:?}"
        );
        Ok(addresses)
    }

    /// Waits until there is `space`.
    pub(crate) async fn wait_for(&self, space: Space) -> Result<()> {
        self.space.wait_for(space).await
    }

    /// Waits until there is space for an entry of `bytes` bytes, and appends nothing.
    pub(crate) async fn wait_for_space(&self, bytes: usize) -> Result<()> {
        self.check()?;
        self.space.wait_for(self.space.of_entry(bytes)?).await?;
        // No space is allocated here, and page frames reserved for it would make other tasks wait.
        self.frames.memory().log().allocator().release_frames();
        Ok(())
    }

    /// Stops appending. Afterwards every appended entry is below the tail.
    pub(crate) async fn stop(&self, handle: &Handle) {
        // Relaxed: pairs with the load in `check`; the drain below orders them.
        self.is_stopped.store(true, Ordering::Relaxed);
        // An append that has not seen the flag may still run. No such append is left after this.
        self.frames.memory().drain(handle).await;
    }

    /// Tries to append one entry.
    #[inline]
    pub(crate) fn attempt(&self, entry: &[u8]) -> Result<LogAddress, NotAppended> {
        self.frames.memory().protected(|guard| self.try_append(entry, guard))
    }

    #[inline]
    fn try_append(&self, entry: &[u8], guard: &Guard<'_>) -> Result<LogAddress, NotAppended> {
        let reservation = self.reserve(entry.len(), guard)?;
        let address = reservation.address();
        reservation.fill(entry).show();
        Ok(address)
    }

    /// Takes the space of an entry of `length` bytes. The caller fills it under the same guard.
    #[inline]
    pub(crate) fn reserve<'a>(
        &'a self,
        length: usize,
        guard: &'a Guard<'a>,
    ) -> Result<Reservation<'a>, NotAppended> {
        self.check()?;
        let bytes = frame_bytes(length) as u64;
        let frames = &self.frames;
        if bytes > frames.layout().inline {
            let space = self.take([length], guard)?;
            return Ok(Reservation::of_pieces(frames, space, length, guard));
        }
        let (room, pad) = (Room::new(bytes, Claim::Value), |rest| frames.pad(rest, guard));
        match frames.memory().log().allocator().allocate(room, pad, guard) {
            Ok(address) => Ok(Reservation::of_frame(frames, address, length, guard)),
            Err(NoRoom(room)) => Err(NotAppended::NoSpace(Space::Frame(room.bytes()))),
        }
    }

    /// Tries to append all entries in sequence. Calls `appended` with the address of each.
    fn try_append_many<E: AsRef<[u8]>>(
        &self,
        entries: &[E],
        appended: impl FnMut(LogAddress),
        guard: &Guard<'_>,
    ) -> Result<(), NotAppended> {
        self.check()?;
        if entries.is_empty() {
            return Ok(());
        }
        let space = self.take(entries.iter().map(|entry| entry.as_ref().len()), guard)?;
        self.frames.write_entries(space, entries, appended, guard);
        Ok(())
    }

    /// Takes the space of entries of these lengths, which may be longer than a page.
    fn take(
        &self,
        lengths: impl IntoIterator<Item = usize, IntoIter: Clone>,
        guard: &Guard<'_>,
    ) -> Result<[Position; 2], NotAppended> {
        let (frames, layout, lengths) = (&self.frames, self.frames.layout(), lengths.into_iter());
        let pages = layout.pages_behind(lengths.clone());
        self.space.check_pages(pages, lengths.clone().sum())?;
        let lay = |from| Some(layout.lay(from, lengths.clone(), |_| {}));
        let taken =
            frames.memory().log().allocator().allocate_with(Need::records(pages), lay, guard);
        let Some([from, to]) = taken else {
            return Err(NotAppended::NoSpace(Space::Pages(pages)));
        };
        assert!(to.page <= from.page + pages, "{pages} pages are enough: {from:?} to {to:?}");
        Ok([from, to])
    }

    /// Tries again after each wait, until an attempt succeeds.
    async fn until_appended<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, NotAppended>,
    ) -> Result<T> {
        loop {
            match attempt() {
                Ok(appended) => return Ok(appended),
                Err(NotAppended::NoSpace(space)) => self.space.wait_for(space).await?,
                Err(NotAppended::Refused(error)) => return Err(error),
            }
        }
    }

    #[inline(always)]
    fn check(&self) -> Result<()> {
        self.frames.memory().health().check_write()?;
        // Relaxed: pairs with the store in `stop`, whose drain orders it. No append runs here after
        // that.
        if self.is_stopped.load(Ordering::Relaxed) { Err(Error::completed()) } else { Ok(()) }
    }
}

//! Divides the memory of a store among its parts.
//!
//! ```text
//!   budget = index + sessions + I/O buffers + read cache + frames * page
//!              |        |           |             |            |
//!              |        |           |             |      the rest: at least the floor
//!              |        |           |        reported as it fills, at most its share
//!              |        |     a share of the budget, for buffers and waiting operations
//!              |     reported when sessions open
//!           reported as it grows
//! ```
//!
//! Operations that wait for the device are tasks of users, so nothing limits their number. If they
//! take more than the share for I/O, the frames give it. They get it back when the tail has turned
//! to a page and fewer operations wait.
//!
//! The read cache takes memory as it fills, up to a limit that is an eighth of the budget by
//! default, and never more than the frames have above their floor.
//!
//! Compaction and scans gather records, to look them up on the device together, and compaction
//! notes which ones are superseded. This memory comes from the frames, too, and goes back to them.
//!
//! The index grows at the expense of the frames, down to their *floor*: an eighth of the budget, or
//! the least number of frames. It has one entry for each prefix at most, and the number of prefixes
//! was chosen so that all of them fit beside the floor (`config/index_sizes.rs`). Only the index of
//! a store that was created with more memory than its budget may take more: an entry stands for its
//! prefix, and no other entry can take its place. A driver of the store compares the
//! shares with the limits of the log and moves these. So memory follows a moment later: a page
//! leaves memory after it was flushed.
//!
//! All calls are on cold paths: the state is under a lock, which no caller holds for longer than
//! some records are walked.

use crate::base::error::{Error, Result};
use crate::base::wait::Event;
use crate::config::{ByteSize, buffer_share, least_page_share};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::sync::{Mutex, MutexGuard};

/// The parts of the memory of a store, and its budget, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryParts {
    /// The limit of all parts together.
    pub(crate) budget: u64,
    /// The hash index with its overflow lines.
    pub(crate) index: u64,
    /// Sessions and seats.
    pub(crate) sessions: u64,
    /// Operations that wait for the device.
    pub(crate) waits: u64,
    /// Results of reads of the device.
    pub(crate) read_cache: u64,
    /// Records that are gathered to be looked up on the device together.
    pub(crate) gathered: u64,
    /// Newer records of records on the device.
    pub(crate) superseded: u64,
}

/// The shares that follow from the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryShares {
    /// The limit of pages in memory.
    pub(crate) frames: u32,
    /// The limit of bytes of I/O buffers.
    pub(crate) buffers: usize,
    /// The limit of bytes of the read cache.
    pub(crate) read_cache: u64,
}

/// The memory of an operation that waits for the device, with its buffer, in bytes.
const WAIT_BYTES: u64 = 2 << 10;
/// The number of further waits after which they are noted.
const WAITS_NOTED: u64 = 256;

/// An operation that waits for the device.
#[derive(Debug)]
pub(crate) struct Waiting<'g>(&'g MemoryGovernor);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let before = self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a wait ends once");
    }
}

/// The part of the budget for all gathered records, and the least part for those of one task.
const GATHERED_PARTS: [u64; 2] = [8, 64];
/// The limit of bytes of all gathered records. More would save little.
const GATHERED_MOST: u64 = 32 << 20;
/// The bytes of gathered records that a task gets in any case, if these are less than its part.
const GATHERED_LEAST: u64 = 1 << 20;

/// The part of the budget for what is known of superseded records.
const SUPERSEDED_PART: u64 = 4;

/// The part of the budget that the read cache may take by default.
const READ_CACHE_PART: u64 = 8;

/// The memory of records that are looked up on the device together.
#[derive(Debug)]
pub(crate) struct Gathered<'g> {
    governor: &'g MemoryGovernor,
    bytes: u64,
}

impl Gathered<'_> {
    /// Returns the limit of the bytes.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).expect("the memory has a limit")
    }
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        let parts = self.governor.parts();
        let gathered = parts.gathered.checked_sub(self.bytes).expect("it was noted");
        let wanted = MemoryParts { gathered, ..*parts };
        self.governor.replace(parts, wanted);
    }
}

/// The governor of the memory of one store.
#[derive(Debug)]
pub(crate) struct MemoryGovernor {
    // Fixed after creation.
    page_bytes: u64,
    least_frames: u64,
    reserved_frames: u32,
    /// The largest budget.
    most: u64,
    /// The limit of the read cache by the settings; `None` is an eighth of the budget.
    read_cache: Option<ByteSize>,
    // Any thread, atomic: operations that wait for the device.
    waiting: AtomicU64,
    // Under its lock.
    parts: Mutex<MemoryParts>,
    /// The shares may have changed.
    changed: Event,
}

impl MemoryGovernor {
    /// Creates the governor of a budget of `[budget, most]` bytes, the present and the largest.
    /// `[least, reserved]` bounds the number of pages in memory, and `read_cache` the bytes of the
    /// read cache.
    pub(crate) fn new(
        [budget, most]: [ByteSize; 2],
        page_bytes: u64,
        [least, reserved]: [u32; 2],
        read_cache: Option<ByteSize>,
    ) -> Self {
        assert!(least <= reserved, "{least} to {reserved} pages");
        let parts = MemoryParts { budget: budget.bytes(), ..MemoryParts::default() };
        Self {
            page_bytes,
            least_frames: least.into(),
            reserved_frames: reserved,
            most: most.bytes(),
            read_cache,
            waiting: AtomicU64::new(0),
            parts: Mutex::new(parts),
            changed: Event::new(),
        }
    }

    /// Notes the memory that the index has, as a fact.
    pub(crate) fn note_index(&self, index: u64) {
        let parts = self.parts();
        let wanted = MemoryParts { index, ..*parts };
        self.replace(parts, wanted);
    }

    /// Notes the memory that sessions and seats have, as a fact.
    pub(crate) fn note_sessions(&self, sessions: u64) {
        let parts = self.parts();
        let wanted = MemoryParts { sessions, ..*parts };
        self.replace(parts, wanted);
    }

    /// Counts an operation that waits for the device, until the result is dropped.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        // Relaxed, in all of this: a statistic.
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        if waiting.is_multiple_of(WAITS_NOTED) {
            self.note_waits();
        }
        Waiting(self)
    }

    /// Notes the memory that the read cache takes, as a fact.
    pub(crate) fn note_read_cache(&self, read_cache: u64) {
        let parts = self.parts();
        let wanted = MemoryParts { read_cache, ..*parts };
        self.replace(parts, wanted);
    }

    /// Notes the memory of the operations that wait now.
    pub(crate) fn note_waits(&self) {
        let parts = self.parts();
        let waits = self.waiting.load(Ordering::Relaxed) * WAIT_BYTES;
        let wanted = MemoryParts { waits, ..*parts };
        self.replace(parts, wanted);
    }

    /// Takes memory for records that are gathered, until the result is dropped. The frames give
    /// it: what they have above their floor, or a little of the floor.
    pub(crate) fn gather(&self) -> Gathered<'_> {
        let parts = self.parts();
        let frames = self.frame_bytes(&parts);
        let above_floor = frames.saturating_sub(self.floor_of_frames(parts.budget));
        let [most, least] = GATHERED_PARTS.map(|part| parts.budget / part);
        let (most, least) = (most.min(GATHERED_MOST), least.min(GATHERED_LEAST));
        let left = most.saturating_sub(parts.gathered);
        let bytes = above_floor.min(left).max(least);
        let wanted = MemoryParts { gathered: parts.gathered + bytes, ..*parts };
        self.replace(parts, wanted);
        Gathered { governor: self, bytes }
    }

    /// Changes what is known of superseded records, and notes its memory as a fact. `change` gets
    /// the limit, and returns the bytes. In one step: of two changes the later one is noted last.
    ///
    /// The limit is their part of the budget, unless the frames need it for their floor.
    pub(crate) fn limit_superseded(&self, change: impl FnOnce(u64) -> u64) {
        let parts = self.parts();
        // As if nothing was noted, which may be more than the frames have by now.
        let frames = self.frame_bytes(&MemoryParts { superseded: 0, ..*parts });
        let above_floor = frames.saturating_sub(self.floor_of_frames(parts.budget));
        let superseded = change((parts.budget / SUPERSEDED_PART).min(above_floor));
        let wanted = MemoryParts { superseded, ..*parts };
        self.replace(parts, wanted);
    }

    /// Sets another budget.
    ///
    /// # Errors
    /// `InvalidArgument` if it is below the floor, or more than was reserved.
    pub(crate) fn set_budget(&self, budget: ByteSize) -> Result<()> {
        let parts = self.parts();
        let wanted = MemoryParts { budget: budget.bytes(), ..*parts };
        if wanted.budget > self.most {
            let most = ByteSize::new(self.most);
            return Err(Error::invalid(format!(
                "memory = {budget}: must be at most {most}, which was reserved when the store was \
                 opened; set memory_max"
            )));
        }
        if self.least_budget(&wanted, wanted.budget) > wanted.budget {
            return Err(self.below_floor(&wanted));
        }
        self.replace(parts, wanted);
        Ok(())
    }

    /// Returns the present parts.
    pub(crate) fn present(&self) -> MemoryParts {
        *self.parts()
    }

    /// Returns the smallest budget that [`set_budget`](Self::set_budget) accepts now.
    pub(crate) fn floor(&self) -> u64 {
        self.floor_of(&self.parts())
    }

    /// Returns the present shares.
    pub(crate) fn shares(&self) -> MemoryShares {
        self.shares_of(&self.parts())
    }

    /// Returns the event of shares that may have changed.
    pub(crate) fn changed(&self) -> &Event {
        &self.changed
    }

    fn parts(&self) -> MutexGuard<'_, MemoryParts> {
        self.parts.lock().expect("nothing panics under it")
    }

    /// Replaces the parts, and notifies the driver if the shares change by that.
    fn replace(&self, mut parts: MutexGuard<'_, MemoryParts>, wanted: MemoryParts) {
        let is_changed = self.shares_of(&parts) != self.shares_of(&wanted);
        *parts = wanted;
        drop(parts);
        if is_changed {
            self.changed.notify(usize::MAX);
        }
    }

    fn shares_of(&self, parts: &MemoryParts) -> MemoryShares {
        let frames = (self.frame_bytes(parts) / self.page_bytes).max(self.least_frames);
        let frames = u32::try_from(frames).unwrap_or(u32::MAX).min(self.reserved_frames);
        let buffers = buffer_share(parts.budget);
        let buffers = usize::try_from(buffers).expect("the share has a limit");
        MemoryShares { frames, buffers, read_cache: self.read_cache_limit(parts) }
    }

    /// Returns the share of the read cache, which may be more than its present limit.
    pub(crate) fn read_cache_share(&self) -> u64 {
        self.read_cache_share_of(&self.parts())
    }

    fn read_cache_share_of(&self, parts: &MemoryParts) -> u64 {
        self.read_cache.map_or(parts.budget / READ_CACHE_PART, ByteSize::bytes)
    }

    /// Returns the limit of the read cache: its share, unless the frames need it for their floor.
    fn read_cache_limit(&self, parts: &MemoryParts) -> u64 {
        let lent = parts.gathered + parts.superseded;
        let floor = self.floor_of_frames(parts.budget).saturating_add(lent);
        let above_floor = self.rest(parts).saturating_sub(floor);
        self.read_cache_share_of(parts).min(above_floor)
    }

    /// Returns the bytes that are left for the frames and the read cache.
    fn rest(&self, parts: &MemoryParts) -> u64 {
        let io = buffer_share(parts.budget).max(parts.waits);
        parts.budget.saturating_sub(parts.index + parts.sessions + io)
    }

    /// Returns the bytes that the other parts leave to the frames: the floor, or more, without what
    /// is gathered or superseded.
    fn frame_bytes(&self, parts: &MemoryParts) -> u64 {
        let rest = self.rest(parts).saturating_sub(parts.read_cache);
        let lent = parts.gathered + parts.superseded;
        rest.max(least_page_share(parts.budget)).saturating_sub(lent)
    }

    fn floor_of_frames(&self, budget: u64) -> u64 {
        (self.least_frames * self.page_bytes).max(least_page_share(budget))
    }

    /// Returns the bytes that `parts` need if the shares are those of `budget`.
    fn least_budget(&self, parts: &MemoryParts, budget: u64) -> u64 {
        let frames = self.floor_of_frames(budget);
        let taken = parts.index.saturating_add(parts.sessions);
        taken.saturating_add(buffer_share(budget)).saturating_add(frames)
    }

    fn floor_of(&self, parts: &MemoryParts) -> u64 {
        // The shares are a part of the budget, so this ends after a few rounds.
        let mut floor = 0;
        loop {
            let needed = self.least_budget(parts, floor);
            if needed <= floor {
                return floor;
            }
            floor = needed;
        }
    }

    #[cold]
    fn below_floor(&self, wanted: &MemoryParts) -> Error {
        let floor = self.floor_of(wanted);
        let [budget, floor, index, sessions, buffers, least] = [
            wanted.budget,
            floor.next_multiple_of(1 << 10),
            wanted.index.next_multiple_of(1 << 10),
            wanted.sessions.next_multiple_of(1 << 10),
            buffer_share(floor).next_multiple_of(1 << 10),
            self.least_frames * self.page_bytes,
        ]
        .map(ByteSize::new);
        Error::invalid(format!(
            "memory = {budget}: must be at least {floor} now: index {index}, sessions {sessions}, \
             I/O buffers {buffers}, and an eighth, at least {least}, for pages"
        ))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

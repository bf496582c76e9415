//! The pages in memory, and the marks between the regions.
//!
//! Operations read records here, under a guard. Only drivers move the marks.

use super::frames::Frames;
use super::region::{LogAddresses, Region};
use super::unit::{Chunk, Units};
use crate::base::address::Address;
use crate::epoch::Guard;
use crate::hybrid_log::geometry::{LogExtent, LogGeometry};
use crate::record::{Layout, RecordRef, WORD, words};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_io::{AlignedBuf, BufPool};
use std::ops::Range;

/// The pages of one log that are in memory.
#[derive(Debug)]
pub(crate) struct Pages {
    // Fixed after creation; its words change by the rules of their records.
    frames: Frames,
    // Read by every operation, moved by the drivers.
    marks: LogAddresses,
    page_bits: u32,
}

impl Pages {
    /// Reserves the frames of a log.
    pub(in crate::hybrid_log) fn new(
        geometry: &LogGeometry,
        extent: LogExtent,
        capacity: u64,
    ) -> std::io::Result<Self> {
        let LogGeometry { page_bits, frames, reserved_frames, huge_pages, .. } = *geometry;
        debug_assert!(extent.tail >= extent.head, "the tail page is in memory: {extent:?}");
        let frames = Frames::new(page_bits, [frames, reserved_frames], capacity, huge_pages)?;
        Ok(Self { frames, marks: LogAddresses::new(extent), page_bits })
    }

    /// Returns the marks, for the drivers.
    pub(in crate::hybrid_log) fn marks(&self) -> &LogAddresses {
        &self.marks
    }

    /// Returns the frames, for the drivers.
    pub(in crate::hybrid_log) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Returns the limit of pages in memory.
    pub(crate) fn limit(&self) -> u32 {
        self.frames.limit().load()
    }

    /// Returns the first page to which the tail may not turn yet: its frame has an older page, or
    /// it is beyond the limit of pages in memory.
    pub(in crate::hybrid_log) fn free_below(&self) -> u64 {
        self.marks.safe_head.load().page(self.page_bits) + u64::from(self.limit())
    }

    /// Returns the limit of pages in memory, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.frames.bytes()
    }

    /// Returns `begin`, `head`, `safe read-only` and `read-only`.
    pub(crate) fn addresses(&self) -> [Address; 4] {
        let LogAddresses { begin, head, safe_read_only, read_only, .. } = &self.marks;
        [begin.load(), head.load(), safe_read_only.load(), read_only.load()]
    }

    /// Returns the region of an address, which is valid while `_guard` lives.
    #[inline(always)]
    pub(crate) fn region(&self, address: Address, _guard: &Guard<'_>) -> Region {
        self.marks.region(address)
    }

    /// Returns whether the record at an address is mutable while `_guard` lives.
    #[inline(always)]
    pub(crate) fn is_mutable(&self, address: Address, _guard: &Guard<'_>) -> bool {
        address >= self.marks.read_only.effective()
    }

    /// Returns the head. This guard protects no memory below it.
    #[inline(always)]
    pub(crate) fn head(&self, _guard: &Guard<'_>) -> Address {
        self.marks.head.load()
    }

    pub(crate) fn begin(&self) -> Address {
        self.marks.begin.load()
    }

    /// Returns the address below which this guard may link none.
    pub(crate) fn retiring(&self, _guard: &Guard<'_>) -> Address {
        self.marks.retiring.load()
    }

    /// Returns the version tag of the present version.
    #[inline(always)]
    pub(crate) fn version_tag(&self) -> u64 {
        self.marks.version_tag.load(Ordering::Relaxed)
    }

    /// Returns the record at an address at or above the head.
    #[inline(always)]
    pub(crate) fn record<'g>(&'g self, address: Address, _guard: &'g Guard<'_>) -> RecordRef<'g> {
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        self.frames.record(address)
    }

    /// Returns the record at an address at or above the head, as a record of this layout. `None` is
    /// no record of the layout.
    #[inline(always)]
    pub(crate) fn record_of<'g>(
        &'g self,
        layout: Layout,
        address: Address,
        _guard: &'g Guard<'_>,
    ) -> Option<RecordRef<'g>> {
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        self.frames.record_of(layout, address)
    }

    /// Prefetches the cache line of a record if it is in memory.
    #[inline(always)]
    pub(crate) fn prefetch(&self, address: Address) {
        if address >= self.marks.head.load() {
            self.frames.prefetch(address);
        }
    }

    /// Returns the words from `address`, which is at or above the head, to the end of its page.
    #[inline(always)]
    pub(crate) fn words<'g>(&'g self, address: Address, _guard: &'g Guard<'_>) -> &'g [AtomicU64] {
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        self.frames.words_from(address)
    }

    /// Returns the address below which nothing changes while `_guard` lives.
    #[inline]
    pub(crate) fn immutable_below(&self, _guard: &Guard<'_>) -> Address {
        self.marks.safe_read_only.effective()
    }

    /// Returns the bytes of the value at `address`, whose region is read-only.
    pub(crate) fn immutable_value<'g>(
        &'g self,
        layout: Layout,
        address: Address,
        guard: &'g Guard<'_>,
    ) -> &'g [u8] {
        let record = self.record(address, guard);
        let (_, length) = record.final_value(layout);
        let value = layout.value_index(record.extents(layout).key) * WORD;
        self.immutable(address, value..value + length, guard)
    }

    /// Returns bytes of the record at `address`, whose region is read-only.
    #[expect(unsafe_code, reason = "what is immutable is read in place")]
    pub(crate) fn immutable<'g>(
        &'g self,
        address: Address,
        range: Range<usize>,
        _guard: &'g Guard<'_>,
    ) -> &'g [u8] {
        // The lower floor, by which the region was read-only, may have come down since. The upper
        // floor comes down only after this guard has ended.
        assert!(address < self.marks.read_only.effective(), "{address:?} is immutable");
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        let start = Address::new(address.raw() + range.start as u64);
        debug_assert!(
            start.raw() + range.len() as u64 <= self.marks.read_only.effective().raw(),
            "all of the bytes are immutable: {} from {start:?}",
            range.len()
        );
        // SAFETY: the region of the record was read-only under this guard, and the upper floor is
        // still above it (asserted). So no thread writes the bytes or evicts their page before the
        // guard ends.
        unsafe { self.frames.immutable_bytes(start, range.len()) }
    }

    /// Calls `look` on `[start, start + length)`, which is in one page, frozen and pinned.
    #[expect(unsafe_code, reason = "immutable pages are read in place")]
    pub(in crate::hybrid_log) fn with_pinned<R>(
        &self,
        start: Address,
        length: usize,
        look: impl FnOnce(&[u8]) -> R,
    ) -> R {
        // Acquire: pairs with the Release of the capture.
        let pinned = self.marks.pinned.load(Ordering::Acquire);
        assert!(pinned >> self.page_bits <= start.page(self.page_bits), "{start:?} is pinned");
        let immutable_until = self.marks.safe_read_only.effective().raw();
        assert!(
            start.raw() + length as u64 <= immutable_until,
            "{start:?} and {length} bytes are frozen"
        );
        // SAFETY: the range is below the immutable floor (asserted), so no thread writes it. Its
        // page stays in memory while it is pinned (asserted), and the bytes are not kept.
        look(unsafe { self.frames.immutable_bytes(start, length) })
    }

    /// Returns a copy of a chunk with its checksums, and `zeros` bytes of zeros after it. The
    /// device never borrows the frames.
    #[expect(unsafe_code, reason = "immutable pages are read as bytes")]
    pub(in crate::hybrid_log) fn sealed(
        &self,
        chunk: Chunk,
        units: Units,
        (buffers, zeros): (&BufPool, usize),
    ) -> AlignedBuf {
        let payload = usize::try_from(units.payload()).expect("a unit fits") * chunk.units;
        let immutable_until = self.marks.safe_read_only.effective();
        assert!(chunk.end <= immutable_until, "{chunk:?} is immutable");
        assert!(chunk.end > self.marks.safe_head.load(), "{chunk:?} is in memory");
        debug_assert_eq!(words(payload) * WORD, payload, "units are whole words");
        let bytes_of_units = chunk.units * units.unit_bytes();
        let mut target = buffers.take(bytes_of_units + zeros);
        let (sealed, rest) = target.split_at_mut(bytes_of_units);
        rest.fill(0);
        // SAFETY: the chunk is below the immutable floor (asserted), so no thread writes it. Its
        // page is evicted only when it is flushed and not pinned, and this copy is for one or the
        // other.
        let bytes = unsafe { self.frames.immutable_bytes(chunk.start, payload) };
        debug_assert_eq!(bytes.len(), payload, "a chunk is within one page");
        units.write_checksums(chunk.start, bytes, sealed);
        target
    }
}

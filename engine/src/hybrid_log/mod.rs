//! The hybrid log: which bytes?
//!
//! One address space of records. Its end is in memory, in a ring of page frames; its beginning is
//! on a device; pages wander from the one to the other. The log knows records' extents, not their
//! meaning, and nothing of the index that leads to them.
//!
//! # The parts
//! * [`Tail`] hands out room; [`Frames`] turn an address into memory; [`Marks`] divide the line.
//! * Three drivers, plain `async fn`s of one maintenance task, move the marks, each its own:
//!   `read_only` makes pages immutable, `flush` writes them, `evict` frees their frames. A fourth,
//!   `sync`, makes durable what was written, for whoever asks.
//! * `fetch` brings a record back, checked; `scan` brings back whole pages, in order.
//! * `version` ends a version of the store at an address and keeps what is below as it is,
//!   `capture` writes that elsewhere, `restore` brings it back: the log's part of checkpoints and
//!   recovery.
//! * [`Health`] stops writers when pages can no longer be written.
//!
//! # Progress
//! An operation that finds no free frame waits for the event `page_free`, holding nothing. The
//! drivers wait for events and for epochs to drain, never for an operation: a parked, leaked or
//! dropped task stops none of them.
//!
//! Source: FASTER, SIGMOD 2018, sections 5 and 6.

mod budget;
mod capture;
mod end;
mod evict;
mod fetch;
mod flush;
mod frames;
mod health;
mod life;
mod read_only;
mod records;
mod region;
mod restore;
mod room;
mod scan;
mod strip;
mod sync;
mod tail;
mod unit;
mod version;

pub(crate) use end::{LogEnd, Need};
pub(crate) use health::Health;
pub(crate) use life::Life;
pub(crate) use records::Records;
pub(crate) use region::Region;
pub(crate) use restore::WriteBack;
pub(crate) use room::NoRoom;
pub(crate) use scan::{Joint, PagePayload, Show};
pub(crate) use strip::{Strip, is_missing};
pub(crate) use tail::{LARGEST_INLINE, Position, Rest, Tail};
pub(crate) use unit::{Chunk, Units, check_block};

use crate::address::{Address, Watermark};
use crate::epoch::{Epoch, Guard};
use crate::error::Result;
use crate::record::{Layout, NewRecord, RecordInfo, RecordRef};
use crate::statistics::DeviceCounters;
use crate::wait::wait_until;
use budget::ReadBudget;
use event_listener::Event;
use frames::Frames;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kvick_io::{BufPool, Device};
use kvick_runtime::Handle;
use region::Marks;
use std::ops::Range;
use std::sync::Arc;
use sync::Syncs;

/// The sizes of one log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogGeometry {
    /// A page has `2^page_bits` bytes.
    pub(crate) page_bits: u32,
    /// Pages in memory.
    pub(crate) frames: u32,
    /// Pages that are updated in place, the tail page not counted.
    pub(crate) mutable_pages: u32,
    /// Bytes of a unit on the device.
    pub(crate) unit_bytes: usize,
    /// Bytes of a physical block of the medium.
    pub(crate) block_bytes: u64,
    /// What the checksums of this store begin with.
    pub(crate) salt: u64,
    /// Which opening this is.
    pub(crate) life: Life,
    /// Whether the manifest names that life already.
    pub(crate) is_announced: bool,
    /// Bytes of buffers that flushing may use.
    pub(crate) flush_bytes: usize,
    pub(crate) huge_pages: bool,
    /// What it is the log of, in messages: "store", "log".
    pub(crate) owner: &'static str,
    pub(crate) end: LogEnd,
}

/// Where a log that is opened begins, and from where on it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogExtent {
    /// The first address that has a record.
    pub(crate) begin: Address,
    /// From here on records are in memory.
    pub(crate) head: Address,
    /// From here on they are in memory only, and will be flushed.
    pub(crate) flushed: Address,
    /// Where the next record goes.
    pub(crate) tail: Address,
}

impl LogExtent {
    /// A log that has no record yet.
    pub(crate) const EMPTY: Self = Self {
        begin: Address::FIRST,
        head: Address::FIRST,
        flushed: Address::FIRST,
        tail: Address::FIRST,
    };
}

/// The log of one store.
#[derive(Debug)]
pub(crate) struct HybridLog {
    // Fixed after creation.
    geometry: LogGeometry,
    units: Units,
    frames: Frames,
    device: Arc<dyn Device>,
    buffers: BufPool,
    /// What records that are read alone may have on their way from the device.
    reads: Arc<ReadBudget>,
    epoch: Epoch,
    handle: Handle,
    // Read by every operation, moved by the drivers.
    marks: Marks,
    health: Health,
    // Any thread, atomic.
    tail: Tail,
    /// Frames that others than those who need so many at once leave free; see `room.rs`.
    set_aside: AtomicU64,
    /// Whether the manifest names the life of this log; before, nothing is written.
    is_announced: AtomicBool,
    wanted: Wanted,
    syncs: Syncs,
    events: Events,
    counters: DeviceCounters,
}

/// What somebody asked the drivers for, beyond what the geometry asks.
#[derive(Debug)]
struct Wanted {
    read_only: Watermark,
    head: Watermark,
}

/// What has happened, for those who wait.
#[derive(Debug, Default)]
struct Events {
    /// The tail turned to a new page, or somebody wants a mark moved.
    demand: Event,
    /// `safe read-only` moved.
    read_only: Event,
    /// `flushed` moved.
    flushed: Event,
    /// `safe head` moved: frames are free.
    page_free: Event,
}

impl HybridLog {
    pub(crate) fn new(
        geometry: LogGeometry,
        extent: LogExtent,
        (device, buffers): (Arc<dyn Device>, BufPool),
        (epoch, handle): (Epoch, Handle),
    ) -> std::io::Result<Self> {
        let LogExtent { head, tail, .. } = extent;
        let LogGeometry { page_bits, unit_bytes, salt, life, block_bytes, .. } = geometry;
        let units = Units::new(page_bits, unit_bytes, salt, life).on_blocks(block_bytes);
        let capacity = units.page_capacity();
        let LogGeometry { frames, huge_pages, .. } = geometry;
        // A page that only records of commits go into, unless a repair has cut it.
        let is_last = !geometry.end.takes_records(tail.page(page_bits));
        let is_last = is_last && tail.offset(page_bits) == 0;
        assert!(
            geometry.mutable_pages < frames,
            "a page is flushed before its frame is used again"
        );
        Ok(Self {
            units,
            frames: Frames::new(page_bits, frames, capacity, huge_pages)?,
            device,
            buffers,
            // The other half is for what is being written.
            reads: Arc::new(ReadBudget::new((geometry.flush_bytes / 2).max(1))),
            epoch,
            handle,
            marks: Marks::new(extent),
            health: Health::new(geometry.owner),
            tail: if is_last { Tail::closed_before } else { Tail::new }(tail, page_bits, capacity),
            set_aside: AtomicU64::new(0),
            is_announced: AtomicBool::new(geometry.is_announced),
            wanted: Wanted { read_only: Watermark::new(tail), head: Watermark::new(head) },
            syncs: Syncs::default(),
            events: Events::default(),
            counters: DeviceCounters::default(),
            geometry,
        })
    }

    /// The region of an address. Valid while `_guard` lives.
    #[inline(always)]
    pub(crate) fn region(&self, address: Address, _guard: &Guard<'_>) -> Region {
        self.marks.region(address)
    }

    /// The head, below which nothing may be looked at in memory under this guard.
    #[inline(always)]
    pub(crate) fn head(&self, _guard: &Guard<'_>) -> Address {
        self.marks.head.load()
    }

    pub(crate) fn begin(&self) -> Address {
        self.marks.begin.load()
    }

    /// The record at an address that is at or above the head.
    #[inline(always)]
    pub(crate) fn record<'g>(&'g self, address: Address, _guard: &'g Guard<'_>) -> RecordRef<'g> {
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        self.frames.record(address)
    }

    /// Asks for the cache line of a record, which may be anywhere.
    #[inline(always)]
    pub(crate) fn prefetch(&self, address: Address) {
        if address >= self.marks.head.load() {
            self.frames.prefetch(address);
        }
    }

    /// The bytes of the value at `address`, whose region is read-only.
    pub(crate) fn immutable_value<'g>(
        &'g self,
        layout: Layout,
        address: Address,
        guard: &'g Guard<'_>,
    ) -> &'g [u8] {
        let record = self.record(address, guard);
        let (_, length) = record.final_value(layout);
        let value = layout.value_index(record.extents(layout).key) * crate::record::WORD;
        self.immutable(address, value..value + length, guard)
    }

    /// Bytes of the record at `address`, whose region is read-only.
    #[expect(unsafe_code, reason = "what is immutable is read in place")]
    pub(crate) fn immutable<'g>(
        &'g self,
        address: Address,
        range: Range<usize>,
        _guard: &'g Guard<'_>,
    ) -> &'g [u8] {
        // The lower floor, by which the region was read-only, may have come down since. The upper
        // one follows only when this guard has ended.
        assert!(address < self.marks.read_only.effective(), "{address:?} is immutable");
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        let start = Address::new(address.raw() + range.start as u64);
        // SAFETY: the region of the record was read-only under this guard, and the upper floor is
        // above it still (asserted), so nobody writes it before the guard ends; nor is its page
        // evicted.
        unsafe { self.frames.immutable_bytes(start, range.len()) }
    }

    /// Below this address nothing changes while `_guard` lives.
    #[inline]
    pub(crate) fn immutable_below(&self, _guard: &Guard<'_>) -> Address {
        self.marks.safe_read_only.effective()
    }

    /// The words from `address`, which is at or above the head, to the end of its page.
    #[inline(always)]
    pub(crate) fn words<'g>(&'g self, address: Address, _guard: &'g Guard<'_>) -> &'g [AtomicU64] {
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        self.frames.words_from(address)
    }

    /// Shows the bytes of `[start, start + length)`, which lie in one page, are frozen, and pinned.
    #[expect(unsafe_code, reason = "immutable pages are read in place")]
    fn with_pinned<R>(&self, start: Address, length: usize, look: impl FnOnce(&[u8]) -> R) -> R {
        let pinned = self.marks.pinned.load(Ordering::Acquire);
        let page_bits = self.geometry.page_bits;
        assert!(pinned >> page_bits <= start.page(page_bits), "{start:?} is pinned");
        let settled = self.marks.safe_read_only.effective().raw();
        assert!(start.raw() + length as u64 <= settled, "{start:?} and {length} bytes are frozen");
        // SAFETY: the range lies below the settled floor (asserted), so nobody writes it; its page
        // is not evicted while it is pinned (asserted), and the bytes are not kept.
        look(unsafe { self.frames.immutable_bytes(start, length) })
    }

    /// Appends a record that nothing leads to yet.
    #[inline(always)]
    pub(crate) fn append<'g>(
        &'g self,
        layout: Layout,
        previous: Address,
        record: NewRecord<'_>,
        guard: &'g Guard<'_>,
    ) -> Result<(Address, RecordRef<'g>), NoRoom> {
        let extents = layout.extents(record.key.len(), record.value.len());
        let bytes = layout.record_bytes(extents) as u64;
        let address = self.take(bytes, |_rest| {}, guard)?;
        debug_assert!(address > previous, "a chain leads to ever lower addresses");
        let appended = self.record(address, guard);
        appended.initialise(
            layout,
            RecordInfo::new(previous, record.content, self.stamp()),
            record,
        );
        Ok((address, appended))
    }

    /// Gives up a record that was appended under the same guard and will not be linked.
    pub(crate) fn abandon(&self, record: RecordRef<'_>) {
        RecordInfo::transition_to_invalid(record.info_word());
    }

    /// Waits until it is clear again whether the record at `address` can change in place.
    pub(crate) async fn settled(&self, address: Address) -> Result<()> {
        let is_settled = || self.marks.region(address) != Region::Fuzzy;
        self.health.wait_for(&self.events.read_only, Health::check_write, is_settled).await
    }

    /// Asks that everything below `end`, where a unit begins, becomes immutable and is written.
    pub(crate) fn want_flushed(&self, end: Address) {
        debug_assert_eq!(end, self.units.unit_start(end), "a flush ends on a unit");
        self.wanted.read_only.raise(end);
        self.events.demand.notify(usize::MAX);
    }

    /// Makes everything appended so far immutable, writes it and makes it durable.
    pub(crate) async fn flush(&self) -> Result<Address> {
        let end = self.tail.pad(self.units.block_payload());
        self.want_flushed(end);
        self.stored(end).await?;
        self.synced().await?;
        Ok(end)
    }

    /// Waits until everything below `end` has been written.
    pub(crate) async fn stored(&self, end: Address) -> Result<()> {
        let is_stored = || self.marks.flushed.load() >= end;
        self.health.wait_for(&self.events.flushed, Health::check_room, is_stored).await
    }

    /// As [`stored`](Self::stored), and goes on waiting while the device is full.
    pub(crate) async fn stored_some_time(&self, end: Address) -> Result<()> {
        let is_stored = || self.marks.flushed.load() >= end;
        self.health.wait_for(&self.events.flushed, Health::check_write, is_stored).await
    }

    /// Waits until the log is `bytes` long.
    pub(crate) async fn reached(&self, bytes: u64) {
        let is_reached = || (self.tail.address().raw() >= bytes).then_some(());
        wait_until(&self.events.demand, is_reached).await;
    }

    /// Buffers for transfers, and how many bytes of them may be in use at once.
    pub(crate) fn buffers(&self) -> (&BufPool, usize) {
        (&self.buffers, self.geometry.flush_bytes)
    }

    /// Bytes of records that may be on their way from the device at once.
    pub(crate) fn read_bytes(&self) -> usize {
        self.geometry.flush_bytes / 2
    }

    /// Like `flush`, and leaves nothing of it in memory.
    pub(crate) async fn flush_and_evict(&self) -> Result<()> {
        let end = self.flush().await?;
        self.wanted.head.raise(end);
        self.events.demand.notify(usize::MAX);
        let is_evicted = || self.marks.safe_head.load() >= end;
        self.health.wait_for(&self.events.page_free, Health::check_write, is_evicted).await
    }

    /// Runs the drivers until the log is closed.
    pub(crate) async fn maintain(&self) {
        let marks = async {
            futures::join!(self.drive_read_only(), self.drive_flush(), self.drive_evict());
        };
        futures::join!(marks, self.drive_sync());
    }

    /// Refuses everything from now on and ends the drivers.
    pub(crate) fn close(&self) {
        self.health.transition_to_closed();
        self.events.demand.notify(usize::MAX);
    }

    /// Told whenever more has been written.
    pub(crate) fn became_stored(&self) -> &Event {
        &self.events.flushed
    }

    /// Where the addresses end.
    pub(crate) fn end(&self) -> LogEnd {
        self.geometry.end
    }

    /// Pages in memory.
    pub(crate) fn frames(&self) -> u32 {
        self.frames.count()
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    pub(crate) fn units(&self) -> Units {
        self.units
    }

    pub(crate) fn tail_address(&self) -> Address {
        self.tail.address()
    }

    pub(crate) fn marks(&self) -> [Address; 4] {
        let Marks { begin, head, safe_read_only, read_only, .. } = &self.marks;
        [begin.load(), head.load(), safe_read_only.load(), read_only.load()]
    }

    pub(crate) fn counters(&self) -> &DeviceCounters {
        &self.counters
    }

    /// File and offset of an address, for messages.
    pub(crate) fn locate(&self, address: Address) -> (String, u64) {
        self.device.locate(self.units.device_offset(address))
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(crate) fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// Bytes of frames, and of I/O buffers as they are now.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let buffers = self.buffers.outstanding_bytes() + self.buffers.retained_bytes();
        (self.frames.bytes(), buffers as u64)
    }
}

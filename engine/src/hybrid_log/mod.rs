//! The hybrid log stores the bytes of records.
//!
//! It is one address space of records. The end is in memory, in a ring of page frames; the
//! beginning is on a device. Pages move from memory to the device. The log knows the extents of
//! records, but not their meaning; it knows nothing of the index that leads to them.
//!
//! # Structure
//! * [`Tail`] hands out room. [`Frames`] turn an address into memory. [`Marks`] divide the
//!   addresses.
//! * Three drivers, plain `async fn`s of one maintenance task, each move their own marks:
//!   `read_only` makes pages immutable, `flush` writes them, `evict` frees their frames. A fourth
//!   driver, `sync`, makes written pages durable for every task that asks.
//! * `fetch` reads one record back and checks it; `scan` reads whole pages back, in order.
//! * `version` ends a version of the store at an address and keeps the records below it unchanged.
//!   `capture` writes these records elsewhere, and `restore` reads them back. These three are used
//!   by checkpoints and recovery.
//! * [`Health`] stops writers when pages can no longer be written.
//!
//! # Progress
//! An operation that finds no free frame waits for the event `page_free` and holds nothing. The
//! drivers wait for events and for epochs to drain, never for an operation. So a parked, leaked or
//! dropped task stops no driver.
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
    /// Pages that are updated in place, without the tail page.
    pub(crate) mutable_pages: u32,
    /// Bytes of a unit on the device.
    pub(crate) unit_bytes: usize,
    /// Bytes of a physical block of the medium.
    pub(crate) block_bytes: u64,
    /// The salt that begins the input of each checksum of this store.
    pub(crate) salt: u64,
    /// The life that this opening begins.
    pub(crate) life: Life,
    /// The manifest already names that life.
    pub(crate) is_announced: bool,
    /// Bytes of buffers that flushing may use.
    pub(crate) flush_bytes: usize,
    pub(crate) huge_pages: bool,
    /// The owner of the log in messages: "store", "log".
    pub(crate) owner: &'static str,
    pub(crate) end: LogEnd,
}

/// The addresses at which an opened log begins and continues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogExtent {
    /// The first address that has a record.
    pub(crate) begin: Address,
    /// The first address whose record is in memory.
    pub(crate) head: Address,
    /// The first address whose record is only in memory and will be flushed.
    pub(crate) flushed: Address,
    /// The address of the next record.
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
    /// Limits the bytes of single-record reads in flight from the device.
    reads: Arc<ReadBudget>,
    epoch: Epoch,
    handle: Handle,
    // Read by every operation, moved by the drivers.
    marks: Marks,
    health: Health,
    // Any thread, atomic.
    tail: Tail,
    /// The number of frames set aside for a task that needs several at once; see `room.rs`.
    set_aside: AtomicU64,
    /// Whether the manifest names the life of this log. Nothing is written before that.
    is_announced: AtomicBool,
    wanted: Wanted,
    syncs: Syncs,
    events: Events,
    counters: DeviceCounters,
}

/// The marks that tasks asked for, beyond the marks by the geometry.
#[derive(Debug)]
struct Wanted {
    read_only: Watermark,
    head: Watermark,
}

/// Events for waiting tasks.
#[derive(Debug, Default)]
struct Events {
    /// The tail turned to a new page, or a task wants a mark moved.
    demand: Event,
    /// `safe read-only` moved.
    read_only: Event,
    /// `flushed` moved.
    flushed: Event,
    /// `safe head` moved, so frames are free.
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
        // A page at the end of the addresses takes only commit records, unless a repair truncated
        // it.
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
            // The other half is for writes.
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

    /// Returns the region of an address, which is valid while `_guard` lives.
    #[inline(always)]
    pub(crate) fn region(&self, address: Address, _guard: &Guard<'_>) -> Region {
        self.marks.region(address)
    }

    /// Returns the head. This guard protects no memory below it.
    #[inline(always)]
    pub(crate) fn head(&self, _guard: &Guard<'_>) -> Address {
        self.marks.head.load()
    }

    pub(crate) fn begin(&self) -> Address {
        self.marks.begin.load()
    }

    /// Returns the record at an address at or above the head.
    #[inline(always)]
    pub(crate) fn record<'g>(&'g self, address: Address, _guard: &'g Guard<'_>) -> RecordRef<'g> {
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        self.frames.record(address)
    }

    /// Prefetches the cache line of a record if it is in memory.
    #[inline(always)]
    pub(crate) fn prefetch(&self, address: Address) {
        if address >= self.marks.head.load() {
            self.frames.prefetch(address);
        }
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
        let value = layout.value_index(record.extents(layout).key) * crate::record::WORD;
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
        // SAFETY: the region of the record was read-only under this guard, and the upper floor is
        // still above it (asserted). So no thread writes the bytes or evicts their page before the
        // guard ends.
        unsafe { self.frames.immutable_bytes(start, range.len()) }
    }

    /// Returns the address below which nothing changes while `_guard` lives.
    #[inline]
    pub(crate) fn immutable_below(&self, _guard: &Guard<'_>) -> Address {
        self.marks.safe_read_only.effective()
    }

    /// Returns the words from `address`, which is at or above the head, to the end of its page.
    #[inline(always)]
    pub(crate) fn words<'g>(&'g self, address: Address, _guard: &'g Guard<'_>) -> &'g [AtomicU64] {
        debug_assert!(address >= self.marks.safe_head.load(), "{address:?} is in memory");
        self.frames.words_from(address)
    }

    /// Calls `look` on `[start, start + length)`, which is in one page, frozen and pinned.
    #[expect(unsafe_code, reason = "immutable pages are read in place")]
    fn with_pinned<R>(&self, start: Address, length: usize, look: impl FnOnce(&[u8]) -> R) -> R {
        let pinned = self.marks.pinned.load(Ordering::Acquire);
        let page_bits = self.geometry.page_bits;
        assert!(pinned >> page_bits <= start.page(page_bits), "{start:?} is pinned");
        let settled = self.marks.safe_read_only.effective().raw();
        assert!(start.raw() + length as u64 <= settled, "{start:?} and {length} bytes are frozen");
        // SAFETY: the range is below the immutable floor (asserted), so no thread writes it. Its
        // page stays in memory while it is pinned (asserted), and the bytes are not kept.
        look(unsafe { self.frames.immutable_bytes(start, length) })
    }

    /// Appends a record that no index entry or record leads to yet.
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

    /// Abandons a record that was appended under the same guard and will not be linked.
    pub(crate) fn abandon(&self, record: RecordRef<'_>) {
        RecordInfo::transition_to_invalid(record.info_word());
    }

    /// Waits until the record at `address` is no longer fuzzy: mutable, or immutable.
    pub(crate) async fn settled(&self, address: Address) -> Result<()> {
        let is_settled = || self.marks.region(address) != Region::Fuzzy;
        self.health.wait_for(&self.events.read_only, Health::check_write, is_settled).await
    }

    /// Asks the drivers to make everything below `end` immutable and to write it. A unit begins at
    /// `end`.
    pub(crate) fn want_flushed(&self, end: Address) {
        debug_assert_eq!(end, self.units.unit_start(end), "a flush ends on a unit");
        self.wanted.read_only.raise(end);
        self.events.demand.notify(usize::MAX);
    }

    /// Makes everything appended so far immutable, writes it and syncs it.
    pub(crate) async fn flush(&self) -> Result<Address> {
        let end = self.tail.pad(self.units.block_payload());
        self.want_flushed(end);
        self.stored(end).await?;
        self.synced().await?;
        Ok(end)
    }

    /// Waits until everything below `end` is written. Fails while the device is full.
    pub(crate) async fn stored(&self, end: Address) -> Result<()> {
        let is_stored = || self.marks.flushed.load() >= end;
        self.health.wait_for(&self.events.flushed, Health::check_room, is_stored).await
    }

    /// Like [`stored`](Self::stored), but keeps waiting while the device is full.
    pub(crate) async fn stored_some_time(&self, end: Address) -> Result<()> {
        let is_stored = || self.marks.flushed.load() >= end;
        self.health.wait_for(&self.events.flushed, Health::check_write, is_stored).await
    }

    /// Waits until the log is `bytes` long.
    pub(crate) async fn reached(&self, bytes: u64) {
        let is_reached = || (self.tail.address().raw() >= bytes).then_some(());
        wait_until(&self.events.demand, is_reached).await;
    }

    /// Returns the buffers for transfers, and the limit of their bytes in use at once.
    pub(crate) fn buffers(&self) -> (&BufPool, usize) {
        (&self.buffers, self.geometry.flush_bytes)
    }

    /// Returns the limit of bytes of records in flight from the device.
    pub(crate) fn read_bytes(&self) -> usize {
        self.geometry.flush_bytes / 2
    }

    /// Flushes the log like `flush`, and evicts all of it from memory.
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

    /// Refuses all operations from now on and ends the drivers.
    pub(crate) fn close(&self) {
        self.health.transition_to_closed();
        self.events.demand.notify(usize::MAX);
    }

    /// Returns the event of a write that ended.
    pub(crate) fn became_stored(&self) -> &Event {
        &self.events.flushed
    }

    /// Returns the end of the addresses.
    pub(crate) fn end(&self) -> LogEnd {
        self.geometry.end
    }

    /// Returns the number of pages in memory.
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

    /// Returns the file and offset of an address, for messages.
    pub(crate) fn locate(&self, address: Address) -> (String, u64) {
        self.device.locate(self.units.device_offset(address))
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(crate) fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// Returns the bytes of the frames, and of the I/O buffers at this moment.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let buffers = self.buffers.outstanding_bytes() + self.buffers.retained_bytes();
        (self.frames.bytes(), buffers as u64)
    }
}

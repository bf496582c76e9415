//! The hybrid log stores the bytes of records.
//!
//! It is one address space of records. The end is in memory, in a ring of page frames; the
//! beginning is on a device. Pages move from memory to the device. The log knows the extents of
//! records, but not their meaning; it knows nothing of the index that leads to them.
//!
//! # Structure
//! A log is made of parts (`parts.rs`). Each part owns its state: [`Pages`] the frames and the
//! marks between the regions, [`Tail`] the address of the next record, [`LogFile`] the units on
//! the device, [`LogStatus`] whether pages can be written. Views of the log borrow the parts:
//!
//! * `allocate`: [`Allocator`] hands out room at the tail and waits for it.
//! * `shift`: the drivers, plain `async fn`s of one maintenance task. Each moves its own marks:
//!   `read_only` makes pages immutable, `flush` writes them, `evict` frees their frames. A fourth
//!   driver, `sync`, makes written pages durable. [`Flushing`] asks them and waits for them.
//! * `read`: [`RecordReader`] reads one record back and checks it; [`PageScan`] reads whole pages
//!   back, in order.
//! * `snapshot`: [`Versions`] ends a version of the store at an address and keeps the records below
//!   it unchanged. [`Capture`] writes these records elsewhere, and [`Restore`] reads them back.
//!   These three are used by checkpoints and recovery.
//!
//! # Progress
//! An operation that finds no free frame waits for the event `page_free` and holds nothing. The
//! drivers wait for events and for epochs to drain, never for an operation. So a parked, leaked or
//! dropped task stops no driver.
//!
//! Source: FASTER, SIGMOD 2018, sections 5 and 6.

mod allocate;
mod geometry;
mod pages;
mod parts;
mod read;
mod shift;
mod snapshot;
mod status;

pub(crate) use allocate::allocator::{Allocator, NoRoom, Room};
pub(crate) use allocate::end::{LogEnd, Need};
pub(crate) use allocate::limits::{Claim, Limits};
pub(crate) use allocate::quota::{Quota, QuotaWaits};
pub(crate) use allocate::tail::{LARGEST_INLINE, PageRemainder, Position, Tail};
pub(crate) use geometry::{LogExtent, LogGeometry};
pub(crate) use pages::file::LogFile;
pub(crate) use pages::life::Life;
pub(crate) use pages::limit::LEAST_FRAMES;
pub(crate) use pages::memory::Pages;
pub(crate) use pages::records::{NoRecord, PageRecord, Records};
pub(crate) use pages::region::Region;
pub(crate) use pages::unit::{Chunk, Units, check_block};
pub(crate) use pages::unit_file::{UnitFile, is_missing};
pub(crate) use read::record_reader::RecordReader;
pub(crate) use read::scan::{PageAssembler, PagePayload, PageScan, Show};
pub(crate) use shift::begin::BeginShift;
pub(crate) use shift::flushing::Flushing;
pub(crate) use snapshot::capture::Capture;
pub(crate) use snapshot::restore::Restore;
pub(crate) use snapshot::versions::Versions;
pub(crate) use status::LogStatus;

use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::{Event, wait_either, wait_until};
use crate::epoch::{Epoch, Guard};
use crate::record::{Layout, NewRecord, RecordInfo, RecordRef, TableNumber};
use allocate::allocator::AllocatorState;
use kvick_io::{AlignedBuf, BufPool, Device};
use kvick_runtime::Handle;
use parts::LogParts;
use read::record_reader::ReadState;
use shift::evict::EvictDriver;
use shift::flush::FlushDriver;
use shift::flushing::FlushState;
use shift::read_only::ReadOnlyDriver;
use shift::requests::ShiftRequests;
use std::sync::Arc;

/// The log of one store.
#[derive(Debug)]
pub(crate) struct HybridLog {
    parts: LogParts,
    allocation: AllocatorState,
    flush: FlushState,
    reads: ReadState,
}

impl HybridLog {
    /// Creates the log of an opened device. `place` is its directory, for messages.
    pub(crate) fn new(
        geometry: LogGeometry,
        extent: LogExtent,
        (device, buffers, place): (Arc<dyn Device>, BufPool, &str),
        (epoch, handle): (Epoch, Handle),
    ) -> std::io::Result<Self> {
        let LogExtent { head, tail, .. } = extent;
        let LogGeometry { page_bits, unit_bytes, salt, life, block_bytes, .. } = geometry;
        let units = Units::new(page_bits, unit_bytes, salt, life).on_blocks(block_bytes);
        let capacity = units.page_capacity();
        // A page at the end of the addresses takes only commit records, unless a repair truncated
        // it.
        let is_last = !geometry.end.takes_records(tail.page(page_bits));
        let is_last = is_last && tail.offset(page_bits) == 0;
        debug_assert!(geometry.end.has_address(tail.raw()), "a log can have reached {tail:?}");
        let file = LogFile::new((device, units, place), (buffers, geometry.flush_bytes));
        Ok(Self {
            allocation: AllocatorState::default(),
            flush: FlushState::new(geometry.is_announced),
            reads: ReadState::new(file.read_bytes()),
            parts: LogParts {
                pages: Pages::new(&geometry, extent, capacity)?,
                tail: if is_last { Tail::closed_before } else { Tail::new }(
                    tail, page_bits, capacity,
                ),
                health: LogStatus::new(geometry.owner),
                requests: ShiftRequests::new(head, tail),
                file,
                epoch,
                handle,
                geometry,
            },
        })
    }

    /// Returns the pages in memory.
    #[inline(always)]
    pub(crate) fn pages(&self) -> &Pages {
        &self.parts.pages
    }

    /// Returns the log on its device.
    pub(crate) fn file(&self) -> &LogFile {
        &self.parts.file
    }

    #[inline(always)]
    pub(crate) fn health(&self) -> &LogStatus {
        &self.parts.health
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        &self.parts.epoch
    }

    pub(crate) fn tail_address(&self) -> Address {
        self.parts.tail.address()
    }

    /// Returns the end of the addresses.
    pub(crate) fn end(&self) -> LogEnd {
        self.parts.geometry.end
    }

    #[inline(always)]
    pub(crate) fn allocator(&self) -> Allocator<'_> {
        Allocator { parts: &self.parts, state: &self.allocation }
    }

    /// Returns the pages that records may open, and the tasks that wait for them.
    pub(crate) fn quota(&self) -> Quota<'_> {
        self.allocator().quota()
    }

    pub(crate) fn flushing(&self) -> Flushing<'_> {
        Flushing { parts: &self.parts, state: &self.flush }
    }

    pub(crate) fn reader(&self) -> RecordReader<'_> {
        RecordReader { parts: &self.parts, state: &self.reads }
    }

    pub(crate) fn scan(&self) -> PageScan<'_> {
        PageScan(&self.parts.file)
    }

    /// Reads `count` units of the log from the device, from the unit of `start` on. They are not
    /// checked yet.
    pub(crate) async fn read_units(&self, start: Address, count: usize) -> Result<AlignedBuf> {
        let LogParts { file, handle, .. } = &self.parts;
        let begun = handle.now();
        let buffer = file.buffers().take(count * file.units().unit_bytes());
        let bytes = file.strip().read(start, buffer).await?;
        file.counters().read(bytes.len() as u64, handle.now().saturating_sub(begun));
        Ok(bytes)
    }

    pub(crate) fn begin_shift(&self) -> BeginShift<'_> {
        BeginShift(&self.parts)
    }

    pub(crate) fn versions(&self) -> Versions<'_> {
        Versions(&self.parts)
    }

    pub(crate) fn capture(&self) -> Capture<'_> {
        Capture(&self.parts)
    }

    pub(crate) fn restore(&self) -> Restore<'_> {
        Restore(&self.parts)
    }

    /// Appends a record that no index entry or record leads to yet.
    #[inline(always)]
    pub(crate) fn append<'g>(
        &'g self,
        (table, layout): (TableNumber, Layout),
        previous: Address,
        (record, claim): (NewRecord<'_>, Claim),
        guard: &'g Guard<'_>,
    ) -> Result<(Address, RecordRef<'g>), NoRoom> {
        let room = Room::new(record.bytes(layout) as u64, claim);
        let address = self.allocator().allocate(room, |_rest| {}, guard)?;
        Ok((address, self.write((address, previous), (table, layout), record, guard)))
    }

    /// Writes a record in room that was taken under the same guard.
    #[inline(always)]
    pub(crate) fn write<'g>(
        &'g self,
        (address, previous): (Address, Address),
        (table, layout): (TableNumber, Layout),
        record: NewRecord<'_>,
        guard: &'g Guard<'_>,
    ) -> RecordRef<'g> {
        debug_assert!(address > previous, "a chain leads to ever lower addresses");
        debug_assert!(
            address >= self.pages().immutable_below(guard),
            "no byte that a flush may read is written: {address:?}"
        );
        let appended = self.pages().record(address, guard);
        let info = RecordInfo::new(table, previous, record.content, self.pages().version_tag());
        appended.initialise(layout, info, record);
        appended
    }

    /// Waits until the record at `address` is no longer fuzzy: mutable, or immutable.
    pub(crate) async fn wait_until_immutable(&self, address: Address) -> Result<()> {
        let LogParts { pages, health, requests, .. } = &self.parts;
        let is_settled = || pages.marks().region(address) != Region::Fuzzy;
        health.wait_for(&requests.events.read_only, LogStatus::check_write, is_settled).await
    }

    /// Waits until the log is permanently immutable beyond `address`. Returns the end of what is.
    ///
    /// # Errors
    /// The errors of a log that accepts no writes, if more is not immutable already.
    pub(crate) async fn immutable_behind(&self, address: Address) -> Result<Address> {
        let LogParts { pages, health, requests, .. } = &self.parts;
        // The mark, not the floor: what a freeze protects may change again.
        let mark = || pages.marks().safe_read_only.load();
        let is_behind = || mark() > address;
        health.wait_for(&requests.events.read_only, LogStatus::check_write, is_behind).await?;
        Ok(mark())
    }

    /// Asks for another limit of pages in memory. A driver moves the limit, and evicts pages.
    pub(crate) fn want_frames(&self, frames: u32) {
        self.parts.requests.want_frames(frames);
    }

    /// Waits until the limit of pages in memory is the wanted one, no more pages are in memory, and
    /// the memory of other frames is returned. `changed` is notified when another limit may be
    /// wanted.
    ///
    /// # Errors
    /// `StorageFull` while the device accepts no page, `Poisoned`, `Closed`.
    pub(crate) async fn wait_for_frames(
        &self,
        changed: &Event,
        wanted: impl Fn() -> u32,
    ) -> Result<()> {
        let LogParts { pages, requests, health, .. } = &self.parts;
        // Pages that writers take from now on are within the limit.
        let is_within = || {
            let limit = pages.frames().limit();
            limit.load() == limit.nearest(wanted())
                && !limit.is_lowered()
                && self.pages_in_memory() <= u64::from(limit.load())
        };
        health.check_process()?;
        wait_either([&requests.events.page_free, changed, health.changed()], || {
            if is_within() { Some(Ok(())) } else { health.check_room().err().map(Err) }
        })
        .await
    }

    /// Returns the event of a tail that turned to a new page. Other requests to drivers notify it,
    /// too.
    pub(crate) fn turned(&self) -> &Event {
        &self.parts.requests.demand
    }

    /// Returns the event of pages that left memory.
    pub(crate) fn evicted(&self) -> &Event {
        &self.parts.requests.events.page_free
    }

    /// Returns the number of reads that waited for memory.
    pub(crate) fn read_waits(&self) -> u64 {
        self.reads.waits()
    }

    /// Sets the limit of bytes of I/O buffers.
    pub(crate) fn set_buffer_bytes(&self, bytes: usize) {
        self.parts.file.set_buffer_bytes(bytes);
        self.reads.set_limit(self.parts.file.read_bytes());
    }

    /// Returns the number of pages in memory, from the first page that is not cleared yet.
    pub(crate) fn pages_in_memory(&self) -> u64 {
        let page_bits = self.parts.geometry.page_bits;
        // Loaded first: it only goes up.
        let first = self.parts.pages.marks().safe_head.load().page(page_bits);
        self.parts.tail.page() + 1 - first.min(self.parts.tail.page())
    }

    /// Waits until every operation that is protected now has ended.
    pub(crate) async fn drain(&self) {
        self.parts.drain().await;
    }

    /// Waits until the log is `bytes` long.
    pub(crate) async fn reached(&self, bytes: u64) {
        let is_reached = || (self.tail_address().raw() >= bytes).then_some(());
        wait_until(&self.parts.requests.demand, is_reached).await;
    }

    /// Runs the drivers until the log is closed.
    pub(crate) async fn maintain(&self) {
        let (parts, flushing) = (&self.parts, self.flushing());
        let marks = async {
            futures::join!(
                ReadOnlyDriver(parts).drive(),
                FlushDriver(flushing).drive(),
                EvictDriver(parts).drive()
            );
        };
        futures::join!(marks, flushing.sync_driver().drive());
    }

    /// Refuses all operations from now on and ends the drivers.
    pub(crate) fn close(&self) {
        self.parts.health.transition_to_closed();
        self.parts.requests.notify_demand();
    }
}

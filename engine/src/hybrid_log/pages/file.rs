//! The log on its device: its units, the buffers of transfers, and their counts.

use super::records::{NoRecord, Records};
use super::unit::{Chunk, Units};
use super::unit_file::UnitFile;
use crate::base::address::Address;
use crate::base::error::Error;
use crate::record::Layouts;
use crate::statistics::DeviceCounters;
use kvick_io::sync::atomic::{AtomicUsize, Ordering};
use kvick_io::{BufPool, Device};
use std::sync::Arc;

/// The limit of bytes of one transfer.
pub(in crate::hybrid_log) const LARGEST_TRANSFER: usize = 1 << 20;

/// The part of a log that is on a device.
#[derive(Debug)]
pub(crate) struct LogFile {
    // Fixed after creation.
    device: Arc<dyn Device>,
    units: Units,
    /// The directory of the device, for messages.
    place: Box<str>,
    buffers: BufPool,
    // Any thread, atomic.
    /// The limit of bytes of buffers in use at once.
    buffer_bytes: AtomicUsize,
    counters: DeviceCounters,
}

impl LogFile {
    pub(in crate::hybrid_log) fn new(
        (device, units, place): (Arc<dyn Device>, Units, &str),
        (buffers, buffer_bytes): (BufPool, usize),
    ) -> Self {
        assert!(buffer_bytes > 0, "settings are checked");
        assert!(
            units.unit_bytes().is_multiple_of(device.geometry().block as usize),
            "the device transfers units"
        );
        let (counters, buffer_bytes) = (DeviceCounters::default(), AtomicUsize::new(buffer_bytes));
        Self { device, units, place: place.into(), buffers, buffer_bytes, counters }
    }

    pub(crate) fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// Returns the directory of the log, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn units(&self) -> Units {
        self.units
    }

    pub(crate) fn counters(&self) -> &DeviceCounters {
        &self.counters
    }

    /// Returns the buffers for transfers.
    pub(crate) fn buffers(&self) -> &BufPool {
        &self.buffers
    }

    /// Returns what the writer of a file beside the log needs: the buffers for transfers, the limit
    /// of their bytes in use at once, and the name of the directory.
    pub(crate) fn writing(&self) -> (&BufPool, usize, &str) {
        (&self.buffers, self.buffer_bytes(), &self.place)
    }

    /// Returns the bytes of buffers at this moment, in use and kept.
    pub(crate) fn bytes_in_buffers(&self) -> u64 {
        (self.buffers.outstanding_bytes() + self.buffers.retained_bytes()) as u64
    }

    /// Returns the limit of bytes of records in flight from the device. The other half is for
    /// writes.
    pub(crate) fn read_bytes(&self) -> usize {
        self.buffer_bytes() / 2
    }

    fn buffer_bytes(&self) -> usize {
        // Relaxed: only the number counts. A transfer keeps the size that it began with.
        self.buffer_bytes.load(Ordering::Relaxed)
    }

    /// Sets the limit of bytes of buffers in use at once, and of buffers that are kept.
    pub(in crate::hybrid_log) fn set_buffer_bytes(&self, bytes: usize) {
        assert!(bytes > 0, "a transfer has a buffer");
        self.buffer_bytes.store(bytes, Ordering::Relaxed);
        self.buffers.set_max_retained(bytes);
    }

    /// Returns the file and offset of an address, for messages.
    pub(crate) fn locate(&self, address: Address) -> (String, u64) {
        self.device.locate(self.units.device_offset(address))
    }

    /// Returns the log itself as a row of units.
    pub(crate) fn strip(&self) -> UnitFile<'_> {
        UnitFile::new(&*self.device, self.units, Address::NONE)
    }

    /// Returns the units of a range of this log that `device` keeps, from the page of `first` on.
    pub(crate) fn part<'d>(
        &self,
        device: &'d dyn Device,
        first: Address,
        salt: u64,
    ) -> UnitFile<'d> {
        UnitFile::new(device, self.units.salted(salt), first)
    }

    /// Returns the most bytes of one of `at_once` transfers that together stay within the budget of
    /// buffers: whole units.
    pub(in crate::hybrid_log) fn largest_transfer(&self, at_once: usize) -> usize {
        let unit = self.units.unit_bytes();
        (self.buffer_bytes() / at_once / unit).clamp(1, LARGEST_TRANSFER / unit) * unit
    }

    /// Returns the next units of `[from, limit)`, up to the end of a page. Transfers of `at_once`
    /// such sizes together stay within the budget of buffers.
    pub(in crate::hybrid_log) fn chunk(
        &self,
        from: Address,
        limit: Address,
        at_once: usize,
    ) -> Option<Chunk> {
        debug_assert!(at_once > 0, "a transfer is in flight");
        let starts = from == Address::FIRST || from == self.units.unit_start(from);
        debug_assert!(starts, "{from:?} is where a unit, or the log, begins");
        let largest = self.largest_transfer(at_once) / self.units.unit_bytes();
        // They end on physical blocks, like flushes, so a sync between two of them is safe.
        let block_units = self.units.block_units();
        let largest = (largest / block_units * block_units).max(block_units);
        let chunk = self.units.chunk([from, limit], largest)?;
        debug_assert!(chunk.units > 0 && chunk.units <= largest.max(block_units), "{chunk:?}");
        Some(chunk)
    }

    /// Returns the records in `bytes`, the payload of one page from `start` on. A record begins at
    /// `start`.
    pub(crate) fn records<'b>(
        &self,
        layouts: &'b Layouts,
        start: Address,
        bytes: &'b [u8],
    ) -> Records<'b> {
        self.records_from(layouts, [start, Address::FIRST], bytes)
    }

    /// As [`records`](Self::records), with the first record at `first`, if it is after `start`.
    pub(crate) fn records_from<'b>(
        &self,
        layouts: &'b Layouts,
        [start, first]: [Address; 2],
        bytes: &'b [u8],
    ) -> Records<'b> {
        Records::new(self.units, layouts, [start, first], bytes)
    }

    /// Returns the error of a damaged record at `address` that no checksum found.
    #[cold]
    pub(crate) fn not_a_record(&self, address: Address) -> Error {
        self.damaged("the header of a record is damaged", address)
    }

    /// Returns the error of bytes that a walk along a page found in place of a record.
    #[cold]
    pub(crate) fn no_record(&self, found: NoRecord) -> Error {
        self.damaged(found.what, found.address)
    }

    /// Returns the error of damage at `address`. `what` is a sentence.
    #[cold]
    pub(in crate::hybrid_log) fn damaged(&self, what: &str, address: Address) -> Error {
        let (file, offset) = self.locate(address);
        Error::damaged(what, &file, offset)
    }
}

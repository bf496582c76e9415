//! Reads records back from the device.

use super::budget::ReadBudget;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::hybrid_log::pages::records::NO_TABLE;
use crate::hybrid_log::pages::unit::Units;
use crate::hybrid_log::parts::LogParts;
use crate::record::{Layout, Layouts, RecordInfo, StoredRecord, WORD};
use kvick_io::AlignedBuf;
use std::sync::Arc;

/// Units that were read, and the number of checked units.
struct Fetched {
    address: Address,
    /// The start of the first unit.
    start: Address,
    bytes: AlignedBuf,
    checked: usize,
}

/// The budget of single-record reads of one log.
#[derive(Debug)]
pub(crate) struct ReadState {
    /// Limits the bytes in flight from the device.
    budget: Arc<ReadBudget>,
}

impl ReadState {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { budget: Arc::new(ReadBudget::new(bytes.max(1))) }
    }

    /// Returns the number of reads that waited, since so many bytes were in flight.
    pub(crate) fn waits(&self) -> u64 {
        self.budget.waits()
    }

    /// Sets the limit of bytes in flight.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.budget.set_limit(bytes.max(1));
    }
}

/// Reads single records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordReader<'l> {
    pub(in crate::hybrid_log) parts: &'l LogParts,
    pub(in crate::hybrid_log) state: &'l ReadState,
}

impl RecordReader<'_> {
    /// Reads the record at `address`, which is below the head, and checks every unit of it. Bytes
    /// after the record that the read also returned are not checked. The record is probably of
    /// `expected`, but a chain leads to records of other tables too.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`.
    pub(crate) async fn fetch(
        self,
        layouts: &Layouts,
        expected: Layout,
        address: Address,
    ) -> Result<StoredRecord> {
        let LogParts { pages, file, .. } = self.parts;
        let units = file.units();
        assert!(address < pages.marks().flushed.load(), "{address:?} was written");
        debug_assert!(address >= Address::FIRST, "{address:?} is of a record");
        let mut wanted = file.counters().record_bytes_hint(expected).max(WORD);
        loop {
            let mut fetched = self.read_units(address, wanted).await?;
            let whole = self.record_in(layouts, &mut fetched)?;
            if whole <= fetched.checked_bytes(units) {
                file.counters().fetched(whole);
                let within = fetched.within();
                return Ok(StoredRecord::new(address, fetched.bytes, within));
            }
            if whole <= wanted || whole as u64 > units.page_capacity() {
                return Err(file.damaged("a record is longer than its page", address));
            }
            wanted = whole;
        }
    }

    /// Checks the units that the record needs, as far as they were read. Returns the size of the
    /// record, or of its header if that was not read as a whole.
    fn record_in(self, layouts: &Layouts, fetched: &mut Fetched) -> Result<usize> {
        let (address, within) = (fetched.address, fetched.within());
        self.check_up_to(fetched, within + WORD)?;
        let info = RecordInfo::first_of(&fetched.bytes[within..]);
        if !info.is_present() {
            return Err(self.parts.file.damaged("no record begins here", address));
        }
        let Some(layout) = layouts.of(info) else {
            return Err(self.parts.file.damaged(NO_TABLE, address));
        };
        self.check_up_to(fetched, within + layout.header_bytes())?;
        let header = StoredRecord::header(&fetched.bytes[within..], layout);
        let Some(whole) = header else {
            return Ok(layout.header_bytes());
        };
        debug_assert!(whole >= layout.header_bytes(), "a record has a header: {address:?}");
        self.check_up_to(fetched, within + whole)?;
        Ok(whole)
    }

    fn check_up_to(self, fetched: &mut Fetched, end: usize) -> Result<()> {
        let file = &self.parts.file;
        let units = file.units();
        let payload = usize::try_from(units.payload()).expect("a unit fits in memory");
        let there = fetched.bytes.len() / units.unit_bytes();
        let needed = end.div_ceil(payload).min(there);
        if needed > fetched.checked {
            let Fetched { start, bytes, checked, .. } = fetched;
            units.open(*start, bytes, *checked..needed, |unit| file.locate(unit))?;
            *checked = needed;
        }
        Ok(())
    }

    /// Reads the units that hold `wanted` bytes from `address`, up to the end of the page.
    async fn read_units(self, address: Address, wanted: usize) -> Result<Fetched> {
        let LogParts { pages, file, handle, .. } = self.parts;
        let units = file.units();
        let page_bits = units.page_bits();
        let flushed = pages.marks().flushed.load();
        let page_end = if flushed.page(page_bits) > address.page(page_bits) {
            units.page_capacity()
        } else {
            flushed.offset(page_bits)
        };
        let end = (address.offset(page_bits) + wanted as u64).min(page_end);
        let start = units.unit_start(address);
        assert!(end > address.offset(page_bits), "{address:?} is before the end of its page");
        let bytes = units.count(start, end) * units.unit_bytes();
        debug_assert!(bytes as u64 <= 1 << page_bits, "a record is in one page: {bytes} bytes");

        let (strip, offset) = (file.strip(), units.device_offset(start));
        let mut begun = handle.now();
        let read = || {
            begun = handle.now();
            file.device().read_at(offset, file.buffers().take(bytes))
        };
        let transfer = self.state.budget.with(bytes, read).await;
        let bytes = strip.read_back(start, transfer)?;
        file.counters().read(bytes.len() as u64, handle.now().saturating_sub(begun));
        Ok(Fetched { address, start, bytes, checked: 0 })
    }
}

impl Fetched {
    /// Returns the bytes from the start of the first unit to the record.
    fn within(&self) -> usize {
        usize::try_from(self.address.raw() - self.start.raw()).expect("within a unit")
    }

    /// Returns the number of checked bytes from the start of the record on.
    fn checked_bytes(&self, units: Units) -> usize {
        let payload = usize::try_from(units.payload()).expect("a unit fits in memory");
        debug_assert!(
            self.checked <= self.bytes.len() / units.unit_bytes(),
            "checked what was read"
        );
        self.checked * payload - self.within()
    }
}

//! Reads records back from the device.

use super::HybridLog;
use super::unit::Units;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::record::{Layout, StoredRecord};
use kvick_io::AlignedBuf;

/// Units that were read, and the number of checked units.
struct Fetched {
    address: Address,
    /// The start of the first unit.
    start: Address,
    bytes: AlignedBuf,
    checked: usize,
}

impl HybridLog {
    /// Reads the record at `address`, which is below the head, and checks every unit of it. Bytes
    /// after the record that the read also returned are not checked.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`.
    pub(crate) async fn fetch(&self, layout: Layout, address: Address) -> Result<StoredRecord> {
        assert!(address < self.marks.flushed.load(), "{address:?} was written");
        let mut wanted = self.counters.record_bytes_hint(layout);
        loop {
            let mut fetched = self.read_units(address, wanted).await?;
            let whole = self.record_in(layout, &mut fetched)?;
            if whole <= fetched.checked_bytes(self.units) {
                self.counters.fetched(whole);
                let within = fetched.within();
                return Ok(StoredRecord::new(address, fetched.bytes, within));
            }
            if whole <= wanted || whole as u64 > self.units.page_capacity() {
                return Err(self.misled("a record is longer than its page", address));
            }
            wanted = whole;
        }
    }

    /// Checks the units that the record needs, as far as they were read. Returns the size of the
    /// record.
    fn record_in(&self, layout: Layout, fetched: &mut Fetched) -> Result<usize> {
        let (address, within) = (fetched.address, fetched.within());
        self.check_up_to(fetched, within + layout.header_bytes())?;
        let header = StoredRecord::header(&fetched.bytes[within..], layout);
        let Some(whole) = header else {
            return Err(self.misled("no record begins here", address));
        };
        self.check_up_to(fetched, within + whole)?;
        Ok(whole)
    }

    fn check_up_to(&self, fetched: &mut Fetched, end: usize) -> Result<()> {
        let payload = usize::try_from(self.units.payload()).expect("a unit fits in memory");
        let there = fetched.bytes.len() / self.units.unit_bytes();
        let needed = end.div_ceil(payload).min(there);
        if needed > fetched.checked {
            let Fetched { start, bytes, checked, .. } = fetched;
            self.units.open(*start, bytes, *checked..needed, |unit| self.locate(unit))?;
            *checked = needed;
        }
        Ok(())
    }

    /// Reads the units that hold `wanted` bytes from `address`, up to the end of the page.
    async fn read_units(&self, address: Address, wanted: usize) -> Result<Fetched> {
        let page_bits = self.geometry.page_bits;
        let flushed = self.marks.flushed.load();
        let page_end = if flushed.page(page_bits) > address.page(page_bits) {
            self.units.page_capacity()
        } else {
            flushed.offset(page_bits)
        };
        let end = (address.offset(page_bits) + wanted as u64).min(page_end);
        let start = self.units.unit_start(address);
        let bytes = self.units.count(start, end) * self.units.unit_bytes();

        let (strip, offset) = (self.strip(), self.units.device_offset(start));
        let mut begun = self.handle.now();
        let read = || {
            begun = self.handle.now();
            self.device.read_at(offset, self.buffers.take(bytes))
        };
        let transfer = self.reads.with(bytes, read).await;
        let bytes = strip.read_back(start, transfer)?;
        self.counters.read(bytes.len() as u64, self.handle.now().saturating_sub(begun));
        Ok(Fetched { address, start, bytes, checked: 0 })
    }

    #[cold]
    fn misled(&self, what: &str, address: Address) -> Error {
        let (file, offset) = self.locate(address);
        Error::damaged(what, &file, offset)
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
        self.checked * payload - self.within()
    }
}

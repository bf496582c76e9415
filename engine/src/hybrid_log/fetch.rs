//! Brings records back from the device.

use super::HybridLog;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::record::StoredRecord;

impl HybridLog {
    /// Reads the record at `address`, which is below the head, and checks every byte of it.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`.
    pub(crate) async fn fetch(&self, address: Address) -> Result<StoredRecord> {
        assert!(
            address < self.marks.flushed.load(),
            "{address:?} was written"
        );
        let mut wanted = self.counters.record_bytes_hint(self.layout);
        loop {
            let record = self.fetch_bytes(address, wanted).await?;
            if !record.info().is_present() {
                return Err(self.misled(address));
            }
            if record.is_whole(self.layout) {
                self.counters.fetched(record.record_bytes(self.layout));
                return Ok(record);
            }
            let bytes = record.record_bytes(self.layout);
            if bytes <= wanted || bytes as u64 > self.units.page_capacity() {
                return Err(self.misled(address));
            }
            wanted = bytes;
        }
    }

    /// Reads the units that hold `wanted` bytes from `address`, or what the page has of them.
    async fn fetch_bytes(&self, address: Address, wanted: usize) -> Result<StoredRecord> {
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

        let offset = self.units.device_offset(start);
        let begun = self.handle.now();
        let transfer = self.device.read_at(offset, self.buffers.take(bytes)).await;
        transfer.result.map_err(|error| {
            let (file, at) = self.device.locate(offset);
            Error::io(format!("read of {bytes} bytes from {file} at {at}"), error)
        })?;
        self.counters
            .read(bytes as u64, self.handle.now().saturating_sub(begun));
        let mut units = transfer.buf.expect("a read gives its buffer back");
        self.units.open(start, &mut units, &*self.device)?;
        let within = usize::try_from(address.raw() - start.raw()).expect("within a unit");
        Ok(StoredRecord::new(address, units, within))
    }

    #[cold]
    fn misled(&self, address: Address) -> Error {
        let (file, offset) = self.locate(address);
        Error::corrupt("a record header", &file, offset, 1, 0)
    }
}

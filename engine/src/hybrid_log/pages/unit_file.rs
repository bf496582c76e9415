//! A row of log units on a device: the log itself, or a range of it that was captured elsewhere.

use super::unit::Units;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use kvick_io::{AlignedBuf, Device, Transfer};
use std::io;

/// The units of the log from some page on, on some device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitFile<'d> {
    device: &'d dyn Device,
    units: Units,
    /// The first byte of the device, as an offset in the log's own device.
    base: u64,
}

impl<'d> UnitFile<'d> {
    /// Creates the row of units from the page of `first` on.
    pub(crate) fn new(device: &'d dyn Device, units: Units, first: Address) -> Self {
        Self { device, units, base: units.page_start(first) }
    }

    /// Writes units with checksums, the first of which is the unit of `start`.
    pub(crate) async fn write(self, start: Address, sealed: AlignedBuf) -> Result<()> {
        let (offset, bytes) = (self.offset(start), sealed.len());
        assert!(bytes > 0 && bytes.is_multiple_of(self.units.unit_bytes()), "whole units");
        debug_assert_eq!(start, self.units.unit_start(start), "a write begins with a unit");
        let written = self.device.write_at(offset, sealed).await.result;
        written.map_err(|error| self.not_written(("write", bytes), offset, error))
    }

    /// Writes units like [`write`](Self::write) and makes them durable, with everything written
    /// before. Returns false if they are not durable yet: the device cannot do both at once.
    pub(crate) async fn write_and_sync(self, start: Address, sealed: AlignedBuf) -> Result<bool> {
        let (offset, bytes) = (self.offset(start), sealed.len());
        match self.device.write_and_sync(offset, sealed) {
            Ok(completion) => {
                let written = completion.await.result.map(|()| true);
                let what = "write and sync";
                written.map_err(|error| self.not_written((what, bytes), offset, error))
            }
            Err(sealed) => self.write(start, sealed).await.map(|()| false),
        }
    }

    #[cold]
    fn not_written(self, (what, bytes): (&str, usize), offset: u64, error: io::Error) -> Error {
        let (file, at) = self.device.locate(offset);
        failed(format!("{what} of {bytes} bytes"), "to", (&file, at), error)
    }

    /// Fills `buffer` with stored units, the first of which is the unit of `start`.
    pub(crate) async fn read(self, start: Address, buffer: AlignedBuf) -> Result<AlignedBuf> {
        debug_assert!(buffer.len().is_multiple_of(self.units.unit_bytes()), "whole units");
        let transfer = self.transfer(start, buffer).await;
        self.read_back(start, transfer)
    }

    /// Reads like [`read`](Self::read), but returns the answer of the device.
    pub(crate) async fn transfer(self, start: Address, buffer: AlignedBuf) -> Transfer {
        debug_assert_eq!(start, self.units.unit_start(start), "a read begins with a unit");
        self.device.read_at(self.offset(start), buffer).await
    }

    /// Returns the buffer of a read that has ended and whose first unit is the unit of `start`.
    pub(crate) fn read_back(self, start: Address, transfer: Transfer) -> Result<AlignedBuf> {
        transfer.result.map_err(|error| {
            let (offset, bytes) =
                (self.offset(start), transfer.buf.as_ref().map_or(0, |buf| buf.len()));
            let (file, at) = self.device.locate(offset);
            // The recorded write is not there: this is damage, not an error of the system.
            if is_missing(&error) {
                return Error::damaged("the file ends here", &file, at);
            }
            failed(format!("read of {bytes} bytes"), "from", (&file, at), error)
        })?;
        Ok(transfer.buf.expect("a read gives its buffer back"))
    }

    /// Checks units that were read, and moves their payload to the front of `stored`.
    pub(crate) fn open(self, start: Address, stored: &mut [u8]) -> Result<usize> {
        let count = stored.len() / self.units.unit_bytes();
        debug_assert_eq!(count * self.units.unit_bytes(), stored.len(), "whole units");
        self.units.open(start, stored, 0..count, |unit| self.locate(unit))?;
        Ok(count * usize::try_from(self.units.payload()).expect("a unit fits in memory"))
    }

    /// Returns the file and offset of an address, for messages.
    pub(crate) fn locate(self, address: Address) -> (String, u64) {
        self.device.locate(self.offset(address))
    }

    /// Returns the offset on the device of the unit of an address.
    pub(crate) fn offset(self, address: Address) -> u64 {
        let offset = self.units.device_offset(address);
        offset.checked_sub(self.base).expect("an address of this strip")
    }
}

/// Returns the error of a transfer. Most backends name the file and the offset themselves.
#[cold]
fn failed(what: String, to: &str, (file, at): (&str, u64), error: io::Error) -> Error {
    let is_named = error.to_string().contains(file);
    Error::io(if is_named { what } else { format!("{what} {to} {file} at {at}") }, error)
}

/// Returns whether a read failed because the file, or its end, is missing.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_place_once() {
        let of = |text: &str| {
            let error = io::Error::other(text.to_owned());
            failed("write of 512 bytes".to_owned(), "to", ("log.000000", 64), error).to_string()
        };
        assert_eq!(
            of("writing log.000000 at offset 64: no space"),
            "write of 512 bytes: writing log.000000 at offset 64: no space"
        );
        assert_eq!(of("no space"), "write of 512 bytes to log.000000 at 64: no space");
    }
}

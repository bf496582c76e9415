//! A row of log units on a device: the log itself, or a part of it that was captured elsewhere.

use super::unit::Units;
use crate::address::Address;
use crate::error::{Error, Result};
use kvick_io::{AlignedBuf, Device, Transfer};
use std::io;

/// Units of the log from some page on, on some device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strip<'d> {
    device: &'d dyn Device,
    units: Units,
    /// Where the device begins, in bytes of the log's own device.
    base: u64,
}

impl<'d> Strip<'d> {
    /// The units from the page of `first` on.
    pub(crate) fn new(device: &'d dyn Device, units: Units, first: Address) -> Self {
        Self { device, units, base: units.page_start(first) }
    }

    /// Writes sealed units, the first of which is that of `start`.
    pub(crate) async fn write(self, start: Address, sealed: AlignedBuf) -> Result<()> {
        let (offset, bytes) = (self.offset(start), sealed.len());
        assert!(bytes > 0 && bytes.is_multiple_of(self.units.unit_bytes()), "whole units");
        self.device.write_at(offset, sealed).await.result.map_err(|error| {
            let (file, at) = self.device.locate(offset);
            Error::io(format!("write of {bytes} bytes to {file} at {at}"), error)
        })
    }

    /// Fills `buffer` with units as they are stored, the first of which is that of `start`.
    pub(crate) async fn read(self, start: Address, buffer: AlignedBuf) -> Result<AlignedBuf> {
        let transfer = self.transfer(start, buffer).await;
        self.read_back(start, transfer)
    }

    /// As [`read`](Self::read), with the answer of the device.
    pub(crate) async fn transfer(self, start: Address, buffer: AlignedBuf) -> Transfer {
        self.device.read_at(self.offset(start), buffer).await
    }

    /// The buffer of a read that has ended, whose first unit is that of `start`.
    pub(crate) fn read_back(self, start: Address, transfer: Transfer) -> Result<AlignedBuf> {
        transfer.result.map_err(|error| {
            let (offset, bytes) =
                (self.offset(start), transfer.buf.as_ref().map_or(0, |buf| buf.len()));
            let (file, at) = self.device.locate(offset);
            // What was recorded as written is not there: this is no trouble of the system's.
            if is_missing(&error) {
                return Error::damaged("the file ends here", &file, at);
            }
            Error::io(format!("read of {bytes} bytes from {file} at {at}"), error)
        })?;
        Ok(transfer.buf.expect("a read gives its buffer back"))
    }

    /// Checks units as they were read; their payload is at the front of `stored` then.
    pub(crate) fn open(self, start: Address, stored: &mut [u8]) -> Result<usize> {
        let count = stored.len() / self.units.unit_bytes();
        self.units.open(start, stored, 0..count, |unit| self.locate(unit))?;
        Ok(count * usize::try_from(self.units.payload()).expect("a unit fits in memory"))
    }

    /// File and offset of an address, for messages.
    pub(crate) fn locate(self, address: Address) -> (String, u64) {
        self.device.locate(self.offset(address))
    }

    /// Where the unit of an address begins on the device.
    pub(crate) fn offset(self, address: Address) -> u64 {
        let offset = self.units.device_offset(address);
        offset.checked_sub(self.base).expect("an address of this strip")
    }
}

/// Whether a read failed because the file, or the end of it, is not there.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}

//! Records that a reader of the log has copied.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::hybrid_log::{LogFile, PageRecord};
use crate::record::{ExpiryWord, Layout, RecordInfo, StoredRecord, TableNumber};
use crate::store::record::pieces::pieces_of;
use crate::store::scan::Stretch;
use std::collections::VecDeque;

/// Some records in the order of the log. Each is taken once.
#[derive(Debug, Default)]
pub(crate) struct RecordBatch {
    bytes: Vec<u8>,
    /// The places of the records in `bytes`.
    places: VecDeque<Place>,
}

/// The place of a record.
#[derive(Clone, Copy, Debug)]
struct Place {
    address: Address,
    layout: Layout,
    /// The offset of its header.
    at: usize,
    length: usize,
}

/// A record of the log, as bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundRecord<'b> {
    pub(crate) address: Address,
    pub(crate) info: RecordInfo,
    pub(crate) layout: Layout,
    /// All of its bytes.
    bytes: &'b [u8],
}

impl RecordBatch {
    /// Returns the records of a stretch for which `is_wanted` holds. `places` are all of them.
    ///
    /// # Errors
    /// `Corrupt` if a record is not as it is written.
    pub(super) fn of(
        file: &LogFile,
        stretch: Stretch,
        places: Vec<(Address, Layout, usize)>,
        is_wanted: impl Fn(&FoundRecord<'_>) -> bool,
    ) -> Result<Self> {
        let Stretch { start, bytes, .. } = stretch;
        let mut batch = Self { bytes, places: VecDeque::new() };
        for (address, layout, length) in places {
            let at = usize::try_from(address.raw() - start.raw()).expect("within a page");
            batch.add(file, Place { address, layout, at, length }, &is_wanted)?;
        }
        Ok(batch)
    }

    /// Adds the record at `address` by `copy`, which appends its bytes, if `is_wanted` holds.
    /// Returns its length.
    ///
    /// # Errors
    /// `Corrupt` if the record is not as it is written; the error of `copy`, within.
    pub(super) fn copy<E>(
        &mut self,
        file: &LogFile,
        (address, layout): (Address, Layout),
        copy: impl FnOnce(&mut Vec<u8>) -> std::result::Result<(), E>,
        is_wanted: impl Fn(&FoundRecord<'_>) -> bool,
    ) -> Result<std::result::Result<usize, E>> {
        let at = self.bytes.len();
        if let Err(error) = copy(&mut self.bytes) {
            return Ok(Err(error));
        }
        let length = self.bytes.len() - at;
        self.add(file, Place { address, layout, at, length }, is_wanted)?;
        Ok(Ok(length))
    }

    fn add(
        &mut self,
        file: &LogFile,
        place: Place,
        is_wanted: impl Fn(&FoundRecord<'_>) -> bool,
    ) -> Result<()> {
        let record = place.of(&self.bytes);
        if !StoredRecord::holds_its_value(record.bytes, record.layout) {
            return Err(file.not_a_record(record.address));
        }
        if is_wanted(&record) {
            self.places.push_back(place);
        }
        Ok(())
    }

    /// Returns the number of bytes that were copied.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the next record.
    pub(crate) fn next(&self) -> Option<FoundRecord<'_>> {
        self.places.front().map(|place| place.of(&self.bytes))
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self) -> Option<FoundRecord<'_>> {
        self.places.pop_front().map(|place| place.of(&self.bytes))
    }
}

impl Place {
    fn of(self, bytes: &[u8]) -> FoundRecord<'_> {
        let Self { address, layout, at, length } = self;
        let bytes = &bytes[at..][..length];
        FoundRecord { address, info: RecordInfo::first_of(bytes), layout, bytes }
    }
}

impl<'b> FoundRecord<'b> {
    /// Returns the address after the record.
    pub(crate) fn end(&self) -> Address {
        Address::new(self.address.raw() + self.bytes.len() as u64)
    }

    pub(crate) fn table(&self) -> TableNumber {
        self.info.table()
    }

    pub(crate) fn key(&self) -> &'b [u8] {
        StoredRecord::key_in(self.bytes, self.layout)
    }

    /// Returns the value. Of a value in pieces it is the list of pieces.
    pub(crate) fn value(&self) -> &'b [u8] {
        StoredRecord::value_in(self.bytes, self.layout)
    }

    pub(crate) fn expiry(&self) -> ExpiryWord {
        StoredRecord::expiry_in(self.bytes, self.layout)
    }

    pub(crate) fn is_in_pieces(&self) -> bool {
        self.info.is_in_pieces(self.layout)
    }

    /// Returns the bytes of the value, which is in pieces.
    pub(crate) fn long_bytes(&self) -> u64 {
        self.value().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Returns the addresses of the pieces of the value, which is in pieces.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Address> + use<'b> {
        pieces_of(self.value())
    }
}

/// Returns the place of a record of a stretch.
pub(super) fn place_of(record: &PageRecord<'_>) -> (Address, Layout, usize) {
    (record.address, record.layout, record.bytes.len())
}

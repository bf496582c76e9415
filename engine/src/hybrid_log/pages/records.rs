//! Iterates over the records of a page, in order of their addresses.
//!
//! A zero word in place of a header means that no record follows up to the next unit. A flush ended
//! there, or the page did.

use super::unit::Units;
use crate::base::address::Address;
use crate::record::{Layout, Layouts, RecordInfo, StoredRecord};

/// The records in some payload of one page. An error ends the iteration.
#[derive(Debug)]
pub(crate) struct Records<'b> {
    bytes: &'b [u8],
    /// Address of the first byte.
    start: Address,
    /// The offset of `start` in its page.
    offset: usize,
    unit_payload: usize,
    layouts: &'b Layouts,
    at: usize,
}

/// Bytes of a page that are no record of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRecord {
    pub(crate) address: Address,
    /// The damage, in words.
    pub(crate) what: &'static str,
}

/// A record that extends beyond its page.
const TOO_LONG: &str = "a record that does not fit into its page";
/// A record whose layout is unknown.
pub(crate) const NO_TABLE: &str = "a record of a table that the manifest does not name";

/// A record of a page: its address, its header, its layout, and all its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRecord<'b> {
    pub(crate) address: Address,
    pub(crate) info: RecordInfo,
    pub(crate) layout: Layout,
    pub(crate) bytes: &'b [u8],
}

impl NoRecord {
    /// Returns whether a record begins here and ends after the bytes that were walked.
    pub(crate) fn is_too_long(self) -> bool {
        self.what == TOO_LONG
    }
}

impl<'b> Records<'b> {
    /// Returns the records in `bytes`, the payload of one page from `start` on. The records begin
    /// at `first` if it is after `start`. A record begins there.
    pub(crate) fn new(
        units: Units,
        layouts: &'b Layouts,
        [start, first]: [Address; 2],
        bytes: &'b [u8],
    ) -> Self {
        let page_bits = units.page_bits();
        debug_assert!(
            bytes.len() as u64 <= units.left_of_page(start),
            "the bytes are of one page: {} from {start:?}",
            bytes.len()
        );
        let offset = usize::try_from(start.offset(page_bits)).expect("a page fits in memory");
        // There is nothing below the first address of a log.
        let skipped = first.max(Address::FIRST).raw().saturating_sub(start.raw());
        let at = usize::try_from(skipped).map_or(bytes.len(), |skipped| skipped.min(bytes.len()));
        let unit_payload = usize::try_from(units.payload()).expect("a unit fits in memory");
        Self { bytes, start, offset, unit_payload, layouts, at }
    }

    /// Returns the record with this header at the front of `rest`.
    fn record(
        &self,
        address: Address,
        info: RecordInfo,
        rest: &'b [u8],
    ) -> Result<PageRecord<'b>, NoRecord> {
        let no_record = |what| NoRecord { address, what };
        let layout = self.layouts.of(info).ok_or(no_record(NO_TABLE))?;
        let length = StoredRecord::header(rest, layout);
        let bytes = length.and_then(|length| rest.get(..length)).ok_or(no_record(TOO_LONG))?;
        debug_assert!(!bytes.is_empty(), "a record at {address:?} has bytes");
        Ok(PageRecord { address, info, layout, bytes })
    }
}

impl<'b> Iterator for Records<'b> {
    type Item = Result<PageRecord<'b>, NoRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let address = Address::new(self.start.raw() + self.at as u64);
            let info = RecordInfo::first_of(rest);
            if !info.is_present() {
                let unit = (self.offset + self.at) / self.unit_payload;
                let next = (unit + 1) * self.unit_payload - self.offset;
                debug_assert!(self.at < next, "the next unit is after {address:?}");
                self.at = next;
                continue;
            }
            let record = self.record(address, info, rest);
            self.at = match &record {
                Ok(record) => self.at + record.bytes.len(),
                Err(_) => self.bytes.len(),
            };
            return Some(record);
        }
    }
}

//! Writes what a version has in memory somewhere else than into the log.
//!
//! The range is frozen and pinned. Pages are unpinned as soon as they are copied, so the log goes
//! on moving behind the capture.

use super::flush::WRITES;
use super::unit::Units;
use super::{HybridLog, Strip};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::record::Layout;
use futures::stream::{FuturesOrdered, StreamExt};
use kvick_io::Device;

impl HybridLog {
    /// The units of a part of this log that is kept on `device`, from the page of `first` on.
    pub(crate) fn part<'d>(&self, device: &'d dyn Device, first: Address, salt: u64) -> Strip<'d> {
        Strip::new(device, self.units.salted(salt), first)
    }

    /// Writes `[from, end)`, which is frozen, to `device`; `written` is told the bytes of each
    /// write that has ended.
    pub(crate) async fn capture(
        &self,
        [from, end]: [Address; 2],
        device: &dyn Device,
        salt: u64,
        written: impl Fn(u64),
    ) -> Result<()> {
        let units: Units = self.units.salted(salt);
        let strip = self.part(device, from, salt);
        let mut writes = FuturesOrdered::new();
        let mut issued = from;
        loop {
            while writes.len() < WRITES
                && let Some(chunk) = self.chunk(issued, end, WRITES)
            {
                let sealed = self.sealed(chunk, units);
                let bytes = sealed.len() as u64;
                issued = chunk.end;
                self.unpin_below(issued);
                writes.push_back(async move {
                    strip.write(chunk.start, sealed).await?;
                    Ok::<u64, Error>(bytes)
                });
            }
            match writes.next().await {
                Some(result) => written(result?),
                None => return Ok(()),
            }
        }
    }

    /// Shows the records of the page of `from`, up to `end`, that were changed in the version of
    /// `stamp`. The page is frozen and pinned. Returns the start of the next page.
    pub(crate) fn changed_in_page(
        &self,
        layout: Layout,
        [from, end]: [Address; 2],
        stamp: u64,
        mut show: impl FnMut(Address, &[u8]),
    ) -> Address {
        let page_bits = self.geometry.page_bits;
        let page = from.page(page_bits);
        // A record begins at the start of a page, and at the head.
        let start = Address::at(page, 0, page_bits).max(self.marks.head.load());
        let limit = if end.page(page_bits) > page {
            Address::at(page, self.units.page_capacity(), page_bits)
        } else {
            end
        };
        let length = usize::try_from(limit.raw() - start.raw()).expect("within a page");
        self.with_pinned(start, length, |bytes| {
            for record in self.records(layout, start, bytes) {
                let record = record.expect("records in memory are whole");
                if record.info.stamp() == stamp {
                    show(record.address, record.bytes);
                }
            }
        });
        Address::at(page + 1, 0, page_bits)
    }

    /// Lets go of a page that `changed_in_page` has shown.
    pub(crate) fn shown_below(&self, address: Address) {
        self.unpin_below(address);
    }
}

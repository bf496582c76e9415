//! Writes the records of a version that are in memory to another file than the log.
//!
//! The range is frozen and pinned. Pages are unpinned as soon as they are copied, so the log keeps
//! moving during the capture.

use super::flush::WRITES;
use super::unit::Units;
use super::{HybridLog, Strip};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::record::Layout;
use futures::stream::{FuturesOrdered, StreamExt};
use kvick_io::Device;

impl HybridLog {
    /// Returns the units of a range of this log that `device` keeps, from the page of `first` on.
    pub(crate) fn part<'d>(&self, device: &'d dyn Device, first: Address, salt: u64) -> Strip<'d> {
        Strip::new(device, self.units.salted(salt), first)
    }

    /// Writes `[from, end)`, which is frozen, to `device`. Calls `written` with the bytes of each
    /// ended write.
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

    /// Calls `show` for the records of the page of `from`, up to `end`, that have version tag
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

    /// Unpins a page that `changed_in_page` has shown.
    pub(crate) fn shown_below(&self, address: Address) {
        self.unpin_below(address);
    }
}

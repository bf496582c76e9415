//! Writes the records of a version that are in memory to another file than the log.
//!
//! The range is frozen and pinned. Pages are unpinned as soon as they are copied, so the log keeps
//! moving during the capture.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::in_order::InOrder;
use crate::hybrid_log::pages::region::NOT_PINNED;
use crate::hybrid_log::parts::LogParts;
use crate::hybrid_log::shift::flush::WRITES;
use crate::record::Layouts;
use futures::stream::StreamExt;
use kvick_io::Device;
use kvick_io::sync::atomic::Ordering;

/// The capture of a frozen range of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capture<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl Capture<'_> {
    /// Writes `[from, end)`, which is frozen, to `device`. Calls `written` with the bytes of each
    /// ended write.
    pub(crate) async fn write(
        self,
        [from, end]: [Address; 2],
        device: &dyn Device,
        salt: u64,
        written: impl Fn(u64),
    ) -> Result<()> {
        let LogParts { pages, file, .. } = self.0;
        let units = file.units().salted(salt);
        debug_assert_eq!(units.payload(), file.units().payload(), "the salt alone differs");
        assert!(from <= end, "{from:?} to {end:?}");
        let strip = file.part(device, from, salt);
        let mut writes = InOrder::new();
        let mut issued = from;
        loop {
            while writes.len() < WRITES
                && let Some(chunk) = file.chunk(issued, end, WRITES)
            {
                let sealed = pages.sealed(chunk, units, (file.buffers(), 0));
                let bytes = sealed.len() as u64;
                debug_assert!(chunk.start <= issued, "the capture leaves no gap");
                issued = chunk.end;
                self.shown_below(issued);
                writes.push_back(async move {
                    strip.write(chunk.start, sealed).await?;
                    Ok::<u64, Error>(bytes)
                });
            }
            match writes.next().await {
                Some(result) => written(result?),
                None => {
                    assert!(issued >= end, "the part has the whole range: {issued:?}, {end:?}");
                    return Ok(());
                }
            }
        }
    }

    /// Calls `show` for the records of the page of `from`, up to `end`, that have version tag
    /// `version_tag`. The page is frozen and pinned. Returns the start of the next page.
    pub(crate) fn changed_in_page(
        self,
        layouts: &Layouts,
        [from, end]: [Address; 2],
        version_tag: u64,
        mut show: impl FnMut(Address, &[u8]),
    ) -> Address {
        let LogParts { geometry, pages, file, .. } = self.0;
        assert!(from < end, "{from:?} to {end:?}");
        let page_bits = geometry.page_bits;
        let page = from.page(page_bits);
        // A record begins at the start of a page, and at the head.
        let start = Address::at(page, 0, page_bits).max(pages.marks().head.load());
        let limit = if end.page(page_bits) > page {
            Address::at(page, file.units().page_capacity(), page_bits)
        } else {
            end
        };
        debug_assert!(start <= limit, "the captured range is in memory: {start:?}, {limit:?}");
        let length = usize::try_from(limit.raw() - start.raw()).expect("within a page");
        pages.with_pinned(start, length, |bytes| {
            for record in file.records(layouts, start, bytes) {
                let record = record.expect("records in memory are whole");
                if record.info.version_tag() == version_tag {
                    show(record.address, record.bytes);
                }
            }
        });
        Address::at(page + 1, 0, page_bits)
    }

    /// Lets pages below `address`, which the capture no longer needs, be evicted again.
    pub(crate) fn shown_below(self, address: Address) {
        let LogParts { pages, requests, .. } = self.0;
        let pinned = pages.marks().pinned.load(Ordering::Relaxed);
        debug_assert_ne!(pinned, NOT_PINNED, "a capture follows a freeze");
        debug_assert!(pinned <= address.raw(), "pages are captured in order: {address:?}");
        // Release: pairs with the Acquire of eviction, which may clear the pages from now on.
        pages.marks().pinned.store(address.raw(), Ordering::Release);
        requests.notify_demand();
    }
}

//! Restores the state of a checkpoint in the log, before any operation uses the log.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::in_order::ahead;
use crate::hybrid_log::geometry::LogExtent;
use crate::hybrid_log::parts::LogParts;
use crate::hybrid_log::read::scan::{PagePayload, Show};
use crate::hybrid_log::shift::evict::first_kept;
use crate::hybrid_log::shift::flush::WRITES;
use futures::future::BoxFuture;
use futures::stream::TryStreamExt;

/// The return of a checkpoint into a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restore<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl Show for Restore<'_> {
    /// Writes the shown page into the log on the device.
    fn show<'a>(&'a mut self, page: &'a mut PagePayload) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write_back(page))
    }
}

impl Restore<'_> {
    /// Returns the first address that is in memory.
    pub(crate) fn first_in_memory(self) -> Address {
        self.0.pages.marks().head.load()
    }

    /// Returns whether some records are in memory only.
    pub(crate) fn is_unflushed(self) -> bool {
        self.0.pages.marks().flushed.load() < self.0.tail.address()
    }

    /// Returns whether a page belongs in memory from the start.
    pub(crate) fn is_preloaded(self, page: &PagePayload) -> bool {
        page.start >= self.0.file.units().start_of_page(self.0.pages.marks().head.load())
    }

    /// Copies the payload of a page into its frame.
    pub(crate) fn preload(self, page: &PagePayload) {
        debug_assert!(self.is_preloaded(page), "frames are for pages in memory: {:?}", page.start);
        debug_assert!(page.end() <= self.0.tail.address(), "a checkpoint ends at the tail");
        self.0.pages.frames().load(page.start, &page.bytes);
    }

    /// Writes the payload of a page, or of its end, into the log on the device. The caller syncs
    /// the device after the last page.
    async fn write_back(self, page: &PagePayload) -> Result<()> {
        let file = &self.0.file;
        let units = file.units();
        let payload = usize::try_from(units.payload()).expect("a unit fits in memory");
        assert_eq!(page.bytes.len() % payload, 0, "whole units");
        assert_eq!(page.start, units.unit_start(page.start), "a page begins with a unit");
        debug_assert!(
            page.end() <= self.0.tail.address() || units.is_page_end(page.end()),
            "nothing is written after the checkpoint: {:?}",
            page.end()
        );
        let end = page.end();
        let mut next = page.start;
        let chunks = std::iter::from_fn(|| {
            let chunk = file.chunk(next, end, WRITES)?;
            next = chunk.end;
            Some(chunk)
        });
        let writes = chunks.map(|chunk| {
            let mut sealed = file.buffers().take(chunk.units * units.unit_bytes());
            let from = usize::try_from(chunk.start.raw() - page.start.raw()).expect("a page");
            let bytes = &page.bytes[from..from + chunk.units * payload];
            units.write_checksums(chunk.start, bytes, &mut sealed);
            file.strip().write(chunk.start, sealed)
        });
        ahead(writes, WRITES).try_collect().await
    }
}

impl LogExtent {
    /// Returns the extent of a log of `frames` pages that continues at `tail`.
    ///
    /// The head leaves as many pages in memory as may stay there when the tail turns to the next
    /// page. The log itself has only the bytes up to `flushed`. The rest is flushed later if all of
    /// it is in memory.
    pub(crate) fn within(
        [begin, flushed, tail]: [Address; 3],
        page_bits: u32,
        frames: u32,
    ) -> Self {
        let kept = first_kept(tail.page(page_bits), frames);
        let head = Address::at(kept, 0, page_bits).max(begin).min(tail);
        assert!(begin <= head && head <= tail, "{begin:?} {head:?} {tail:?}");
        debug_assert!(flushed <= tail, "a log ends after its bytes on the device: {flushed:?}");
        let flushed = if head <= flushed { flushed } else { tail };
        Self { begin, head, flushed, tail }
    }

    /// Returns the same log with the records from `flushed` on in memory, up to the tail. The log
    /// itself has the others.
    pub(crate) fn with_memory_from(self, flushed: Address, page_bits: u32) -> Self {
        let first = Address::at(flushed.page(page_bits), 0, page_bits);
        let head = self.head.min(first.max(self.begin));
        Self { head, flushed, ..self }
    }

    /// Returns the number of pages in memory.
    pub(crate) fn pages_in_memory(self, page_bits: u32) -> u64 {
        self.tail.page(page_bits) - self.head.page(page_bits) + 1
    }
}

//! Restores the state of a checkpoint in the log, before any operation uses the log.

use super::flush::WRITES;
use super::scan::{PagePayload, Show};
use super::{HybridLog, LogExtent};
use crate::address::Address;
use crate::error::{Error, Result};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};

/// Writes the shown pages into the log: see [`HybridLog::write_back`].
pub(crate) struct WriteBack<'l>(pub(crate) &'l HybridLog);

impl Show for WriteBack<'_> {
    fn show<'a>(&'a mut self, page: &'a mut PagePayload) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.0.write_back(page))
    }
}

impl HybridLog {
    /// Returns the extent of a log of `frames` pages that continues at `tail`.
    ///
    /// The head leaves as many pages in memory as may stay there when the tail turns to the next
    /// page. The log itself has only the bytes up to `flushed`. The rest is flushed later if all of
    /// it is in memory.
    pub(crate) fn extent_within(
        [begin, flushed, tail]: [Address; 3],
        page_bits: u32,
        frames: u32,
    ) -> LogExtent {
        let kept = super::evict::first_kept(tail.page(page_bits), frames);
        let head = Address::at(kept, 0, page_bits).max(begin).min(tail);
        let flushed = if head <= flushed { flushed } else { tail };
        LogExtent { begin, head, flushed, tail }
    }

    /// Returns the first address that is in memory.
    pub(crate) fn first_in_memory(&self) -> Address {
        self.marks.head.load()
    }

    /// Returns whether some records are in memory only.
    pub(crate) fn is_unflushed(&self) -> bool {
        self.marks.flushed.load() < self.tail.address()
    }

    /// Returns whether a page belongs in memory from the start.
    pub(crate) fn is_preloaded(&self, page: &PagePayload) -> bool {
        page.start >= self.page_start(self.marks.head.load())
    }

    /// Copies the payload of a page into its frame.
    pub(crate) fn preload(&self, page: &PagePayload) {
        debug_assert!(self.is_preloaded(page));
        self.frames.load(page.start, &page.bytes);
    }

    /// Writes the payload of a page, or of its end, into the log on the device. The caller syncs
    /// the device after the last page.
    async fn write_back(&self, page: &PagePayload) -> Result<()> {
        let payload = usize::try_from(self.units.payload()).expect("a unit fits in memory");
        assert_eq!(page.bytes.len() % payload, 0, "whole units");
        let end = page.end();
        let mut next = page.start;
        let chunks = std::iter::from_fn(|| {
            let chunk = self.chunk(next, end, WRITES)?;
            next = chunk.end;
            Some(chunk)
        });
        stream::iter(chunks)
            .map(|chunk| {
                let mut sealed = self.buffers.take(chunk.units * self.units.unit_bytes());
                let from = usize::try_from(chunk.start.raw() - page.start.raw()).expect("a page");
                let bytes = &page.bytes[from..from + chunk.units * payload];
                self.units.seal(chunk.start, bytes, &mut sealed);
                self.strip().write(chunk.start, sealed)
            })
            .buffered(WRITES)
            .try_collect()
            .await
    }

    /// Returns the error of a damaged record at `address` that no checksum found.
    #[cold]
    pub(crate) fn not_a_record(&self, address: Address) -> Error {
        let (file, offset) = self.locate(address);
        Error::damaged("the header of a record is damaged", &file, offset)
    }
}

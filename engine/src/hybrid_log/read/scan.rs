//! Reads pages back from a device in order, checked, several reads ahead.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::in_order::ahead;
use crate::hybrid_log::pages::file::{LARGEST_TRANSFER, LogFile};
use crate::hybrid_log::pages::unit::Units;
use crate::hybrid_log::pages::unit_file::UnitFile;
use futures::future::BoxFuture;
use futures::stream::StreamExt;

/// The limit of reads in flight.
const READS: usize = 8;

/// The payload of one page, or of the range within it.
#[derive(Debug)]
pub(crate) struct PagePayload {
    /// The address of the first byte; the start of a unit.
    pub(crate) start: Address,
    pub(crate) bytes: Vec<u8>,
}

impl PagePayload {
    /// Returns the address after the last byte.
    pub(crate) fn end(&self) -> Address {
        Address::new(self.start.raw() + self.bytes.len() as u64)
    }
}

/// Receives one page after the other.
///
/// It is a trait, not an `AsyncFnMut`. The compiler cannot prove that the future of such a closure
/// is `Send` for pages of every lifetime.
pub(crate) trait Show: Send {
    fn show<'a>(&'a mut self, page: &'a mut PagePayload) -> BoxFuture<'a, Result<()>>;
}

/// Joins ranges of pages that come from different places. A record may lie across two ranges.
#[derive(Debug, Default)]
pub(crate) struct PageAssembler {
    /// The front of a page whose end is elsewhere.
    front: Option<PagePayload>,
}

impl PageAssembler {
    /// Takes the next page, or the next range of a page, and shows each complete page.
    pub(crate) fn take_in(
        &mut self,
        units: Units,
        page: &PagePayload,
        mut show: impl FnMut(&PagePayload) -> Result<()>,
    ) -> Result<()> {
        let follows = self.front.as_ref().is_none_or(|front| front.end() <= page.start);
        assert!(follows, "ranges come in order: {:?} after {:?}", page.start, self.front);
        debug_assert!(
            self.front.as_ref().is_none_or(|front| !units.is_page_end(front.end())),
            "a page that is whole was shown: {:?}",
            self.front
        );
        match self.front.take() {
            Some(mut front) if front.end() == page.start => {
                front.bytes.extend_from_slice(&page.bytes);
                if units.is_page_end(front.end()) {
                    return show(&front);
                }
                self.front = Some(front);
                return Ok(());
            }
            Some(front) => show(&front)?,
            None => {}
        }
        if units.is_page_end(page.end()) {
            return show(page);
        }
        self.front = Some(PagePayload { start: page.start, bytes: page.bytes.clone() });
        Ok(())
    }

    /// Returns the range of a page after which nothing follows.
    pub(crate) fn finish(&mut self) -> Option<PagePayload> {
        self.front.take()
    }
}

/// Reads pages in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageScan<'l>(pub(crate) &'l LogFile);

impl PageScan<'_> {
    /// Shows the payload of `[from, end)` of a strip, one page at a time, in order. Units begin at
    /// `from` and `end`.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`, and the errors of `show`, which end the scan.
    pub(crate) async fn strip(
        self,
        strip: UnitFile<'_>,
        [from, end]: [Address; 2],
        show: &mut dyn Show,
    ) -> Result<()> {
        let (file, units) = (self.0, self.0.units());
        debug_assert!(from <= end, "{from:?} to {end:?}");
        debug_assert_eq!(from, units.unit_start(from), "{from:?} is where a unit begins");
        let page_bits = units.page_bits();
        let mut next = from;
        let chunks = std::iter::from_fn(|| {
            let chunk = file.chunk(next, end, READS)?;
            next = chunk.end;
            Some(chunk)
        });
        let reads = chunks.map(|chunk| async move {
            let buffer = file.buffers().take(chunk.units * units.unit_bytes());
            debug_assert!(buffer.len() <= LARGEST_TRANSFER);
            let stored = strip.read(chunk.start, buffer).await?;
            Ok::<_, Error>((chunk, stored))
        });
        let mut reads = ahead(reads, READS);
        let mut page = PagePayload { start: from, bytes: Vec::new() };
        while let Some(read) = reads.next().await {
            let (chunk, mut stored) = read?;
            assert_eq!(chunk.start, page.end(), "chunks come in order and leave no gap");
            let length = strip.open(chunk.start, &mut stored)?;
            page.bytes.extend_from_slice(&stored[..length]);
            if chunk.end.page(page_bits) > page.start.page(page_bits) || chunk.end >= end {
                show.show(&mut page).await?;
                page.start = chunk.end;
                page.bytes.clear();
            }
        }
        assert!(page.bytes.is_empty() && page.start >= end, "all pages were shown up to {end:?}");
        Ok(())
    }

    /// Shows the payload of `[from, end)` of the log, as stored on the device. Units begin at
    /// `from` and `end`.
    ///
    /// # Errors
    /// As for [`strip`](Self::strip).
    pub(crate) async fn log(self, range: [Address; 2], show: &mut dyn Show) -> Result<()> {
        self.strip(self.0.strip(), range, show).await
    }
}

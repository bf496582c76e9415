//! Brings pages back from a device in order, checked, several reads ahead.

use super::flush::LARGEST_TRANSFER;
use super::{HybridLog, Strip, Units};
use crate::address::Address;
use crate::error::{Error, Result};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

/// Reads in flight at the most.
const READS: usize = 8;

/// The payload of one page, or of its part within a range.
#[derive(Debug)]
pub(crate) struct PagePayload {
    /// Address of the first byte; the start of a unit.
    pub(crate) start: Address,
    pub(crate) bytes: Vec<u8>,
}

impl PagePayload {
    /// The address behind the last byte.
    pub(crate) fn end(&self) -> Address {
        Address::new(self.start.raw() + self.bytes.len() as u64)
    }
}

/// Is shown one page after the other.
///
/// A trait and not an `AsyncFnMut`: of the future of such a closure the compiler cannot tell that
/// it is `Send` for pages of every lifetime.
pub(crate) trait Show: Send {
    fn show<'a>(&'a mut self, page: &'a mut PagePayload) -> BoxFuture<'a, Result<()>>;
}

/// Puts pages together whose parts come from different places: a record may lie across them.
#[derive(Debug, Default)]
pub(crate) struct Joint {
    /// The front of a page whose end is elsewhere.
    front: Option<PagePayload>,
}

impl Joint {
    /// Takes in the next page, or the next part of one, and shows what is complete.
    pub(crate) fn take_in(
        &mut self,
        units: Units,
        page: &PagePayload,
        mut show: impl FnMut(&PagePayload) -> Result<()>,
    ) -> Result<()> {
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

    /// The part of a page behind which nothing comes.
    pub(crate) fn finish(&mut self) -> Option<PagePayload> {
        self.front.take()
    }
}

impl HybridLog {
    /// Shows the payload of `[from, end)` of a strip, a page at a time, in order. `from` and `end`
    /// are where units begin.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`, and those of `show`, which end the scan.
    pub(crate) async fn scan(
        &self,
        strip: Strip<'_>,
        [from, end]: [Address; 2],
        show: &mut dyn Show,
    ) -> Result<()> {
        debug_assert_eq!(from, self.units.unit_start(from), "{from:?} is where a unit begins");
        let page_bits = self.geometry.page_bits;
        let mut next = from;
        let chunks = std::iter::from_fn(|| {
            let chunk = self.chunk(next, end, READS)?;
            next = chunk.end;
            Some(chunk)
        });
        let mut reads = stream::iter(chunks)
            .map(|chunk| async move {
                let buffer = self.buffers.take(chunk.units * self.units.unit_bytes());
                debug_assert!(buffer.len() <= LARGEST_TRANSFER);
                let stored = strip.read(chunk.start, buffer).await?;
                Ok::<_, Error>((chunk, stored))
            })
            .buffered(READS);
        let mut page = PagePayload { start: from, bytes: Vec::new() };
        while let Some(read) = reads.next().await {
            let (chunk, mut stored) = read?;
            let length = strip.open(chunk.start, &mut stored)?;
            page.bytes.extend_from_slice(&stored[..length]);
            if chunk.end.page(page_bits) > page.start.page(page_bits) || chunk.end >= end {
                show.show(&mut page).await?;
                page.start = chunk.end;
                page.bytes.clear();
            }
        }
        Ok(())
    }

    /// Shows the payload of `[from, end)` of the log as the device has it; `from` and `end` are
    /// where units begin.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub(crate) async fn scan_log(&self, range: [Address; 2], show: &mut dyn Show) -> Result<()> {
        self.scan(self.strip(), range, show).await
    }

    /// The start of the unit of `address`.
    pub(crate) fn unit_start(&self, address: Address) -> Address {
        self.units.unit_start(address)
    }

    /// The start of the page of `address`.
    pub(crate) fn page_start(&self, address: Address) -> Address {
        let page_bits = self.geometry.page_bits;
        Address::at(address.page(page_bits), 0, page_bits)
    }
}

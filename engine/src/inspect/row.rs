//! A row of log units that is read to its end, in spite of damage in between.

use super::problems::Problems;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::in_order::ahead;
use crate::hybrid_log::{Chunk, PagePayload, UnitFile, Units};
use futures::stream::StreamExt;
use kvick_io::{AlignedBuf, BufPool};

/// The bytes of one read.
const TRANSFER: usize = 256 << 10;
/// The limit of reads in flight.
const READS: usize = 8;

/// Units of the log on a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'d> {
    pub(super) strip: UnitFile<'d>,
    pub(super) units: Units,
    pub(super) buffers: &'d BufPool,
    /// The end of the device, in its bytes.
    pub(super) stored: u64,
}

impl Row<'_> {
    /// Reads `[from, end)`, where units begin, and notes each unit that is not sound.
    ///
    /// It shows each page, or its bytes within the range, with the addresses of its damaged units.
    /// Returns the end of the stored range.
    pub(super) async fn check(
        self,
        [from, end]: [Address; 2],
        problems: &mut Problems,
        mut show: impl FnMut(&mut PagePayload, &[Address]),
    ) -> Address {
        let page_bits = self.units.page_bits();
        let largest = (TRANSFER / self.units.unit_bytes()).max(1);
        let mut next = from;
        let chunks = std::iter::from_fn(|| {
            let chunk = self.units.chunk([next, end], largest)?;
            next = chunk.end;
            (self.strip.offset(chunk.start) < self.stored).then_some(chunk)
        });
        let mut reads = ahead(chunks.map(|chunk| self.read(chunk)), READS);
        let mut page = PagePayload { start: from, bytes: Vec::new() };
        let (mut covered, mut bad) = (from, Vec::new());
        while let Some((chunk, read)) = reads.next().await {
            self.take_in((chunk, read), &mut page, &mut bad, problems);
            covered = chunk.end;
            if covered.page(page_bits) > page.start.page(page_bits) || covered >= end {
                show(&mut page, &bad);
                page.start = covered;
                page.bytes.clear();
                bad.clear();
            }
        }
        if covered < end {
            problems.note_end(&self.strip.locate(covered).0);
        }
        covered
    }

    async fn read(self, chunk: Chunk) -> (Chunk, Result<AlignedBuf>) {
        let buffer = self.buffers.take(chunk.units * self.units.unit_bytes());
        (chunk, self.strip.read(chunk.start, buffer).await)
    }

    /// Appends the payload of a chunk to its page. A unit that is not sound has some bytes there
    /// too.
    fn take_in(
        self,
        (chunk, read): (Chunk, Result<AlignedBuf>),
        page: &mut PagePayload,
        bad: &mut Vec<Address>,
        problems: &mut Problems,
    ) {
        let payload = self.units.payload();
        let unit = |number: usize| Address::new(chunk.start.raw() + number as u64 * payload);
        let length = usize::try_from(payload).expect("a unit fits in memory") * chunk.units;
        match read {
            Ok(mut stored) => {
                for number in 0..chunk.units {
                    let which = number..number + 1;
                    let locate = |address| self.strip.locate(address);
                    let opened = self.units.open(chunk.start, &mut stored, which, locate);
                    if let Err(error) = opened {
                        let (file, offset) = self.strip.locate(unit(number));
                        problems.note(&error, (&file, offset));
                        bad.push(unit(number));
                    }
                }
                page.bytes.extend_from_slice(&stored[..length]);
            }
            Err(error) => {
                let (file, offset) = self.strip.locate(chunk.start);
                let bytes = chunk.units * self.units.unit_bytes();
                problems.note_unreadable(&error, (&file, offset), bytes as u64);
                bad.extend((0..chunk.units).map(unit));
                page.bytes.resize(page.bytes.len() + length, 0);
            }
        }
    }
}

//! Finds the live records in ranges of the log.
//!
//! Memory decides about most of them. The others are gathered over many stretches, and looked up
//! together: so the log that is read for that is read once for all of them. The live ones are read
//! again, and shown.

use super::batch::{Batch, LivePlace};
use super::device_reads::DeviceReads;
use super::found::Found;
use super::liveness::{Candidate, Live, Place, Proof, REACH, SpanReads, Uncertain, look_up};
use super::pages::{Candidates, ScanMoment, Stretch};
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::wait::yield_once;
use crate::record::{RecordInfo, StoredRecord};
use crate::store::record::overflow::read_overflow;
use crate::store::record::pieces::is_cut;
use crate::store::table::TableInner;
use std::cmp::Ordering;

/// Which records a scan wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Records with their values.
    Values,
    /// Records, without values that are in pieces.
    Keys,
}

/// Finds the live records in ranges of the log.
pub(super) struct Finder<'f> {
    pub(super) table: &'f TableInner,
    pub(super) moment: ScanMoment,
    /// The log began here at the moment.
    pub(super) begin: Address,
    pub(super) wish: Wish,
    pub(super) found: &'f Found,
}

impl Finder<'_> {
    /// Finds the live records of `[from, end)`. Calls `pass` with each address below which it is
    /// done.
    pub(super) async fn find_in(
        &self,
        [from, end]: [Address; 2],
        pass: impl Fn(Address),
    ) -> Result<()> {
        let mut gathered = Gathered::new(self, [from, end]);
        let found = self.find_and_gather([from, end], &mut gathered, &pass).await;
        found.map_err(|error| self.cause_of(error))
    }

    async fn find_and_gather(
        &self,
        [from, end]: [Address; 2],
        gathered: &mut Gathered<'_>,
        pass: &impl Fn(Address),
    ) -> Result<()> {
        let mut next = from;
        while next < end {
            let [_, head, ..] = self.table.log.pages().addresses();
            next = if next < head {
                self.find_on_device([next, end.min(head)], gathered, pass).await?
            } else {
                self.find_in_memory([next, end], gathered).await?
            };
            if gathered.settle(next).await? {
                pass(next);
            }
        }
        Ok(())
    }

    /// Finds the live records of `[from, end)`, which is on the device.
    async fn find_on_device(
        &self,
        [from, end]: [Address; 2],
        gathered: &mut Gathered<'_>,
        pass: &impl Fn(Address),
    ) -> Result<Address> {
        let mut reads = DeviceReads::new(self.table.store(), [from, end]);
        while let Some(stretch) = reads.next().await? {
            self.check(stretch.first)?;
            let candidates = stretch.candidates(self.table, ScanMoment { end, ..self.moment })?;
            reads.keep(&stretch, candidates.next);
            let live = self.live_of(candidates, &mut gathered.uncertain).await?;
            self.show(stretch, live).await?;
            if gathered.settle(reads.shown_until()).await? {
                pass(reads.shown_until());
            }
        }
        reads.finish()
    }

    /// Finds the live records of some bytes from `from` on, which are in memory. Returns the
    /// address that follows, or `from` if they have left memory meanwhile.
    async fn find_in_memory(
        &self,
        [from, end]: [Address; 2],
        gathered: &mut Gathered<'_>,
    ) -> Result<Address> {
        let mut bytes = 0;
        loop {
            self.check(from)?;
            let Some(stretch) =
                Stretch::copy(self.table, [from, end], bytes, self.found.pulse()).await?
            else {
                return Ok(from);
            };
            let candidates = stretch.candidates(self.table, ScanMoment { end, ..self.moment })?;
            let next = candidates.next;
            if next > from {
                let live = self.live_of(candidates, &mut gathered.uncertain).await?;
                self.show(stretch, live).await?;
                return Ok(next);
            }
            // The first record is longer.
            bytes = stretch.bytes.len() as u64 * 2;
        }
    }

    /// Returns the live ones of some candidates, as far as memory shows. The others are added to
    /// `uncertain`.
    async fn live_of(
        &self,
        Candidates { candidates, .. }: Candidates<'_>,
        uncertain: &mut Uncertain<'_>,
    ) -> Result<Vec<LivePlace>> {
        let mut live = Vec::with_capacity(candidates.len());
        look_up(self.table, &candidates, self.moment.end, &mut live, uncertain);
        drop(candidates);
        self.plain_of(live.into_iter().map(|Live { candidate, .. }| candidate).collect()).await
    }

    /// Returns the places of live records. Passes on those whose values are in pieces.
    async fn plain_of(&self, mut live: Vec<Candidate<'_>>) -> Result<Vec<LivePlace>> {
        live.retain(|record| !self.is_cut(record));
        let is_long = |record: &Candidate<'_>| {
            let info = RecordInfo::first_of(record.record);
            self.wish == Wish::Values && info.is_in_pieces(record.layout)
        };
        for record in live.iter().filter(|record| is_long(record)) {
            self.put(self.gathered(record).await?).await?;
        }
        let plain = live.iter().filter(|record| !is_long(record));
        Ok(plain.map(LivePlace::of).collect())
    }

    /// Returns whether a record is a list whose value was cut at the moment. Then its key was
    /// absent. The begin of the log does not move while the scan needs what is above it.
    fn is_cut(&self, record: &Candidate<'_>) -> bool {
        let Candidate { layout, record, .. } = *record;
        let info = RecordInfo::first_of(record);
        info.is_in_pieces(layout) && is_cut(StoredRecord::value_in(record, layout), self.begin)
    }

    /// Passes on live records of a stretch, and lets other tasks run.
    async fn show(&self, stretch: Stretch, live: Vec<LivePlace>) -> Result<()> {
        self.put(Batch::new(stretch, self.table.layout, live, self.found.pulse())).await?;
        yield_once().await;
        Ok(())
    }

    /// Passes on a batch that was read before the scan expired, if it has.
    async fn put(&self, batch: Batch) -> Result<()> {
        self.found.pulse().check()?;
        self.found.put(batch).await;
        Ok(())
    }

    /// Returns a record with its value, which is in pieces.
    async fn gathered(&self, record: &Candidate<'_>) -> Result<Batch> {
        let Candidate { address, layout, record: bytes, .. } = *record;
        let list = StoredRecord::value_in(bytes, layout);
        let value = read_overflow(self.table, self.table.stored(), address, list).await?;
        Ok(Batch::long(record, value, self.found.pulse()))
    }

    /// Returns the cause of an error: a file that is missing since the log begins later is no
    /// damage, and neither is anything that an expired scan meets.
    fn cause_of(&self, error: Error) -> Error {
        if let Err(expired) = self.found.pulse().check() {
            return expired;
        }
        let is_gone = self.table.log.pages().begin() > self.begin;
        let is_damage = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound);
        if is_gone && is_damage { Error::taken_from_scan(self.begin.raw()) } else { error }
    }

    /// Refuses to continue at an address.
    ///
    /// # Errors
    /// `Closed`; `InvalidArgument` if the table was dropped; `Truncated` if the log begins after
    /// the address by now.
    fn check(&self, next: Address) -> Result<()> {
        self.table.check_read()?;
        self.table.check()?;
        self.found.pulse().check()?;
        let begin = self.table.log.pages().begin();
        if next < begin { Err(Error::taken_from_scan(next.raw())) } else { Ok(()) }
    }
}

/// The part of a range after which gathered records are looked up at last, so that the cursor of a
/// scan goes on.
const PART: u64 = 16;
/// The bytes of log after which that is done for the first time. Each further time comes after
/// twice as many. So a task that takes a few keys, and goes on later at the cursor, gets further.
const FIRST_BYTES: u64 = 64 << 10;
/// The least limit of these bytes.
const LEAST_BYTES: u64 = 1 << 20;
/// The number of records from which on their sweep is worth as much log as it reads.
const MANY: u64 = 64;

/// The records that are gathered in one range of the log.
struct Gathered<'f> {
    finder: &'f Finder<'f>,
    uncertain: Uncertain<'f>,
    /// No record is below.
    base: Address,
    /// The end of the range.
    end: Address,
    /// So many bytes of log are read before all records are looked up the next time, and at most.
    bytes: u64,
    most_bytes: u64,
}

impl<'f> Gathered<'f> {
    /// Gathers in `[from, end)`.
    fn new(finder: &'f Finder<'f>, [from, end]: [Address; 2]) -> Self {
        let part = end.raw().saturating_sub(from.raw()) / PART;
        let (bytes, most_bytes) = (FIRST_BYTES, part.clamp(LEAST_BYTES, REACH / 2));
        let uncertain = finder.uncertain_above(from);
        Self { finder, uncertain, base: from, end, bytes, most_bytes }
    }

    /// Looks up all gathered records, if these are many, or the range ends with `next`. The range
    /// below `next` was read. Returns whether all records there are shown.
    async fn settle(&mut self, next: Address) -> Result<bool> {
        let is_due = next >= self.end
            || self.uncertain.is_full()
            || next.raw().saturating_sub(self.base.raw()) >= self.bytes;
        if self.uncertain.len() > 0 && !is_due {
            return Ok(false);
        }
        if self.uncertain.len() > 0 {
            self.finder.show_live(&mut self.uncertain).await?;
        }
        if is_due {
            // The memory goes back to the pages.
            (self.uncertain, self.base) = (self.finder.uncertain_above(next), next);
            self.bytes = (2 * self.bytes).min(self.most_bytes);
        }
        Ok(true)
    }
}

impl Finder<'_> {
    fn uncertain_above(&self, base: Address) -> Uncertain<'_> {
        Uncertain::above(base).within(&self.table.governor)
    }

    /// Shows the live ones of some records.
    async fn show_live(&self, uncertain: &mut Uncertain<'_>) -> Result<()> {
        let (table, end) = (self.table, self.moment.end);
        let [_, head, ..] = table.log.pages().addresses();
        let lowest = uncertain.lowest().expect("there are some");
        // Their chains begin above the moment, and may have far more records there.
        let written_since = head.raw().saturating_sub(end.raw());
        // A few chains are short in comparison with the log, most probably.
        let least_part = (MANY / uncertain.len() as u64).max(1);
        let proofs = if written_since / least_part > end.raw() - lowest.raw() {
            uncertain.resolve_in_log(table, end).await?
        } else {
            let resolved = uncertain.resolve(table, end).await;
            match resolved.failed {
                Some((_, error)) => return Err(error),
                None => resolved.live,
            }
        };
        self.show_proven(proofs).await
    }

    /// Reads live records again, and shows them.
    async fn show_proven(&self, proofs: Vec<Proof>) -> Result<()> {
        let (table, layouts) = (self.table, self.table.tables.layouts());
        let mut reads = SpanReads::new(table, proofs);
        while let Some((proofs, payload)) = reads.next().await? {
            let payload = payload?;
            let (start, bytes) = payload.bytes();
            let stretch = Stretch { start, first: start, bytes: bytes.to_vec() };
            let is_whole = |proof: &Proof| payload.record(layouts, proof.address()).is_some();
            let (whole, split): (Vec<_>, Vec<_>) = proofs.into_iter().partition(is_whole);
            drop(payload);
            self.show_in(stretch, &whole).await?;
            for proof in split {
                let at = proof.address();
                let record = table.log.reader().fetch(layouts, table.layout, at).await?;
                let bytes = record.record().to_vec();
                self.show_in(Stretch { start: at, first: at, bytes }, &[proof]).await?;
            }
        }
        Ok(())
    }

    /// Shows live records, which a stretch has as a whole.
    async fn show_in(&self, stretch: Stretch, proofs: &[Proof]) -> Result<()> {
        let table = self.table;
        let candidates = proofs.iter().map(|proof| {
            let address = proof.address();
            let (layout, record) = stretch.record_at(table, address)?;
            let hash = table.hasher.hash(StoredRecord::key_in(record, layout));
            let proven = match proof.start().cmp(&self.moment.end) {
                Ordering::Less => proof.start(),
                // What is above the moment was passed over, and may be a newer record of the key.
                Ordering::Equal | Ordering::Greater => address,
            };
            Ok(Candidate { address, table: table.number, layout, record, hash, proven })
        });
        let live = self.plain_of(candidates.collect::<Result<_>>()?).await?;
        self.show(stretch, live).await
    }
}

//! A scan of one table, from its moment to its end.

use super::active::Bounds;
use super::batch::{Batch, LivePlace};
use super::device_reads::DeviceReads;
use super::found::{Found, Rest};
use super::liveness::{Candidate, live_of};
use super::pages::{Candidates, ScanMoment, Stretch};
use super::progress::ActiveScan;
use super::share::{Cursor, Part, Share};
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::wait::yield_once;
use crate::record::{RecordInfo, StoredRecord};
use crate::store::record::overflow::read_overflow;
use crate::store::record::pieces::is_cut;
use crate::store::table::TableInner;
use kvick_io::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Which records a scan wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Records with their values.
    Values,
    /// Records, without values that are in pieces.
    Keys,
}

/// The live records of a table as of one moment, each once, in batches.
///
/// Its memory is a stretch of the log, the candidates in it, and reads ahead. A value in pieces is
/// in memory as a whole, one at a time.
pub(crate) struct LiveRecords {
    /// `None` after the end.
    finding: Option<BoxFuture<'static, Result<()>>>,
    found: Arc<Found>,
    table: Arc<TableInner>,
    wish: Wish,
}

impl LiveRecords {
    /// Creates a scan. It begins when it is polled.
    pub(crate) fn new(table: Arc<TableInner>, wish: Wish) -> Self {
        Self::of((&Arc::clone(&table), wish), |found| async move {
            let scan = ActiveScan::begin_one(&table, found.pulse());
            find((table, wish), Share::Part(Part::WHOLE), scan, &found).await
        })
    }

    /// Creates a scan that continues at `cursor`. It begins when it is polled.
    ///
    /// # Errors
    /// `InvalidArgument` if the cursor is of another table or opening.
    pub(crate) fn from(table: Arc<TableInner>, wish: Wish, cursor: Cursor) -> Result<Self> {
        cursor.check(&table)?;
        let rest = cursor.rest();
        let scan = Self::of((&Arc::clone(&table), wish), |found| async move {
            let scan = ActiveScan::begin_one(&table, found.pulse());
            find((table, wish), Share::From(cursor), scan, &found).await
        });
        *scan.found.rest() = rest;
        Ok(scan)
    }

    /// Ends the scan, which holds nothing up from then on. If it is polled again, it continues at
    /// its cursor, as of a later moment.
    ///
    /// # Errors
    /// None that is known: its own cursor is of its table and opening.
    pub(crate) fn pause(&mut self) -> Result<()> {
        *self = Self::from(Arc::clone(&self.table), self.wish, self.cursor())?;
        Ok(())
    }

    /// Begins a scan in parts, which have the same moment. Together they find each record once.
    pub(crate) fn in_parts(
        table: &Arc<TableInner>,
        wish: Wish,
        count: usize,
    ) -> impl Iterator<Item = Self> {
        let found: Vec<_> = (0..count).map(|_| Arc::<Found>::default()).collect();
        let pulses: Vec<_> = found.iter().map(|found| Arc::clone(found.pulse())).collect();
        let parts = found.into_iter().zip(ActiveScan::begin(table, &pulses)).enumerate();
        parts.map(move |(number, (found, scan))| {
            let (own, share) = (Arc::clone(table), Share::Part(Part { number, count }));
            Self::with((table, wish), found, move |found| async move {
                find((own, wish), share, scan, &found).await
            })
        })
    }

    fn of<F>(
        (table, wish): (&Arc<TableInner>, Wish),
        finding: impl FnOnce(Arc<Found>) -> F,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self::with((table, wish), Arc::default(), finding)
    }

    fn with<F>(
        (table, wish): (&Arc<TableInner>, Wish),
        found: Arc<Found>,
        finding: impl FnOnce(Arc<Found>) -> F,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let finding = Box::pin(finding(Arc::clone(&found)));
        Self { finding: Some(finding), found, table: Arc::clone(table), wish }
    }

    /// Returns the place at which another scan can continue. It is at or before the first record
    /// that this scan has not shown.
    pub(crate) fn cursor(&self) -> Cursor {
        let rest = self.found.rest();
        Cursor::new(&self.table, rest.end, &rest.ranges)
    }

    /// Returns the next batch, which is not empty; `None` after the last one, or after an error.
    pub(crate) fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let Some(finding) = &mut self.finding else {
            return Poll::Ready(None);
        };
        self.found.pulse().beat();
        match finding.as_mut().poll(context) {
            Poll::Pending => match self.found.take() {
                Some(batch) => Poll::Ready(Some(Ok(batch))),
                None => Poll::Pending,
            },
            Poll::Ready(end) => {
                self.finding = None;
                Poll::Ready(end.err().map(Err))
            }
        }
    }
}

impl fmt::Debug for LiveRecords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_over = self.finding.is_none();
        formatter.debug_struct("LiveRecords").field("is_over", &is_over).finish_non_exhaustive()
    }
}

/// Finds the live records of a share of a table.
async fn find(
    (table, wish): (Arc<TableInner>, Wish),
    share: Share,
    scan: ActiveScan,
    found: &Found,
) -> Result<()> {
    let bounds = scan.bounds().await?;
    // Not a later second: a key that was renewed after the moment would be missing.
    let Bounds { begin, end, second, .. } = bounds;
    let moment = ScanMoment { end, second };
    let finder = Finder { table: &table, moment, begin, wish, found };
    let [mutable, older] = share.ranges(bounds, table.log.file().units());
    *found.rest() = Rest { end, ranges: [&mutable[..], &older].concat() };
    // The pieces of a value are below its record, at any distance.
    let has_pieces = wish == Wish::Values && table.layout.value_width.is_none();
    // What was mutable comes first: it is frozen for only as long.
    for (number, range) in mutable.iter().enumerate() {
        finder.find_in(*range, |next| found.rest().ranges[number][0] = next).await?;
    }
    scan.thaw();
    for (number, range) in (mutable.len()..).zip(&older) {
        let pass = |next| {
            found.rest().ranges[number][0] = next;
            if !has_pieces {
                scan.pass(next);
            }
        };
        finder.find_in(*range, pass).await?;
    }
    // What was shown last was in time, but not what its task did with it after that.
    found.pulse().check()
}

/// Finds the live records in ranges of the log.
struct Finder<'f> {
    table: &'f TableInner,
    moment: ScanMoment,
    /// The log began here at the moment.
    begin: Address,
    wish: Wish,
    found: &'f Found,
}

impl Finder<'_> {
    /// Finds the live records of `[from, end)`. Calls `pass` with each address below which it is
    /// done.
    async fn find_in(&self, [from, end]: [Address; 2], pass: impl Fn(Address)) -> Result<()> {
        let mut next = from;
        while next < end {
            let [_, head, ..] = self.table.log.pages().addresses();
            let found = if next < head {
                self.find_on_device([next, end.min(head)], &pass).await
            } else {
                self.find_in_memory([next, end]).await
            };
            next = found.map_err(|error| self.cause_of(error))?;
            pass(next);
        }
        Ok(())
    }

    /// Finds the live records of `[from, end)`, which is on the device.
    async fn find_on_device(
        &self,
        [from, end]: [Address; 2],
        pass: &impl Fn(Address),
    ) -> Result<Address> {
        let mut reads = DeviceReads::new(self.table.store(), [from, end]);
        while let Some(stretch) = reads.next().await? {
            self.check(stretch.first)?;
            let candidates = stretch.candidates(self.table, ScanMoment { end, ..self.moment })?;
            reads.keep(&stretch, candidates.next);
            let live = self.live_of(candidates).await?;
            self.show(stretch, live).await?;
            pass(reads.shown_until());
        }
        reads.finish()
    }

    /// Finds the live records of some bytes from `from` on, which are in memory. Returns the
    /// address that follows, or `from` if they have left memory meanwhile.
    async fn find_in_memory(&self, [from, end]: [Address; 2]) -> Result<Address> {
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
                let live = self.live_of(candidates).await?;
                self.show(stretch, live).await?;
                return Ok(next);
            }
            // The first record is longer.
            bytes = stretch.bytes.len() as u64 * 2;
        }
    }

    /// Returns the live ones of some candidates. Passes on those whose values are in pieces.
    async fn live_of(
        &self,
        Candidates { candidates, .. }: Candidates<'_>,
    ) -> Result<Vec<LivePlace>> {
        let mut live = live_of(self.table, &candidates, self.moment.end).await?;
        drop(candidates);
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

//! A scan of one table, from its moment to its end.

use super::active::Bounds;
use super::batch::Batch;
use super::candidate::Candidate;
use super::liveness::live_of;
use super::pages::{Candidates, READS, ScanMoment, Stretch, chunks, read};
use super::part::Part;
use super::progress::ActiveScan;
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::wait::yield_once;
use crate::record::{RecordInfo, StoredRecord};
use crate::store::record::overflow::read_overflow;
use crate::store::table::TableInner;
use futures::stream::{FuturesOrdered, TryStreamExt};
use kvick_io::BoxFuture;
use kvick_io::sync::Mutex;
use std::fmt;
use std::future::poll_fn;
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
    found: Arc<Slot>,
}

/// The batch that was found last, until it is taken.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Batch>>);

impl Slot {
    fn take(&self) -> Option<Batch> {
        self.0.lock().expect("nothing panics under it").take()
    }

    /// Passes on a batch. The task that polls the scan takes it before it polls again.
    async fn put(&self, batch: Batch) {
        if batch.left() == 0 {
            return;
        }
        let before = self.0.lock().expect("nothing panics under it").replace(batch);
        assert!(before.is_none(), "each batch is taken");
        let mut is_shown = false;
        poll_fn(|_context| {
            if std::mem::replace(&mut is_shown, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl LiveRecords {
    /// Creates a scan. It begins when it is polled.
    pub(crate) fn new(table: Arc<TableInner>, wish: Wish) -> Self {
        Self::of(|found| async move {
            let begun = begin_in_second(&table).await?;
            find((table, wish), Part::WHOLE, begun, &found).await
        })
    }

    /// Begins a scan in parts, which have the same moment. Together they find each record once.
    pub(crate) fn in_parts(
        table: &Arc<TableInner>,
        wish: Wish,
        count: usize,
    ) -> impl Iterator<Item = Self> {
        let second = second_of(table);
        let parts = ActiveScan::begin(table, count).enumerate();
        parts.map(move |(number, scan)| {
            let (table, part) = (Arc::clone(table), Part { number, count });
            Self::of(move |found| async move {
                let bounds = scan.bounds().await?;
                find((table, wish), part, (scan, bounds, second), &found).await
            })
        })
    }

    fn of<F>(finding: impl FnOnce(Arc<Slot>) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let found = Arc::<Slot>::default();
        Self { finding: Some(Box::pin(finding(Arc::clone(&found)))), found }
    }

    /// Returns the next batch, which is not empty; `None` after the last one, or after an error.
    pub(crate) fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let Some(finding) = &mut self.finding else {
            return Poll::Ready(None);
        };
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

/// Finds the live records of a part of a table.
async fn find(
    (table, wish): (Arc<TableInner>, Wish),
    part: Part,
    (scan, Bounds { begin, mutable_from, end }, second): (ActiveScan, Bounds, u32),
    found: &Slot,
) -> Result<()> {
    let units = table.log.file().units();
    let moment = ScanMoment { end, second };
    let finder = Finder { table: &table, moment, begin, wish, found };
    // What was mutable comes first: it is frozen for only as long.
    finder.find_in(part.of([mutable_from, end], units), |_next| {}).await?;
    scan.thaw();
    // The pieces of a value are below its record, at any distance.
    let has_pieces = wish == Wish::Values && table.layout.value_width.is_none();
    let pass = |next| {
        if !has_pieces {
            scan.pass(next);
        }
    };
    finder.find_in(part.of([begin, mutable_from], units), pass).await
}

/// Begins a scan. Returns its bounds, and the second of its moment.
///
/// The clock is code of the user, so it is not read within the barrier. It is read before and
/// after. If a second ended in between, the scan begins again.
async fn begin_in_second(table: &Arc<TableInner>) -> Result<(ActiveScan, Bounds, u32)> {
    let mut before = second_of(table);
    let mut beginnings = 0;
    loop {
        let scan = ActiveScan::begin(table, 1).next().expect("there is one");
        let bounds = scan.bounds().await?;
        let after = second_of(table);
        beginnings += 1;
        // If the clock moves each time, any of these seconds is as right.
        if before == after || beginnings == BEGINNINGS {
            return Ok((scan, bounds, after));
        }
        before = after;
    }
}

/// Returns the second that decides what has expired; 0 for a table without expiry.
fn second_of(table: &TableInner) -> u32 {
    if table.layout.has_expiry { table.clock.now().second } else { 0 }
}

/// The number of times that a scan begins, at most, until a second did not end meanwhile.
const BEGINNINGS: u32 = 8;

/// Finds the live records in ranges of the log.
struct Finder<'f> {
    table: &'f TableInner,
    moment: ScanMoment,
    /// The log began here at the moment.
    begin: Address,
    wish: Wish,
    found: &'f Slot,
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
        let file = self.table.log.file();
        let mut chunks = chunks(self.table, [from, end]);
        let mut reads = FuturesOrdered::new();
        let start = file.units().unit_start(from);
        let mut front = Stretch { start, first: from, bytes: Vec::new() };
        loop {
            while reads.len() < READS
                && let Some(chunk) = chunks.next()
            {
                reads.push_back(read(self.table, chunk));
            }
            let Some((chunk, bytes)) = reads.try_next().await? else {
                break;
            };
            self.check(front.first)?;
            let stretch = Stretch::joined(self.table, front, bytes, chunk)?;
            let candidates = stretch.candidates(self.table, ScanMoment { end, ..self.moment })?;
            front = stretch.rest(candidates.next);
            let live = self.live_of(candidates).await?;
            self.show(stretch, live).await;
            pass(front.start);
        }
        if !front.bytes.is_empty() {
            // A record ends before the head, and so does each record below it.
            return Err(file.not_a_record(front.start));
        }
        Ok(front.start.max(end))
    }

    /// Finds the live records of some bytes from `from` on, which are in memory. Returns the
    /// address that follows, or `from` if they have left memory meanwhile.
    async fn find_in_memory(&self, [from, end]: [Address; 2]) -> Result<Address> {
        let mut bytes = 0;
        loop {
            self.check(from)?;
            let Some(stretch) = Stretch::copy(self.table, [from, end], bytes).await? else {
                return Ok(from);
            };
            let candidates = stretch.candidates(self.table, ScanMoment { end, ..self.moment })?;
            let next = candidates.next;
            if next > from {
                let live = self.live_of(candidates).await?;
                self.show(stretch, live).await;
                return Ok(next);
            }
            // The first record is longer.
            bytes = stretch.bytes.len() as u64 * 2;
        }
    }

    /// Returns the live ones of some candidates. Passes on those whose values are in pieces.
    async fn live_of(&self, Candidates { candidates, .. }: Candidates<'_>) -> Result<Vec<Address>> {
        let mut live = Vec::with_capacity(candidates.len());
        live_of(self.table, &candidates, self.moment.end, &mut live).await?;
        drop(candidates);
        let live: Vec<_> = live.into_iter().map(|live| live.candidate).collect();
        let is_long = |record: &Candidate<'_>| {
            let info = RecordInfo::first_of(record.record);
            self.wish == Wish::Values && info.is_in_pieces(record.layout)
        };
        for record in live.iter().filter(|record| is_long(record)) {
            self.found.put(self.gathered(record).await?).await;
        }
        let plain = live.iter().filter(|record| !is_long(record));
        Ok(plain.map(|record| record.address).collect())
    }

    /// Passes on live records of a stretch, and lets other tasks run.
    async fn show(&self, stretch: Stretch, live: Vec<Address>) {
        self.found.put(Batch::new(stretch, self.table.layout, live)).await;
        yield_once().await;
    }

    /// Returns a record with its value, which is in pieces.
    async fn gathered(&self, record: &Candidate<'_>) -> Result<Batch> {
        let Candidate { address, layout, record: bytes, .. } = *record;
        let list = StoredRecord::value_in(bytes, layout);
        let value = read_overflow(self.table.with_store(), address, list).await?;
        Ok(Batch::long(record, value))
    }

    /// Returns the cause of an error: a file that is missing since the log begins later is no
    /// damage.
    fn cause_of(&self, error: Error) -> Error {
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
        let begin = self.table.log.pages().begin();
        if next < begin { Err(Error::taken_from_scan(next.raw())) } else { Ok(()) }
    }
}

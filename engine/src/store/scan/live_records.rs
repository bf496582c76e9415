//! A scan of one table, from its moment to its end.

use super::active::Bounds;
use super::batch::Batch;
use super::finder::{Finder, Wish};
use super::found::{Found, Rest};
use super::pages::ScanMoment;
use super::progress::ActiveScan;
use super::share::{Cursor, Part, Share};
use crate::base::error::Result;
use crate::store::table::TableInner;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The live records of a table as of one moment, each once, in batches.
///
/// Its memory is a stretch of the log, the candidates in it, and reads ahead. A value in pieces is
/// in memory as a whole, one at a time.
pub(crate) struct LiveRecords {
    /// Its pulse has the work.
    found: Arc<Found>,
    is_over: bool,
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

    fn of<F>((table, wish): (&Arc<TableInner>, Wish), finding: impl FnOnce(Arc<Found>) -> F) -> Self
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
        let work = Box::pin(finding(Arc::clone(&found)));
        found.pulse().keep_work(work).expect("a scan that is made now has not expired");
        Self { found, is_over: false, table: Arc::clone(table), wish }
    }

    /// Returns the place at which another scan can continue. It is at or before the first record
    /// that this scan has not shown.
    pub(crate) fn cursor(&self) -> Cursor {
        let rest = self.found.rest();
        Cursor::new(&self.table, rest.end, &rest.ranges)
    }

    /// Returns the next batch, which is not empty; `None` after the last one, or after an error.
    pub(crate) fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let pulse = self.found.pulse();
        pulse.beat();
        // Before the work is taken, so that the driver wakes this task if it takes the work later.
        pulse.register(context.waker());
        let Some(mut work) = pulse.take_work() else {
            // The driver has dropped it.
            self.is_over = true;
            let expired = pulse.check().expect_err("a scan that has panicked is not polled again");
            return Poll::Ready(Some(Err(expired)));
        };
        match work.as_mut().poll(context) {
            Poll::Pending => match (self.found.take(), pulse.keep_work(work)) {
                (Some(batch), _) => Poll::Ready(Some(Ok(batch))),
                (None, Ok(())) => Poll::Pending,
                (None, Err(expired)) => {
                    self.is_over = true;
                    Poll::Ready(Some(Err(expired)))
                }
            },
            Poll::Ready(end) => {
                self.is_over = true;
                Poll::Ready(end.err().map(Err))
            }
        }
    }
}

impl Drop for LiveRecords {
    fn drop(&mut self) {
        // The work has the pulse, so it would keep itself.
        drop(self.found.pulse().take_work());
    }
}

impl fmt::Debug for LiveRecords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_over, .. } = self;
        formatter.debug_struct("LiveRecords").field("is_over", is_over).finish_non_exhaustive()
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

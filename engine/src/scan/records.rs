//! The records of a scan, one after the other.

use crate::base::error::Result;
use crate::lifecycle::StoreLifecycle;
use crate::record::HasLayout;
use crate::store::TableInner;
use crate::store::scan::{Batch, Cursor, LiveRecord, LiveRecords, Removed, Wish};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The live records of a table, as bytes. The store does not end before it.
#[derive(Debug)]
pub(crate) struct Records {
    found: LiveRecords,
    batch: Option<Batch>,
    _lifecycle: Arc<StoreLifecycle>,
}

impl Records {
    pub(crate) fn new(table: Arc<TableInner>, lifecycle: Arc<StoreLifecycle>, wish: Wish) -> Self {
        Self { found: LiveRecords::new(table, wish), batch: None, _lifecycle: lifecycle }
    }

    /// Creates the records of a scan that continues at a cursor.
    pub(crate) fn from(
        table: Arc<TableInner>,
        lifecycle: Arc<StoreLifecycle>,
        cursor: Cursor,
    ) -> Result<Self> {
        let found = LiveRecords::from(table, Wish::Values, cursor)?;
        Ok(Self { found, batch: None, _lifecycle: lifecycle })
    }

    /// Returns the place at which another scan can continue.
    pub(super) fn cursor(&self) -> Cursor {
        self.found.cursor()
    }

    /// Begins a scan in parts with the same moment.
    pub(crate) fn in_parts(
        table: &Arc<TableInner>,
        lifecycle: &Arc<StoreLifecycle>,
        count: usize,
    ) -> impl Iterator<Item = Self> {
        let parts = LiveRecords::in_parts(table, Wish::Values, count);
        parts.map(|found| Self { found, batch: None, _lifecycle: Arc::clone(lifecycle) })
    }

    /// Returns the next record; `None` after the last one, or after an error.
    #[inline]
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<LiveRecord<'_>>>> {
        if self.batch.as_ref().is_none_or(|batch| batch.left() == 0) {
            match ready!(self.poll_batch(context)) {
                Some(Ok(batch)) => self.batch = Some(batch),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let batch = self.batch.as_mut().expect("there is one");
        Poll::Ready(batch.take().map(Ok))
    }

    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        // Its memory is free before the next one takes some.
        self.batch = None;
        self.found.poll_batch(context)
    }

    /// Deletes the keys of the records for which `keep` returns false, unless they have changed
    /// since the moment. Returns the number of deleted keys.
    ///
    /// Without room within a budget it ends its scan, for which compaction waits, and continues as
    /// of a later moment. Everything that was shown before was tried, or comes again.
    pub(crate) async fn retain<S: HasLayout>(
        mut self,
        table: &TableInner,
        mut keep: impl FnMut(LiveRecord<'_>) -> Result<bool>,
    ) -> Result<u64> {
        let mut removed = 0;
        while let Some(batch) = poll_fn(|context| self.poll_batch(context)).await {
            // Before the next batch: the records are final until the scan is polled.
            let Removed { keys, missing } = batch?.retain::<S>(table, &mut keep).await?;
            removed += keys;
            if let Some(room) = missing {
                self.found.pause()?;
                table.log.allocator().wait_for_space(room).await?;
            }
        }
        Ok(removed)
    }

    /// Returns the number of records that follow.
    pub(crate) async fn count(mut self) -> Result<u64> {
        let mut count = 0;
        while let Some(batch) = poll_fn(|context| self.poll_batch(context)).await {
            count += batch?.left() as u64;
        }
        Ok(count)
    }
}

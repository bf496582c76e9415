//! The changes of keys in the log, for users: each as soon as it is durable.

use super::entry::WalEntry;
use super::key_change::{BatchChanges, KeyChange};
use super::replay::damaged;
use crate::base::error::{Error, ErrorKind, Result};
use crate::log::{Entry, LogAddress, Scan};
use crate::record::TableNumber;
use crate::store::inner::StoreInner;
use crate::store::table::TableInner;
use futures::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The durable changes of all tables or of one, in the order of the log.
pub(crate) struct LoggedChanges {
    store: Arc<StoreInner>,
    /// The only table that it shows.
    table: Option<Arc<TableInner>>,
    entries: Scan,
    /// Every entry below was looked at.
    position: LogAddress,
    /// An entry of a batch that is shown in part.
    batch: Option<ShownBatch>,
    is_over: bool,
}

/// An entry of a batch that is shown in part. A reader that goes on from a place within it sees the
/// batch whole again.
struct ShownBatch {
    entry: Entry,
    table: TableNumber,
    /// The bytes of the changes that were not shown, at the end of the entry.
    left: usize,
}

/// A change in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggedChange<'e> {
    pub(crate) table: TableNumber,
    pub(crate) key: &'e [u8],
    pub(crate) change: KeyChange<'e>,
}

impl LoggedChanges {
    /// Returns the changes whose entries begin at `start` or after it.
    ///
    /// # Errors
    /// `InvalidArgument` if the store has no write-ahead log, or the table was dropped; `Closed`.
    pub(crate) fn new(
        store: &Arc<StoreInner>,
        table: Option<&Arc<TableInner>>,
        start: LogAddress,
    ) -> Result<Self> {
        let entries = store.wal()?.log().follow_all_from(start);
        let (store, table) = (Arc::clone(store), table.cloned());
        let changes = Self { store, table, entries, position: start, batch: None, is_over: false };
        changes.check()?;
        Ok(changes)
    }

    /// Returns the address from which another reader would continue.
    pub(crate) fn position(&self) -> LogAddress {
        self.position
    }

    /// Returns the bytes of durable entries that were not looked at, or not shown to their end.
    pub(crate) fn lag(&self) -> u64 {
        let left = self.batch.as_ref().map_or(0, |batch| batch.left);
        self.entries.lag() + left as u64
    }

    /// Returns the next change, by `show`; `None` after an error of the log.
    pub(crate) fn poll_next<T>(
        &mut self,
        context: &mut Context<'_>,
        show: impl FnOnce(LoggedChange<'_>, LogAddress) -> T,
    ) -> Poll<Option<Result<T>>> {
        loop {
            if let Some(mut batch) = self.batch.take() {
                let from = batch.entry.payload.len() - batch.left;
                let mut changes = BatchChanges::new(&batch.entry.payload[from..]);
                if let Some((key, change)) = changes.next() {
                    let (table, left) = (batch.table, changes.rest().len());
                    if left == 0 {
                        self.position = batch.entry.next;
                    }
                    let shown = show(LoggedChange { table, key, change }, self.position);
                    batch.left = left;
                    self.batch = Some(batch).filter(|batch| batch.left > 0);
                    return Poll::Ready(Some(Ok(shown)));
                }
            }
            let entry = match ready!(self.poll_entry(context)) {
                Some(Ok(entry)) => entry,
                end => {
                    self.is_over = true;
                    return Poll::Ready(end.map(|end| end.map(|_| unreachable!("an error"))));
                }
            };
            let before = std::mem::replace(&mut self.position, entry.next);
            match WalEntry::decode(&entry.payload) {
                Some(WalEntry::Change { table, key, change, .. }) if self.shows(table) => {
                    let change = LoggedChange { table, key, change };
                    return Poll::Ready(Some(Ok(show(change, entry.next))));
                }
                Some(WalEntry::Batch { table, changes, .. })
                    if self.shows(table) && !changes.is_empty() =>
                {
                    let left = changes.len();
                    self.position = before;
                    self.batch = Some(ShownBatch { entry, table, left });
                }
                Some(_) => {}
                None => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(damaged(entry.address))));
                }
            }
        }
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Entry>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.check()?;
        match Pin::new(&mut self.entries).poll_next(context) {
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.cause_of(error)))),
            Poll::Pending if self.store.log.health().is_poisoned() => {
                // There will be no further change.
                self.store.check_write()?;
                Poll::Pending
            }
            next => next,
        }
    }

    /// Returns an error of the log as one of the store.
    fn cause_of(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Closed => Error::closed(),
            ErrorKind::Truncated => {
                let begin = self.store.wal().map(|wal| wal.log().begin_address().raw());
                Error::removed_changes(self.position.raw(), begin.unwrap_or_default())
            }
            _ => error,
        }
    }

    /// Refuses to show more.
    fn check(&self) -> Result<()> {
        self.store.check_read()?;
        self.table.as_ref().map_or(Ok(()), |table| table.check())
    }

    fn shows(&self, table: TableNumber) -> bool {
        match &self.table {
            Some(only) => only.number == table,
            None => !self.store.tables.layouts().is_dropped(table),
        }
    }
}

impl fmt::Debug for LoggedChanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("LoggedChanges");
        debug.field("position", &self.position).field("is_over", &self.is_over);
        debug.finish_non_exhaustive()
    }
}

//! A reader of the log.

use super::batch::{FoundRecord, RecordBatch, place_of};
use super::in_memory::{Copied, copy_from_memory};
use crate::base::address::Address;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::wait::yield_once;
use crate::store::inner::StoreInner;
use crate::store::scan::{DeviceReads, Pulse};
use crate::store::table::TableInner;
use futures::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;

/// Which records a reader shows.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// All records, as they are stored.
    All,
    /// Values and deletions of all tables, without pieces and records that were never linked.
    Changes,
    /// The same, of one table.
    ChangesOf(Arc<TableInner>),
}

/// The records of the log in its order, in batches.
///
/// Its memory is one batch, and reads ahead if the records are on the device.
#[derive(Debug)]
pub(crate) struct LogReader {
    store: Arc<StoreInner>,
    which: Which,
    /// The part of the log that stays for it; none in a cache. The error ends the reader.
    hold: Result<Option<Hold>>,
    pulse: Arc<Pulse>,
    /// Records below are not shown.
    start: Address,
    /// Everything below was read.
    next: Address,
    end: End,
    /// The reads of what is on the device.
    reads: Option<DeviceReads>,
}

/// The end of a reader.
#[derive(Debug)]
enum End {
    /// Shows the records that begin before `until`. Those below `limit` are complete after a drain;
    /// the log has a record, or ends, at `limit`.
    Range { until: Address, limit: Address, is_drained: bool },
    /// Shows records when they are immutable.
    Never,
}

/// A part of the log that stays for a reader, until this is dropped.
#[derive(Debug)]
struct Hold {
    store: Arc<StoreInner>,
    number: u64,
}

impl Hold {
    /// Keeps the log from the address on that `needs` returns.
    fn begin(
        store: &Arc<StoreInner>,
        pulse: &Arc<Pulse>,
        needs: impl FnOnce() -> Address,
    ) -> Result<Option<Self>> {
        if store.config.cache {
            needs();
            return Ok(None);
        }
        let store = Arc::clone(store);
        let number = store.readers.enter(needs, || store.log.pages().begin(), Arc::clone(pulse))?;
        Ok(Some(Self { store, number }))
    }

    fn pass(&self, needs: Address) -> Result<()> {
        self.store.readers.pass(self.number, needs, || self.store.log.pages().begin())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.store.readers.leave(self.number);
    }
}

impl LogReader {
    /// Returns a reader of the records that begin within `[start, until)` and are in the log now.
    /// Without a start it begins with the log.
    pub(crate) fn of_range(
        store: &Arc<StoreInner>,
        which: Which,
        (start, until): (Option<Address>, Address),
    ) -> Self {
        let (units, tail) = (store.log.file().units(), store.log.tail_address());
        // The last page may be full and on the device before it is read, with later records.
        let until = until.min(tail);
        // A record begins with each page, and at the tail.
        let limit = if until < tail { units.page_behind(until).min(tail) } else { tail };
        let end = End::Range { until, limit, is_drained: false };
        Self::from(store, which, (start, || store.readable_from()), end)
    }

    /// Returns a reader of the records that become immutable, from `start` on; without a start
    /// those that are not immutable yet.
    pub(crate) fn following(store: &Arc<StoreInner>, which: Which, start: Option<Address>) -> Self {
        let now = || store.log.pages().addresses()[2];
        let mut reader = Self::from(store, which, (start, now), End::Never);
        let tail = store.log.tail_address();
        if reader.start > tail {
            reader.hold = Err(Error::beyond_the_log(reader.start.raw(), tail.raw()));
        }
        reader
    }

    fn from(
        store: &Arc<StoreInner>,
        which: Which,
        (start, otherwise): (Option<Address>, impl FnOnce() -> Address),
        end: End,
    ) -> Self {
        let pulse = Arc::<Pulse>::default();
        // Records begin where a page begins, but not at every address.
        let units = store.log.file().units();
        let page = start.map(|start| units.start_of_page(start).max(Address::FIRST));
        let mut next = Address::FIRST;
        let hold = Hold::begin(store, &pulse, || {
            next = page.unwrap_or_else(otherwise);
            next
        });
        let start = start.map_or(next, |start| start.max(Address::FIRST));
        Self { store: Arc::clone(store), which, hold, pulse, start, next, end, reads: None }
    }

    /// Returns the address from which it shows records.
    pub(super) fn start(&self) -> Address {
        self.start
    }

    pub(super) fn store(&self) -> &Arc<StoreInner> {
        &self.store
    }

    /// Returns whether it shows all records, as they are stored.
    pub(super) fn shows_all(&self) -> bool {
        matches!(self.which, Which::All)
    }

    /// Returns its pulse. A reader that is not used may lapse.
    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Returns the batches of the reader, which may be empty, each with the address below which
    /// nothing is left to show after it. An error is the last one.
    pub(super) fn into_batches(self) -> BoxStream<'static, Result<(RecordBatch, Address)>> {
        let next = |mut reader: Self| async move {
            let batch = reader.next_batch().await?;
            Ok(batch.map(|batch| (batch, reader)))
        };
        stream::try_unfold(self, next).boxed()
    }

    async fn next_batch(&mut self) -> Result<Option<(RecordBatch, Address)>> {
        if self.is_over() {
            return Ok(None);
        }
        self.check()?;
        let end = self.end().await?;
        let [until, _] = end;
        match self.read(end).await {
            Ok(batch) => Ok(Some((batch, self.next.min(until)))),
            Err(error) => Err(self.cause_of(error)),
        }
    }

    /// Returns whether a reader of a range has read it, or never had anything to read.
    fn is_over(&self) -> bool {
        let is_read = matches!(self.end, End::Range { limit, .. } if self.next >= limit);
        is_read && self.hold.is_ok()
    }

    /// Refuses to continue, or keeps the log from here on.
    ///
    /// # Errors
    /// `Closed`; `InvalidArgument` if the table was dropped; `Truncated` if the log begins after
    /// the next record by now.
    fn check(&mut self) -> Result<()> {
        self.store.check_read()?;
        if let Which::ChangesOf(table) = &self.which {
            table.check()?;
        }
        match &self.hold {
            Ok(Some(hold)) => hold.pass(self.next),
            Ok(None) => {
                let readable_from = self.store.readable_from();
                self.next = self.next.max(readable_from.min(self.start));
                let is_there = self.next >= readable_from;
                is_there.then_some(()).ok_or_else(|| Error::taken_from_reader(self.next.raw()))
            }
            Err(error) => Err(error.clone()),
        }
    }

    /// Waits for records. Returns the address before which they begin, and the address up to which
    /// they are complete.
    async fn end(&mut self) -> Result<[Address; 2]> {
        match &mut self.end {
            End::Range { until, limit, is_drained } => {
                if !*is_drained {
                    // A writer may have room below the tail, and no record yet.
                    self.store.log.drain().await;
                    *is_drained = true;
                }
                Ok([*until, *limit])
            }
            End::Never => {
                let end = self.store.log.immutable_behind(self.next).await?;
                Ok([end, end])
            }
        }
    }

    /// Reads the next records. There may be none.
    async fn read(&mut self, [until, limit]: [Address; 2]) -> Result<RecordBatch> {
        let Self { store, which, start, .. } = self;
        let start = *start;
        let is_wanted = |record: &FoundRecord<'_>| {
            (start..until).contains(&record.address) && which.has(record)
        };
        if let Some(reads) = &mut self.reads {
            let Some(stretch) = reads.next().await? else {
                self.next = reads.finish()?;
                self.reads = None;
                return Ok(RecordBatch::default());
            };
            let mut places = Vec::new();
            let next = stretch.walk(store, until, |record| places.push(place_of(&record)))?;
            reads.keep(&stretch, next);
            self.next = reads.shown_until();
            let batch = RecordBatch::of(store.log.file(), stretch, places, is_wanted);
            // Each read may be complete at once.
            yield_once().await;
            return batch;
        }
        let [_, head, ..] = store.log.pages().addresses();
        if self.next < head {
            self.reads = Some(DeviceReads::new(store, [self.next, limit.min(head)]));
            return Ok(RecordBatch::default());
        }
        let Copied { batch, next } = copy_from_memory(store, [self.next, limit], is_wanted)?;
        self.next = next;
        // Other tasks run, among them a writer that has the record.
        yield_once().await;
        Ok(batch)
    }

    /// Returns the cause of an error: a file that is missing since the log begins later is no
    /// damage.
    fn cause_of(&self, error: Error) -> Error {
        let is_gone = self.next < self.store.readable_from();
        let is_damage = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound);
        if is_gone && is_damage { Error::taken_from_reader(self.next.raw()) } else { error }
    }
}

impl Which {
    fn has(&self, record: &FoundRecord<'_>) -> bool {
        let is_change = !record.info.is_invalid() && !record.info.is_piece();
        match self {
            Self::All => true,
            Self::Changes => is_change,
            Self::ChangesOf(table) => is_change && record.table() == table.number,
        }
    }
}

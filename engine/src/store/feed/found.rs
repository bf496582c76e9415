//! The records of a reader, one after the other, with values that are whole.

use super::batch::{FoundRecord, RecordBatch};
use super::reader::LogReader;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::record::{Layout, TableNumber};
use crate::store::inner::StoreInner;
use crate::store::record::overflow::read_overflow;
use crate::store::record::pieces::pieces_of;
use crate::store::scan::Pulse;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The records of a reader.
///
/// Its memory is the memory of the reader, and one value that is stored in pieces.
pub(crate) struct FoundRecords {
    store: Arc<StoreInner>,
    /// `None` after the end.
    batches: Option<BoxStream<'static, Result<(RecordBatch, Address)>>>,
    batch: RecordBatch,
    /// Everything below is in the batch, or was before it.
    batch_end: Address,
    /// The read of the value of the next record.
    reading: Option<BoxFuture<'static, Result<LongValue>>>,
    /// Whether values are whole, not as they are stored.
    has_whole_values: bool,
    pulse: Arc<Pulse>,
    /// Everything below was shown. While the batch is empty, it is the place of the reader.
    position: Address,
}

/// A record that is shown.
pub(crate) struct ShownRecord<'b> {
    pub(crate) record: FoundRecord<'b>,
    /// The value, if it is in pieces and values are whole.
    pub(crate) long: Option<LongValue>,
}

/// The value of a record that is stored in pieces.
#[derive(Debug)]
pub(crate) enum LongValue {
    Whole(Vec<u8>),
    /// Compaction has moved or dropped a piece: the record is not the newest of its key any more,
    /// or its key has expired or was dropped with its table.
    Gone,
}

impl FoundRecords {
    pub(crate) fn new(reader: LogReader) -> Self {
        Self {
            store: Arc::clone(reader.store()),
            pulse: Arc::clone(reader.pulse()),
            batch_end: reader.start(),
            position: reader.start(),
            has_whole_values: !reader.shows_all(),
            batches: Some(reader.into_batches()),
            batch: RecordBatch::default(),
            reading: None,
        }
    }

    /// Returns an address that no record is before which was not shown.
    pub(crate) fn position(&self) -> Address {
        self.position
    }

    /// Returns the next record; `None` after the last one, or after an error.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<ShownRecord<'_>>>> {
        self.pulse.beat();
        let long = match ready!(self.poll_value(context)) {
            Ok(Some(long)) => long,
            end => {
                // The end of the reader ends its hold on the log.
                self.batches = None;
                return Poll::Ready(end.err().map(Err));
            }
        };
        let record = self.batch.take().expect("there is one");
        self.position = record.end();
        Poll::Ready(Some(Ok(ShownRecord { record, long })))
    }

    /// Waits for the next record and for its value, if that is in pieces. Returns `None` after the
    /// last record.
    fn poll_value(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Option<LongValue>>>> {
        let Some(batches) = &mut self.batches else {
            return Poll::Ready(Ok(None));
        };
        while self.batch.next().is_none() {
            // A record may end after it, at the end of a range.
            self.position = self.position.max(self.batch_end);
            (self.batch, self.batch_end) = match ready!(batches.poll_next_unpin(context)) {
                Some(batch) => batch?,
                None => return Poll::Ready(Ok(None)),
            };
        }
        let record = self.batch.next().expect("the batch has one");
        let is_long = record.is_in_pieces() && !record.info.is_tombstone();
        if !is_long || !self.has_whole_values {
            return Poll::Ready(Ok(Some(None)));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let table = (record.table(), record.layout);
            let list = record.value().to_vec();
            Box::pin(long_value(Arc::clone(&self.store), table, record.address, list))
        });
        let value = ready!(reading.as_mut().poll(context));
        self.reading = None;
        Poll::Ready(value.map(|value| Some(Some(value))))
    }
}

/// Returns the value of a record of a table, whose `list` of pieces is at `address`.
///
/// # Errors
/// `Corrupt` with file and offset, `Io`.
async fn long_value(
    store: Arc<StoreInner>,
    table: (TableNumber, Layout),
    address: Address,
    list: Vec<u8>,
) -> Result<LongValue> {
    match read_overflow(&store, table, address, &list).await {
        Ok(value) => Ok(LongValue::Whole(value)),
        Err(_gone) if pieces_of(&list).any(|piece| piece < store.readable_from()) => {
            Ok(LongValue::Gone)
        }
        Err(error) => Err(error),
    }
}

impl fmt::Debug for FoundRecords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("FoundRecords");
        debug.field("position", &self.position).field("is_over", &self.batches.is_none());
        debug.finish_non_exhaustive()
    }
}

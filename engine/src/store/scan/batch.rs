//! Live records that a scan has found: copies, without a guard.

use super::liveness::Candidate;
use super::pages::Stretch;
use super::pulse::Pulse;
use super::removal::remove;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::record::{HasLayout, Layout, StoredRecord};
use crate::store::table::TableInner;
use std::sync::Arc;

/// Live records of one layout, the next one last. Each is taken once.
#[derive(Debug)]
pub(crate) struct Batch {
    layout: Layout,
    /// The address of the first byte.
    start: Address,
    bytes: Vec<u8>,
    live: Vec<Address>,
    /// The value of the record, which is the only one, if it was in pieces.
    gathered: Option<Vec<u8>>,
    /// The pulse of the scan.
    pulse: Arc<Pulse>,
}

/// A live record, as bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveRecord<'b> {
    address: Address,
    layout: Layout,
    /// The bytes from its header on.
    record: &'b [u8],
    pulse: &'b Pulse,
    pub(crate) key: &'b [u8],
    /// The value. Of a value in pieces it is the list of pieces, for a scan that wants no values.
    pub(crate) value: &'b [u8],
}

impl Batch {
    pub(super) fn new(
        stretch: Stretch,
        layout: Layout,
        live: Vec<Address>,
        pulse: &Arc<Pulse>,
    ) -> Self {
        let Stretch { start, bytes, .. } = stretch;
        Self { layout, start, bytes, live, gathered: None, pulse: Arc::clone(pulse) }
    }

    /// Returns a batch of one record, whose value was in pieces.
    pub(super) fn long(candidate: &Candidate<'_>, value: Vec<u8>, pulse: &Arc<Pulse>) -> Self {
        let Candidate { address, layout, record, .. } = *candidate;
        let (bytes, live, pulse) = (record.to_vec(), vec![address], Arc::clone(pulse));
        Self { layout, start: address, bytes, live, gathered: Some(value), pulse }
    }

    /// Returns the number of records that were not taken.
    pub(crate) fn left(&self) -> usize {
        self.live.len()
    }

    /// Takes the next record.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<LiveRecord<'_>> {
        let address = self.live.pop()?;
        self.pulse.beat();
        let within = usize::try_from(address.raw() - self.start.raw()).expect("within a page");
        let (record, layout) = (&self.bytes[within..], self.layout);
        let key = StoredRecord::key_in(record, layout);
        let value = match &self.gathered {
            Some(value) => value,
            None => StoredRecord::value_in(record, layout),
        };
        Some(LiveRecord { address, layout, record, pulse: &self.pulse, key, value })
    }
}

impl LiveRecord<'_> {
    /// Deletes the key, unless it has changed since the moment of the scan. Returns whether it was
    /// deleted. The scan has not been polled since it has shown the record.
    ///
    /// # Errors
    /// `StorageFull`, `ReadOnly`, `Poisoned`, `Closed`; `InvalidArgument` if the table was dropped;
    /// `Corrupt` and `Io` of records of the same chain; `Truncated` if the scan has expired.
    ///
    /// # Cancel safety
    /// The key is deleted or not.
    pub(crate) async fn remove<S: HasLayout>(self, table: &TableInner) -> Result<bool> {
        let Self { address, layout, record, pulse, key, .. } = self;
        assert_eq!(layout, S::LAYOUT, "the record is of this table");
        let hash = table.hasher.hash(key);
        let (number, proven) = (table.number, address);
        let candidate = Candidate { address, table: number, layout, record, hash, proven };
        remove::<S>(table, candidate, pulse).await
    }
}

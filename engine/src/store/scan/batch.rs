//! Live records that a scan has found: copies, without a guard.

use super::liveness::Candidate;
use super::pages::Stretch;
use super::pulse::Pulse;
use super::removal::{Removed, remove};
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
    live: Vec<LivePlace>,
    /// The value of the record, which is the only one, if it was in pieces.
    gathered: Option<Vec<u8>>,
    /// The pulse of the scan.
    pulse: Arc<Pulse>,
}

/// The place of a live record.
#[derive(Clone, Copy, Debug)]
pub(super) struct LivePlace {
    address: Address,
    /// The chain of the record leads to it from here on.
    proven: Address,
}

/// A live record, as bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveRecord<'b> {
    pub(crate) key: &'b [u8],
    /// The value. Of a value in pieces it is the list of pieces, for a scan that wants no values.
    pub(crate) value: &'b [u8],
}

impl Batch {
    pub(super) fn new(
        stretch: Stretch,
        layout: Layout,
        live: Vec<LivePlace>,
        pulse: &Arc<Pulse>,
    ) -> Self {
        let Stretch { start, bytes, .. } = stretch;
        Self { layout, start, bytes, live, gathered: None, pulse: Arc::clone(pulse) }
    }

    /// Returns a batch of one record, whose value was in pieces.
    pub(super) fn long(candidate: &Candidate<'_>, value: Vec<u8>, pulse: &Arc<Pulse>) -> Self {
        let Candidate { address, layout, record, .. } = *candidate;
        let live = vec![LivePlace::of(candidate)];
        let (bytes, pulse) = (record.to_vec(), Arc::clone(pulse));
        Self { layout, start: address, bytes, live, gathered: Some(value), pulse }
    }

    /// Returns the number of records that were not taken.
    pub(crate) fn left(&self) -> usize {
        self.live.len()
    }

    /// Takes the next record.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<LiveRecord<'_>> {
        let place = self.live.pop()?;
        self.pulse.beat();
        Some(self.record_at(place))
    }

    /// Deletes the keys of the records for which `keep` returns false, unless they have changed
    /// since the moment of the scan. The scan has not been polled since it has shown the batch.
    ///
    /// # Errors
    /// Of `keep`, and then no key of the batch is deleted. `StorageFull`, `ReadOnly`, `Poisoned`,
    /// `Closed`; `InvalidArgument` if the table was dropped; `Corrupt` and `Io` of records of the
    /// same chains; `Truncated` if the scan has expired.
    ///
    /// # Cancel safety
    /// Each key is deleted or not.
    pub(crate) async fn retain<S: HasLayout>(
        &self,
        table: &TableInner,
        keep: &mut impl FnMut(LiveRecord<'_>) -> Result<bool>,
    ) -> Result<Removed> {
        assert_eq!(self.layout, S::LAYOUT, "the records are of this table");
        let mut unwanted = Vec::new();
        for place in self.live.iter().rev() {
            self.pulse.beat();
            let record = self.record_at(*place);
            if !keep(record)? {
                unwanted.push(self.candidate(table, *place, record.key));
            }
        }
        remove::<S>(table, unwanted, &self.pulse).await
    }

    fn record_at(&self, place: LivePlace) -> LiveRecord<'_> {
        let (record, layout) = (self.bytes_at(place), self.layout);
        let key = StoredRecord::key_in(record, layout);
        let value = match &self.gathered {
            Some(value) => value,
            None => StoredRecord::value_in(record, layout),
        };
        LiveRecord { key, value }
    }

    fn candidate<'b>(
        &'b self,
        table: &TableInner,
        place: LivePlace,
        key: &'b [u8],
    ) -> Candidate<'b> {
        let LivePlace { address, proven } = place;
        let (record, hash) = (self.bytes_at(place), table.hasher.hash(key));
        Candidate { address, table: table.number, layout: self.layout, record, hash, proven }
    }

    /// Returns the bytes from the header of a record on.
    fn bytes_at(&self, place: LivePlace) -> &[u8] {
        let within = place.address.raw() - self.start.raw();
        &self.bytes[usize::try_from(within).expect("within a page")..]
    }
}

impl LivePlace {
    pub(super) fn of(candidate: &Candidate<'_>) -> Self {
        Self { address: candidate.address, proven: candidate.proven }
    }
}

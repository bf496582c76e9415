//! Reads the log in order: from the device below the head, from memory above it.
//!
//! The bytes are copied in stretches of one page each, so that no guard is held and no page stays
//! in memory for a scan. A stretch begins with a record, and may end in the middle of one: the next
//! stretch begins with that record.

use super::liveness::{Candidate, whole_record};
use super::pulse::Pulse;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::hybrid_log::{Chunk, PageRecord, Region};
use crate::record::{Layout, StoredRecord};
use crate::store::inner::StoreInner;
use crate::store::table::TableInner;
use kvick_io::AlignedBuf;

/// The limit of bytes that are copied from memory under one guard: some microseconds.
pub(in crate::store) const COPY_BYTES: u64 = 64 << 10;

/// The state that a scan shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanMoment {
    /// Its records are below this address.
    pub(super) end: Address,
    /// Records that expire in this second or earlier have expired.
    pub(super) second: u32,
}

/// Some bytes of one page, from the device or from memory.
#[derive(Debug)]
pub(in crate::store) struct Stretch {
    /// The address of the first byte.
    pub(in crate::store) start: Address,
    /// The first record begins here.
    pub(super) first: Address,
    pub(in crate::store) bytes: Vec<u8>,
}

/// The candidates of a stretch.
#[derive(Debug)]
pub(super) struct Candidates<'p> {
    pub(super) candidates: Vec<Candidate<'p>>,
    /// The address at which the next stretch begins: a record that is not whole in this one, or the
    /// end.
    pub(super) next: Address,
}

impl Stretch {
    /// Copies bytes of `[from, end)` from memory, at most to the end of the page of `from`. Takes
    /// at least `bytes`, if there are as many.
    ///
    /// Returns `None` if the bytes are not in memory. Waits until they are immutable.
    ///
    /// # Errors
    /// `Truncated` if the scan has expired, so that they may be mutable; `Poisoned`, `Closed`.
    pub(super) async fn copy(
        store: &StoreInner,
        [from, end]: [Address; 2],
        bytes: u64,
        pulse: &Pulse,
    ) -> Result<Option<Self>> {
        let left = store.log.file().units().left_of_page(from).min(end.raw() - from.raw());
        let length = usize::try_from(left.min(bytes.max(COPY_BYTES))).expect("within a page");
        debug_assert!(length > 0, "a stretch has bytes: {from:?} to {end:?}");
        loop {
            let copied = store.pool.with(|seat| {
                seat.guarded(|guard| {
                    let pages = store.log.pages();
                    let region = pages.region(from, guard);
                    let is_ready = region == Region::ReadOnly;
                    is_ready.then(|| pages.immutable(from, 0..length, guard).to_vec()).ok_or(region)
                })
            });
            match copied {
                Ok(bytes) => return Ok(Some(Self { start: from, first: from, bytes })),
                Err(Region::OnDevice | Region::Truncated) => return Ok(None),
                Err(region) => {
                    pulse.check()?;
                    assert_ne!(region, Region::Mutable, "{from:?} never changes again");
                    store.log.wait_until_immutable(from).await?;
                }
            }
        }
    }

    /// Returns the stretch of a chunk that was read, after the start of its first record, which
    /// earlier chunks had.
    pub(super) fn joined(
        store: &StoreInner,
        front: Self,
        chunk: AlignedBuf,
        at: Chunk,
    ) -> Result<Self> {
        let Self { start, first, mut bytes } = front;
        assert_eq!(start.raw() + bytes.len() as u64, at.start.raw(), "chunks leave no gap");
        let mut chunk = chunk;
        let length = store.log.file().strip().open(at.start, &mut chunk)?;
        bytes.extend_from_slice(&chunk[..length]);
        Ok(Self { start, first, bytes })
    }

    /// Returns the rest of the stretch from `next` on, to which the next chunk is joined.
    pub(super) fn rest(&self, next: Address) -> Self {
        let from = usize::try_from(next.raw() - self.start.raw()).expect("within a page");
        let bytes = self.bytes.get(from..).unwrap_or_default().to_vec();
        Self { start: next, first: next, bytes }
    }

    /// Returns the record at an address, which this stretch has as a whole.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub(super) fn record_at(&self, store: &StoreInner, at: Address) -> Result<(Layout, &[u8])> {
        let from = usize::try_from(at.raw() - self.start.raw()).expect("within a page");
        let record = whole_record(store.tables.layouts(), self.bytes.get(from..).unwrap_or(&[]));
        let (_table, layout, bytes) = record.ok_or_else(|| store.log.file().not_a_record(at))?;
        Ok((layout, bytes))
    }

    fn end(&self) -> Address {
        Address::new(self.start.raw() + self.bytes.len() as u64)
    }

    /// Returns the values of a table in this stretch that may be live at `moment`.
    pub(super) fn candidates<'p>(
        &'p self,
        table: &'p TableInner,
        moment: ScanMoment,
    ) -> Result<Candidates<'p>> {
        let mut candidates = Vec::new();
        let show = |record| candidates.extend(candidate(table, record, moment));
        let next = self.walk(table, moment.end, show)?;
        Ok(Candidates { candidates, next })
    }

    /// Shows the records of this stretch that begin before `end`, in order. Returns the address at
    /// which the next stretch begins: a record that is not whole in this one, or the end of the
    /// stretch.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not records.
    pub(in crate::store) fn walk<'p>(
        &'p self,
        store: &'p StoreInner,
        end: Address,
        mut show: impl FnMut(PageRecord<'p>),
    ) -> Result<Address> {
        let (file, layouts) = (store.log.file(), store.tables.layouts());
        let units = file.units();
        for record in file.records_from(layouts, [self.start, self.first], &self.bytes) {
            match record {
                Ok(record) if record.address < end => show(record),
                Err(found) if found.address < end => {
                    if found.is_too_long() && !units.is_page_end(self.end()) {
                        return Ok(found.address);
                    }
                    return Err(file.no_record(found));
                }
                Ok(_) | Err(_) => break,
            }
        }
        Ok(units.align_up(self.end()))
    }
}

/// Returns a record as a candidate, if it is a value of the table that has not expired.
fn candidate<'p>(
    table: &TableInner,
    record: PageRecord<'p>,
    moment: ScanMoment,
) -> Option<Candidate<'p>> {
    let PageRecord { address, info, layout, bytes } = record;
    let number = info.table();
    if number != table.number || info.is_invalid() || info.is_piece() || info.is_tombstone() {
        return None;
    }
    debug_assert_eq!(layout, table.layout, "the layout of a table never changes");
    if StoredRecord::expiry_in(bytes, layout).has_passed(moment.second) {
        return None;
    }
    let hash = table.hasher.hash(StoredRecord::key_in(bytes, layout));
    Some(Candidate { address, table: number, layout, record: bytes, hash, proven: address })
}

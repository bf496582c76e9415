//! Copies records from memory, whatever their region.
//!
//! Records that may change are copied one by one, each as of an instant.

use super::batch::{FoundRecord, RecordBatch};
use crate::base::address::Address;
use crate::base::error::Result;
use crate::epoch::Guard;
use crate::store::inner::StoreInner;
use crate::store::scan::COPY_BYTES;

/// Some records that were in memory.
pub(super) struct Copied {
    pub(super) batch: RecordBatch,
    /// The log continues here.
    pub(super) next: Address,
}

/// Copies records of `[from, end)` for which `is_wanted` holds. A record begins at `from`, and
/// all of them are complete. Copies no record, and returns `from`, if it has left memory or a
/// writer has it.
///
/// # Errors
/// `Corrupt` if the bytes are not records.
pub(super) fn copy_from_memory(
    store: &StoreInner,
    range: [Address; 2],
    is_wanted: impl Fn(&FoundRecord<'_>) -> bool,
) -> Result<Copied> {
    store.pool.with(|seat| seat.guarded(|guard| copy_under(store, range, is_wanted, guard)))
}

fn copy_under(
    store: &StoreInner,
    [from, end]: [Address; 2],
    is_wanted: impl Fn(&FoundRecord<'_>) -> bool,
    guard: &Guard<'_>,
) -> Result<Copied> {
    let (pages, file) = (store.log.pages(), store.log.file());
    let (units, layouts) = (file.units(), store.tables.layouts());
    let mut copied = Copied { batch: RecordBatch::default(), next: from };
    if from < pages.head(guard) {
        return Ok(copied);
    }
    while copied.next < end && (copied.batch.bytes() as u64) < COPY_BYTES {
        let address = copied.next;
        let record = pages.record(address, guard);
        let info = record.info();
        if !info.is_present() {
            copied.next = units.unit_behind(address);
            continue;
        }
        let layout = layouts.of(info).ok_or_else(|| file.not_a_record(address))?;
        let copy = |bytes: &mut Vec<u8>| record.copy_whole(layout, bytes);
        match copied.batch.copy(file, (address, layout), copy, &is_wanted)? {
            Ok(length) => copied.next = units.align_up(Address::new(address.raw() + length as u64)),
            Err(_contended) => break,
        }
    }
    Ok(copied)
}

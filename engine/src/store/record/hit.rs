//! Hits: operations that end with one look at one record.
//!
//! The key of a hit has the newest record of its chain, and this record is in memory. Its value is
//! in the record. A read returns it, if it has not expired. An upsert overwrites it, if the record
//! is mutable and large enough, and the store has no write-ahead log. A read-modify-write does so
//! too, or appends a record for a longer value: whether it fits shows only when it is computed.
//! Most operations are hits. So they have a way of their own before the general attempt: without
//! branches for anything else, inlined in the caller, and with few values alive at once. An
//! operation that is no hit has changed nothing. It begins anew with a general attempt.
//!
//! A hit obeys the rules of an attempt: it runs under one guard, and is done or has done nothing.

use crate::base::address::Address;
use crate::base::weak_spot;
use crate::epoch::Guard;
use crate::record::{ExpiryWord, Layout, RecordInfo, RecordRef};
use crate::statistics::{Counter, Counters};
use crate::store::context::OperationContext;
use crate::store::moment::Moment;
use crate::store::table::TableRef;

/// The newest record of a chain, in memory.
pub(in crate::store) struct Newest<'g> {
    pub(in crate::store) record: RecordRef<'g>,
    /// The header, as it was loaded.
    pub(in crate::store) info: RecordInfo,
}

/// Returns whether a record with this expiry has expired, in a table of this layout.
#[inline(always)]
pub(in crate::store) fn has_expired(
    core: TableRef<'_>,
    layout: Layout,
    expiry: ExpiryWord,
) -> bool {
    layout.has_expiry && Moment::new(core).has_passed(expiry)
}

/// Returns the record at `newest`, which is in memory, if it belongs to `key`.
#[inline(always)]
pub(in crate::store) fn newest_record<'g>(
    core: TableRef<'g>,
    layout: Layout,
    (key, newest): (&[u8], Address),
    guard: &'g Guard<'_>,
) -> Option<Newest<'g>> {
    weak_spot::pause();
    let record = core.store.log.pages().record_of(layout, newest, guard)?;
    let info = record.info();
    // The table first: a record of another table may have another layout.
    let is_found = info.is_of(core.table.word()) && record.key_equals(layout, key);
    is_found.then_some(Newest { record, info })
}

/// Returns whether changes may be hits now: the store takes writes, the seat has taken part in this
/// version, and no write-ahead log needs an entry.
#[inline(always)]
pub(in crate::store) fn takes_changes(core: TableRef<'_>, tools: &OperationContext<'_>) -> bool {
    core.check_write().is_ok()
        && core.store.phase.word() == tools.serial.phase()
        && core.store.wal.is_none()
}

/// Returns the newest record of `key` if it may be changed in place. The caller marks it for this
/// version.
#[inline(always)]
pub(in crate::store) fn changeable<'g>(
    core: TableRef<'g>,
    layout: Layout,
    (key, newest): (&[u8], Address),
    guard: &'g Guard<'_>,
) -> Option<Newest<'g>> {
    if !core.store.log.pages().is_mutable(newest, guard) {
        return None;
    }
    let found = newest_record(core, layout, (key, newest), guard)?;
    (!found.info.is_final(layout)).then_some(found)
}

/// Counts a change in place.
#[inline(always)]
pub(in crate::store) fn count_change(tools: &OperationContext<'_>, operation: Counter) {
    tools.counters.add(operation, 1);
    tools.counters.add(Counter::Mutable, 1);
    tools.serial.advance();
}

/// Counts a read, and the place of its record.
#[inline(always)]
pub(in crate::store) fn count_read(counters: &Counters, place: Counter) {
    counters.add(Counter::Reads, 1);
    counters.add(place, 1);
}

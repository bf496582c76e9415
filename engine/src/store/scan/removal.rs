//! Deletes the key of a record that a scan has found, unless the key has changed since.
//!
//! The record is final: it is below `read-only`, on the device, or frozen by its scan. So the key
//! is as it was exactly if its record is still the newest. The tombstone is linked only if the
//! index entry is as it was during the walk that found this.

use super::liveness::{Candidate, NOW, Pending, Walk, walk_in_memory, walk_on_device};
use super::pulse::Pulse;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::yield_once;
use crate::hash_index::FoundEntry;
use crate::hybrid_log::{Region, Room};
use crate::record::{ExpiryWord, HasLayout, NewRecord, RecordKind};
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::record::append::{Link, append_record};
use crate::store::table::{TableInner, TableRef};

/// The end of one try.
enum Removal {
    /// Whether the key was deleted.
    Done(bool),
    /// The rest of the chain is on the device, from this address on.
    OnDevice(FoundEntry, Address),
    /// The version is ending.
    Barrier,
    /// The log has no room for a tombstone.
    NoRoom(Room),
    /// Another operation has changed the chain.
    Lost,
    /// The scan has expired, so its record may have changed in place.
    Expired(Error),
}

/// Deletes the key of `candidate` if that is its newest record. Returns whether it was.
///
/// # Errors
/// `StorageFull`, `ReadOnly`, `Poisoned`, `Closed`; `InvalidArgument` if the table was dropped;
/// `Corrupt` and `Io` of the chain; `Truncated` if the scan has expired.
///
/// # Cancel safety
/// The key is deleted or not.
pub(super) async fn remove<S: HasLayout>(
    table: &TableInner,
    candidate: Candidate<'_>,
    pulse: &Pulse,
) -> Result<bool> {
    let mut on_device = None;
    loop {
        let core = table.with_store();
        core.check_write()?;
        core.table.check()?;
        let tried = core.pool.with(|seat| {
            seat.protected(core.table.number, |tools| {
                try_once::<S>(core, (candidate, pulse), on_device, &tools)
            })
        });
        match tried {
            Removal::Done(is_removed) => return Ok(is_removed),
            Removal::OnDevice(entry, from) => {
                let mut live = Vec::new();
                let walk = Pending { candidate, entry, from };
                walk_on_device(table, vec![walk], NOW, &mut live).await?;
                on_device = Some((from, !live.is_empty()));
            }
            Removal::Barrier => core.cut_over().await?,
            Removal::NoRoom(room) => core.log.allocator().wait_for_space(room).await?,
            Removal::Lost => yield_once().await,
            Removal::Expired(error) => return Err(error),
        }
    }
}

/// Tries once. `on_device` is an address on the device, and whether the chain from there leads to
/// the record.
fn try_once<S: HasLayout>(
    core: TableRef<'_>,
    (candidate, pulse): (Candidate<'_>, &Pulse),
    on_device: Option<(Address, bool)>,
    tools: &OperationContext<'_>,
) -> Removal {
    if core.must_wait(tools) {
        return Removal::Barrier;
    }
    if let Err(error) = pulse.check() {
        return Removal::Expired(error);
    }
    let Some(entry) = core.index.find(candidate.hash) else {
        return Removal::Done(false);
    };
    let is_live = match walk_in_memory(core.store, &candidate, (entry, NOW), tools.guard) {
        Walk::Live => true,
        Walk::Dead => false,
        Walk::GoesOn(from) => match on_device {
            Some((known, is_live)) if known == from => is_live,
            _ => return Removal::OnDevice(entry, from),
        },
    };
    if !is_live {
        return Removal::Done(false);
    }
    let region = core.log.pages().region(candidate.address, tools.guard);
    assert!(
        matches!(region, Region::ReadOnly | Region::OnDevice),
        "a record that a scan shows is final: {candidate:?} is {region:?}"
    );
    let (content, expiry) = (RecordKind::Tombstone, ExpiryWord::NEVER);
    let tombstone = NewRecord { key: candidate.key(), value: &[], content, expiry };
    match append_record::<S>(core, entry, tombstone, tools.guard, tools.counters) {
        Link::Linked => {
            tools.counters.add(Counter::Deletes, 1);
            Removal::Done(true)
        }
        Link::Lost => Removal::Lost,
        Link::NoRoom(room) => Removal::NoRoom(room),
    }
}

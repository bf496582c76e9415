//! Deletes the key of a record that a scan has found, unless the key has changed since.
//!
//! The record is final: it is below `read-only`, on the device, or frozen by its scan. So the key
//! is as it was exactly if its record is still the newest. The tombstone is linked only if the
//! index entry is as it was during the walk that found this.

use super::liveness::{Candidate, NOW, Resolved, Uncertain, Walk, walk_in_memory};
use super::pulse::Pulse;
use crate::base::error::{Error, Result};
use crate::base::wait::yield_once;
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
    /// The rest of the chain is on the device.
    OnDevice(Uncertain<'static>),
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
    mut candidate: Candidate<'_>,
    pulse: &Pulse,
) -> Result<bool> {
    loop {
        let core = table.with_store();
        core.check_write()?;
        core.table.check()?;
        let tried = core.pool.with(|seat| {
            seat.protected(core.table.number, |tools| {
                try_once::<S>(core, (candidate, pulse), &tools)
            })
        });
        match tried {
            Removal::Done(is_removed) => return Ok(is_removed),
            Removal::OnDevice(mut chain) => {
                let Resolved { live, failed, .. } = chain.resolve(table, NOW).await;
                if let Some((_, error)) = failed {
                    return Err(error);
                }
                let Some(proof) = live.first() else {
                    return Ok(false);
                };
                candidate.proven = proof.start();
            }
            Removal::Barrier => core.cut_over().await?,
            Removal::NoRoom(room) => core.log.allocator().wait_for_space(room).await?,
            Removal::Lost => yield_once().await,
            Removal::Expired(error) => return Err(error),
        }
    }
}

/// Tries once.
fn try_once<S: HasLayout>(
    core: TableRef<'_>,
    (candidate, pulse): (Candidate<'_>, &Pulse),
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
    match walk_in_memory(core.store, &candidate, (entry, NOW), tools.guard) {
        Walk::Live => {}
        Walk::Dead => return Removal::Done(false),
        Walk::GoesOn(at) => {
            let mut chain = Uncertain::above(candidate.address);
            chain.push(&candidate, at);
            return Removal::OnDevice(chain);
        }
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

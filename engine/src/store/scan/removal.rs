//! Deletes the keys of records that a scan has found, unless they have changed since.
//!
//! The records are final: they are below `read-only`, on the device, or frozen by their scan. So a
//! key is as it was exactly if its record is still the newest. The tombstone is linked only if the
//! index entry is as it was during the walk that found this.
//!
//! Memory decides about most of them. The others wait until the last one was tried, and then their
//! chains are read from the device together. So no record waits for a read of its own.
//!
//! Tombstones take space. Within a full budget only compaction makes some, and it waits for scans.
//! So a removal never waits for it while its scan is in progress: it tells the scan, which ends.

use super::liveness::{Candidate, NOW, Uncertain, Walk, resolved_of, walk_in_memory};
use super::pulse::Pulse;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::yield_once;
use crate::hybrid_log::{Region, Room};
use crate::log::Space;
use crate::record::{ExpiryWord, HasLayout, NewRecord, RecordKind};
use crate::statistics::Counter;
use crate::store::context::OperationContext;
use crate::store::operation::attempt::HashedKey;
use crate::store::record::append::{Link, append_record, lacking_room};
use crate::store::table::{TableInner, TableRef};
use crate::store::wal::{KeyChange, Unlogged, logged};

/// The limit of records under one guard: some microseconds.
const GROUP: usize = 32;

/// The end of one try.
enum Removal {
    /// Whether the key was deleted.
    Done(bool),
    /// The chain goes on at this address on the device.
    OnDevice(Address),
    Blocked(Blocked),
}

/// The reason why a record is tried again.
enum Blocked {
    /// The version is ending.
    Barrier,
    /// The log has no room for a tombstone.
    NoRoom(Room),
    /// Another operation has changed the chain.
    Lost,
    /// The write-ahead log has no space for the entry of the deletion.
    NoWalSpace(Box<Space>),
    /// The scan has expired, so its records may have changed in place. Or the write-ahead log
    /// refuses the entry.
    Failed(Error),
}

/// The outcome of a removal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removed {
    /// The number of deleted keys.
    pub(crate) keys: u64,
    /// Only compaction makes room for the next tombstone, and it waits for the scan. The other
    /// candidates were not tried.
    pub(crate) missing: Option<Room>,
}

/// Deletes the keys of those candidates that are the newest records of their keys, until only
/// compaction makes room for a tombstone.
///
/// Its memory is the candidates, their keys, and the reads in flight.
///
/// # Errors
/// `StorageFull`, `ReadOnly`, `Poisoned`, `Closed`; `InvalidArgument` if the table was dropped;
/// `Corrupt` and `Io` of the chains; `Truncated` if the scan has expired.
///
/// # Cancel safety
/// Each key is deleted or not.
pub(super) async fn remove<S: HasLayout>(
    table: &TableInner,
    mut candidates: Vec<Candidate<'_>>,
    pulse: &Pulse,
) -> Result<Removed> {
    let mut removed = Removed::default();
    while !candidates.is_empty() {
        candidates.sort_unstable_by_key(|candidate| candidate.address);
        let mut uncertain = Uncertain::above(candidates[0].address);
        let here = remove_in_memory::<S>(table, &candidates, &mut uncertain, pulse).await?;
        removed = Removed { keys: removed.keys + here.keys, ..here };
        if removed.missing.is_some() {
            break;
        }
        candidates = resolved_of(table, &candidates, &mut uncertain, NOW).await?;
    }
    Ok(removed)
}

/// Deletes the keys of candidates as far as memory shows. Adds those that it does not decide to
/// `uncertain`.
async fn remove_in_memory<S: HasLayout>(
    table: &TableInner,
    mut candidates: &[Candidate<'_>],
    uncertain: &mut Uncertain<'_>,
    pulse: &Pulse,
) -> Result<Removed> {
    let core = table.with_store();
    let mut removed = 0;
    while !candidates.is_empty() {
        core.check_write()?;
        core.table.check()?;
        pulse.beat();
        let group = &candidates[..candidates.len().min(GROUP)];
        for candidate in group {
            core.index.prefetch(candidate.hash);
        }
        let blocked = core.pool.with(|seat| {
            seat.protected(core.table.number, |tools| {
                for candidate in group {
                    match try_once::<S>(core, (candidate, pulse), &tools) {
                        Removal::Done(is_removed) => removed += u64::from(is_removed),
                        Removal::OnDevice(at) => uncertain.push(candidate, at),
                        Removal::Blocked(blocked) => return Some(blocked),
                    }
                    candidates = &candidates[1..];
                }
                None
            })
        });
        match blocked {
            Some(Blocked::Barrier) => core.cut_over().await?,
            Some(Blocked::NoRoom(room)) => {
                // Others may take the last page meanwhile.
                if !core.log.allocator().wait_within_limits(room).await? {
                    return Ok(Removed { keys: removed, missing: Some(room) });
                }
            }
            Some(Blocked::NoWalSpace(space)) => core.wal()?.wait_for(*space).await?,
            Some(Blocked::Failed(error)) => return Err(error),
            Some(Blocked::Lost) | None => yield_once().await,
        }
    }
    Ok(Removed { keys: removed, missing: None })
}

/// Tries once.
fn try_once<S: HasLayout>(
    core: TableRef<'_>,
    (candidate, pulse): (&Candidate<'_>, &Pulse),
    tools: &OperationContext<'_>,
) -> Removal {
    if core.must_wait(tools) {
        return Removal::Blocked(Blocked::Barrier);
    }
    if let Err(error) = pulse.check() {
        return Removal::Blocked(Blocked::Failed(error));
    }
    let Some(entry) = core.index.find(candidate.hash) else {
        return Removal::Done(false);
    };
    match walk_in_memory(core.store, candidate, (entry, NOW), tools.guard) {
        Walk::Live => {}
        Walk::Dead => return Removal::Done(false),
        Walk::GoesOn(at) => return Removal::OnDevice(at),
    }
    let region = core.log.pages().region(candidate.address, tools.guard);
    assert!(
        matches!(region, Region::ReadOnly | Region::OnDevice),
        "a record that a scan shows is final: {candidate:?} is {region:?}"
    );
    let (content, expiry) = (RecordKind::Tombstone, ExpiryWord::NEVER);
    let tombstone = NewRecord { key: candidate.key(), value: &[], content, expiry };
    let key = HashedKey { bytes: candidate.key(), hash: candidate.hash };
    let link = || append_record::<S>(core, entry, tombstone, tools.guard, tools.counters);
    let lacks = || lacking_room(core, S::LAYOUT, &tombstone);
    let linked = match logged(core, tools.logger(), key, (|| KeyChange::Remove, lacks, link)) {
        Ok(linked) => linked,
        Err(why) => match *why {
            Unlogged::NoRoom(room) => Link::NoRoom(room),
            Unlogged::NotAppended(why) => {
                return Removal::Blocked(
                    why.into_space().map_or_else(Blocked::Failed, Blocked::NoWalSpace),
                );
            }
        },
    };
    match linked {
        Link::Linked => {
            tools.counters.add(Counter::Deletes, 1);
            Removal::Done(true)
        }
        Link::Lost => Removal::Blocked(Blocked::Lost),
        Link::NoRoom(room) => Removal::Blocked(Blocked::NoRoom(room)),
    }
}

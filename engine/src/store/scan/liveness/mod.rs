//! Decides which records are the newest of their keys.
//!
//! A record is *live* as of an address `end` if its chain leads to it, from the entry of the index,
//! and to no other record of its key that is below `end`. Most often the entry leads to the record
//! itself, and no other record is read. Records that were never linked are in no chain.
//!
//! The look at the index and at records in memory takes a guard for a group of records. A chain
//! that leaves memory above the record is read from the device later, together with many others
//! (`uncertain.rs`). Only the chain down to the record is read, never further. If the log has more
//! records above `end` than below, no chain is walked: the log is read up to `end`
//! (`log_sweep.rs`).
//!
//! Nothing that this finds is undone by operations that continue: they link records above `end`
//! only, and the keys and previous addresses of linked records never change. So what is proven of
//! the rest of a chain on the device stays proven. A new record may leave the rest out, and then
//! nothing in it is live.

mod candidate;
mod chain_walk;
mod log_sweep;
mod places;
mod spans;
mod uncertain;

pub(super) use candidate::Walk;
pub(in crate::store) use candidate::{Candidate, Live, NOW};
pub(in crate::store) use chain_walk::REACH;
pub(in crate::store) use spans::{Payload, Place, SpanReads, whole_record};
pub(in crate::store) use uncertain::{CopySizes, Proof, Uncertain};

use crate::base::address::Address;
use crate::base::error::Result;
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::store::inner::StoreInner;

/// The number of candidates that are looked up under one guard.
const GROUP: usize = 64;

/// Returns the live ones of `uncertain`, which are some of the candidates. They are in order.
///
/// # Errors
/// `Corrupt` with file and offset, `Io`, `Closed`.
pub(super) async fn resolved_of<'p>(
    store: &StoreInner,
    candidates: &[Candidate<'p>],
    uncertain: &mut Uncertain<'_>,
    end: Address,
) -> Result<Vec<Candidate<'p>>> {
    let resolved = uncertain.resolve(store, end).await;
    if let Some((_, error)) = resolved.failed {
        return Err(error);
    }
    let live = resolved.live.iter().map(|proof| {
        let place = candidates.binary_search_by_key(&proof.address(), |record| record.address);
        let candidate = candidates[place.expect("it is one of the candidates")];
        // Whatever is at or above `end` was passed over, so it may be a newer record of the key.
        let is_proven = proof.start() < end;
        Candidate { proven: if is_proven { proof.start() } else { candidate.address }, ..candidate }
    });
    Ok(live.collect())
}

/// Sorts candidates, which are below `end`, as far as memory shows: adds the live ones to `live`,
/// and those whose chains go on on the device to `uncertain`.
pub(in crate::store) fn look_up<'p>(
    store: &StoreInner,
    candidates: &[Candidate<'p>],
    end: Address,
    live: &mut Vec<Live<'p>>,
    uncertain: &mut Uncertain<'_>,
) {
    for group in candidates.chunks(GROUP) {
        for candidate in group {
            store.index.prefetch(candidate.hash);
        }
        store.pool.with(|seat| {
            seat.guarded(|guard| {
                let mut entries = [None; GROUP];
                for (candidate, entry) in group.iter().zip(&mut entries) {
                    debug_assert!(candidate.address < end, "{candidate:?} is below {end:?}");
                    *entry = store.index.find(candidate.hash);
                    let newest = entry.filter(|entry| entry.address() != candidate.proven);
                    if let Some(newest) = newest {
                        store.log.pages().prefetch(newest.address());
                    }
                }
                for (candidate, entry) in group.iter().zip(entries) {
                    let Some(entry) = entry else {
                        continue;
                    };
                    match walk_in_memory(store, candidate, (entry, end), guard) {
                        Walk::Live => live.push(Live { candidate: *candidate, entry }),
                        Walk::Dead => {}
                        Walk::GoesOn(at) => uncertain.push(candidate, at),
                    }
                }
            });
        });
    }
}

/// Walks along the chain of a candidate from its entry down to the head, without the records at or
/// above `end`.
pub(super) fn walk_in_memory(
    store: &StoreInner,
    candidate: &Candidate<'_>,
    (entry, end): (FoundEntry, Address),
    guard: &Guard<'_>,
) -> Walk {
    let pages = store.log.pages();
    let head = pages.head(guard);
    let mut walk = candidate.walk_at(entry.address());
    while let Walk::GoesOn(address) = walk {
        if address < head {
            return walk;
        }
        let record = pages.record(address, guard);
        let info = record.info();
        if candidate.may_be_newer(address, info, end)
            && record.key_equals(candidate.layout, candidate.key())
        {
            return Walk::Dead;
        }
        debug_assert!(info.previous() < address, "a chain leads to ever lower addresses");
        walk = candidate.walk_at(info.previous());
    }
    walk
}

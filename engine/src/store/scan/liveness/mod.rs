//! Decides which records are the newest of their keys.
//!
//! A record is *live* as of an address `end` if its chain leads to it, from the entry of the index,
//! and to no other record of its key that is below `end`. Most often the entry leads to the record
//! itself, and no other record is read. Records that were never linked are in no chain.
//!
//! The look at the index and at records in memory takes a guard for a group of records. A chain
//! that leaves memory above the record is read from the device later, together with others
//! (`chains.rs`). Only the chain down to the record is read, never further.
//!
//! Nothing that this finds is undone by operations that continue: they link records above `end`
//! only, and the keys and previous addresses of linked records never change.

mod candidate;
mod chains;

pub(in crate::store) use candidate::{Candidate, Live, NOW};
pub(super) use candidate::{Pending, Walk};
pub(super) use chains::walk_on_device;

use crate::base::address::Address;
use crate::base::error::Result;
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::store::inner::StoreInner;

/// The number of candidates that are looked up under one guard.
const GROUP: usize = 64;

/// Returns the live ones of the candidates, which are below `end`, in no order.
///
/// It takes a guard for each group of candidates, and waits for the device without one. The number
/// of candidates bounds its memory, which is their own size once more, beside the bytes of reads.
///
/// # Errors
/// `Corrupt` with file and offset, `Io`, `Closed`.
pub(in crate::store) async fn live_of<'p>(
    store: &StoreInner,
    candidates: &[Candidate<'p>],
    end: Address,
    live: &mut Vec<Live<'p>>,
) -> Result<()> {
    store.check_read()?;
    let mut pending = Vec::new();
    for group in candidates.chunks(GROUP) {
        for candidate in group {
            store.index.prefetch(candidate.hash);
        }
        store.pool.with(|seat| {
            seat.guarded(|guard| {
                for candidate in group {
                    debug_assert!(candidate.address < end, "{candidate:?} is below {end:?}");
                    let Some(entry) = store.index.find(candidate.hash) else {
                        continue;
                    };
                    let candidate = *candidate;
                    match walk_in_memory(store, &candidate, (entry, end), guard) {
                        Walk::Live => live.push(Live { candidate, entry }),
                        Walk::Dead => {}
                        Walk::GoesOn(from) => pending.push(Pending { candidate, entry, from }),
                    }
                }
            });
        });
    }
    walk_on_device(store, pending, end, live).await
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

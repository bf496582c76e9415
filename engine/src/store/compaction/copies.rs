//! Copies live records to the tail, each under the entry that its proof began with.

use super::counts::Round;
use super::filter::Filter;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::yield_once;
use crate::base::weak_spot;
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::hybrid_log::Claim;
use crate::record::Layout;
use crate::record::{NewRecord, RecordInfo, RecordKind, StoredRecord, TableNumber};
use crate::store::inner::StoreInner;
use crate::store::record::append::{Link, link_record};
use crate::store::scan::{Candidate, Live, NOW, Uncertain, look_up};

/// The candidates that are looked up together: a megabyte.
const SLICE: usize = 16 << 10;
/// The limit of copies under one guard, in records and in bytes: some microseconds.
const GROUP: usize = 32;
const GROUP_BYTES: usize = 64 << 10;

/// The result of a copy.
pub(in crate::store) enum Copied {
    /// It was appended, and linked if the entry was the same and there was room.
    Tried(Link),
    /// The version barrier is up.
    Barrier,
    /// A scan is in progress.
    Scan,
}

/// Copies those of some candidates that are live as far as memory shows, without those that
/// `filter` drops. Adds those that memory does not decide to `uncertain`.
pub(super) async fn copy_live(
    store: &StoreInner,
    candidates: &[Candidate<'_>],
    uncertain: &mut Uncertain<'_>,
    filter: &mut Option<Filter>,
    round: &mut Round,
) -> Result<()> {
    for slice in candidates.chunks(SLICE) {
        let mut left = slice.to_vec();
        let (mut copied, before) = (0, uncertain.len());
        // A record whose entry has changed is looked at again.
        while !left.is_empty() {
            let mut live = Vec::with_capacity(left.len());
            // Each record that is linked when the entry is found counts, wherever the tail is.
            look_up(store, &left, NOW, &mut live, uncertain);
            if let Some(filter) = filter {
                filter.retain(&mut live)?;
            }
            left.clear();
            let mut rest = &live[..];
            while !rest.is_empty() {
                copied += copy_group(store, &mut rest, &mut left, round).await?;
            }
        }
        let added = uncertain.len() - before;
        round.dropped_records += (slice.len() - copied - added) as u64;
    }
    Ok(())
}

/// Copies the first of `rest` under one guard, and takes them off. Returns the number of copies.
async fn copy_group<'p>(
    store: &StoreInner,
    rest: &mut &[Live<'p>],
    lost: &mut Vec<Candidate<'p>>,
    round: &mut Round,
) -> Result<usize> {
    store.check_write()?;
    let (mut copied, mut bytes, mut blocked) = (0, 0, None);
    store.pool.with(|seat| {
        seat.guarded(|guard| {
            for _ in 0..GROUP {
                let Some((live, others)) = rest.split_first() else {
                    break;
                };
                let Candidate { table, layout, record, .. } = live.candidate;
                let new = NewRecord {
                    key: live.candidate.key(),
                    value: StoredRecord::value_in(record, layout),
                    content: RecordKind::Value,
                    expiry: StoredRecord::expiry_in(record, layout),
                };
                let entry = entry_for_copy(store, live);
                let Candidate { address, .. } = live.candidate;
                let previous = RecordInfo::first_of(record).previous();
                let chain = chain_behind(store, entry.address(), (address, previous));
                match link_copy(store, (table, layout), (entry, chain), new, guard) {
                    Copied::Tried(Link::Linked) => {
                        copied += 1;
                        bytes += record.len();
                    }
                    Copied::Tried(Link::Lost) => lost.push(live.candidate),
                    other => {
                        blocked = Some(other);
                        break;
                    }
                }
                *rest = others;
                if bytes >= GROUP_BYTES {
                    break;
                }
            }
        });
    });
    round.copied_records += copied as u64;
    round.copied_bytes += bytes as u64;
    match blocked {
        Some(blocked) => wait(store, blocked).await?,
        None => yield_once().await,
    }
    Ok(copied)
}

/// Returns the error that ends a round for a scan.
pub(super) fn held_up() -> Error {
    Error::busy("a scan is in progress")
}

/// Waits until a copy may succeed.
///
/// # Errors
/// `Busy` while a scan is in progress, and why no copy can be appended.
pub(super) async fn wait(store: &StoreInner, blocked: Copied) -> Result<()> {
    match blocked {
        Copied::Tried(Link::NoRoom(room)) => store.log.allocator().wait_for_space(room).await,
        Copied::Barrier => store.cut_over().await,
        Copied::Tried(Link::Linked | Link::Lost) => Ok(()),
        Copied::Scan => Err(held_up()),
    }
}

/// Appends a copy, and links it if the entry is still the same.
pub(in crate::store) fn link_copy(
    store: &StoreInner,
    table: (TableNumber, Layout),
    (entry, chain): (FoundEntry, Address),
    record: NewRecord<'_>,
    guard: &Guard<'_>,
) -> Copied {
    // A copy belongs to a version like any other record.
    if store.phase.is_cut() {
        return Copied::Barrier;
    }
    // A scan that removes keys takes a record that was copied for a change of its key. Besides, the
    // begin cannot move while there is a scan. A promotion does without the copy, so this look
    // expires no scan.
    if store.scans.kept_below() > Address::NONE {
        return Copied::Scan;
    }
    let copy = (record, Claim::Copy);
    let linked = link_record(store, table, (entry, chain), copy, guard);
    Copied::Tried(linked.map_or_else(|link| link, |_address| Link::Linked))
}

/// Returns the entry under which the copy of a record is linked: its proof began with that entry.
fn entry_for_copy(store: &StoreInner, live: &Live<'_>) -> FoundEntry {
    if weak_spot::is_copied_anew() {
        weak_spot::pause();
        let entry = store.index.find(live.candidate.hash);
        return entry.expect("the chain of a present key has an entry");
    }
    live.entry
}

/// Returns the chain for the copy of the record at `address` in the chain of `newest`: this chain,
/// or none if only the record itself and records below the begin of the log are in it. So a key
/// stays alone in its chain if it was, and its entry goes when it is deleted. No scan is in
/// progress, which might need the record.
pub(in crate::store) fn chain_behind(
    store: &StoreInner,
    newest: Address,
    (address, previous): (Address, Address),
) -> Address {
    let is_alone = newest == address && previous < store.log.pages().begin();
    if is_alone { Address::NONE } else { newest }
}

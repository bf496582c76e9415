//! Copies the live ones of records that were gathered over many pages.
//!
//! They are looked up on the device together. Most of them are dead. The others are read again from
//! the source, and copied like those whose liveness memory shows: under an entry from which a walk
//! leads to the proven part of the chain.

use super::copies::copy_live;
use super::counts::Round;
use super::filter::Filter;
use super::page::TableHasher;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::record::{RecordInfo, StoredRecord, WORD};
use crate::store::inner::StoreInner;
use crate::store::scan::{
    Candidate, NOW, Payload, Place, Proof, SpanReads, Uncertain, whole_record,
};

/// The reason why a record was not copied.
pub(super) struct Stopped {
    /// Everything live in the pages below is copied.
    pub(super) at: Address,
    pub(super) error: Error,
}

/// Looks up the gathered records, and copies the live ones that `filter` does not drop.
pub(super) async fn copy_uncertain(
    store: &StoreInner,
    uncertain: &mut Uncertain<'_>,
    filter: &mut Option<Filter>,
    round: &mut Round,
) -> Result<(), Stopped> {
    // A record whose chain leaves memory again meanwhile is gathered again.
    while uncertain.len() > 0 {
        let mut resolved = uncertain.resolve(store, NOW).await;
        round.dropped_records += resolved.dead;
        let failed = resolved.failed.take().map(|(at, error)| Stopped { at, error });
        if let Some(Stopped { at, .. }) = &failed {
            let page = store.log.file().units().start_of_page(*at);
            resolved.live.retain(|proof| proof.address() < page);
        }
        let copied = copy_proven(store, resolved.live, uncertain, filter, round).await;
        let stopped = [failed, copied.err()].into_iter().flatten().min_by_key(|stop| stop.at);
        if let Some(Stopped { at, error }) = stopped {
            let lowest = uncertain.lowest().unwrap_or(at);
            return Err(Stopped { at: lowest.min(at), error });
        }
    }
    Ok(())
}

/// Reads live records again, in order, and copies them.
async fn copy_proven(
    store: &StoreInner,
    proofs: Vec<Proof>,
    uncertain: &mut Uncertain<'_>,
    filter: &mut Option<Filter>,
    round: &mut Round,
) -> Result<(), Stopped> {
    let mut reads = SpanReads::new(store, proofs);
    let mut at = Address::NONE;
    let copied = copy_spans(store, (&mut reads, &mut at), uncertain, filter, round).await;
    copied.map_err(|error| {
        // Records of a span that failed are read again, after higher ones that were in flight.
        let at = reads.lowest().map_or(at, |lowest| lowest.min(at));
        Stopped { at, error }
    })
}

/// Copies the records of span after span. `at` is an address in the last one.
async fn copy_spans(
    store: &StoreInner,
    (reads, at): (&mut SpanReads<'_, Proof>, &mut Address),
    uncertain: &mut Uncertain<'_>,
    filter: &mut Option<Filter>,
    round: &mut Round,
) -> Result<()> {
    let mut hasher = TableHasher::default();
    loop {
        let Some((proofs, payload)) = reads.next().await? else {
            return Ok(());
        };
        // A span is in one page.
        *at = proofs[0].address();
        let payload = payload?;
        let split = fetch_split(store, &proofs, &payload).await?;
        let mut split = split.iter();
        let candidates = proofs.iter().map(|proof| {
            let (at, layouts) = (proof.address(), store.tables.layouts());
            let record = payload.record(layouts, at);
            let record = record.or_else(|| whole_record(layouts, split.next()?.record()));
            let (table, layout, record) = record.expect("what is split was fetched");
            let hash = hasher.hash(store, table, StoredRecord::key_in(record, layout));
            Candidate { address: at, table, layout, record, hash, proven: proof.start() }
        });
        let candidates: Vec<_> = candidates.collect();
        copy_live(store, &candidates, uncertain, filter, round).await?;
    }
}

/// Reads the records that the span does not hold as a whole: the last one, at most.
async fn fetch_split(
    store: &StoreInner,
    proofs: &[Proof],
    payload: &Payload,
) -> Result<Vec<StoredRecord>> {
    let layouts = store.tables.layouts();
    let mut fetched = Vec::new();
    for at in proofs.iter().map(Place::address) {
        if payload.record(layouts, at).is_none() {
            let rest = payload.from(at).unwrap_or_default();
            let header = rest.first_chunk::<WORD>().map(|header| RecordInfo::first_of(header));
            let layout = header.and_then(|info| layouts.of(info));
            let layout = layout.ok_or_else(|| store.log.file().not_a_record(at))?;
            fetched.push(store.log.reader().fetch(layouts, layout, at).await?);
        }
    }
    Ok(fetched)
}

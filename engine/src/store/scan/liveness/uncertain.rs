//! Records whose liveness the rest of a chain decides, on the device.
//!
//! They are gathered first, and then looked up in one sweep over the log, from its end down: the
//! walk whose next record is the highest goes on first. So a chain of any length costs one sweep,
//! and the more records are gathered, the less each of them costs. A gathered record is its address
//! and its key, not its bytes.

use super::candidate::{Candidate, Walk};
use super::places::ADDED_PART;
use super::spans::{Payload, Place, SpanReads};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::yield_once;
use crate::memory::{Gathered, MemoryGovernor};
use crate::record::{Layout, RecordInfo, StoredRecord, TableNumber, WORD};
use crate::store::inner::StoreInner;
use std::cmp::Reverse;

/// Records that are gathered.
#[derive(Debug, Default)]
pub(in crate::store) struct Uncertain<'g> {
    governor: Option<&'g MemoryGovernor>,
    /// The memory, from the first record on.
    memory: Option<Gathered<'g>>,
    walks: Vec<ChainWalk>,
    /// The number of the table and the key of each.
    keys: Vec<u8>,
    copies: CopySizes,
}

/// The bytes that copies of all gathered records take.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct CopySizes {
    pub(in crate::store) sum: u64,
    pub(in crate::store) largest: u64,
}

/// A walk along the chain of one record. Its order is that of the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ChainWalk {
    /// The next record of the chain. `NONE` after the walk has shown that the record is live.
    at: Address,
    /// The record. It is below.
    target: Address,
    /// The walk began here.
    start: Address,
    /// The place of its table and key.
    key: u32,
    /// The bytes of the record from its header to the end of its key. Those of the whole record,
    /// probably, if it is live.
    front: u32,
}

/// A record to which its chain leads, and to no newer one of its key. The order is that of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Proof {
    record: Reverse<Address>,
    /// The chain leads to the record from here on.
    start: Address,
    /// The bytes that the record takes, probably.
    bytes: u32,
}

/// The outcome of a sweep.
#[derive(Debug, Default)]
pub(in crate::store) struct Resolved {
    /// The live records.
    pub(in crate::store) live: Vec<Proof>,
    /// The number of dead records.
    pub(in crate::store) dead: u64,
    /// The lowest record whose chain cannot be read.
    pub(in crate::store) failed: Option<(Address, Error)>,
}

/// The bytes of a gathered record without its key, with its part of the places that are added. A
/// live one takes the place of its walk.
const RECORD_BYTES: usize = size_of::<ChainWalk>() + size_of::<ChainWalk>() / ADDED_PART + 1;
/// The bytes of addresses that are reserved for the records, and for their keys. The system gives
/// memory when they are written, and takes it back when so large a range is freed.
const RESERVED: usize = 33 << 20;
const _: () = assert!(size_of::<Proof>() <= size_of::<ChainWalk>());

impl<'g> Uncertain<'g> {
    /// Gathers records within the memory that the governor has for them.
    pub(in crate::store) fn within(governor: &'g MemoryGovernor) -> Self {
        Self { governor: Some(governor), ..Self::default() }
    }

    /// Adds a record whose chain goes on at `at` on the device.
    pub(in crate::store::scan) fn push(&mut self, candidate: &Candidate<'_>, at: Address) {
        if let (Some(governor), None) = (self.governor, &self.memory) {
            self.memory = Some(governor.gather());
        }
        if self.walks.is_empty() && self.memory.is_some() {
            self.walks.reserve_exact(RESERVED / size_of::<ChainWalk>());
            self.keys.reserve_exact(RESERVED);
        }
        debug_assert!(at > candidate.address, "a chain leads down: {candidate:?} from {at:?}");
        let (key, table) = (candidate.key(), candidate.table.raw());
        let front = candidate.layout.header_bytes() + key.len();
        let [place, front] =
            [self.keys.len(), front].map(|size| u32::try_from(size).expect("it is gathered soon"));
        self.walks.push(ChainWalk { at, target: candidate.address, start: at, key: place, front });
        self.keys.push(table);
        self.keys.extend_from_slice(key);
        let bytes = candidate.record.len() as u64;
        self.copies.sum += bytes;
        self.copies.largest = self.copies.largest.max(bytes);
    }

    /// Returns the bytes that the records take if all of them are live.
    pub(in crate::store) fn copies(&self) -> CopySizes {
        self.copies
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.walks.len()
    }

    /// Returns whether the records take the memory that there is for them.
    pub(in crate::store) fn is_full(&self) -> bool {
        let bytes = self.walks.len() * RECORD_BYTES + self.keys.len();
        self.memory.as_ref().is_some_and(|memory| bytes >= memory.bytes())
    }

    /// Returns the lowest record.
    pub(in crate::store) fn lowest(&self) -> Option<Address> {
        self.walks.iter().map(|walk| walk.target).min()
    }

    /// Looks up all records, as of `end`, and forgets them.
    ///
    /// Chains that cannot be read do not stop the others.
    pub(in crate::store) async fn resolve(&mut self, store: &StoreInner, end: Address) -> Resolved {
        let mut resolved = Resolved::default();
        let keys = std::mem::take(&mut self.keys);
        self.copies = CopySizes::default();
        let mut reads = SpanReads::new(store, std::mem::take(&mut self.walks));
        loop {
            let (walks, payload) = match reads.next().await {
                Ok(Some(span)) => span,
                Ok(None) => break,
                Err(error) => {
                    resolved.fail(Address::NONE, error);
                    return resolved;
                }
            };
            for walk in walks {
                let (table, layout, key) = walk.key_in(store, &keys);
                let went = match &payload {
                    Ok(payload) => walk.go(store, (table, layout, key), payload, end),
                    Err(error) => Err(error.clone()),
                };
                match went {
                    Ok(Walk::Live) => reads.add(walk.live(store, layout)),
                    Ok(Walk::Dead) => resolved.dead += 1,
                    Ok(Walk::GoesOn(at)) => reads.add(ChainWalk { at, ..walk }),
                    Err(error) => resolved.fail(walk.target, error),
                }
            }
            yield_once().await;
        }
        resolved.live = reads.into_rest().into_iter().map(Proof::of).collect();
        resolved
    }
}

impl ChainWalk {
    /// Returns the table of the record, its layout and its key.
    fn key_in<'k>(&self, store: &StoreInner, keys: &'k [u8]) -> (TableNumber, Layout, &'k [u8]) {
        let (number, rest) = keys[self.key as usize..].split_first().expect("it was gathered");
        let table = TableNumber::new(*number).expect("it was a number before");
        let layout = store.tables.layouts().get(table).expect("its table has a layout");
        (table, layout, &rest[..self.front as usize - layout.header_bytes()])
    }

    /// Walks along the chain as far as it stays in a span.
    fn go(
        &self,
        store: &StoreInner,
        (table, layout, key): (TableNumber, Layout, &[u8]),
        payload: &Payload,
        end: Address,
    ) -> Result<Walk> {
        let mut at = self.at;
        loop {
            let not_a_record = || store.log.file().not_a_record(at);
            // What is missing is read with another span, but not a second time.
            let missing = || if at == self.at { Err(not_a_record()) } else { Ok(Walk::GoesOn(at)) };
            let Some(rest) = payload.from(at).filter(|rest| rest.len() >= WORD) else {
                return missing();
            };
            let info = RecordInfo::first_of(rest);
            if !info.is_present() || info.previous() >= at {
                return Err(not_a_record());
            }
            if at < end && info.table() == table {
                match StoredRecord::has_key(rest, layout, key) {
                    Some(true) => return Ok(Walk::Dead),
                    Some(false) => {}
                    None => return missing(),
                }
            }
            match Walk::to(self.target, info.previous()) {
                Walk::GoesOn(previous) => at = previous,
                walk => return Ok(walk),
            }
        }
    }

    /// Returns the end of the walk to a live record.
    fn live(self, store: &StoreInner, layout: Layout) -> Self {
        let bytes = store.log.file().counters().record_bytes_hint(layout).max(WORD);
        Self { at: Address::NONE, front: u32::try_from(bytes).unwrap_or(u32::MAX), ..self }
    }
}

impl Place for ChainWalk {
    fn address(&self) -> Address {
        self.at
    }

    fn needed(&self) -> u64 {
        self.front.into()
    }
}

impl Proof {
    fn of(walk: ChainWalk) -> Self {
        let ChainWalk { at, target, start, front, .. } = walk;
        debug_assert_eq!(at, Address::NONE, "the walk has ended");
        Self { record: Reverse(target), start, bytes: front }
    }

    /// Returns the address from which on the chain is proven.
    pub(in crate::store) fn start(&self) -> Address {
        self.start
    }
}

impl Place for Proof {
    fn address(&self) -> Address {
        self.record.0
    }

    fn needed(&self) -> u64 {
        self.bytes.into()
    }
}

impl Resolved {
    fn fail(&mut self, record: Address, error: Error) {
        if self.failed.as_ref().is_none_or(|(lowest, _)| record < *lowest) {
            self.failed = Some((record, error));
        }
    }
}

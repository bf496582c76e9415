//! Records whose liveness the rest of a chain decides, on the device.
//!
//! They are gathered first, and then looked up in one sweep over the log, from its end down: the
//! walk whose next record is the highest goes on first. So a chain of any length costs one sweep,
//! and the more records are gathered, the less each of them costs. A gathered record is its address
//! and its key, not its bytes.

use super::candidate::{Candidate, Walk};
use super::chain_walk::ChainWalk;
use super::places::ADDED_PART;
use super::spans::{Place, SpanReads};
use crate::base::address::Address;
use crate::base::error::Error;
use crate::base::wait::yield_once;
use crate::memory::{Gathered, MemoryGovernor};
use crate::record::{Layout, WORD};
use crate::store::inner::StoreInner;
use std::cmp::Reverse;

/// Records that are gathered.
#[derive(Debug)]
pub(in crate::store) struct Uncertain<'g> {
    /// No record is below, and none is further above than its distance has bits.
    base: Address,
    governor: Option<&'g MemoryGovernor>,
    /// The memory, from the first record on.
    memory: Option<Gathered<'g>>,
    walks: Vec<ChainWalk>,
    /// The table and the key of each.
    keys: Vec<u8>,
    copies: CopySizes,
}

/// The bytes that copies of all gathered records take.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct CopySizes {
    pub(in crate::store) sum: u64,
    pub(in crate::store) largest: u64,
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
/// The bytes of addresses that are reserved for the records, and for their keys, beside the limit
/// of both. The system gives memory when they are written, and takes it back when so large a range
/// is freed.
const RESERVED_BESIDE: usize = 1 << 20;
const _: () = assert!(size_of::<Proof>() <= size_of::<ChainWalk>());

impl<'g> Uncertain<'g> {
    /// Gathers records that are not below `base`, and within `REACH` of it.
    pub(in crate::store) fn above(base: Address) -> Self {
        let (walks, keys, copies) = (Vec::new(), Vec::new(), CopySizes::default());
        Self { base, governor: None, memory: None, walks, keys, copies }
    }

    /// Gathers records within the memory that the governor has for them.
    pub(in crate::store) fn within(self, governor: &'g MemoryGovernor) -> Self {
        Self { governor: Some(governor), ..self }
    }

    /// Adds a record whose chain goes on at `at` on the device.
    pub(in crate::store::scan) fn push(&mut self, candidate: &Candidate<'_>, at: Address) {
        if let (Some(governor), None) = (self.governor, &self.memory) {
            self.memory = Some(governor.gather());
        }
        if let (true, Some(memory)) = (self.walks.is_empty(), &self.memory) {
            let reserved = memory.bytes() + RESERVED_BESIDE;
            self.walks.reserve_exact(reserved / size_of::<ChainWalk>());
            self.keys.reserve_exact(reserved);
        }
        let Candidate { address, table, layout, .. } = *candidate;
        let (key, place) = (candidate.key(), self.keys.len());
        let front = layout.header_bytes() + key.len();
        let place = u32::try_from(place).expect("gathered keys have little memory");
        self.walks.push(ChainWalk::new([at, address], self.base, place, front));
        ChainWalk::add_key(&mut self.keys, table, layout, key);
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
        self.walks.iter().map(|walk| walk.target(self.base)).min()
    }

    /// Takes all records off, with their base and keys.
    pub(super) fn take(&mut self) -> (Address, Vec<ChainWalk>, Vec<u8>) {
        self.copies = CopySizes::default();
        (self.base, std::mem::take(&mut self.walks), std::mem::take(&mut self.keys))
    }

    /// Looks up all records, as of `end`, and forgets them.
    ///
    /// Chains that cannot be read do not stop the others.
    pub(in crate::store) async fn resolve(&mut self, store: &StoreInner, end: Address) -> Resolved {
        let mut resolved = Resolved::default();
        let (base, walks, keys) = self.take();
        let mut reads = SpanReads::new(store, walks);
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
                let target = walk.target(base);
                let went = match &payload {
                    Ok(payload) => walk.go(store, (table, layout, key), payload, [target, end]),
                    Err(error) => Err(error.clone()),
                };
                match went {
                    Ok(Walk::Live) => reads.add(walk.live(record_bytes(store, layout))),
                    Ok(Walk::Dead) => resolved.dead += 1,
                    Ok(Walk::GoesOn(at)) => reads.add(walk.goes_on(at)),
                    Err(error) => resolved.fail(target, error),
                }
            }
            yield_once().await;
        }
        let proofs = reads.into_rest().into_iter().map(|walk| Proof::of(walk, base));
        resolved.live = proofs.collect();
        resolved
    }
}

/// Returns the bytes of a record with this layout, probably.
pub(super) fn record_bytes(store: &StoreInner, layout: Layout) -> usize {
    store.log.file().counters().record_bytes_hint(layout).max(WORD)
}

impl Proof {
    /// Returns the proof that the record at `record` is live, of which nothing else is known.
    pub(super) fn of_record(record: Address, bytes: usize) -> Self {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { record: Reverse(record), start: record, bytes }
    }

    fn of(walk: ChainWalk, base: Address) -> Self {
        debug_assert_eq!(walk.address(), Address::NONE, "the walk has ended: {walk:?}");
        let bytes = u32::try_from(walk.needed()).unwrap_or(u32::MAX);
        Self { record: Reverse(walk.target(base)), start: walk.start(), bytes }
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

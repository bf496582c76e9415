//! The read cache: what reads have found on the device.
//!
//! ```text
//!   index entry --> record --> record --> | record at `from` --> record --> ..
//!                       in memory         |           on the device
//!
//!   (from, key) --> the newest record of the key from there on, or none
//! ```
//!
//! A chain leaves memory at an address, here `from`. Its part on the device is immutable. So the
//! newest record of a key in this part is a function of `from` and the key, and the cache holds
//! results of this function. It lies outside of the chains: no operation in memory meets it, and
//! nothing is ever taken out of it because it is out of date.
//!
//! # Invariants
//! 1. *No stale answer.* An operation asks only after it has walked the part of the chain in memory
//!    under its guard, and asks for the address at which it left memory. A newer record of the key
//!    is either in that part, and ends the walk, or has been evicted since. Then the chain leaves
//!    memory at that record or above it, which is another `from`: addresses only ever grow, and a
//!    store never writes one twice.
//! 2. *No lost record.* Compaction moves the begin of the log over records whose copies are in
//!    front of them, and over those that no task may see any more. A record below the begin is no
//!    answer, and the operation asks the device. That there is no record stays true: the part of
//!    the chain only gets shorter.
//!    A walk on the device that ran into the begin may also have missed a record. Then the copies
//!    were there before the result was, and a walk that begins later meets them in front of `from`.
//! 3. *Exact keys.* A place in the cache is an address and a hash. The table and the key are
//!    compared with those of the result, so keys of equal hashes only displace each other.
//!
//! The expiry of a record and the pieces of a long value are judged by the operation, as for a
//! record that was just read.
//!
//! # Memory
//! A result is kept at its second read ([`admission`]). It is a part of the memory of the store,
//! which the governor divides. The cache takes it only as it fills. It forgets by CLOCK-Pro, in
//! shards, by the crate `quick_cache`. The structures of that crate never shrink, so another limit
//! of another order of size makes a new, empty cache.
//!
//! Results of places to which no chain leads any more stay until others displace them.

mod admission;
mod results;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use crate::base::address::Address;
use crate::record::StoredRecord;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
pub(crate) use results::Lookup;
use results::Results;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The results of reads of the device.
#[derive(Debug)]
pub(crate) struct ReadCache {
    /// `None` while there is no memory for results. The lock is held for writing only where the
    /// limit changes.
    results: RwLock<Option<Results>>,
    /// The bytes that were kept since the memory was last reported.
    unreported: AtomicU64,
}

/// The part of the cache after which the memory is reported.
const REPORTED_PART: u64 = 64;
/// The factor up to which a limit may fall or rise before the cache begins anew.
const LIMIT_TIMES: u64 = 4;

impl ReadCache {
    /// Creates an empty cache of at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        let results = RwLock::new(Results::within(limit));
        Self { results, unreported: AtomicU64::new(0) }
    }

    /// Returns the record that the device has, or that it has none; `None` if that is not known.
    /// The log begins at `begin`.
    pub(crate) fn get(&self, lookup: Lookup<'_>, begin: Address) -> Option<Option<StoredRecord>> {
        debug_assert!(lookup.from >= begin, "the chain leads into the log");
        self.results().as_ref()?.get(lookup, begin)
    }

    /// Keeps the result of a walk on the device, if it is not the first one from this place lately.
    /// Returns whether the memory should be reported.
    pub(crate) fn keep(&self, lookup: Lookup<'_>, found: Option<&StoredRecord>) -> bool {
        let results = self.results();
        let Some(results) = results.as_ref() else {
            return false;
        };
        let kept = results.keep(lookup, found);
        // Relaxed: a statistic.
        let unreported = self.unreported.fetch_add(kept, Ordering::Relaxed) + kept;
        let is_much = unreported > results.limit() / REPORTED_PART;
        if is_much {
            self.unreported.store(0, Ordering::Relaxed);
        }
        is_much
    }

    /// Returns the bytes that the cache takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.results().as_ref().map_or(0, Results::bytes)
    }

    /// Sets the limit of its bytes, and forgets what is beyond it.
    pub(crate) fn set_limit(&self, limit: u64) {
        let mut results = self.results.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *results {
            Some(results) if results.suits(limit, LIMIT_TIMES) => results.set_limit(limit),
            other => *other = Results::within(limit),
        }
    }

    fn results(&self) -> RwLockReadGuard<'_, Option<Results>> {
        self.results.read().unwrap_or_else(PoisonError::into_inner)
    }
}

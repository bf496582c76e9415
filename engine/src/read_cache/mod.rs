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
//! Writers look here too, but keep nothing: their own record changes `from`.
//!
//! A result is kept at its second read ([`admission`]). The memory is a part of the memory of the
//! store, which the governor divides. The cache takes it only as it fills. It forgets by CLOCK-Pro,
//! in shards, by the crate `quick_cache`.

mod admission;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use crate::base::address::Address;
use crate::base::hash::KeyHash;
use crate::record::{Layout, StoredRecord, TableNumber, WORD};
use admission::Admission;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// The results of reads of the device.
pub(crate) struct ReadCache {
    results: Cache<Place, Arc<[u64]>, Weight, BuildHasherDefault<PlaceHasher>>,
    admission: Admission,
    /// The bytes that were kept since the memory was last reported.
    unreported: AtomicU64,
}

/// The subject of a lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'k> {
    /// The address at which the chain leaves memory.
    pub(crate) from: Address,
    pub(crate) table: (TableNumber, Layout),
    pub(crate) key: &'k [u8],
    pub(crate) hash: KeyHash,
}

/// The place of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    from: Address,
    hash: KeyHash,
}

/// Passes on the word of a place.
#[derive(Clone, Copy, Debug, Default)]
struct PlaceHasher(u64);

/// Weighs a result by the memory that it takes.
#[derive(Clone, Copy, Debug)]
struct Weight;

/// The number of parts of the cache with a lock of their own.
const SHARDS: usize = 16;
/// The bytes of a result without its words: its place, the places of forgotten ones that are
/// remembered for a while, and the header of its allocation.
const RESULT_BYTES: u64 = 120;
/// The typical bytes of a result, for the number of forgotten places that are remembered.
const TYPICAL_BYTES: u64 = 192;
/// The share of remembered places.
const REMEMBERED: f64 = 0.3;
/// The number of marks for each typical result.
const MARKS_OF_RESULT: usize = 2;
/// The part of a shard that one result may take at most.
const MOST_PART: u64 = 4;
/// The part of the cache after which the memory is reported.
const REPORTED_PART: u64 = 64;

impl ReadCache {
    /// Creates an empty cache of at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        let items = usize::try_from(limit / TYPICAL_BYTES).expect("memory is addressed");
        let admission = Admission::new(items * MARKS_OF_RESULT);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .weight_capacity(limit.saturating_sub(admission.reserved()))
            .estimated_items_capacity(items.max(1))
            .ghost_allocation(REMEMBERED)
            .build()
            .expect("every option is set");
        let hasher = BuildHasherDefault::default();
        let results = Cache::with_options(options, Weight, hasher, DefaultLifecycle::default());
        Self { results, admission, unreported: AtomicU64::new(0) }
    }

    /// Returns the record that the device has, or that it has none; `None` if that is not known.
    /// The log begins at `begin`.
    pub(crate) fn get(&self, lookup: Lookup<'_>, begin: Address) -> Option<Option<StoredRecord>> {
        debug_assert!(lookup.from >= begin, "the chain leads into the log");
        let words = self.results.get(&lookup.place())?;
        let ((table, layout), key) = (lookup.table, lookup.key);
        let address = Address::new(words[0]);
        if address == Address::NONE {
            let is_same = words[1] == absence(table, key) && words[2..].as_bytes().starts_with(key);
            return is_same.then_some(None);
        }
        debug_assert!(address <= lookup.from, "chains lead down");
        let record = StoredRecord::shared(address, words, 1);
        let is_same = record.info().table() == table && record.key(layout) == key;
        (is_same && address >= begin).then_some(Some(record))
    }

    /// Keeps the result of a walk on the device, if it is not the first one from this place lately.
    /// Returns whether the memory should be reported.
    pub(crate) fn keep(&self, lookup: Lookup<'_>, found: Option<&StoredRecord>) -> bool {
        if !self.admission.admits(Place::hash(lookup.place())) {
            return false;
        }
        let words = match found {
            Some(record) => words_of(record, lookup.table.1),
            None => words_of_absence(lookup.table.0, lookup.key),
        };
        let (weight, capacity) = (Weight.weight(&lookup.place(), &words), self.results.capacity());
        if weight > self.results.shard_capacity() / MOST_PART {
            return false;
        }
        self.results.insert(lookup.place(), words);
        // Relaxed: a statistic.
        let unreported = self.unreported.fetch_add(weight, Ordering::Relaxed) + weight;
        let is_much = unreported > capacity / REPORTED_PART;
        if is_much {
            self.unreported.store(0, Ordering::Relaxed);
        }
        is_much
    }

    /// Returns the bytes that the cache takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.results.weight() + self.admission.bytes()
    }

    /// Sets the limit of its bytes, and forgets what is beyond it.
    pub(crate) fn set_limit(&self, limit: u64) {
        let limit = limit.saturating_sub(self.admission.reserved());
        if limit != self.results.capacity() {
            self.results.set_capacity(limit);
        }
    }
}

impl fmt::Debug for ReadCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadCache").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Lookup<'_> {
    fn place(&self) -> Place {
        Place { from: self.from, hash: self.hash }
    }
}

/// Returns the words of a record: its address, and then the record.
fn words_of(record: &StoredRecord, layout: Layout) -> Arc<[u64]> {
    let (address, words) = (record.address().raw(), record.words(layout));
    debug_assert!(address != Address::NONE.raw(), "a record has an address");
    let mut copy: Arc<[u64]> = std::iter::repeat_n(address, 1 + words).collect();
    let copied = &mut Arc::get_mut(&mut copy).expect("it is not shared yet")[1..];
    copied.as_mut_bytes().copy_from_slice(&record.record()[..words * WORD]);
    copy
}

/// Returns the words of the fact that a key has no record: no address, the table with the length of
/// the key, and the key.
fn words_of_absence(table: TableNumber, key: &[u8]) -> Arc<[u64]> {
    let words = 2 + key.len().div_ceil(WORD);
    let mut copy: Arc<[u64]> = std::iter::repeat_n(0, words).collect();
    let copied = Arc::get_mut(&mut copy).expect("it is not shared yet");
    copied[0] = Address::NONE.raw();
    copied[1] = absence(table, key);
    copied[2..].as_mut_bytes()[..key.len()].copy_from_slice(key);
    copy
}

/// Returns the word with a table and the length of a key.
fn absence(table: TableNumber, key: &[u8]) -> u64 {
    (key.len() as u64) << TableNumber::BITS | table.word()
}

impl Weighter<Place, Arc<[u64]>> for Weight {
    fn weight(&self, _place: &Place, words: &Arc<[u64]>) -> u64 {
        RESULT_BYTES + size_of_val(&**words) as u64
    }
}

impl Place {
    /// Returns a hash of both. Keys of one chain have many equal bits in their hashes, and
    /// addresses have few different ones.
    fn hash(self) -> u64 {
        // The fractional part of the golden ratio.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let spread = self.from.raw().wrapping_mul(SPREAD).rotate_left(32);
        let mixed = (self.hash.bits() ^ spread).wrapping_mul(SPREAD);
        mixed ^ (mixed >> 32)
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(Self::hash(*self));
    }
}

impl Hasher for PlaceHasher {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a place is one word");
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

//! The results of one order of size of the cache.

use super::admission::Admission;
use crate::base::address::Address;
use crate::base::hash::KeyHash;
use crate::record::{Layout, StoredRecord, TableNumber, WORD};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// The subject of a lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'k> {
    /// The address at which the chain leaves memory.
    pub(crate) from: Address,
    pub(crate) table: (TableNumber, Layout),
    pub(crate) key: &'k [u8],
    pub(crate) hash: KeyHash,
}

/// Results, each at its place.
pub(super) struct Results {
    cache: Cache<Place, Arc<[u64]>, Weight, BuildHasherDefault<PlaceHasher>>,
    admission: Admission,
    /// The bytes for which it was made.
    made_for: u64,
    /// The limit of its bytes, at most a few times what it was made for.
    limit: u64,
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
/// The bytes of a result without its words: what finds it, and the header of its allocation.
const RESULT_BYTES: u64 = 104;
/// The header of an allocation of counted words, and the rest of its class of size.
const ALLOCATION_BYTES: u64 = 24;
/// The typical bytes of a result.
const TYPICAL_BYTES: u64 = 192;
/// The number of marks for each typical result.
const MARKS_OF_RESULT: u64 = 2;
/// The part of a shard that one result may take at most.
const MOST_PART: u64 = 4;

impl Results {
    /// Creates empty results of at most `limit` bytes, if these are enough for some.
    pub(super) fn within(limit: u64) -> Option<Self> {
        let items = limit / TYPICAL_BYTES;
        if items == 0 {
            return None;
        }
        let admission = Admission::new(items * MARKS_OF_RESULT);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .weight_capacity(limit.saturating_sub(admission.reserved()))
            .estimated_items_capacity(usize::try_from(items).expect("memory is addressed"))
            // The marks remember places, in fewer bytes.
            .ghost_allocation(0.0)
            .build()
            .expect("every option is set");
        let hasher = BuildHasherDefault::default();
        let cache = Cache::with_options(options, Weight, hasher, DefaultLifecycle::default());
        Some(Self { cache, admission, made_for: limit, limit })
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns whether another limit differs from the first one by less than this factor.
    pub(super) fn suits(&self, limit: u64, times: u64) -> bool {
        limit > self.made_for / times && limit / times < self.made_for
    }

    pub(super) fn set_limit(&mut self, limit: u64) {
        if limit != self.limit {
            self.limit = limit;
            self.cache.set_capacity(limit.saturating_sub(self.admission.reserved()));
        }
    }

    pub(super) fn get(&self, lookup: Lookup<'_>, begin: Address) -> Option<Option<StoredRecord>> {
        let words = self.cache.get(&Place::of(lookup))?;
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

    /// Keeps a result that is small enough, and not the first one from this place lately. Returns
    /// the bytes that it takes.
    pub(super) fn keep(&self, lookup: Lookup<'_>, found: Option<&StoredRecord>) -> u64 {
        let (place, (table, layout)) = (Place::of(lookup), lookup.table);
        let words = match found {
            Some(record) => 1 + record.words(layout),
            None => 2 + lookup.key.len().div_ceil(WORD),
        };
        let weight = weight_of(words);
        if !self.admission.admits(place.hash()) || weight > self.most() {
            return 0;
        }
        let words = match found {
            Some(record) => copy_of(record, words),
            None => copy_of_absence(table, lookup.key, words),
        };
        debug_assert_eq!(Weight.weight(&place, &words), weight);
        self.cache.insert(place, words);
        weight
    }

    /// Returns the most bytes of one result.
    pub(super) fn most(&self) -> u64 {
        self.limit / self.cache.num_shards() as u64 / MOST_PART
    }

    /// Returns the bytes of all results and of what finds them.
    pub(super) fn bytes(&self) -> u64 {
        let (results, beside) = (self.cache.len() as u64, self.cache.memory_used().total() as u64);
        let words = self.cache.weight().saturating_sub(results * RESULT_BYTES);
        words + results * ALLOCATION_BYTES + beside + self.admission.bytes()
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Returns the words of a record: its address, and then the record.
fn copy_of(record: &StoredRecord, words: usize) -> Arc<[u64]> {
    let address = record.address().raw();
    debug_assert!(address != Address::NONE.raw(), "a record has an address");
    let mut copy: Arc<[u64]> = std::iter::repeat_n(address, words).collect();
    let copied = &mut Arc::get_mut(&mut copy).expect("it is not shared yet")[1..];
    copied.as_mut_bytes().copy_from_slice(&record.record()[..(words - 1) * WORD]);
    copy
}

/// Returns the words of the fact that a key has no record: no address, the table with the length of
/// the key, and the key.
fn copy_of_absence(table: TableNumber, key: &[u8], words: usize) -> Arc<[u64]> {
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

fn weight_of(words: usize) -> u64 {
    RESULT_BYTES + (words * WORD) as u64
}

impl Weighter<Place, Arc<[u64]>> for Weight {
    fn weight(&self, _place: &Place, words: &Arc<[u64]>) -> u64 {
        weight_of(words.len())
    }
}

impl Place {
    fn of(lookup: Lookup<'_>) -> Self {
        Self { from: lookup.from, hash: lookup.hash }
    }

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

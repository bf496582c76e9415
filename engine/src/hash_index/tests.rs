//! Tests the index against a map, and its races under loom.

use super::*;
use crate::base::hash::KeyHasher;

#[cfg(not(loom))]
mod plain {
    use super::*;
    use std::collections::HashMap;

    fn hash(key: u64) -> KeyHash {
        KeyHasher::new(3).hash(&key.to_le_bytes())
    }

    #[test]
    fn finds_what_was_made_with_any_number_of_buckets() {
        for buckets in [1, 2, 3, 100] {
            let index = HashIndex::new(buckets, false).expect("memory");
            let mut model: HashMap<(u64, u32), Address> = HashMap::new();
            for key in 0..2000_u64 {
                let hash = hash(key);
                let entry = index.find_or_create(hash).expect("memory");
                let place = (hash.bucket(buckets), hash.tag());
                let expected = model.get(&place).copied().unwrap_or(Address::UNSET);
                assert_eq!(entry.address(), expected);
                let address = Address::new(64 + key * 8);
                assert!(index.try_update(entry, address));
                assert!(!index.try_update(entry, Address::new(8)), "the entry has changed");
                model.insert(place, address);
            }
            for key in 0..2000 {
                let hash = hash(key);
                let found = index.find(hash).expect("made above");
                assert_eq!(found.address(), model[&(hash.bucket(buckets), hash.tag())]);
            }
        }
    }

    /// A bucket ran full when the system had no memory for another line. The poll of that operation
    /// panicked, and so did every later operation on a new key of that bucket.
    #[test]
    fn a_full_bucket_without_memory_says_so_and_goes_on_later() {
        use std::cell::Cell;
        thread_local!(static IS_SHORT: Cell<bool> = const { Cell::new(true) });
        fn reserve(words: usize) -> io::Result<WordMemory> {
            if IS_SHORT.get() {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            WordMemory::zeroed(words, false)
        }
        let mut index = HashIndex::new(1, false).expect("memory");
        index.overflow = OverflowLines::from(reserve);
        let mut refused = 0;
        for key in 0..1000 {
            match index.find_or_create(hash(key)) {
                Ok(entry) => assert!(index.try_update(entry, Address::new(64 + key * 8))),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
                    assert!(index.find(hash(key)).is_none(), "key {key} was refused");
                    refused += 1;
                    // From time to time the system has some memory for a while.
                    IS_SHORT.set(refused % 100 != 0);
                    continue;
                }
            }
            IS_SHORT.set(IS_SHORT.get() || key % 300 == 299);
        }
        assert!((100..986).contains(&refused), "{refused} refused");
        IS_SHORT.set(false);
        for key in 0..1000 {
            let entry = index.find_or_create(hash(key)).expect("memory");
            let is_new = entry.address() == Address::UNSET;
            assert!(is_new || entry.address() >= Address::new(64));
        }
        // Lines for which there was no memory are taken later: no number is lost.
        assert!(index.bytes() <= 128 + 64 * 1000_u64.div_ceil(7), "{} bytes", index.bytes());
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        let index = HashIndex::new(4, false).expect("memory");
        assert!((0..100).all(|key| index.find(hash(key)).is_none()));
        assert_eq!(index.bytes(), 4 * 128);
    }

    #[test]
    fn twelve_keys_a_bucket_take_less_than_twelve_bytes_a_key() {
        let keys = 120_000;
        let index = HashIndex::new(keys / 12, false).expect("memory");
        for key in 0..keys {
            let entry = index.find_or_create(hash(key)).expect("memory");
            assert!(index.try_update(entry, Address::new(64 + key * 24)));
        }
        assert!(index.bytes() <= keys * 12, "{} bytes for {keys} keys", index.bytes());
    }

    #[test]
    fn racing_creators_agree_on_one_entry_per_tag() {
        let index = HashIndex::new(1, false).expect("memory");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in 0..500 {
                        index.find_or_create(hash(key)).expect("memory");
                    }
                });
            }
        });
        let mut tags: Vec<u64> = index
            .lines(hash(0))
            .flat_map(Line::entries)
            .map(|word| HashBucketEntry::from_raw(word.load(Ordering::Relaxed)))
            .filter(|entry| !entry.is_free())
            .map(|entry| {
                assert!(!entry.is_tentative());
                entry.tag()
            })
            .collect();
        let entries = tags.len();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(entries, tags.len(), "two entries of one tag");
    }
}

#[cfg(loom)]
mod loom_tests {
    use super::*;
    use loom::{sync::Arc, thread};

    fn place(index: &HashIndex, entry: FoundEntry) -> usize {
        let mut lines = index.lines(entry.hash);
        let slot = lines.find_map(|line| line.slot_of(entry.observed));
        std::ptr::from_ref(slot.expect("unchanged")).addr()
    }

    fn made(index: &HashIndex, hash: KeyHash) -> usize {
        place(index, index.find_or_create(hash).expect("memory"))
    }

    /// Two creators of one tag make one entry in every interleaving, and both get it.
    #[test]
    fn loom_one_entry_per_tag() {
        let mut model = loom::model::Builder::new();
        model.max_branches = 20_000;
        model.preemption_bound = Some(2);
        model.check(|| {
            let index = Arc::new(HashIndex::new(1, false).expect("memory"));
            let hash = KeyHasher::new(0).hash(b"key");
            let other = {
                let index = Arc::clone(&index);
                thread::spawn(move || made(&index, hash))
            };
            let own = made(&index, hash);
            assert_eq!(own, other.join().expect("no panic"), "two entries of one tag");
        });
    }

    /// Two tasks update one entry, and the loser learns of it.
    #[test]
    fn loom_one_update_wins() {
        let mut model = loom::model::Builder::new();
        model.max_branches = 20_000;
        model.preemption_bound = Some(2);
        model.check(|| {
            let index = Arc::new(HashIndex::new(1, false).expect("memory"));
            let hash = KeyHasher::new(0).hash(b"key");
            let entry = index.find_or_create(hash).expect("memory");
            assert_eq!(entry.address(), Address::UNSET);
            let other = {
                let index = Arc::clone(&index);
                thread::spawn(move || {
                    let entry = index.find(hash).expect("made before");
                    (entry.address(), index.try_update(entry, Address::new(72)))
                })
            };
            let own = index.try_update(entry, Address::new(64));
            let (seen, other) = other.join().expect("no panic");
            assert!(own || other, "one task wins");
            assert!(!(own && other) || seen == Address::new(64), "a lost update");
        });
    }
}

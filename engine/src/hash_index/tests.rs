//! The index against a map, and its races under loom.

use super::*;
use crate::hash::KeyHasher;

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
            let mut model: HashMap<(u64, u16), Address> = HashMap::new();
            for key in 0..2000_u64 {
                let hash = hash(key);
                let entry = index.find_or_create(hash);
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
            let entry = index.find_or_create(hash(key));
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
                        index.find_or_create(hash(key));
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

    /// Two creators of one tag, in every interleaving: one entry, and both get it.
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
                thread::spawn(move || place(&index, index.find_or_create(hash)))
            };
            let own = place(&index, index.find_or_create(hash));
            assert_eq!(own, other.join().expect("no panic"), "two entries of one tag");
        });
    }

    /// Two updates of one entry: the loser is told.
    #[test]
    fn loom_one_update_wins() {
        let mut model = loom::model::Builder::new();
        model.max_branches = 20_000;
        model.preemption_bound = Some(2);
        model.check(|| {
            let index = Arc::new(HashIndex::new(1, false).expect("memory"));
            let hash = KeyHasher::new(0).hash(b"key");
            let entry = index.find_or_create(hash);
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
            assert!(own || other, "somebody wins");
            assert!(!(own && other) || seen == Address::new(64), "a lost update");
        });
    }
}

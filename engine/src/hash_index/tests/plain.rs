//! Tests the index against a map.

use super::super::overflow::SHEET;
use super::*;
use crate::base::hash::KeyHasher;
use crate::base::wait::wait_until;
use crate::config::index_sizes::{ENTRY_BYTES, TAG_BITS};
use futures::FutureExt;
use kvick_io::sync::hint::spin_loop;
use std::cell::Cell;
use std::collections::HashMap;
use std::pin::pin;

/// Returns a hash whose low 17 bits are different for each key below 2^17, so that each key has an
/// entry of its own at every size.
fn hash(key: u64) -> KeyHash {
    const MASK: u64 = (1 << TAG_BITS) - 1;
    let mut bits = key & MASK;
    for _ in 0..3 {
        bits = (bits * 0x1_3d4d5 + 0x9e37) & MASK;
        bits ^= bits >> 8;
    }
    KeyHash::from_bits(bits)
}

fn address(key: u64) -> Address {
    Address::new(64 + key * 8)
}

thread_local! {
    /// Whether the system has no memory for lines now, for the test of this thread.
    static IS_SHORT: Cell<bool> = const { Cell::new(false) };
}

/// Reserves memory, unless it is short.
fn reserve_if_any(words: usize) -> io::Result<WordMemory> {
    if IS_SHORT.get() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    WordMemory::zeroed(words, false)
}

/// Gives each of some keys an entry.
fn add(index: &HashIndex, keys: std::ops::Range<u64>) {
    for key in keys {
        let entry = index.find_or_create(hash(key)).expect("memory");
        assert!(index.try_update(entry, address(key)));
    }
}

/// Does the work of the driver, without a drain: no other task searches.
fn settle(index: &HashIndex) {
    while index.shrink(100) == Shrunk::SomeMore {}
    index.give_back(index.take_retired());
}

/// Returns all complete entries of an index, with the numbers of their buckets.
fn entries(index: &HashIndex) -> Vec<(u64, HashBucketEntry)> {
    let of = |bucket| {
        let lines = index.lines(bucket, Tag::of(0, 0)).flat_map(Line::entries);
        let words = lines.map(|word| HashBucketEntry::from_raw(word.load(Ordering::Relaxed)));
        words.filter(|entry| !entry.is_free()).map(move |entry| (bucket, entry))
    };
    (0..index.buckets()).flat_map(of).collect()
}

/// Checks that each entry is complete, in its bucket, and alone.
fn check(index: &HashIndex) {
    let mut found = entries(index);
    for (bucket, entry) in &found {
        assert!(!entry.is_held(), "{entry:?}");
        let end = Address::new(1 << 40);
        assert!(HashIndex::is_sound(index.root_bits(), *bucket, entry.raw(), end), "{entry:?}");
    }
    assert_eq!(index.entries(), found.len() as u64);
    found.sort_unstable_by_key(|(bucket, entry)| (*bucket, entry.tag_bits()));
    found.dedup_by_key(|(bucket, entry)| (*bucket, entry.tag_bits()));
    assert_eq!(index.entries(), found.len() as u64, "two entries of one prefix");
}

#[test]
fn finds_what_was_made_at_any_size() {
    for (buckets, limit) in [(1, 1), (1, 64), (2, 2), (3, 3), (3, 1000), (100, 100)] {
        let index = index(buckets, limit);
        let prefix = |key| hash(key).bits() & (index.prefixes() - 1);
        let mut model: HashMap<u64, Address> = HashMap::new();
        for key in 0..2000_u64 {
            let entry = index.find_or_create(hash(key)).expect("memory");
            let expected = model.get(&prefix(key)).copied().unwrap_or(Address::UNSET);
            assert_eq!(entry.address(), expected);
            assert!(index.try_update(entry, address(key)));
            assert!(!index.try_update(entry, Address::new(8)), "the entry has changed");
            model.insert(prefix(key), address(key));
        }
        for key in 0..2000 {
            let found = index.find(hash(key)).expect("made above");
            assert_eq!(found.address(), model[&prefix(key)]);
        }
        assert_eq!(index.buckets(), limit.min(8000_u64.div_ceil(47)).max(buckets));
        check(&index);
    }
}

/// Every split and every merge between one bucket and some hundred, with every key looked up.
#[test]
fn each_step_keeps_every_entry() {
    let index = index(1, 200);
    for key in 0..1500 {
        add(&index, key..key + 1);
        if key % 10 == 0 {
            (0..=key).for_each(|key| {
                assert_eq!(index.find(hash(key)).expect("there").address(), address(key));
            });
        }
    }
    assert_eq!(index.buckets(), 6000_u64.div_ceil(47));
    check(&index);
    for gone in 0..1500 {
        let entry = index.find(hash(gone)).expect("there");
        assert!(index.try_remove(entry) && !index.try_remove(entry));
        settle(&index);
        if gone % 10 == 0 {
            for key in 0..1500 {
                let found = index.find(hash(key)).map(FoundEntry::address);
                assert_eq!(found, (key > gone).then(|| address(key)), "key {key} after {gone}");
            }
            check(&index);
        }
    }
    assert_eq!((index.buckets(), index.entries()), (1, 0));
    // The last bucket keeps the lines that it had before it became empty.
    assert!(index.bytes() <= 128 + 2 * 64 * 64, "{} bytes", index.bytes());
}

/// Keys come and go for ever, a thousand at a time.
#[test]
fn lines_do_not_pile_up() {
    let index = index(1, 1 << 16);
    let mut most = 0;
    for round in 0..200 {
        let first = round * 1000;
        add(&index, first..first + 1000);
        for key in first..first + 1000 {
            assert!(index.try_remove(index.find(hash(key)).expect("there")));
        }
        settle(&index);
        most = most.max(index.bytes());
    }
    assert!(index.bytes() <= 128 + 64 * 64, "{} bytes", index.bytes());
    assert!(most <= 1000 * 13, "{most} bytes for 1000 keys");
}

/// A bucket ran full when the system had no memory for another line. The poll of that operation
/// panicked, and so did every later operation on a new key of that bucket.
#[test]
fn a_full_bucket_without_memory_says_so_and_goes_on_later() {
    IS_SHORT.set(true);
    let mut index = index(1, 1);
    index.overflow = OverflowLines::from(reserve_if_any);
    let mut refused = 0;
    for key in 0..1000 {
        match index.find_or_create(hash(key)) {
            Ok(entry) => assert!(index.try_update(entry, address(key))),
            Err(Refused::Contended) => panic!("no other task uses the index"),
            Err(Refused::NoMemory(error)) => {
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

/// A step that finds no memory for a line leaves the bucket as it was.
#[test]
fn a_step_without_memory_changes_nothing() {
    let mut index = index(1, 2);
    index.overflow = OverflowLines::from(reserve_if_any);
    add(&index, 0..400);
    assert_eq!(index.buckets(), 2);
    // Lines of the first chunk are taken until the next needs memory.
    while index.overflow.bytes() < 64 * 64 {
        index.overflow.take().expect("memory");
    }
    IS_SHORT.set(true);
    let merged = index.merge(&mut index.lock_steps());
    assert_eq!(merged.expect_err("no memory").kind(), io::ErrorKind::OutOfMemory);
    let all_there =
        || (0..400).all(|key| index.find(hash(key)).is_some_and(|it| it.address() == address(key)));
    assert!(index.buckets() == 2 && all_there());
    check(&index);
    IS_SHORT.set(false);
    index.merge(&mut index.lock_steps()).expect("memory");
    assert!(index.buckets() == 1 && all_there());
    check(&index);
}

#[test]
fn an_entry_without_a_record_does_not_survive_a_step() {
    let index = index(1, 2);
    let entry = index.find_or_create(hash(1)).expect("memory");
    index.split(&mut index.lock_steps()).expect("memory");
    assert!(!index.try_update(entry, address(1)), "the creator starts again");
    assert!(index.find(hash(1)).is_none());
    assert_eq!(index.entries(), 0);
}

#[test]
fn an_entry_is_given_up_while_it_leads_to_no_record() {
    let index = index(1, 2);
    let own = index.find_or_create(hash(1)).expect("memory");
    let other = index.find(hash(1)).expect("it was made");
    index.give_up(own);
    assert!(index.find(hash(1)).is_none() && entries(&index).is_empty());
    assert!(!index.try_update(other, address(1)), "the other operation starts again");
    let again = index.find_or_create(hash(1)).expect("memory");
    assert!(index.try_update(again, address(1)));
    index.give_up(own);
    index.give_up(index.find(hash(1)).expect("it was linked"));
    assert_eq!(index.find(hash(1)).map(FoundEntry::address), Some(address(1)));
    check(&index);
}

/// The memory of a store heard of the growth with the next page only.
#[test]
fn growth_is_told() {
    for limit in [1, 4096] {
        let index = index(1, limit);
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            None::<()>
        };
        let mut waiting = pin!(wait_until(&index.grown, look));
        for key in 0..40_000 {
            assert!(waiting.as_mut().now_or_never().is_none());
            add(&index, key..key + 1);
        }
        let (told, most) = (looks.get() - 1, index.bytes() / (64 << 10));
        assert!((most / 2..=most).contains(&told), "{told} times for {} bytes", index.bytes());
    }
}

#[test]
fn an_empty_index_finds_nothing() {
    let index = index(4, 4);
    assert!((0..100).all(|key| index.find(hash(key)).is_none()));
    assert_eq!(index.bytes(), 4 * 128);
}

#[test]
fn an_index_takes_ten_to_thirteen_bytes_a_key_at_every_size() {
    let index = index(1 << 9, 1 << 20);
    let hasher = KeyHasher::new(3);
    let hash = |key: u64| hasher.hash(&key.to_le_bytes());
    let check = |index: &HashIndex| {
        index.give_back(index.take_retired());
        let (entries, bytes) = (index.entries(), index.bytes());
        let is_small = entries < 10_000;
        // Some sheets of overflow lines are in use in part.
        let sheets = 4 * SHEET * 64;
        let expected = entries * 10..=entries * 13 + sheets;
        assert!(is_small || expected.contains(&bytes), "{bytes}: {entries}");
    };
    for key in 0..100_000 {
        index.raise(hash(key), address(key)).expect("memory");
        if key % 200 == 0 {
            check(&index);
        }
    }
    for key in 0..95_000 {
        // Few keys share an entry, which is gone with the first of them.
        index.find(hash(key)).into_iter().for_each(|entry| assert!(index.try_remove(entry)));
        if key % 200 == 0 {
            settle(&index);
            check(&index);
        }
    }
}

/// However many keys there are, each prefix has one entry. So the number of prefixes is the bound
/// of the memory, and operations never lack a place for a key.
#[test]
fn an_index_of_all_prefixes_takes_thirteen_bytes_each() {
    const PREFIXES: u64 = 1 << TAG_BITS;
    let sizes = IndexSizes { root_bits: 0, least: 1, buckets: 1, limit: PREFIXES };
    let sizes = sizes.with_root_bits(0);
    let index = HashIndex::new(sizes, false).expect("memory");
    let hasher = KeyHasher::new(3);
    let mut most = 0;
    for key in 0..8 * PREFIXES {
        index.raise(hasher.hash(&key.to_le_bytes()), address(key)).expect("memory");
        if key % 512 == 0 {
            index.give_back(index.take_retired());
            most = most.max(index.bytes());
        }
    }
    assert!(index.entries() > PREFIXES * 99 / 100, "{} entries", index.entries());
    assert!((PREFIXES * 11..=PREFIXES * ENTRY_BYTES).contains(&most), "{most} bytes");
}

#[test]
fn racing_creators_agree_on_one_entry_per_prefix() {
    for limit in [1, 1 << 12] {
        let index = index(1, limit);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in 0..5000 {
                        while let Err(refused) = index.find_or_create(hash(key)) {
                            assert!(matches!(refused, Refused::Contended));
                        }
                        if key % 3 == 0
                            && let Some(entry) = index.find(hash(key))
                        {
                            index.try_update(entry, address(key));
                        }
                    }
                });
            }
        });
        (0..5000).for_each(|key| index.raise(hash(key), address(key)).expect("memory"));
        check(&index);
    }
}

/// Each thread moves the entries of its own keys upwards, while the index grows and shrinks.
#[test]
fn no_update_is_lost_while_the_size_changes() {
    const KEYS: u64 = 3000;
    let index = index(1, 1 << 12);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|own| {
                let index = &index;
                scope.spawn(move || {
                    for round in 1..20_u64 {
                        for key in (own..KEYS).step_by(3) {
                            write(index, key, round);
                        }
                        for key in (own..KEYS).step_by(3).filter(|key| key % 16 != 0) {
                            let entry = index.find(hash(key)).expect("written above");
                            assert_eq!(
                                entry.address(),
                                Address::new(64 + (round * KEYS + key) * 8)
                            );
                            remove(index, key);
                        }
                    }
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            // Lines are not returned: there is no drain.
            index.shrink(50);
            std::thread::yield_now();
        }
    });
    for key in 0..KEYS {
        let found = index.find(hash(key)).map(FoundEntry::address);
        let kept = key % 16 == 0;
        assert_eq!(found, kept.then(|| Address::new(64 + (19 * KEYS + key) * 8)), "key {key}");
    }
    check(&index);
}

/// Updates the entry of a key that no other thread changes.
fn write(index: &HashIndex, key: u64, round: u64) {
    let address = Address::new(64 + (round * 3000 + key) * 8);
    loop {
        match index.find_or_create(hash(key)) {
            Ok(entry) if index.try_update(entry, address) => return,
            // A step was faster.
            Ok(_) | Err(Refused::Contended) => spin_loop(),
            Err(Refused::NoMemory(error)) => panic!("{error}"),
        }
    }
}

fn remove(index: &HashIndex, key: u64) {
    while !index.try_remove(index.find(hash(key)).expect("only this thread removes it")) {
        spin_loop();
    }
}

use super::*;
use crate::base::hash::KeyHash;
use crate::record::{
    ExpiryWord, Layout, NewRecord, RecordInfo, RecordKind, RecordRef, TableNumber, WORD,
};

const LAYOUT: Layout = Layout::new(None, None);
const TABLE: TableNumber = TableNumber::FIRST;

fn record(address: u64, table: TableNumber, key: &[u8], value: &[u8]) -> StoredRecord {
    let bytes = LAYOUT.record_bytes(LAYOUT.extents(key.len(), value.len()));
    let words: Vec<AtomicU64> = (0..bytes / WORD).map(|_| AtomicU64::new(0)).collect();
    let content = RecordKind::Value;
    let header = RecordInfo::new(table, Address::NONE, content, 0);
    let new = NewRecord { key, value, content, expiry: ExpiryWord::NEVER };
    RecordRef::new(&words).initialise(LAYOUT, header, new);
    let words = words.into_iter().map(AtomicU64::into_inner).collect();
    StoredRecord::shared(Address::new(address), words, 0)
}

fn lookup(from: u64, key: &[u8], hash: u64) -> Lookup<'_> {
    let hash = KeyHash::from_bits(hash);
    Lookup { from: Address::new(from), table: (TABLE, LAYOUT), key, hash }
}

/// Keeps a result that was asked for before.
fn keep(cache: &ReadCache, lookup: Lookup<'_>, found: Option<&StoredRecord>) -> bool {
    cache.keep(lookup, found);
    cache.keep(lookup, found)
}

#[test]
fn a_result_is_kept_at_the_second_read() {
    let (cache, begin) = (ReadCache::new(1 << 20), Address::FIRST);
    let asked = lookup(4096, b"key", 7);
    assert_eq!(cache.bytes(), 0);
    cache.keep(asked, None);
    assert!(cache.get(asked, begin).is_none());
    assert!(cache.bytes() < 1 << 16, "only marks: {} bytes", cache.bytes());
    cache.keep(lookup(4096, b"yek", 8), None);
    cache.keep(asked, None);
    assert!(cache.get(asked, begin).is_some());
}

#[test]
fn only_the_same_question_has_the_answer() {
    let cache = ReadCache::new(1 << 20);
    let begin = Address::FIRST;
    let asked = lookup(4096, b"key", 7);
    assert!(cache.get(asked, begin).is_none());
    keep(&cache, asked, Some(&record(1024, TABLE, b"key", b"value")));
    let found = cache.get(asked, begin).expect("known").expect("a record");
    assert_eq!((found.address(), found.value(LAYOUT)), (Address::new(1024), &b"value"[..]));
    // A longer chain, another key, another key of this hash, another table.
    assert!(cache.get(lookup(4104, b"key", 7), begin).is_none());
    assert!(cache.get(lookup(4096, b"yek", 8), begin).is_none());
    assert!(cache.get(lookup(4096, b"yek", 7), begin).is_none());
    let table = TableNumber::new(3).expect("small");
    assert!(cache.get(Lookup { table: (table, LAYOUT), ..asked }, begin).is_none());
}

#[test]
fn the_absence_of_a_key_is_known_of_this_key_only() {
    let (cache, begin) = (ReadCache::new(1 << 20), Address::FIRST);
    for key in [&b"a key of more than a word"[..], b"key", b""] {
        let asked = lookup(4096, key, 7);
        keep(&cache, asked, None);
        assert!(cache.get(asked, begin).expect("known").is_none(), "{key:?}");
        for other in [&b"ke"[..], b"key\0", b"a key of more than a wor"] {
            assert!(cache.get(lookup(4096, other, 7), begin).is_none(), "{key:?}, not {other:?}");
        }
        let table = TableNumber::new(3).expect("small");
        assert!(cache.get(Lookup { table: (table, LAYOUT), ..asked }, begin).is_none());
    }
}

#[test]
fn a_record_below_the_begin_is_no_answer() {
    let cache = ReadCache::new(1 << 20);
    let asked = lookup(4096, b"key", 7);
    keep(&cache, asked, Some(&record(1024, TABLE, b"key", b"value")));
    assert!(cache.get(asked, Address::new(1024)).is_some());
    assert!(cache.get(asked, Address::new(1032)).is_none());
}

/// Keeps the results of `count` different keys.
fn fill(cache: &ReadCache, count: u64, value: &[u8]) -> bool {
    let mut is_reported = false;
    for number in 0..count {
        let key = number.to_le_bytes();
        let asked = lookup(4096, &key, number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        is_reported |= keep(cache, asked, Some(&record(1024, TABLE, &key, value)));
    }
    is_reported
}

/// The bytes are those of the structures that the crate has, and of allocations as they are.
#[test]
fn the_memory_has_a_limit() {
    let limit = 1 << 20;
    for length in [8, 100, 1000] {
        let cache = ReadCache::new(limit);
        assert!(fill(&cache, 20_000, &vec![7; length]), "the governor hears of it");
        println!("{length}: {} of {limit} bytes", cache.bytes());
        assert!(cache.bytes() <= limit, "{length}: {} bytes", cache.bytes());
        assert!(cache.bytes() > limit / 4 * 3, "{length}: {} bytes", cache.bytes());
    }
}

#[test]
fn a_limit_may_move() {
    let limit = 1 << 20;
    let cache = ReadCache::new(limit);
    fill(&cache, 20_000, &[7; 100]);
    cache.set_limit(limit / 2);
    assert!((limit / 4..limit).contains(&cache.bytes()), "{} bytes", cache.bytes());
    // The structures were made for more. A new cache has smaller ones.
    cache.set_limit(limit / 8);
    assert_eq!(cache.bytes(), 0);
    fill(&cache, 20_000, &[7; 100]);
    assert!((limit / 16..=limit / 8).contains(&cache.bytes()), "{} bytes", cache.bytes());
    cache.set_limit(0);
    fill(&cache, 10, &[7; 100]);
    assert_eq!(cache.bytes(), 0);
    cache.set_limit(limit);
    fill(&cache, 20_000, &[7; 100]);
    assert!((limit / 2..=limit).contains(&cache.bytes()), "{} bytes", cache.bytes());
}

#[test]
fn a_large_result_displaces_nothing() {
    let cache = ReadCache::new(1 << 20);
    let small = lookup(4096, b"key", 7);
    keep(&cache, small, Some(&record(1024, TABLE, b"key", b"value")));
    let large = lookup(4096, b"large", 8);
    assert!(!keep(&cache, large, Some(&record(2048, TABLE, b"large", &[1; 20 << 10]))));
    assert!(cache.get(large, Address::FIRST).is_none());
    assert!(cache.get(small, Address::FIRST).is_some());
}

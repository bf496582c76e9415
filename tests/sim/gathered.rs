//! Compaction of records whose chains are on the device: they are gathered over many pages, and
//! looked up together.

use kvick::config::ByteSize;
use kvick::{Config, ErrorKind, FasterKv};
use tests::simulated::{World, seeds};

/// Enough for chains of several keys: there are 131072 prefixes.
const KEYS: u64 = 20_000;
const PAGE: u64 = 4096;
/// The bytes of records in a page.
const PAYLOAD: u64 = 4032;
/// The bytes of a record.
const RECORD: u64 = 24;

fn config(memory: ByteSize) -> Config {
    Config::default()
        .with_memory(memory)
        .with_page_size(ByteSize::new(PAGE))
        .with_keep_checkpoints(1)
        .with_huge_pages(false)
}

/// Returns all keys in an order that is not that of the log.
fn shuffled(factor: u64) -> impl Iterator<Item = u64> {
    (0..KEYS).map(move |key| (key * factor + 7) % KEYS)
}

/// Writes all keys, and then three of four a second time. One in eight is deleted after that.
/// Nothing of it stays in memory.
async fn write_twice(store: &FasterKv<u64, u64>) {
    for key in shuffled(7919) {
        store.upsert(&key, &key).await.expect("a sound disk");
    }
    store.flush_and_evict().await.expect("a sound disk");
    for key in shuffled(6007).filter(|key| key % 4 != 0) {
        store.upsert(&key, &(key + KEYS)).await.expect("a sound disk");
    }
    for key in shuffled(7001).filter(|key| key % 8 == 3) {
        store.delete(&key).await.expect("a sound disk");
    }
    store.flush_and_evict().await.expect("a sound disk");
}

async fn check(store: &FasterKv<u64, u64>) {
    for key in 0..KEYS {
        let newest = if key % 4 == 0 { key } else { key + KEYS };
        let found = store.read(&key).await.expect("a sound disk");
        assert_eq!(found, (key % 8 != 3).then_some(newest), "key {key}");
    }
}

/// Some keys share a chain, in which the newer record of another key says nothing of a record.
#[test]
fn records_of_one_chain_are_told_apart() {
    seeds(3, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            // In the smaller one, some hundred records are gathered at once.
            let memory = [ByteSize::kib(128), ByteSize::mib(4)][site.random(1).index(2)];
            let store: FasterKv<u64, u64> = site.open(config(memory)).await;
            write_twice(&store).await;
            let shared = KEYS - store.stats().index.entries;
            assert!(shared > 300, "few keys share a prefix: {shared}");
            let compacted = store.compact().await.expect("a sound disk");
            assert!(compacted.dropped_records > KEYS * 3 / 4, "{compacted:?}");
            check(&store).await;
            store.close().await.expect("closes");
        });
    });
}

/// The chains of a page lead anywhere in the newer log. Once, each record cost a read.
#[test]
fn many_records_share_the_reads_of_their_chains() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store: FasterKv<u64, u64> = site.open(config(ByteSize::mib(4))).await;
        write_twice(&store).await;
        let before = store.stats().device.reads;
        let compacted = store.compact().await.expect("a sound disk");
        let reads = store.stats().device.reads - before;
        let dropped = compacted.dropped_records;
        assert!(reads < dropped / 8, "{reads} reads for {dropped} dead records");
        store.close().await.expect("closes");
    });
}

/// A chain that cannot be read stops compaction at the page of its record. What is before that page
/// goes, also if it was gathered together with it.
#[test]
fn a_damaged_chain_stops_the_page_of_its_record() {
    let world = World::new(0);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store: FasterKv<u64, u64> = site.open(config(ByteSize::mib(4))).await;
        for value in [1, 2] {
            // So the chains of a page are in a page.
            for key in 0..KEYS {
                store.upsert(&key, &value).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
        }
        let length = KEYS * RECORD / PAYLOAD * PAGE;
        let damaged = length + site.random(2).below(length / 2);
        site.disk.corrupt("db/log.000000", damaged, 1);
        let lowest = lowest_damaged(&store).await;
        let before = store.stats().log.on_device;
        let error = store.compact().await.expect_err("a unit is damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let named = format!("log.000000 at offset {}", damaged / 512 * 512);
        assert!(error.to_string().starts_with(&named), "{error}");
        let gone = before - store.stats().log.on_device;
        let page = (lowest * RECORD + 64) / PAYLOAD;
        assert_eq!(gone.div_ceil(PAGE), page, "key {lowest} is the lowest one");
        for key in 0..lowest {
            assert_eq!(store.read(&key).await.expect("it is sound"), Some(2), "key {key}");
        }
        store.close().await.expect("closes");
    });
}

/// Returns the lowest key that cannot be read.
async fn lowest_damaged(store: &FasterKv<u64, u64>) -> u64 {
    for key in 0..KEYS {
        if store.read(&key).await.is_err() {
            return key;
        }
    }
    panic!("no key is damaged");
}

//! Compaction of records whose successors were seen in memory: no chain is read for them.
//!
//! Negative controls, made by hand in `engine/src/store/compaction/superseded/`: if a climb ends at
//! any key, keys are lost; if notes are made for the page after, seven times as much is read; if a
//! climb at its limit counts as one that met the key, keys are lost; without stretches a page is
//! sorted in one poll.

use kvick::config::ByteSize;
use kvick::{Config, FasterKv};
use tests::simulated::{Site, World, seeds};

/// Enough for chains of several keys: there are 131072 prefixes.
const KEYS: u64 = 20_000;

/// The budget only makes the store note successors: it has room for all.
fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::mib(8))
        .with_page_size(ByteSize::kib(4))
        .with_keep_checkpoints(1)
        .with_huge_pages(false)
        .with_disk(ByteSize::mib(64))
}

/// Overwrites all keys several times in a random order, and deletes some. Returns the newest
/// values.
async fn overwritten(site: &Site, store: &FasterKv<u64, u64>) -> Vec<Option<u64>> {
    let mut newest: Vec<_> = (0..KEYS).map(Some).collect();
    for key in 0..KEYS {
        store.upsert(&key, &key).await.expect("a sound disk");
    }
    let mut random = site.random(2);
    for number in KEYS..3 * KEYS {
        if number % 1000 == 0 {
            // So what is overwritten is on the device.
            store.flush_and_evict().await.expect("a sound disk");
        }
        let key = random.below(KEYS);
        if random.chance(0.1) {
            store.delete(&key).await.expect("a sound disk");
            newest[usize::try_from(key).expect("few keys")] = None;
        } else {
            store.upsert(&key, &number).await.expect("a sound disk");
            newest[usize::try_from(key).expect("few keys")] = Some(number);
        }
    }
    store.flush_and_evict().await.expect("a sound disk");
    newest
}

async fn check(store: &FasterKv<u64, u64>, newest: &[Option<u64>]) {
    for (key, newest) in (0..KEYS).zip(newest) {
        let found = store.read(&key).await.expect("a sound disk");
        assert_eq!(found, *newest, "key {key}");
    }
}

/// A dead record cost a read of its successor, or of all of the log in which these were.
#[test]
fn dead_records_cost_no_read_of_their_chains() {
    seeds(3, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store: FasterKv<u64, u64> = site.open(config()).await;
            let newest = overwritten(&site, &store).await;
            let shared = KEYS - store.stats().index.entries;
            assert!(shared > 300, "few keys share a prefix: {shared}");
            // The notes count as memory, some 20 bytes each.
            let memory = store.stats().memory;
            assert!(memory.waits > 16 * KEYS && memory.waits <= memory.budget / 4, "{memory:?}");
            let (length, before) = (store.stats().log.on_device, store.stats().device.read_bytes);
            let compacted = store.compact().await.expect("a sound disk");
            assert!(compacted.dropped_records > KEYS, "{compacted:?}");
            let read = store.stats().device.read_bytes - before;
            let after = store.stats().memory.waits;
            assert!(after < memory.waits / 2, "{after} bytes of {} are kept", memory.waits);
            // Pages that leave memory before their turn are looked up; without notes it is 7 times.
            assert!(read < length * 3 / 2, "{read} bytes for {length} bytes of log");
            check(&store, &newest).await;
            store.close().await.expect("closes");
            // What was copied and dropped is durable.
            let store: FasterKv<u64, u64> = site.open(config()).await;
            check(&store, &newest).await;
            store.close().await.expect("closes");
        });
    });
}

/// A chain has keys that share a prefix, and one of them was overwritten more often than a climb
/// passes records.
#[test]
fn a_climb_that_ends_early_loses_and_revives_no_key() {
    seeds(2, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store: FasterKv<u64, u64> =
                site.open(config().with_memory(ByteSize::mib(16))).await;
            let mut newest: Vec<_> = (0..KEYS).map(Some).collect();
            let mut shared = Vec::new();
            for key in 0..KEYS {
                let before = store.stats().index.entries;
                store.upsert(&key, &key).await.expect("a sound disk");
                if store.stats().index.entries == before {
                    shared.push(key);
                }
            }
            assert!(shared.len() > 100, "few keys share a prefix: {}", shared.len());
            for number in 0..80 {
                // So what is overwritten is on the device.
                store.flush_and_evict().await.expect("a sound disk");
                for key in &shared {
                    store.upsert(key, &number).await.expect("a sound disk");
                    newest[usize::try_from(*key).expect("few keys")] = Some(number);
                }
            }
            for key in (0..KEYS).filter(|key| !shared.contains(key)) {
                let index = usize::try_from(key).expect("few keys");
                match key % 3 {
                    0 => _ = store.upsert(&key, &(key + 1)).await.expect("a sound disk"),
                    1 => _ = store.delete(&key).await.expect("a sound disk"),
                    _ => continue,
                }
                newest[index] = (key % 3 == 0).then_some(key + 1);
            }
            store.flush_and_evict().await.expect("a sound disk");
            store.compact().await.expect("a sound disk");
            check(&store, &newest).await;
            store.close().await.expect("closes");
        });
    });
}

/// The records of a large page were sorted in one poll of the task that also flushes and commits.
#[test]
fn a_page_is_sorted_in_many_stretches() {
    seeds(2, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let config = config().with_memory(ByteSize::mib(16)).with_page_size(ByteSize::mib(1));
        let store = world.simulation.run(async {
            let store: FasterKv<u64, u64> = site.open(config).await;
            for number in 0..3 {
                for key in 0..KEYS {
                    store.upsert(&key, &number).await.expect("a sound disk");
                }
                store.flush_and_evict().await.expect("a sound disk");
            }
            store
        });
        let before = world.simulation.steps();
        let compacted = world
            .simulation
            .run(async { store.compact().oldest(ByteSize::mib(1)).await.expect("a sound disk") });
        let steps = world.simulation.steps() - before;
        // Everything else takes as many steps as the stretches.
        let records = compacted.copied_records + compacted.dropped_records;
        assert!(steps > records / 150, "{steps} steps for {records} records");
        world.simulation.run(async { store.close().await.expect("closes") });
    });
}

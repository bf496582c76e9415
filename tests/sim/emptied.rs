//! A store with a space ratio gets within it after keys were removed, though nothing is written any
//! more and no caller compacts. Then it rests.
//!
//! Negative control, made by hand: without the looks at removed keys (`compaction/looks.rs`) the
//! tests that await a smaller log fail.

use std::fmt::Debug;
use std::io::ErrorKind;
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::{Config, FasterKv};
use tests::batches::batch_of;
use tests::simulated::{Site, World, seeds, two_pages};

const VALUE: [u8; 200] = [7; 200];
const RECORD: u64 = 224;
const KEYS: u64 = 4000;
const SEGMENT: u64 = 8 << 10;
const HOUR: Duration = Duration::from_secs(3600);

fn config(keep_checkpoints: u32) -> Config {
    let config = two_pages().with_segment_size(ByteSize::new(SEGMENT));
    config.with_space_ratio(2.0).with_keep_checkpoints(keep_checkpoints)
}

async fn filled(site: &Site, config: Config) -> FasterKv<u64, [u8]> {
    let store = site.open::<u64, [u8]>(config).await;
    for key in 0..KEYS {
        store.upsert(&key, &VALUE).await.expect("a sound disk");
    }
    assert!(log_bytes(site) > KEYS / 10 * 9 * RECORD, "most keys are on the device");
    store
}

/// Returns the bytes of the files of the log.
fn log_bytes(site: &Site) -> u64 {
    let files = site.disk.files();
    files.iter().filter(|(name, _)| name.starts_with("db/log.")).map(|(_, bytes)| bytes).sum()
}

/// Lets the store come to rest, and asserts that it rests from then on.
fn assert_rests(world: &World) {
    let site = &world.site;
    world.simulation.run(site.handle.sleep(HOUR));
    let (steps, operations) = (world.simulation.steps(), site.disk.operations());
    world.simulation.run(site.handle.sleep(HOUR));
    // The steps are those of the sleep.
    let steps = world.simulation.steps() - steps;
    assert!(steps <= 3, "{steps} steps");
    assert_eq!(site.disk.operations(), operations);
}

/// Lets an emptied store come to rest, asserts that it has two files at most, and closes it.
fn assert_two_files(world: &World, store: &FasterKv<u64, [u8]>, case: &dyn Debug) {
    assert_rests(world);
    let bytes = log_bytes(&world.site);
    assert!(bytes <= 2 * SEGMENT, "{case:?}, {bytes}: {:?}", store.stats().space);
    world.simulation.run(store.close()).expect("closes");
}

/// Up to half of the log stayed for ever: a round that met keys that were about to go ended the
/// rounds, and later removals were too few for the next one.
#[test]
fn an_emptied_store_takes_two_files_at_most() {
    seeds(12, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let store = world.simulation.run(async {
            let keep = u32::try_from(1 + seed % 3).expect("few");
            let store = filled(&site, config(keep)).await;
            let which = usize::try_from(seed % 3).expect("small");
            let (multiplier, has_pauses) = ([1, 1777, KEYS - 1][which], seed % 4 < 2);
            for number in 0..KEYS {
                store.delete(&(number * multiplier % KEYS)).await.expect("a sound disk");
                if has_pauses && number % 50 == 0 {
                    site.handle.sleep(Duration::from_millis(200)).await;
                }
            }
            store
        });
        assert_two_files(&world, &store, &seed);
    });
}

/// A batch counted its removals, and no look followed.
#[test]
fn removals_of_batches_empty_a_store() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let store = world.simulation.run(async {
            let store = filled(&site, config(1)).await;
            store.checkpoint().await.expect("a sound disk");
            let mut session = store.session_named("input").expect("new");
            let keys: Vec<u64> = (0..KEYS).collect();
            for some in keys.chunks(50) {
                let removals: Vec<_> = some.iter().map(|key| (*key, None::<Vec<u8>>)).collect();
                session.write_batch(&batch_of(&removals), &[]).await.expect("a sound disk");
            }
            drop(session);
            store
        });
        assert_two_files(&world, &store, &seed);
    });
}

/// A round that failed counted as the end of the look, so the log stayed as it was.
#[test]
fn what_is_in_the_way_only_delays_it() {
    for kind in [ErrorKind::StorageFull, ErrorKind::TimedOut] {
        let world = World::new(5);
        let site = world.site.clone();
        let store = world.simulation.run(async {
            let store = filled(&site, config(2)).await;
            site.handle.sleep(Duration::from_secs(60)).await;
            for key in 0..KEYS {
                store.delete(&key).await.expect("a sound disk");
            }
            // The look, its rounds, and the first of the further attempts.
            if kind == ErrorKind::StorageFull {
                site.disk.set_capacity(Some(site.disk.bytes_used()));
            } else {
                site.disk.fail_reads(Some(kind));
            }
            site.handle.sleep(Duration::from_secs(5)).await;
            site.disk.set_capacity(None);
            site.disk.fail_reads(None);
            store
        });
        assert_two_files(&world, &store, &kind);
    }
}

/// Long values: the tombstones of all keys are few bytes, after which no round was due in a store
/// that had no space ratio before.
#[test]
fn an_emptied_store_gets_smaller_after_its_first_opening_with_a_ratio() {
    let world = World::new(3);
    let site = world.site.clone();
    let keys = 400;
    let store = world.simulation.run(async {
        let without = two_pages().with_segment_size(ByteSize::new(SEGMENT));
        let store = site.open::<u64, [u8]>(without).await;
        for key in 0..keys {
            store.upsert(&key, &[7; 1500]).await.expect("a sound disk");
        }
        store.close().await.expect("closes");
        let store = site.open::<u64, [u8]>(config(2)).await;
        for key in 0..keys {
            store.delete(&key).await.expect("a sound disk");
        }
        store
    });
    assert_two_files(&world, &store, &keys);
}

/// The oldest keys stay, so rounds copy them before they come to what is dead.
#[test]
fn a_store_that_keeps_its_oldest_keys_gets_within_its_ratio() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let store = world.simulation.run(async {
            let store = filled(&site, config(2)).await;
            for key in KEYS / 8..KEYS {
                store.take(&key).await.expect("a sound disk");
            }
            store
        });
        assert_rests(&world);
        let (bytes, live) = (log_bytes(&site), KEYS / 8 * RECORD);
        assert!(bytes <= 2 * live + 4 * SEGMENT, "{bytes}: {:?}", store.stats().space);
        world.simulation.run(async {
            for key in 0..KEYS {
                let found = store.read(&key).await.expect("a sound disk");
                assert_eq!(found.is_some(), key < KEYS / 8, "key {key}");
            }
            store.close().await.expect("closes");
        });
    });
}

/// A store with live data within its ratio makes no round, whether keys were removed or not.
#[test]
fn a_store_within_its_ratio_rests() {
    for removed in [0, 1, KEYS / 10, KEYS / 3] {
        let world = World::new(removed);
        let site = world.site.clone();
        let (store, before) = world.simulation.run(async {
            let store = filled(&site, config(2)).await;
            site.handle.sleep(Duration::from_secs(60)).await;
            let before = store.stats().space;
            for key in 0..removed {
                store.delete(&(key * 1777 % KEYS)).await.expect("a sound disk");
            }
            (store, before)
        });
        assert_rests(&world);
        let after = store.stats().space;
        let compacted = after.compacted_bytes - before.compacted_bytes;
        // A third is enough for one small round.
        let few = if removed < KEYS / 4 { 0 } else { KEYS * RECORD / 32 };
        assert!(compacted <= few, "{compacted}: {after:?}");
        world.simulation.run(store.close()).expect("closes");
    }
}

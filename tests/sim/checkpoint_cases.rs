//! Sequences of events that checkpoints and recovery must handle, each with its story.

use std::time::Duration;

use kvick::Config;
use kvick::config::ByteSize;
use kvick::io::sim::Survival;
use tests::simulated::{World, seeds, two_pages};

fn config() -> Config {
    two_pages().with_checkpoint_on_close(false)
}

/// An image of the index after the newest checkpoint of the log leads to records that no checkpoint
/// has. After a crash the store writes other records at those addresses. A recovery of a later
/// checkpoint must not use that image.
#[test]
fn an_index_image_of_a_life_that_was_lost_is_not_used() {
    seeds(10, |seed| {
        let mut world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            for key in 0..50 {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            store.checkpoint().await.expect("a sound disk");
            for key in 1000..1000 + site.random(1).below(400) {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            store.checkpoint().index_only().await.expect("a sound disk");
        });
        for life in 0..3 {
            let image = world.site.disk.crash_with(seed, Survival::EVERYTHING);
            world = World::on(seed + life, image);
            let site = world.site.clone();
            world.simulation.run(async {
                let store = site.open::<u64, u64>(config()).await;
                for key in 0..50 {
                    assert_eq!(store.read(&key).await.expect("sound"), Some(key), "{life}");
                }
                for key in 2000..2500 {
                    let expected = (life > 0).then_some(key + life - 1);
                    assert_eq!(store.read(&key).await.expect("sound"), expected, "{life} {key}");
                }
                for key in 1000..1400 {
                    assert_eq!(store.read(&key).await.expect("sound"), None, "{life} {key}");
                }
                for key in 2000..2500 {
                    store.upsert(&key, &(key + life)).await.expect("a sound disk");
                }
                store.checkpoint().without_index().await.expect("a sound disk");
            });
        }
    });
}

/// A version may end between the operations of a batch: after those in memory and before those on
/// the device. The checkpoint excludes the latter, and no waiting task may see them as durable.
#[test]
fn an_excluded_operation_is_not_durable() {
    let mut excluded = 0;
    for seed in 0..40 {
        let world = World::new(seed);
        let site = world.site.clone();
        excluded += world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            let mut session = store.session().expect("open");
            let id = session.id();
            for key in 0..600 {
                session.upsert(&key, &1).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
            for key in 100..200 {
                session.upsert(&key, &1).await.expect("a sound disk");
            }
            let keys: Vec<u64> = (90..110).collect();
            let taking = store.checkpoint().without_index().start().expect("free");
            let batch = session.rmw_many(&keys, |_, value| value.unwrap_or(0) + 1);
            let (taken, done) = futures::join!(taking, batch);
            done.expect("a sound disk");
            let point = taken.expect("a sound disk").sessions[&id].clone();
            let serial = session.serial();
            if point.until < serial || point.excluded.is_empty() {
                return 0;
            }
            let waiting = tests::polling::AtMost::new(1, session.wait_durable()).await;
            assert!(waiting.is_none(), "seed {seed}: {point:?} is not all of {serial}");
            store.checkpoint().await.expect("a sound disk");
            session.wait_durable().await.expect("a sound disk");
            1
        });
    }
    assert!(excluded > 0, "no version ended within a batch");
}

/// A dropped store releases its directory. The next opening truncates the log and writes there. A
/// write that the first store had begun must not end after that.
#[test]
fn a_store_that_is_dropped_has_nothing_in_flight_once_it_is_free() {
    seeds(40, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            let count = 1000 + site.random(1).below(1000);
            for key in 0..count {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            drop(store);
            let directory = site.disk.directory("db");
            while directory.lock("lock").await.is_err() {
                site.handle.sleep(Duration::from_micros(1)).await;
            }
            assert_eq!(site.disk.in_flight(), 0, "{}", site.disk.history());
        });
    });
}

/// A store publishes its life in the manifest before it writes its first page. A checkpoint that
/// ended at that moment took the new manifest file for debris and removed it. The rename failed,
/// and the store was poisoned.
#[test]
fn a_manifest_that_is_being_published_is_no_debris() {
    seeds(200, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            store.upsert(&1, &1).await.expect("a sound disk");
            store.checkpoint().await.expect("a sound disk");
            store.close().await.expect("closes");
            let store = site.open::<u64, u64>(config()).await;
            store.upsert(&1, &2).await.expect("a sound disk");
            let flush = async {
                let pause = site.random(1).below(4000);
                site.handle.sleep(Duration::from_micros(pause)).await;
                store.flush().await
            };
            let snapshot = store.checkpoint().snapshot().start().expect("free");
            let (taken, flushed) = futures::join!(snapshot, flush);
            taken.expect("a sound disk");
            flushed.expect("a sound disk");
            store.close().await.expect("closes");
        });
    });
}

/// The records of a chain had the tag and the bucket of the index in which they were linked. In an
/// index of another size two chains met in one entry, which led to only one of them: from 330
/// buckets to 1, 539 of 6000 keys were lost. Now a prefix of the hash has its entry at every size,
/// with an image of the index and without.
#[test]
fn any_size_of_the_index_finds_every_key() {
    for (case, (before, after)) in
        [(1, 64), (64, 1), (100, 256), (330, 1), (2, 2)].into_iter().enumerate()
    {
        let world = World::new(before);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config().with_index_buckets(before)).await;
            for key in 0..6000 {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            let checkpoint = store.checkpoint();
            let checkpoint =
                if case % 2 == 0 { checkpoint.with_index() } else { checkpoint.without_index() };
            checkpoint.await.expect("a sound disk");
            drop(store);
            for other in [config().with_index_buckets(after), config().with_index_buckets(None)] {
                site.handle.sleep(Duration::from_secs(1)).await;
                let store = site.open::<u64, u64>(other).await;
                for key in 0..6000 {
                    assert_eq!(store.read(&key).await.expect("sound"), Some(key));
                }
                let buckets = store.stats().index.buckets;
                assert!((before.min(after)..=600).contains(&buckets), "{buckets} buckets");
                drop(store);
            }
        });
    }
}

/// An image of the index was taken after the newest checkpoint, when keys had been deleted and had
/// left the index. After a crash the keys were back, as they were in the checkpoint. But the image
/// without them was kept for the next checkpoint, and the crash after that lost them.
#[test]
fn an_image_without_deleted_keys_is_not_used_after_they_are_back() {
    let memory = ByteSize::mib(1);
    let config = || config().with_memory(memory).with_index_buckets(None);
    let mut world = World::new(7);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        for key in 0..1000 {
            store.upsert(&key, &key).await.expect("a sound disk");
        }
        store.checkpoint().snapshot().with_index().await.expect("a sound disk");
        for key in 0..1000 {
            store.delete(&key).await.expect("a sound disk");
        }
        site.handle.sleep(Duration::from_secs(1)).await;
        let entries = store.stats().index.entries;
        assert!(entries < 100, "{entries} entries of deleted keys");
        store.checkpoint().index_only().await.expect("a sound disk");
    });
    for life in 0..3 {
        let image = world.site.disk.crash_with(life, Survival::EVERYTHING);
        world = World::on(life, image);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            for key in 0..1000 {
                assert_eq!(store.read(&key).await.expect("sound"), Some(key), "{life}");
            }
            store.checkpoint().snapshot().without_index().await.expect("a sound disk");
        });
    }
}

/// A key came back while the entry of its deleted record waited for a drain. The new record was
/// linked to the deleted one, so it was never alone in its chain, and its entry stayed for ever.
/// Keys that came and went filled the index: 300,000 of them left 289,438 entries. A word that was
/// taken left its entry even if the key never came back, since its tombstone is another record.
#[test]
fn keys_that_come_and_go_leave_no_entries() {
    let config = || config().with_memory(ByteSize::mib(1)).with_index_buckets(None);
    let world = World::new(7);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        for key in 0..1000 {
            for value in [1, 2, 3] {
                store.upsert(&key, &value).await.expect("a sound disk");
                assert_eq!(store.read(&key).await.expect("sound"), Some(value), "{key}");
                if value + key % 2 == 3 {
                    store.delete(&key).await.expect("a sound disk");
                } else {
                    assert_eq!(store.take(&key).await.expect("sound"), Some(value), "{key}");
                }
                assert_eq!(store.read(&key).await.expect("sound"), None, "{key}");
            }
        }
        // Some of them stay.
        for key in (0..1000).step_by(50) {
            store.upsert(&key, &4).await.expect("a sound disk");
        }
        site.handle.sleep(Duration::from_secs(1)).await;
        let entries = store.stats().index.entries;
        assert!(entries < 100, "{entries} entries of 20 keys");
        store.checkpoint().snapshot().with_index().await.expect("a sound disk");
    });
    let image = world.site.disk.crash_with(1, Survival::EVERYTHING);
    let world = World::on(1, image);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        for key in 0..1000 {
            let expected = (key % 50 == 0).then_some(4);
            assert_eq!(store.read(&key).await.expect("sound"), expected, "{key}");
        }
    });
}

//! A space ratio counts what is live: keys that have expired, and deleted keys whose records are
//! not in memory, keep entries of the index for a while. They must not count.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kvick::codec::Expiring;
use kvick::config::ByteSize;
use kvick::session::Expiry;
use kvick::{Config, FasterKv};
use tests::simulated::{Site, World, two_pages};

const VALUE: [u8; 200] = [7; 200];
const RECORD: u64 = 232;

fn config() -> Config {
    let config = two_pages().with_segment_size(ByteSize::kib(8)).with_keep_checkpoints(1);
    config.with_space_ratio(2.0)
}

/// Returns the bytes of the files, after the drivers have run.
async fn used(site: &Site, store: &FasterKv<u64, impl kvick::Value + ?Sized>) -> u64 {
    site.handle.sleep(Duration::from_millis(200)).await;
    store.stats().space.used_bytes
}

/// Each second 50 new keys are written, which expire after 20 seconds. So 1000 are live.
#[test]
fn keys_that_expire_do_not_count() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let begin = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let handle = site.handle.clone();
        let clock = move || -> SystemTime { begin + handle.now() };
        let store: FasterKv<u64, Expiring<[u8]>> = FasterKv::builder(config())
            .runtime(site.handle.clone())
            .directory(site.disk.directory("db"))
            .seed(site.seed)
            .clock(clock)
            .open_in_directory()
            .await
            .expect("the store opens");
        let (live, mut most) = (1000 * RECORD, 0);
        for second in 0..600_u64 {
            for key in 50 * second..50 * (second + 1) {
                let expiry = Expiry::after(Duration::from_secs(20));
                store.upsert_with(&key, &VALUE, expiry).await.expect("a sound disk");
            }
            site.handle.sleep(Duration::from_millis(800)).await;
            most = most.max(used(&site, &store).await);
        }
        assert!(most < live * 5, "{most} bytes for {live}: {:?}", store.stats().space);
        store.close().await.expect("closes");
    });
}

/// Keys come and go in order, and are far from memory when they go. A thousand are there.
#[test]
fn deleted_keys_do_not_count() {
    let world = World::new(2);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, [u8]>(config()).await;
        let (live, mut most) = (1000 * RECORD, 0);
        for key in 0..30_000_u64 {
            store.upsert(&key, &VALUE).await.expect("a sound disk");
            if let Some(old) = key.checked_sub(1000) {
                store.delete(&old).await.expect("a sound disk");
            }
            if key % 50 == 0 {
                most = most.max(used(&site, &store).await);
            }
        }
        assert!(most < live * 5, "{most} bytes for {live}: {:?}", store.stats().space);
        store.close().await.expect("closes");
    });
}

/// Deletions of keys that are not there leave nothing to compact. They counted like others, so
/// small rounds copied live records again and again.
#[test]
fn deletions_of_absent_keys_do_not_count() {
    let world = World::new(6);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, [u8]>(config()).await;
        for key in 0..4000_u64 {
            store.upsert(&key, &VALUE).await.expect("a sound disk");
        }
        used(&site, &store).await;
        let before = store.stats().space;
        for key in 0..100_000_u64 {
            store.delete(&(1_000_000 + key)).await.expect("a sound disk");
            // The log grows a little, so that the driver looks.
            if key % 100 == 0 {
                store.upsert(&(10_000 + key), &VALUE).await.expect("a sound disk");
                used(&site, &store).await;
            }
        }
        let after = store.stats().space;
        assert_eq!(after.compacted_bytes, before.compacted_bytes, "{after:?}");
        store.close().await.expect("closes");
    });
}

/// All keys go in their order, and nothing is written afterwards. So each series of rounds ends at
/// keys that are about to go.
#[test]
fn a_store_that_is_emptied_gets_smaller() {
    let world = World::new(3);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, [u8]>(config()).await;
        for key in 0..4000_u64 {
            store.upsert(&key, &VALUE).await.expect("a sound disk");
        }
        let before = used(&site, &store).await;
        assert!(before > 3500 * RECORD, "{before}");
        for key in 0..4000_u64 {
            store.delete(&key).await.expect("a sound disk");
            if key % 50 == 0 {
                used(&site, &store).await;
            }
        }
        site.handle.sleep(Duration::from_secs(20)).await;
        let after = used(&site, &store).await;
        assert!(after < before / 4 * 3, "{after} bytes after {before}: {:?}", store.stats().space);
        store.close().await.expect("closes");
    });
}

/// Keys are overwritten in turn, so the oldest part of the log is always dead.
#[test]
fn the_live_bytes_are_known_after_even_overwriting() {
    let world = World::new(4);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, [u8]>(config()).await;
        let live = 600 * 224;
        for round in 0..40 {
            for key in 0..600_u64 {
                store.upsert(&key, &VALUE).await.expect("a sound disk");
                if key % 50 == 0 {
                    used(&site, &store).await;
                }
            }
            let space = store.stats().space;
            let is_near = space.live_bytes > live / 2 && space.live_bytes < live * 2;
            assert!(round < 10 || is_near, "{live} bytes are live: {space:?}");
        }
        let space = store.stats().space;
        assert!(space.ratio() < 4.0, "{}: {space:?}", space.ratio());
        store.close().await.expect("closes");
    });
}

/// A store that only grows is copied rarely.
#[test]
fn growth_is_not_copied() {
    let world = World::new(5);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, [u8]>(config()).await;
        for key in 0..8000_u64 {
            store.upsert(&key, &VALUE).await.expect("a sound disk");
            if key % 50 == 0 {
                used(&site, &store).await;
            }
        }
        let space = store.stats().space;
        assert!(space.copied_bytes * 5 < 8000 * 224, "{space:?}");
        store.close().await.expect("closes");
    });
}

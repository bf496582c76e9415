//! Entries of the index of keys that were deleted, or never written.

use std::task::Poll;
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::{Config, ErrorKind, FasterKv};
use tests::polling::poll_once;
use tests::simulated::{World, seeds};

const KEYS: u64 = 30_000;

/// Some of these keys share a prefix of the hash. The entry of such a prefix stayed when all of its
/// keys were deleted in place: 8 of 9 million entries were of no key.
#[test]
fn keys_of_one_chain_leave_no_entry() {
    seeds(2, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let config = Config::default()
                .with_memory(ByteSize::mib(4))
                .with_mutable_fraction(0.9)
                .with_index_buckets(8)
                .with_huge_pages(false);
            let store: FasterKv<u64, u64> = site.open(config).await;
            for key in 0..KEYS {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            let shared = KEYS - store.stats().index.entries;
            assert!(shared > 300, "few keys share a prefix: {shared}");
            // In no order of the log.
            for key in (0..KEYS / 2).chain((KEYS / 2..KEYS).rev()) {
                store.delete(&key).await.expect("a sound disk");
            }
            site.handle.sleep(Duration::from_secs(1)).await;
            // What is removed waits for some more.
            let left = store.stats().index.entries;
            assert!(left < 64, "entries of no key: {left}");
            store.close().await.expect("closes");
        });
    });
}

/// Each key of a refused write had an entry from then on, which led nowhere.
#[test]
fn keys_that_are_never_written_have_no_entry() {
    seeds(40, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store: FasterKv<u64, [u8]> = site.open(site.small_config()).await;
            site.disk.set_capacity(Some(site.disk.bytes_used()));
            let value = [7; 500];
            let mut key = 0;
            while store.upsert(&key, &value).await.is_ok() {
                key += 1;
            }
            let entries = || store.stats().index.entries;
            let before = entries();
            for key in key..key + 200 {
                let refused = match key % 4 {
                    0 => store.upsert(&key, &value).await.map(drop),
                    1 => store.rmw(&key, |_| value.into()).await.map(drop),
                    2 => store.upsert_many(&[(key, value)]).await,
                    _ => store.insert_many(&[(key, value)]).await.map(drop),
                };
                let error = refused.expect_err("the device is full");
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            }
            assert_eq!(entries(), before, "entries of keys that were refused");
            site.disk.stall();
            site.disk.set_capacity(None);
            for key in key..key + 200 {
                let mut write = Box::pin(store.upsert(&key, &value));
                assert!(!matches!(poll_once(&mut write), Poll::Ready(Ok(_))), "there is no room");
            }
            assert_eq!(entries(), before, "entries of keys that were given up");
            site.disk.release();
            site.handle.sleep(Duration::from_secs(1)).await;
            store.upsert(&key, &value).await.expect("a sound disk");
            assert_eq!(store.read(&key).await.expect("a sound disk"), Some(value.into()));
            store.close().await.expect("closes");
        });
    });
}

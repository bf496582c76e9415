//! A smaller memory while the device takes nothing, and calls that are dropped.

use std::time::Duration;

use kvick::config::ByteSize;
use kvick::{ErrorKind, FasterKv};
use tests::polling::poll_once;
use tests::simulated::{Site, World, seeds};

/// The floor of a small configuration is below this.
const SMALL: ByteSize = ByteSize::kib(96);
const LARGE: ByteSize = ByteSize::kib(320);

/// Opens a store, and fills its memory with records that are not on the device.
async fn filled(site: &Site) -> FasterKv<u64, [u8]> {
    let store: FasterKv<u64, [u8]> = site.open(site.small_config()).await;
    store.set_memory(LARGE).await.expect("it is reserved");
    for key in 0..150 {
        store.upsert(&key, &[7; 1000]).await.expect("a sound disk");
    }
    store
}

fn in_memory(store: &FasterKv<u64, [u8]>) -> u64 {
    let stats = store.stats();
    stats.log.mutable + stats.log.read_only
}

#[test]
fn a_smaller_memory_waits_for_the_device() {
    seeds(100, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = filled(&site).await;
            site.disk.set_capacity(Some(site.disk.bytes_used()));
            let error = store.set_memory(SMALL).await.expect_err("nothing can be written");
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            assert!(in_memory(&store) > SMALL.bytes(), "what is not written stays");
            assert_eq!(store.read(&0).await.expect("a sound disk"), Some(vec![7; 1000]));
            site.disk.set_capacity(None);
            // The memory stays set, and pages leave as soon as they are written.
            site.handle.sleep(Duration::from_secs(1)).await;
            assert!(in_memory(&store) <= store.stats().memory.frames);
            store.set_memory(SMALL).await.expect("it is so already");
            store.close().await.expect("a sound disk");
        });
    });
}

#[test]
fn a_dropped_call_continues() {
    seeds(100, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = filled(&site).await;
            site.disk.stall();
            {
                let mut shrinking = Box::pin(store.set_memory(SMALL));
                assert!(poll_once(&mut shrinking).is_pending(), "pages are not written yet");
            }
            site.handle.sleep(Duration::from_millis(10)).await;
            assert!(in_memory(&store) > SMALL.bytes(), "no page has left that is not written");
            site.disk.release();
            site.handle.sleep(Duration::from_secs(1)).await;
            assert!(in_memory(&store) <= store.stats().memory.frames);
            // Room for all of them again, and for those that come.
            store.set_memory(LARGE).await.expect("it is reserved");
            for key in 0..150 {
                let found = store.read(&key).await.expect("a sound disk");
                assert_eq!(found, Some(vec![7; 1000]), "key {key}");
                store.upsert(&(key + 1000), &[8; 800]).await.expect("a sound disk");
            }
            assert!(in_memory(&store) > SMALL.bytes());
            store.close().await.expect("a sound disk");
        });
    });
}

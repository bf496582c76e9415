//! Futures and sessions that leak in the middle of a wait. They delay no other task.

use std::mem::forget;

use kvick::FasterKv;
use tests::polling::poll_once;
use tests::samples::pattern;
use tests::simulated::{Site, World, seeds};

/// Leaks one operation of each kind after some polls, and sessions too.
async fn leak(store: &FasterKv<u64, [u8]>, site: &Site) {
    let mut random = site.random(3);
    for round in 0..20 {
        let mut session = store.session().expect("the store is open");
        // Half of the keys are on the device.
        let key = round * 7 % 50;
        let value = pattern(round, random.index(8000));
        let operation: futures::future::BoxFuture<'_, kvick::Result<()>> = match random.below(6) {
            0 => Box::pin(async { session.read(&key).await.map(drop) }),
            1 => Box::pin(async { session.upsert(&key, &value).await.map(drop) }),
            2 => Box::pin(async { session.rmw(&key, |_| value.clone()).await.map(drop) }),
            3 => Box::pin(async { session.delete(&key).await.map(drop) }),
            4 => Box::pin(async { store.read_many(&[key, key + 1]).await.map(drop) }),
            _ => Box::pin(async { store.flush_and_evict().await }),
        };
        let mut operation = operation;
        for _ in 0..random.below(4) {
            let pause = std::time::Duration::from_micros(random.below(800));
            if poll_once(&mut operation).is_ready() {
                operation = Box::pin(std::future::pending());
            }
            site.handle.sleep(pause).await;
        }
        forget(operation);
        forget(session);
    }
}

#[test]
fn leaked_futures_delay_no_task() {
    seeds(200, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, [u8]>(site.small_config()).await;
            for key in 0..50 {
                store.upsert(&key, &pattern(key, 200)).await.expect("a sound disk");
            }
            leak(&store, &site).await;
            for key in 100..200 {
                store.upsert(&key, &pattern(key, 900)).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
            for key in 100..200 {
                let found = store.read(&key).await.expect("a sound disk");
                assert_eq!(found, Some(pattern(key, 900)));
            }
            for key in 0..50 {
                let modified = store.rmw(&key, |value| value.unwrap_or_default());
                modified.await.expect("a sound disk");
            }
            store.close().await.expect("closes, although tasks hold sessions");
        });
    });
}

/// A store without handles ends its maintenance, even after dropped operations.
#[test]
fn a_dropped_store_lets_go_of_its_directory() {
    seeds(150, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(site.small_config()).await;
            for key in 0..500 {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            let mut session = store.session().expect("the store is open");
            let mut reading = Box::pin(session.read(&1));
            drop(poll_once(&mut reading));
            drop(reading);
            drop((session, store));
            let begun = site.handle.now();
            // The lock is free after the end of the maintenance.
            while let Err(error) = site.try_open::<u64, u64>(site.small_config()).await {
                assert_eq!(error.kind(), kvick::ErrorKind::InUse, "{error}");
                let waited = site.handle.now() - begun;
                assert!(waited.as_secs() < 5, "the directory is still locked");
                site.handle.sleep(std::time::Duration::from_millis(10)).await;
            }
        });
    });
}

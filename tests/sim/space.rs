//! A full disk: only tasks that need space get an error, and all continue when there is space.

use std::time::Duration;

use kvick::{ErrorKind, FasterKv};
use tests::model::{EntryPoints, Mix, Model, item};
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, World, seeds};

#[test]
fn a_full_disk_stops_writers_until_there_is_space() {
    seeds(200, full_disk::<u64, u64>);
}

#[test]
fn a_full_disk_stops_writers_of_bytes_until_there_is_space() {
    seeds(200, full_disk::<[u8], [u8]>);
}

fn full_disk<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(site.small_config()).await;
        let mut entry_points = EntryPoints::new(&store).expect("the store is open");
        let mix = Mix { first_key: 0, keys: 60, longest: 6000, batches: false, flush: 0.02 };
        let mut model = Model::new(mix, site.random(3));
        for _ in 0..site.random(4).below(150) {
            model.step(&mut entry_points).await.expect("there is space");
        }
        let space = site.random(5).below(20_000);
        site.disk.set_capacity(Some(site.disk.bytes_used() + space));
        let waiting = write_until_full(&site, &store);
        let error = waiting.await.expect("the waiting task ends well");
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        let place = site.disk.directory("db").describe();
        let text = error.to_string();
        assert!(
            error.is_retryable() && text.starts_with(&format!("{place}: write of ")),
            "{error}"
        );
        assert!(text.contains("log.0"), "{error}");
        for _ in 0..100 {
            // An operation that needs no space may still succeed in place.
            if let Err(error) = model.step(&mut entry_points).await {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            }
        }
        model.check(&mut entry_points).await.expect("reads continue");

        site.disk.set_capacity(None);
        until_writable(&site, &store).await;
        for _ in 0..150 {
            model.step(&mut entry_points).await.expect("there is space again");
        }
        store.flush_and_evict().await.expect("there is space again");
        model.check(&mut entry_points).await.expect("all data is there");
        store.close().await.expect("closes");
    });
}

/// Starts a task that writes keys of its own until the store reports a full disk.
fn write_until_full<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: &Site,
    store: &FasterKv<K, V>,
) -> kvick::runtime::Task<kvick::Error> {
    let (store, mut random) = (store.clone(), site.random(6));
    site.handle.spawn("waiting", async move {
        let mut number = 1000;
        loop {
            // New keys fill the memory, while repeated ones would all fit.
            number += 1;
            let key = K::numbered(number);
            let value = V::sample(&mut random, 1000);
            if let Err(error) = store.upsert(item::<K>(&key), item::<V>(&value)).await {
                break error;
            }
        }
    })
}

/// Waits until the store notices free space by itself, which takes less than a second.
async fn until_writable<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: &Site,
    store: &FasterKv<K, V>,
) {
    let begun = site.handle.now();
    while let Err(error) = store.flush().await {
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        let waited = site.handle.now() - begun;
        assert!(waited < Duration::from_secs(1), "still full after {waited:?}");
        site.handle.sleep(Duration::from_millis(50)).await;
    }
}

//! A read that waits for the device while a task writes must see the newer value.

use kvick::futures::TryRead;
use kvick::runtime::Task;
use kvick::{Config, FasterKv};
use tests::polling::poll_once;
use tests::simulated::{Site, World, seeds, small_configs, two_pages};

/// Opens a store whose key 1 is on the device, and stalls the device.
async fn stalled(site: &Site, config: Config) -> FasterKv<u64, u64> {
    let store = site.open::<u64, u64>(config).await;
    for key in 0..8 {
        store.upsert(&key, &(key * 10)).await.expect("a sound disk");
    }
    store.flush_and_evict().await.expect("a sound disk");
    site.disk.stall();
    store
}

/// Begins to read key 1, and runs `meanwhile`. Returns the result of the read.
fn read_while(
    seed: u64,
    meanwhile: impl AsyncFn(&FasterKv<u64, u64>) -> kvick::Result<()>,
) -> Option<u64> {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let config = if seed.is_multiple_of(2) {
            two_pages()
        } else {
            // All keys are in one chain.
            small_configs()[1].clone()
        };
        let store = stalled(&site, config).await;
        let mut reader = store.session().expect("open");
        let TryRead::Pending(mut read) = reader.try_read(&1) else {
            panic!("the record is on the device");
        };
        assert!(poll_once(&mut read).is_pending(), "the device is stalled");
        meanwhile(&store).await.expect("writes continue");
        site.disk.release();
        let found = read.await.expect("a sound disk");
        drop(reader);
        store.close().await.expect("closes");
        found
    })
}

#[test]
fn a_newer_value_is_seen() {
    seeds(100, |seed| {
        let found =
            read_while(seed, async |store| store.session()?.upsert(&1, &77).await.map(drop));
        assert_eq!(found, Some(77));
    });
}

#[test]
fn a_newer_delete_is_seen() {
    seeds(100, |seed| {
        let found = read_while(seed, async |store| store.session()?.delete(&1).await.map(drop));
        assert_eq!(found, None);
    });
}

#[test]
fn a_newer_value_after_a_delete_is_seen() {
    seeds(100, |seed| {
        let found = read_while(seed, async |store| {
            store.delete(&1).await?;
            store.upsert(&1, &78).await.map(drop)
        });
        assert_eq!(found, Some(78));
    });
}

#[test]
fn another_key_of_the_chain_changes_nothing() {
    seeds(100, |seed| {
        let found = read_while(seed, async |store| store.upsert(&2, &77).await.map(drop));
        assert_eq!(found, Some(10));
    });
}

#[test]
fn nothing_new_is_the_old_value() {
    seeds(100, |seed| {
        assert_eq!(read_while(seed, async |_| Ok(())), Some(10));
    });
}

/// The newer value may be on the device too before the read continues.
#[test]
fn a_newer_value_that_was_evicted_is_seen() {
    seeds(200, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = stalled(&site, site.small_config()).await;
            let readers: Vec<Task<Option<u64>>> = (0..4)
                .map(|_| {
                    let store = store.clone();
                    let read = async move { store.read(&1).await.expect("a sound disk") };
                    site.handle.spawn("reader", read)
                })
                .collect();
            site.disk.release();
            store.upsert(&1, &77).await.expect("a sound disk");
            store.flush_and_evict().await.expect("a sound disk");
            for reader in readers {
                let found = reader.await.expect("the reader ends well");
                assert!(found == Some(10) || found == Some(77), "{found:?}");
            }
            assert_eq!(store.read(&1).await.expect("a sound disk"), Some(77));
            store.close().await.expect("closes");
        });
    });
}

/// An update that fetched the old value must not undo a newer one.
#[test]
fn a_pending_modification_counts_what_came_in_between() {
    seeds(200, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = stalled(&site, site.small_config()).await;
            let add = |amount| {
                let store = store.clone();
                site.handle.spawn("adder", async move {
                    let added = store.rmw(&1, |value| value.unwrap_or(0) + amount).await;
                    added.expect("a sound disk");
                })
            };
            let adders = [add(1), add(2), add(4)];
            let mut random = site.random(9);
            let reset = random.chance(0.5);
            if reset {
                store.upsert(&1, &1000).await.expect("blind writes continue");
            }
            site.disk.release();
            if random.chance(0.5) {
                store.flush_and_evict().await.expect("a sound disk");
            }
            for adder in adders {
                adder.await.expect("the adder ends well");
            }
            let found = store.read(&1).await.expect("a sound disk");
            let all = if reset { 1007 } else { 17 };
            // An adder may have run before the reset, and its addition is gone then.
            let possible =
                found.is_some_and(|found| if reset { found >= 1000 } else { found == 17 });
            assert!(possible && found <= Some(all), "{found:?}");
            store.close().await.expect("closes");
        });
    });
}

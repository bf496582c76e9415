//! A device that stalls: a task that needs space waits without an error and without busy polls, and
//! continues afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kvick::runtime::Task;
use kvick::{FasterKv, Result};
use tests::model::item;
use tests::polling::Counted;
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, World, seeds, two_pages};

const WRITERS: u64 = 6;
const KEYS: u64 = 120;

#[test]
fn writers_of_words_wait_and_go_on() {
    seeds(120, stall_and_release::<u64, u64>);
}

#[test]
fn writers_of_bytes_wait_and_go_on() {
    seeds(120, stall_and_release::<[u8], [u8]>);
}

fn stall_and_release<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let polls = Arc::new(AtomicU64::new(0));
    let (site, counter) = (world.site.clone(), Arc::clone(&polls));
    let (store, writers) = world.simulation.run(async move {
        let store = site.open::<K, V>(two_pages()).await;
        site.disk.stall();
        let writers: Vec<Task<Result<()>>> = (0..WRITERS)
            .map(|number| {
                let writing = write(store.clone(), site.clone(), number);
                site.handle.spawn("writer", Counted::new(&counter, writing))
            })
            .collect();
        // All tasks get as far as the free space allows.
        site.handle.sleep(Duration::from_millis(100)).await;
        assert!(site.disk.in_flight() > 0, "the log writes its pages");
        (store, writers)
    });
    // Relaxed, here and below: the simulation has one thread.
    let (before, steps) = (polls.load(Ordering::Relaxed), world.simulation.steps());
    let site = world.site.clone();
    let idle = site.handle.clone();
    world.simulation.run(async move { idle.sleep(Duration::from_secs(60)).await });
    assert_eq!(polls.load(Ordering::Relaxed), before, "a writer spins");
    let steps = world.simulation.steps() - steps;
    assert!(steps < 10, "{steps} steps while nothing can happen");

    world.simulation.run(async move {
        site.disk.release();
        for writer in writers {
            let written = writer.await.expect("the writer ends well");
            written.expect("the store gets space, so no task is refused");
        }
        check(&store, &site).await;
        store.close().await.expect("closes");
    });
    let polls = polls.load(Ordering::Relaxed);
    let operations = WRITERS * KEYS;
    assert!(polls < operations * 20, "{polls} polls for {operations} operations");
}

/// Writes its own keys, and updates each once. Every operation may have to wait.
async fn write<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
) -> Result<()> {
    let mut session = store.session()?;
    for key in number * KEYS..(number + 1) * KEYS {
        let value = value::<V>(&site, key);
        let key = K::numbered(key);
        session.upsert(item::<K>(&key), item::<V>(&value)).await?;
        session.rmw(item::<K>(&key), |value| V::updated(value, 6)).await?;
    }
    Ok(())
}

async fn check<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
    site: &Site,
) {
    for number in 0..WRITERS * KEYS {
        let expected = V::updated(Some(value::<V>(site, number)), 6);
        let key = K::numbered(number);
        let found = store.read(item::<K>(&key)).await.expect("a sound disk");
        assert_eq!(found, Some(expected), "key {key:?}");
    }
}

fn value<V: SampleValue + ?Sized>(site: &Site, key: u64) -> V::Owned {
    V::sample(&mut site.random(key), 1500)
}

/// The test above, with a disk of varying speed that stops again and again.
#[test]
fn a_device_that_stutters_is_enough() {
    seeds(120, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = site.open::<u64, [u8]>(two_pages()).await;
            let writers: Vec<Task<Result<()>>> = (0..WRITERS)
                .map(|number| {
                    let writing = write(store.clone(), site.clone(), number);
                    site.handle.spawn("writer", writing)
                })
                .collect();
            let mut random = site.random(1 << 40);
            for _ in 0..50 {
                site.disk.stall();
                let pause = Duration::from_micros(random.below(3000));
                site.handle.sleep(pause).await;
                site.disk.release();
                let pause = Duration::from_micros(random.below(500));
                site.handle.sleep(pause).await;
            }
            for writer in writers {
                let written = writer.await.expect("the writer ends well");
                written.expect("no task is refused");
            }
            check(&store, &site).await;
            store.close().await.expect("closes");
        });
    });
}

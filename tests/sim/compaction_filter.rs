//! Compaction that removes keys by a closure, while tasks count under all keys.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::{ErrorKind, FasterKv};
use tests::samples::SampleValue;
use tests::simulated::{Site, World, seeds, two_pages};

const KEYS: u64 = 60;
const STEPS: u32 = 150;
const TASKS: u64 = 3;
/// A key that no task counts under, and more records than a page has.
const FILLER: u64 = 2 * KEYS;
const PAGE_RECORDS: u32 = 200;

#[test]
fn words_are_removed_at_once_or_stay() {
    seeds(60, run::<u64>);
}

#[test]
fn bytes_are_removed_at_once_or_stay() {
    seeds(60, run::<[u8]>);
}

/// In a budget a round ends where its copies have no more room, and that page comes again.
#[test]
fn each_removed_key_counts_once() {
    let removed = Cell::new(0);
    seeds(60, |seed| removed.set(removed.get() + remove_in_a_budget(seed)));
    assert!(removed.get() > 100, "{} keys were removed", removed.get());
}

/// Removes some of the keys several times. Returns the number of removed keys.
fn remove_in_a_budget(seed: u64) -> u64 {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let mut random = site.random(3);
        let config = two_pages().with_segment_size(ByteSize::kib(8)).with_keep_checkpoints(1);
        let disk = ByteSize::kib(120 + random.below(60));
        let store: FasterKv<u64, [u8]> = site.open(config.with_disk(disk)).await;
        let mut removed = 0;
        for round in 0..6 {
            for _ in 0..random.below(300) {
                let value = vec![7; random.index(700)];
                let written = store.upsert(&random.below(150), &value).await;
                if let Err(error) = written {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                    break;
                }
            }
            let before = store.count().await.expect("a sound disk");
            let keep = move |key: u64, _value: &[u8]| key % 3 != round % 3;
            let compacted = store.compact().keep(keep).await;
            let after = store.count().await.expect("a sound disk");
            match compacted {
                Ok(compacted) => {
                    assert_eq!(compacted.removed_keys, before - after, "{compacted:?}");
                    removed += compacted.removed_keys;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
            }
        }
        store.close().await.expect("closes");
        removed
    })
}

/// Each key has one task that counts under it. An even key is never reset. An odd key is reset at
/// most once by each compaction, and then it counts from 1 on: no removed count comes back.
fn run<V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = site.small_config().with_keep_checkpoints(1);
        let store: FasterKv<u64, V> = site.open(config.clone()).await;
        for round in 0..3 {
            for key in 0..KEYS {
                let counted = store.rmw(&key, V::counted).await.expect("a sound disk");
                assert_eq!(V::count(&counted), round + 1);
            }
            store.flush().await.expect("a sound disk");
        }
        let begun = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| count(store.clone(), site.clone(), number, Rc::clone(&begun)))
            .collect();
        let compactor = compact_often(store.clone(), site.clone(), Rc::clone(&begun));
        let (counts, ()) = futures::join!(futures::future::join_all(tasks), compactor);
        // No task counts any more. The last page of the log is not compacted.
        for _ in 0..PAGE_RECORDS {
            store.rmw(&FILLER, V::counted).await.expect("a sound disk");
            store.flush().await.expect("a sound disk");
        }
        let keep = |key: u64, _value: V::View<'_>| key.is_multiple_of(2);
        store.compact().keep(keep).await.expect("a sound disk");
        let counts: Vec<(u64, u64)> = counts.into_iter().flatten().collect();
        check(&store, &counts).await;
        store.close().await.expect("closes");
        let store: FasterKv<u64, V> = site.open(config).await;
        check(&store, &counts).await;
        store.close().await.expect("closes");
    });
}

/// Checks that the even keys have their counts, and the odd ones none.
async fn check<V: SampleValue + ?Sized>(store: &FasterKv<u64, V>, counts: &[(u64, u64)]) {
    for (key, count) in counts {
        let found = store.read(key).await.expect("a sound disk");
        let expected = (key.is_multiple_of(2)).then_some(*count);
        assert_eq!(found.as_ref().map(V::count), expected, "key {key}");
    }
}

/// Counts under the keys of one task. Returns the counts at the end.
async fn count<V: SampleValue + ?Sized>(
    store: FasterKv<u64, V>,
    site: Site,
    number: u64,
    begun: Rc<Cell<u64>>,
) -> Vec<(u64, u64)> {
    let mut random = site.random(10 + number);
    let mut session = store.session().expect("open");
    let mut counts: Vec<_> =
        (0..KEYS).filter(|key| key % TASKS == number).map(|key| (key, 3, 0)).collect();
    for _ in 0..STEPS {
        let index = random.index(counts.len());
        let (key, count, resets) = &mut counts[index];
        let counted = session.rmw(key, V::counted).await.expect("a sound disk");
        let counted = V::count(&counted);
        if counted == 1 {
            assert!(!key.is_multiple_of(2), "key {key} was removed");
            *resets += 1;
            assert!(*resets <= begun.get(), "key {key} was removed again");
        } else {
            assert_eq!(counted, *count + 1, "key {key}");
        }
        *count = counted;
        match random.below(12) {
            0 => store.flush_and_evict().await.expect("a sound disk"),
            1 => site.handle.sleep(Duration::from_micros(random.below(500))).await,
            _ => {}
        }
    }
    counts.into_iter().map(|(key, count, _resets)| (key, count)).collect()
}

async fn compact_often<V: SampleValue + ?Sized>(
    store: FasterKv<u64, V>,
    site: Site,
    begun: Rc<Cell<u64>>,
) {
    let mut random = site.random(9);
    for _ in 0..3 {
        site.handle.sleep(Duration::from_micros(random.below(3000))).await;
        begun.set(begun.get() + 1);
        let keep = |key: u64, _value: V::View<'_>| key.is_multiple_of(2);
        store.compact().keep(keep).await.expect("a sound disk");
    }
}

//! Compaction that removes keys by a closure, while tasks count under all keys.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use kvick::config::ByteSize;
use kvick::feed::Address;
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

/// A round that a late reader of the log holds up said that all was well, and that keys were
/// removed which stayed. Of a value in pieces the pieces were gone, and the list stayed.
#[test]
fn late_readers_of_the_log_hold_removals_up() {
    let (refused, removed) = (Cell::new(0), Cell::new(0));
    seeds(60, |seed| {
        let [busy, keys] = remove_beside_readers(seed);
        refused.set(refused.get() + busy);
        removed.set(removed.get() + keys);
    });
    assert!(refused.get() > 20 && removed.get() > 20, "{refused:?} {removed:?}");
}

/// Removes half of the keys several times, while readers begin. Returns how often they were in the
/// way, and the number of removed keys.
fn remove_beside_readers(seed: u64) -> [u64; 2] {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let mut random = site.random(3);
        let store: FasterKv<u64, [u8]> = site.open(two_pages()).await;
        let (mut refused, mut removed) = (0, 0);
        for round in 0..4 {
            for _ in 0..150 {
                let length = if random.chance(0.3) { random.index(20_000) } else { 200 };
                let key = random.below(4 * KEYS);
                store.upsert(&key, &sample(key, length)).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
            let before = store.count().await.expect("a sound disk");
            let compacting = store.clone();
            // Often it is a single round over one page.
            let oldest = ByteSize::kib(4 << (random.below(2) * random.below(10)));
            let often = if random.chance(0.5) { 0.15 } else { 0.4 };
            let mut compaction = site.handle.spawn("compaction", async move {
                let keep = move |key: u64, _value: &[u8]| key % 2 != round % 2;
                compacting.compact().oldest(oldest).keep(keep).await
            });
            // Readers of pages that are compacted now begin and end.
            let mut reader = None;
            let compacted = loop {
                let pause = site.handle.sleep(Duration::from_micros(1 << random.below(12)));
                match select(compaction, pin!(pause)).await {
                    Either::Left((compacted, _)) => break compacted.expect("the task ends well"),
                    Either::Right(((), rest)) => compaction = rest,
                }
                let begin = store.log_records(..).position().raw();
                let from = Address::new(begin + random.below(oldest.bytes().min(32 << 10)));
                reader = random.chance(often).then(|| store.log_records(from..));
            };
            let after = assert_sound(&store).await;
            match compacted {
                Ok(compacted) => {
                    assert!(compacted.log_bytes > 0, "{compacted:?}");
                    assert_eq!(compacted.removed_keys, before - after, "{compacted:?}");
                    removed += compacted.removed_keys;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                    refused += 1;
                }
            }
            drop(reader);
        }
        store.compact().await.expect("nothing is in the way");
        assert_sound(&store).await;
        store.close().await.expect("closes");
        [refused, removed]
    })
}

fn sample(key: u64, length: usize) -> Vec<u8> {
    key.to_le_bytes().into_iter().cycle().take(length).collect()
}

/// Asserts that each key has a whole value or none. Returns the number of keys.
async fn assert_sound(store: &FasterKv<u64, [u8]>) -> u64 {
    let mut count = 0;
    for key in 0..4 * KEYS {
        let value = store.read(&key).await.expect("a sound disk");
        count += u64::from(value.is_some());
        assert!(value.is_none_or(|value| value == sample(key, value.len())), "key {key}");
    }
    count
}

//! Readers of the log beside writers, scans, compaction, eviction and checkpoints.
//!
//! A reader that has seen all records of the log knows the contents of the table: the last record
//! of each key is its state. And a record shows once, as it is in the log for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, poll};
use kvick::config::ByteSize;
use kvick::feed::{Address, Content, LogRecord, LogRecords};
use kvick::{ErrorKind, FasterKv, Value};
use tests::samples::{SampleKey, SampleValue, item};
use tests::simulated::{Site, World, seeds, two_pages};

use super::{
    Contents, KEYS, WRITERS, Writes, assert_held_up, disturb, pause, scanned, some_config, write,
};

/// Longer than a reader may be still while compaction waits.
const LONG: Duration = Duration::from_secs(80);
const SHORT: Duration = Duration::from_secs(30);
/// The number of the key that ends a subscription.
const LAST: u64 = KEYS + 7;

type Record<K, V> = LogRecord<<K as Value>::Owned, <V as Value>::Owned>;

/// Takes in a record.
fn apply<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    contents: &mut Contents<K, V>,
    record: &Record<K, V>,
) {
    match &record.content {
        Content::Value(value) => _ = contents.insert(record.key.clone(), value.clone()),
        Content::Tombstone => _ = contents.remove::<K::Owned>(&record.key),
        // A later record has the key.
        Content::Gone => _ = contents.remove::<K::Owned>(&record.key),
        other => panic!("a change has a whole value: {other:?}"),
    }
}

#[test]
fn subscribers_to_words_see_each_change_once() {
    seeds(60, run::<u64, u64>);
}

#[test]
fn subscribers_to_bytes_see_each_change_once() {
    seeds(60, run::<[u8], [u8]>);
}

#[test]
fn subscribers_to_bytes_under_numbers_see_each_change_once() {
    seeds(30, run::<u64, [u8]>);
}

fn run<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(some_config(&site)).await;
        let mut subscribers = Vec::new();
        for number in 0..2 {
            let changes = store.subscribe_from(Address::FIRST);
            let follower = follow(store.clone(), site.clone(), number, changes);
            subscribers.push(site.handle.spawn("subscriber", follower));
        }
        let joiner = join_late(store.clone(), site.clone());
        subscribers.push(site.handle.spawn("joiner", joiner));
        let writes = Writes::<K, V>(Arc::default());
        let mut tasks = Vec::new();
        for number in 0..WRITERS {
            let writer = write(store.clone(), site.clone(), number, writes.clone());
            tasks.push(site.handle.spawn("writer", writer));
        }
        tasks.push(site.handle.spawn("scanner", scan_often(store.clone(), site.clone())));
        tasks.push(site.handle.spawn("reader", read_often(store.clone(), site.clone())));
        tasks.push(site.handle.spawn("disturber", disturb(store.clone(), site.clone())));
        for task in tasks {
            task.await.expect("the task ends well");
        }
        let last = K::numbered(LAST);
        let value = V::sample(&mut site.random(9), 10);
        store.upsert(item::<K>(&last), item::<V>(&value)).await.expect("a sound disk");
        store.flush().await.expect("a sound disk");
        let contents = scanned(&store).await.expect("a sound disk");
        let log: Vec<_> = store.log_records(..).try_collect().await.expect("a sound disk");
        for subscriber in subscribers {
            let (shown, found) = subscriber.await.expect("the task ends well");
            assert_eq!(found, contents, "the changes lead to other contents");
            assert_same::<K, V>(&shown, &log);
        }
        store.close().await.expect("closes");
    });
}

/// Asserts that a subscriber has seen what the log still has.
fn assert_same<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    shown: &[Record<K, V>],
    log: &[Record<K, V>],
) {
    let first = shown.first().expect("the last record").address;
    let begin = log.first().expect("the last record").address;
    let shown = shown.iter().filter(|record| record.address >= begin);
    let log = log.iter().filter(|record| record.address >= first);
    // The pieces of a value may have gone since.
    let is_same = |(shown, log): (&Record<K, V>, &Record<K, V>)| {
        shown == log || shown.address == log.address && log.content == Content::Gone
    };
    assert_eq!(shown.clone().count(), log.clone().count(), "each record shows once");
    for pair in shown.zip(log) {
        assert!(is_same(pair), "{pair:?}");
    }
}

/// Takes in all changes up to the last key, with pauses, and by several subscriptions in a row.
async fn follow<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
    changes: LogRecords<K, V>,
) -> (Vec<Record<K, V>>, Contents<K, V>) {
    follow_from(store, site, number, (changes, Contents::<K, V>::new())).await
}

async fn follow_from<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
    (mut changes, mut contents): (LogRecords<K, V>, Contents<K, V>),
) -> (Vec<Record<K, V>>, Contents<K, V>) {
    let mut random = site.random(300 + number);
    let mut shown: Vec<Record<K, V>> = Vec::new();
    let last = K::numbered(LAST);
    loop {
        if random.chance(0.02) {
            // The new one keeps what it needs before the old one ends.
            changes = store.subscribe_from(changes.position());
        }
        if random.chance(0.1) {
            pause(&site, &mut random).await;
        }
        let record = changes.try_next().await.expect("it is polled").expect("it never ends");
        let before = shown.last().map_or(Address::new(0), |record| record.next);
        assert!(record.address >= before, "{:?} after {before}", record.address);
        assert!(!record.is_invalid && record.next == changes.position());
        apply::<K, V>(&mut contents, &record);
        let is_last = record.key == last;
        shown.push(record);
        if is_last {
            return (shown, contents);
        }
    }
}

/// Subscribes, scans, and then takes in the changes: a copy that stays up to date.
async fn join_late<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
) -> (Vec<Record<K, V>>, Contents<K, V>) {
    let mut random = site.random(400);
    site.handle.sleep(Duration::from_micros(random.below(3000))).await;
    let changes = store.subscribe();
    let contents = scanned(&store).await.expect("a sound disk");
    follow_from(store, site, 2, (changes, contents)).await
}

/// Scans now and then: records are frozen meanwhile, and are mutable again later.
async fn scan_often<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
) {
    let mut random = site.random(500);
    for _ in 0..6 {
        pause(&site, &mut random).await;
        let mut scan = store.scan();
        for _ in 0..random.below(KEYS) {
            scan.try_next().await.expect("a sound disk");
            if random.chance(0.1) {
                pause(&site, &mut random).await;
            }
        }
    }
}

/// Reads parts of the log, and drops some readers half way.
async fn read_often<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
) {
    let mut random = site.random(600);
    let mut ends = vec![Address::FIRST];
    for _ in 0..12 {
        pause(&site, &mut random).await;
        let start = ends[random.index(ends.len())];
        // A slip that ends between two records.
        let start = Address::new(start.raw() + random.below(3) * 8);
        let mut records = match random.below(3) {
            0 => store.database().log_records(..),
            1 => store.database().log_records(start..),
            _ => store.database().log_records(start..=Address::new(start.raw() + 3000)),
        };
        let mut before = Address::new(0);
        loop {
            match records.try_next().await {
                Ok(Some(record)) => {
                    assert!(record.address >= before, "{record:?} after {before}");
                    before = record.next;
                    ends.push(record.next);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
                    assert!(before == Address::new(0), "it is polled: {error}");
                    break;
                }
            }
            match random.below(40) {
                0 => break,
                1 => pause(&site, &mut random).await,
                _ => {}
            }
        }
        if random.chance(0.02) {
            std::mem::forget(records);
        }
    }
}

/// The number of times that all keys are written.
const ROUNDS: usize = 10;

/// Writes all keys several times, until the log has many pages on the device.
async fn filled<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(site: &Site) -> FasterKv<K, V> {
    let store = site.open::<K, V>(two_pages().with_memory(ByteSize::kib(256))).await;
    let mut random = site.random(50);
    for _ in 0..ROUNDS {
        for number in 0..400 {
            let (key, value) = (K::numbered(number), V::sample(&mut random, 300));
            store.upsert(item::<K>(&key), item::<V>(&value)).await.expect("a sound disk");
        }
        store.flush().await.expect("a sound disk");
    }
    store.flush_and_evict().await.expect("a sound disk");
    store
}

#[test]
fn a_leaked_reader_holds_compaction_up_for_a_minute() {
    seeds(10, leaked::<u64, u64>);
    seeds(10, leaked::<[u8], [u8]>);
}

fn leaked<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = filled::<K, V>(&site).await;
        let mut records = match site.random(1).below(3) {
            0 => store.log_records(..),
            1 => store.subscribe_from(Address::FIRST),
            // Never polled at all.
            _ => return never_polled(&site, &store).await,
        };
        records.try_next().await.expect("a sound disk").expect("there are records");
        site.handle.sleep(LONG).await;
        // Only then does compaction need it.
        assert_held_up(&store).await;
        site.handle.sleep(SHORT).await;
        assert_held_up(&store).await;
        assert_eq!(store.stats().scans.log_readers, 1);
        site.handle.sleep(LONG).await;
        store.compact().await.expect("no reader is in the way");
        // It has lapsed: what it had read shows, and then it ends.
        let mut count = 0;
        let end = loop {
            match records.try_next().await {
                Ok(Some(_)) => count += 1,
                Ok(None) => panic!("it has not seen all"),
                Err(error) => break error,
            }
        };
        assert_eq!(end.kind(), ErrorKind::Truncated, "{end}");
        assert!(count < 400 * ROUNDS && records.next().await.is_none());
        assert_eq!(store.stats().scans.log_readers, 0, "it has ended");
        assert_eq!(scanned(&store).await.expect("a sound disk").len(), 400);
        store.close().await.expect("closes");
    });
}

async fn never_polled<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: &Site,
    store: &FasterKv<K, V>,
) {
    std::mem::forget(store.log_records(..));
    assert_held_up(store).await;
    site.handle.sleep(2 * LONG).await;
    store.compact().await.expect("no reader is in the way");
}

/// The driver of compaction asked which part of the log a reader needs while it waited for readers.
/// The question woke it, so it asked again, for ever, and nothing else of the store went on.
#[test]
fn a_leaked_reader_within_a_budget_lapses() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let config = two_pages().with_disk(ByteSize::kib(512));
            let store = site.open::<u64, u64>(config).await;
            let mut records = store.subscribe_from(Address::FIRST);
            assert!(poll!(records.next()).is_pending());
            let mut refused = 0;
            for number in 0..100_000 {
                while let Err(error) = store.upsert(&(number % 400), &number).await {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                    refused += 1;
                    assert!(refused < 20, "it lapses after a minute: {error}");
                    site.handle.sleep(Duration::from_secs(5)).await;
                }
            }
            assert!(refused > 0, "the reader was in the way");
            while records.try_next().await.is_ok_and(|record| record.is_some()) {}
            store.close().await.expect("closes");
        });
    });
}

/// A reader that lapsed goes on if nothing was taken from it, and keeps its records again.
#[test]
fn a_reader_that_lapsed_goes_on_if_it_can() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = filled::<u64, u64>(&site).await;
            let mut records = store.log_records(..);
            let mut count = usize::from(records.try_next().await.expect("sound").is_some());
            assert_held_up(&store).await;
            site.handle.sleep(2 * LONG).await;
            // What it had read ahead shows.
            while let Some(_record) = records.try_next().await.expect("nothing was taken") {
                count += 1;
                if count.is_multiple_of(500) {
                    assert_held_up(&store).await;
                    site.handle.sleep(SHORT).await;
                }
            }
            assert_eq!(count, 400 * ROUNDS);
            store.compact().await.expect("the reader has ended");
            store.close().await.expect("closes");
        });
    });
}

/// A subscriber that waits for the log, for hours, holds no compaction up.
#[test]
fn a_subscriber_that_has_read_everything_stays() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = filled::<u64, u64>(&site).await;
            let mut changes = store.subscribe();
            assert!(poll!(changes.next()).is_pending());
            for round in 0..10 {
                store.compact().await.expect("it needs nothing");
                site.handle.sleep(10 * LONG).await;
                for key in 0..400 {
                    store.upsert(&key, &round).await.expect("a sound disk");
                }
                store.flush().await.expect("a sound disk");
                let mut contents = BTreeMap::new();
                while contents.values().filter(|value| **value == round).count() < 400 {
                    let record = changes.try_next().await.expect("in time").expect("no end");
                    contents.insert(record.key, record.content.into_value().expect("a value"));
                }
                assert!(poll!(changes.next()).is_pending(), "it has read everything");
            }
            drop(changes);
            store.close().await.expect("closes");
        });
    });
}

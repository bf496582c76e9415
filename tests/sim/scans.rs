//! Scans beside writers, checkpoints, flushes, growth and faults. Each scan shows the contents of
//! one instant: after some number of the writes, in the order in which they took effect.
//!
//! An operation takes effect in the poll that makes it ready, and its task notes it in that poll.
//! So the notes of all tasks are in the order of the effects.

mod cursors;
mod expiring;
mod feeds;
mod overwritten;
mod pressed;
mod pressed_removals;
mod removals;
mod seconds;
mod turns;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kvick::checkpoint::Kind;
use kvick::io::sim::{FaultRates, Random, SimOptions};
use kvick::stats::ScanStats;
use kvick::{Error, ErrorKind, FasterKv, Key, Value};
use tests::budgets::set_some_memory;
use tests::journal::ALL_KINDS;
use tests::samples::{SampleKey, SampleValue, item};
use tests::simulated::{Site, World, seeds};

const WRITERS: u64 = 3;
const STEPS: u32 = 150;
const KEYS: u64 = 60;
const SCANS: u32 = 6;
const LONGEST: usize = 9000;

type Contents<K, V> = BTreeMap<<K as Value>::Owned, <V as Value>::Owned>;
type Write<K, V> = (<K as Value>::Owned, Option<<V as Value>::Owned>);

/// The writes of all tasks, in the order of their effects.
struct Writes<K: Key + ?Sized, V: Value + ?Sized>(Arc<Mutex<Vec<Write<K, V>>>>);

impl<K: Key + ?Sized, V: Value + ?Sized> Clone for Writes<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Writes<K, V> {
    fn note(&self, key: K::Owned, value: Option<V::Owned>) {
        self.0.lock().expect("one thread").push((key, value));
    }

    fn count(&self) -> usize {
        self.0.lock().expect("one thread").len()
    }

    /// Asserts that `found` are the contents after some number of writes in this range.
    fn assert_shown(&self, found: &Contents<K, V>, [first, last]: [usize; 2]) {
        let writes = self.0.lock().expect("one thread");
        let mut contents = Contents::<K, V>::new();
        for number in 0..=last {
            if number >= first && *found == contents {
                return;
            }
            match writes.get(number) {
                Some((key, Some(value))) => _ = contents.insert(key.clone(), value.clone()),
                Some((key, None)) => _ = contents.remove::<K::Owned>(key),
                None => {}
            }
        }
        panic!("the contents of no instant between {first} and {last} writes: {found:?}");
    }
}

#[test]
fn scans_of_words_show_one_instant() {
    seeds(60, run::<u64, u64>);
}

#[test]
fn scans_of_bytes_show_one_instant() {
    seeds(60, run::<[u8], [u8]>);
}

#[test]
fn scans_of_bytes_under_numbers_show_one_instant() {
    seeds(30, run::<u64, [u8]>);
}

#[test]
fn scans_of_words_under_texts_show_one_instant() {
    seeds(30, run::<str, u64>);
}

fn run<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(some_config(&site)).await;
        let writes = Writes::<K, V>(Arc::default());
        let mut tasks = Vec::new();
        for number in 0..WRITERS {
            let writer = write(store.clone(), site.clone(), number, writes.clone());
            tasks.push(site.handle.spawn("writer", writer));
        }
        for number in 0..2 {
            let scanner = scan_often(store.clone(), site.clone(), number, writes.clone());
            tasks.push(site.handle.spawn("scanner", scanner));
        }
        tasks.push(site.handle.spawn("disturber", disturb(store.clone(), site.clone())));
        for task in tasks {
            task.await.expect("the task ends well");
        }
        // Nothing is written any more, and no scan holds anything up.
        let contents = scanned(&store).await.expect("a sound disk");
        writes.assert_shown(&contents, [writes.count(); 2]);
        assert_eq!(store.count().await.expect("a sound disk"), contents.len() as u64);
        store.close().await.expect("closes");
    });
}

/// Asserts that compaction finds a scan or a reader in its way.
async fn assert_held_up<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(store: &FasterKv<K, V>) {
    let refused = store.compact().await.expect_err("a scan or a reader is in the way");
    assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
}

/// Returns a configuration in which all that is written may stay mutable, or most leaves memory.
fn some_config(site: &Site) -> kvick::Config {
    let config = site.small_config().with_keep_checkpoints(2);
    if site.random(9).chance(0.4) { larger(config) } else { config }
}

fn larger(config: kvick::Config) -> kvick::Config {
    let memory = kvick::config::ByteSize::new(config.memory.bytes() * 8);
    config.with_memory(memory).with_mutable_fraction(0.9)
}

async fn write<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
    writes: Writes<K, V>,
) {
    let mut random = site.random(100 + number);
    let mut session = store.session().expect("the store is open");
    for _ in 0..STEPS {
        // All writers write all keys.
        let key = K::numbered(random.below(KEYS));
        let is_sound = "a sound disk";
        match random.below(8) {
            0..3 => {
                let value = V::sample(&mut random, LONGEST);
                session.upsert(item::<K>(&key), item::<V>(&value)).await.expect(is_sound);
                writes.note(key, Some(value));
            }
            3 => {
                let (tag, mut new) = (random.next_u64(), None);
                let update = |old| {
                    let value = V::updated(old, tag);
                    new = Some(value.clone());
                    value
                };
                session.rmw(item::<K>(&key), update).await.expect(is_sound);
                writes.note(key, new);
            }
            4 => {
                session.delete(item::<K>(&key)).await.expect(is_sound);
                writes.note(key, None);
            }
            5 => {
                store.take(item::<K>(&key)).await.expect(is_sound);
                writes.note(key, None);
            }
            6 => {
                let value = V::sample(&mut random, LONGEST);
                let inserted = store.insert_if_absent(item::<K>(&key), item::<V>(&value));
                if inserted.await.expect(is_sound) {
                    writes.note(key, Some(value));
                }
            }
            _ => pause(&site, &mut random).await,
        }
    }
}

/// Scans with pauses; drops some scans half way.
async fn scan_often<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
    writes: Writes<K, V>,
) {
    let mut random = site.random(200 + number);
    for _ in 0..SCANS {
        pause(&site, &mut random).await;
        let first = writes.count();
        match random.below(8) {
            0 => drop(store.scan()),
            1 => _ = store.scan().take(random.index(40)).count().await,
            2 => {
                let view = |_key: K::View<'_>, value: V::View<'_>| Some(V::seen(value));
                let values = store.scan_with(view).try_collect::<Vec<_>>().await;
                assert!(values.expect("a sound disk").len() as u64 <= KEYS);
            }
            3 => assert!(store.count().await.expect("a sound disk") <= KEYS),
            4 => {
                let mut parts = store.scan_in_parts(1 + random.index(5));
                let mut found = Contents::<K, V>::new();
                let mut last = None;
                // Some parts wait meanwhile.
                while !parts.is_empty() {
                    let part = random.index(parts.len());
                    let next = parts[part].try_next().await.expect("a sound disk");
                    last.get_or_insert(writes.count());
                    match next {
                        Some((key, value)) => assert_eq!(found.insert(key, value), None),
                        None => drop(parts.swap_remove(part)),
                    }
                }
                writes.assert_shown(&found, [first, last.expect("there is a part")]);
            }
            _ => {
                let (mut scan, mut found) = (store.scan(), Contents::<K, V>::new());
                let mut moment_before = None;
                while let Some((key, value)) = scan.try_next().await.expect("a sound disk") {
                    moment_before.get_or_insert(writes.count());
                    assert_eq!(found.insert(key, value), None, "each key comes once");
                    if random.chance(0.1) {
                        pause(&site, &mut random).await;
                    }
                }
                let last = moment_before.unwrap_or(writes.count());
                writes.assert_shown(&found, [first, last]);
            }
        }
    }
}

async fn scanned<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
) -> Result<Contents<K, V>, Error> {
    store.scan().try_collect().await
}

/// Takes checkpoints of all kinds, flushes, evicts, changes the memory, and compacts between scans.
async fn disturb<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
) {
    let mut random = site.random(2);
    for _ in 0..12 {
        pause(&site, &mut random).await;
        match random.below(8) {
            0 => store.flush().await.expect("a sound disk"),
            1 => store.flush_and_evict().await.expect("a sound disk"),
            2 => set_some_memory(&store, &mut random).await,
            3 => {
                if let Err(error) = store.compact().await {
                    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                }
            }
            _ => {
                let kind: Kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                let checkpoint = store.checkpoint().kind(kind);
                checkpoint.await.expect("a sound disk");
            }
        }
    }
}

async fn pause(site: &Site, random: &mut Random) {
    site.handle.sleep(Duration::from_micros(random.below(300))).await;
}

/// The freeze of a scan ends with the scan, or once it has shown what was mutable. A scan that is
/// not polled keeps it.
#[test]
fn records_change_in_place_again_after_a_scan() {
    for shown in [1, 50] {
        let world = World::new(1);
        let site = world.site.clone();
        world.simulation.run(async move {
            let config = kvick::Config::default().with_memory(kvick::config::ByteSize::mib(4));
            let store = site.open::<u64, u64>(config.with_huge_pages(false)).await;
            store.upsert_each((0..KEYS).map(|key| (key, key))).await.expect("a sound disk");
            let appends = || store.stats().appends;
            let mut scan = store.scan();
            for _ in 0..shown {
                scan.try_next().await.expect("a sound disk").expect("it has keys");
            }
            site.handle.sleep(Duration::from_millis(1)).await;
            let before = appends();
            store.upsert(&1, &0).await.expect("a sound disk");
            assert_eq!(appends(), before + 1, "the record is frozen: the scan has not ended");
            let scans = store.stats().scans;
            assert!(scans.in_progress == 1 && scans.needed > 0, "{scans:?}");
            if shown == 1 {
                drop(scan);
            } else {
                assert_eq!(scan.count().await as u64, KEYS - shown as u64);
            }
            site.handle.sleep(Duration::from_millis(1)).await;
            let before = appends();
            store.upsert(&2, &0).await.expect("a sound disk");
            store.upsert(&1, &0).await.expect("a sound disk");
            assert_eq!(appends(), before, "changed in place");
            assert_eq!(store.stats().scans, ScanStats::default());
            store.close().await.expect("closes");
        });
    }
}

/// A read of the device fails. The scan ends with that error, and the next one starts anew.
#[test]
fn a_failed_read_ends_one_scan() {
    let failed = std::cell::Cell::new(0);
    seeds(40, |seed| failed.set(failed.get() + failing_scans::<u64, [u8]>(seed)));
    assert!(failed.get() > 0, "no scan met a fault");
}

fn failing_scans<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) -> u32 {
    let fault_rates = FaultRates { read: 0.02, ..FaultRates::default() };
    let world = World::with(seed, SimOptions { fault_rates, ..SimOptions::default() });
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(site.small_config()).await;
        let mut random = site.random(1);
        let mut contents = Contents::<K, V>::new();
        let mut failed = 0;
        for round in 0..10 {
            for _ in 0..30 {
                let key = K::numbered(random.below(KEYS));
                let value = V::sample(&mut random, LONGEST);
                store.upsert(item::<K>(&key), item::<V>(&value)).await.expect("writes succeed");
                contents.insert(key, value);
            }
            if round == 9 {
                site.disk.heal();
            }
            match scanned(&store).await {
                Ok(found) => assert_eq!(found, contents),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                    assert_ne!(round, 9, "reads work again: {error}");
                    failed += 1;
                }
            }
        }
        store.close().await.expect("closes");
        failed
    })
}

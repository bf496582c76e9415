//! A cache: a key may be absent, and never has an older value.
//!
//! Invariants, and the test of each:
//! 1. The only writer of a key reads its newest value, or none; a deleted key stays absent. So a
//!    copy of an old record is never in front of a newer one (`beside_models`).
//! 2. A key that was just written is there (`beside_models`).
//! 3. A key that is read now and then stays; one that is not read goes (`what_is_read_stays`).
//! 4. Device and memory stay within their budgets (`beside_models`,
//!    `budgets_hold`, `a_larger_store_becomes_a_cache`).
//! 5. A cache is empty when it is opened again, or as its checkpoint was (`openings`).
//! 6. A full device costs old records, not new ones (`a_full_device_drops_old_records`).

use std::borrow::Borrow;
use std::cell::Cell;
use std::time::Duration;

use futures::TryStreamExt;
use kvick::checkpoint::Kind;
use kvick::config::ByteSize;
use kvick::io::sim::Random;
use kvick::{Config, ErrorKind, FasterKv};
use tests::gauge::Gauge;
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, World, seeds};

const DISK: ByteSize = ByteSize::kib(512);
const KINDS: [Kind; 3] = [Kind::Incremental, Kind::Snapshot, Kind::FoldOver];
const KEYS: u64 = 60;

#[test]
fn words() {
    beside_models::<u64, u64>();
}

#[test]
fn bytes() {
    beside_models::<[u8], [u8]>();
}

#[test]
fn bytes_under_numbers() {
    beside_models::<u64, [u8]>();
}

/// Makes the settings of a store those of a cache.
fn cache(config: Config, disk: Option<ByteSize>) -> Config {
    let fraction = config.mutable_fraction.min(0.5);
    let config = config.with_cache(true).with_disk(disk).with_mutable_fraction(fraction);
    config.with_checkpoint_on_close(false).with_keep_checkpoints(1)
}

/// Several tasks write keys of their own and read all keys, in memory or with a device.
fn beside_models<K: SampleKey + ?Sized, V: SampleValue + ?Sized>() {
    let (promotions, evicted) = (Cell::new(0), Cell::new(0));
    seeds(60, |seed| {
        let (simulation, site, gauge) = Gauge::world(seed);
        let stats = simulation.run(async move {
            let disk = site.random(7).chance(0.5).then_some(DISK);
            let store = site.open::<K, V>(cache(site.small_config(), disk)).await;
            let tasks: Vec<_> = (0..3)
                .map(|number| {
                    let owner = own_keys::<K, V>(site.clone(), store.clone(), number);
                    site.handle.spawn("owner", owner)
                })
                .collect();
            for task in tasks {
                task.await.expect("the model ends well");
            }
            let stats = store.stats();
            store.close().await.expect("closes");
            stats
        });
        gauge.check(DISK);
        promotions.set(promotions.get() + stats.promotions);
        evicted.set(evicted.get() + stats.space.evicted_bytes);
    });
    println!("{} records promoted, {} bytes evicted", promotions.get(), evicted.get());
    assert!(promotions.get() > 0 && evicted.get() > 0, "nothing was tested");
}

/// The keys of one task, with their values.
struct Own<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    store: FasterKv<K, V>,
    first: u64,
    values: Vec<Option<V::Owned>>,
    random: Random,
    /// The number of values that were read just after they were written.
    written: u64,
}

async fn own_keys<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    store: FasterKv<K, V>,
    number: u64,
) {
    let values = (0..KEYS).map(|_| None).collect();
    let random = site.random(10 + number);
    let mut own = Own::<K, V> { store, first: KEYS * number, values, random, written: 0 };
    for _ in 0..400 {
        own.step().await;
        fit_in_memory(&site, &own.store).await;
        if own.random.chance(0.1) {
            site.handle.sleep(Duration::from_micros(own.random.below(500))).await;
        }
        if number == 0 && own.random.chance(0.01) && own.store.config().disk.is_some() {
            own.store.checkpoint().await.expect("a sound disk");
        }
    }
    assert!(own.written > 10, "too few values were just written");
}

/// Waits until the pages in memory are within their limit. They mostly are; a limit that has just
/// come down, because the index has grown, counts a moment later.
async fn fit_in_memory<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: &Site,
    store: &FasterKv<K, V>,
) {
    for moment in 0.. {
        let stats = store.stats();
        if stats.log.mutable + stats.log.read_only <= stats.memory.frames {
            return;
        }
        assert!(moment < 100, "{stats}");
        site.handle.sleep(Duration::from_micros(100)).await;
    }
}

/// Returns the bytes of log whose records are gone, or may go without a device.
fn dropped<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(store: &FasterKv<K, V>) -> u64 {
    let stats = store.stats();
    let on_device = if store.config().disk.is_none() { stats.log.on_device } else { 0 };
    stats.space.evicted_bytes + on_device
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Own<K, V> {
    async fn step(&mut self) {
        // Some keys are read much more than others.
        let most = 1 + self.random.index(self.values.len());
        let place = self.random.index(most);
        let key = K::numbered(self.first + place as u64);
        let key = key.borrow();
        let value = V::sample(&mut self.random, 3000);
        let before = self.values[place].clone();
        let store = self.store.clone();
        match self.random.below(12) {
            0 | 1 => {
                let before = dropped(&store);
                store.upsert(key, value.borrow()).await.expect("sound");
                self.values[place] = Some(value.clone());
                let found = store.read(key).await.expect("sound");
                // In two pages other tasks may be faster.
                let may_be_gone = dropped(&store) != before;
                assert!(found == Some(value) || may_be_gone && found.is_none(), "{found:?}");
                self.written += u64::from(!may_be_gone);
            }
            2 => {
                store.delete(key).await.expect("sound");
                self.values[place] = None;
            }
            3 => {
                let tag = self.random.next_u64();
                let update = |current| V::updated(current, tag);
                let found = store.rmw(key, update).await.expect("sound");
                let possible = [before, None].map(|current| V::updated(current, tag));
                assert!(possible.contains(&found), "{found:?} is of an older value");
                self.values[place] = Some(found);
            }
            4 => {
                if store.insert_if_absent(key, value.borrow()).await.expect("sound") {
                    self.values[place] = Some(value);
                } else {
                    assert!(before.is_some(), "a deleted key is back");
                }
            }
            5 => {
                let found = store.take(key).await.expect("sound");
                assert!(found.is_none() || found == before, "{found:?}, not {before:?}");
                self.values[place] = None;
            }
            6 => {
                let other = K::numbered(self.random.below(3 * KEYS));
                let keys = [other];
                store.read_many::<K::Owned>(&keys).await.expect("sound");
            }
            _ => {
                let found = store.read(key).await.expect("sound");
                assert!(found.is_none() || found == before, "{found:?}, not {before:?}");
            }
        }
    }
}

async fn fill(store: &FasterKv<u64, [u8]>, keys: std::ops::Range<u64>) {
    for key in keys {
        store.upsert(&key, &key.to_le_bytes().repeat(12)).await.expect("a cache has room");
    }
}

async fn found(store: &FasterKv<u64, [u8]>, key: u64) -> bool {
    let found = store.read(&key).await.expect("a sound disk");
    assert!(found.as_deref().is_none_or(|value| value == key.to_le_bytes().repeat(12)));
    found.is_some()
}

/// Returns the settings of a cache of sixteen pages in memory.
fn sixteen_pages(disk: impl Into<Option<ByteSize>>) -> Config {
    let config = Config::cache().with_memory(ByteSize::kib(128)).with_page_size(ByteSize::kib(4));
    config.with_disk(disk).with_segment_size(ByteSize::kib(16)).with_huge_pages(false)
}

#[test]
fn what_is_read_stays() {
    for disk in [None, Some(DISK)] {
        let world = World::new(3);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = site.open::<u64, [u8]>(sixteen_pages(disk)).await;
            fill(&store, 0..50).await;
            for round in 1..1000 {
                fill(&store, 50 * round..50 * round + 50).await;
                // The drivers run meanwhile.
                site.handle.sleep(Duration::from_micros(500)).await;
                for key in 0..10 {
                    assert!(found(&store, key).await, "round {round}, key {key}");
                }
            }
            for key in 10..50 {
                assert!(!found(&store, key).await, "key {key} was not read");
            }
            let stats = store.stats();
            let entries = stats.index.entries * 100;
            let log = stats.log.mutable + stats.log.read_only + stats.log.on_device;
            assert!(entries < 2 * log, "the index follows the log: {stats}");
            store.close().await.expect("closes");
        });
    }
}

/// Writers never pause, and checkpoints of all kinds are taken by a schedule and by requests. With
/// some that are kept, all files once took four times the budget.
#[test]
fn budgets_hold() {
    for kept in 0..4 {
        let (simulation, site, gauge) = Gauge::world(5 + u64::from(kept));
        simulation.run(async {
            let config = sixteen_pages(DISK);
            let config = match kept {
                0 => config,
                _ => config
                    .with_keep_checkpoints(kept)
                    .with_checkpoint_kind(KINDS[kept as usize % 3])
                    .with_checkpoint_log_growth(ByteSize::kib(100)),
            };
            let store = site.open::<u64, [u8]>(config).await;
            for round in 0..100 {
                fill(&store, 200 * round..200 * round + 200).await;
                if kept > 0 && round % 9 == 0 {
                    let kind = KINDS[usize::try_from(round).expect("small") / 9 % 3];
                    store.checkpoint().kind(kind).await.expect("a sound disk");
                }
                assert!(found(&store, 200 * round).await, "it is not old");
            }
            let stats = store.stats();
            assert!(stats.space.evicted_bytes > DISK.bytes(), "{stats}");
            assert_eq!(stats.space.refused, 0, "{stats}");
            assert_eq!(stats.checkpoints.taken > 0, kept > 0, "{stats}");
            // What is kept is worth its space.
            let log = stats.log.mutable + stats.log.read_only + stats.log.on_device;
            assert!(log > DISK.bytes() / 3, "{kept} are kept: {stats}");
            store.close().await.expect("closes");
        });
        gauge.check(DISK);
    }
}

/// A scan holds dropping up, and its task writes.
#[test]
fn a_scan_holds_up_writers_of_a_full_budget() {
    let (simulation, site, gauge) = Gauge::world(6);
    simulation.run(async {
        let store = site.open::<u64, [u8]>(sixteen_pages(DISK)).await;
        fill(&store, 0..2000).await;
        let mut scan = store.scan();
        assert!(scan.try_next().await.expect("a sound disk").is_some());
        let mut refused = None;
        for key in 2000..10_000_u64 {
            refused = store.upsert(&key, &key.to_le_bytes().repeat(12)).await.err();
            if refused.is_some() {
                break;
            }
        }
        let error = refused.expect("nothing is dropped while a scan is in progress");
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert!(error.to_string().contains("a scan in progress holds compaction up"), "{error}");
        drop(scan);
        fill(&store, 10_000..20_000).await;
        store.close().await.expect("closes");
    });
    gauge.check(DISK);
}

/// A store that is far larger becomes a cache. It never grows, and gets within its budget.
#[test]
fn a_larger_store_becomes_a_cache() {
    let (simulation, site, gauge) = Gauge::world(7);
    simulation.run(async {
        let plain = sixteen_pages(None).with_cache(false).with_checkpoint_on_close(true);
        let store = site.open::<u64, [u8]>(plain).await;
        fill(&store, 0..20_000).await;
        store.close().await.expect("closes");
        let before = site.disk.files().iter().map(|(_, bytes)| bytes).sum::<u64>();
        assert!(before > 4 * DISK.bytes(), "{before} bytes are too few");
        gauge.forget();
        let store = site.open::<u64, [u8]>(sixteen_pages(DISK)).await;
        fill(&store, 20_000..24_000).await;
        // Manifests and a begun page.
        assert!(gauge.most() <= before + (16 << 10), "{} bytes after {before}", gauge.most());
        let used = store.stats().space.used_bytes;
        assert!(used <= DISK.bytes(), "{}", store.stats());
        gauge.forget();
        fill(&store, 24_000..32_000).await;
        store.close().await.expect("closes");
    });
    gauge.check(DISK);
}

/// After a life without a checkpoint the cache is empty, although its first files are gone. After a
/// life with one it is as the checkpoint was.
#[test]
fn openings() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            for life in 0..3 {
                let store = site.open::<u64, [u8]>(sixteen_pages(DISK)).await;
                for key in 0..8000 {
                    assert!(!found(&store, key).await, "life {life} is empty");
                }
                fill(&store, 0..8000).await;
                assert!(store.stats().space.evicted_bytes > 0);
                if life == 2 {
                    store.checkpoint().await.expect("a sound disk");
                }
                store.close().await.expect("closes");
            }
            let store = site.open::<u64, [u8]>(sixteen_pages(DISK)).await;
            for key in 7900..8000 {
                assert!(found(&store, key).await, "key {key} is in the checkpoint");
            }
            assert!(!found(&store, 0).await, "it was dropped");
            store.close().await.expect("closes");
        });
    });
}

#[test]
fn a_full_device_drops_old_records() {
    let world = World::new(9);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<u64, [u8]>(sixteen_pages(ByteSize::mib(64))).await;
        fill(&store, 0..4000).await;
        site.disk.set_capacity(Some(site.disk.bytes_used()));
        let mut refused = 0;
        for key in 4000..12_000_u64 {
            let value = key.to_le_bytes().repeat(12);
            while let Err(error) = store.upsert(&key, &value).await {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                refused += 1;
                assert!(refused < 1000, "the cache makes room: {}", store.stats());
                site.handle.sleep(Duration::from_millis(50)).await;
            }
        }
        assert!(found(&store, 11_999).await && !found(&store, 0).await);
        store.close().await.expect("closes");
    });
}

/// A compaction of a cache ended well and did nothing, even with a filter.
#[test]
fn a_compaction_is_refused() {
    for disk in [None, Some(DISK)] {
        let world = World::new(10);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = site.open::<u64, [u8]>(sixteen_pages(disk)).await;
            fill(&store, 0..100).await;
            let refusals = [
                store.compact().await.expect_err("nothing can be done"),
                store.compact().keep(|_key, _value| false).await.expect_err("no key goes"),
            ];
            for error in refusals {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            }
            assert!(found(&store, 99).await);
            store.close().await.expect("closes");
        });
    }
}

//! Scans that are not polled while compaction waits for them.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, TryStreamExt, poll};
use kvick::config::ByteSize;
use kvick::{Config, ErrorKind, FasterKv};
use tests::samples::{SampleKey, SampleValue, item};
use tests::simulated::{Site, World, seeds, two_pages};

use super::{assert_held_up, scanned};

const KEYS: u64 = 400;
const LONGEST: usize = 300;

/// Longer than a scan may be still while compaction waits.
const LONG: Duration = Duration::from_secs(80);
const SHORT: Duration = Duration::from_secs(30);

/// Writes all keys, until the log has several pages on the device and several that are mutable.
async fn filled<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(site: &Site) -> FasterKv<K, V> {
    let config = two_pages().with_memory(ByteSize::kib(512)).with_mutable_fraction(0.9);
    let store = site.open::<K, V>(config).await;
    for round in 0..3 {
        overwrite(&store, site, 50 + round).await;
        store.flush().await.expect("a sound disk");
    }
    overwrite(&store, site, 53).await;
    store
}

/// Returns a store whose records are all on the device.
async fn evicted(site: &Site) -> FasterKv<u64, u64> {
    let config = Config::default().with_memory(ByteSize::mib(1)).with_huge_pages(false);
    let store = site.open::<u64, u64>(config.with_page_size(ByteSize::kib(4))).await;
    store.upsert_each((0..40_000).map(|key| (key, key))).await.expect("a sound disk");
    store.flush_and_evict().await.expect("a sound disk");
    store
}

async fn overwrite<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
    site: &Site,
    purpose: u64,
) {
    let mut random = site.random(purpose);
    for number in 0..KEYS {
        let (key, value) = (K::numbered(number), V::sample(&mut random, LONGEST));
        store.upsert(item::<K>(&key), item::<V>(&value)).await.expect("a sound disk");
    }
}

#[test]
fn a_leaked_scan_holds_compaction_up_for_a_minute() {
    seeds(10, leaked::<u64, u64>);
    seeds(10, leaked::<[u8], [u8]>);
}

fn leaked<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = filled::<K, V>(&site).await;
        let mut scan = store.scan();
        if site.random(1).chance(0.7) {
            scan.try_next().await.expect("a sound disk").expect("there are keys");
        } else {
            // It gets its moment after it was polled for the last time.
            assert!(poll!(scan.next()).is_pending());
            site.handle.sleep(SHORT).await;
        }
        std::mem::forget(scan);
        assert_eq!(store.stats().scans.in_progress, 1);
        site.handle.sleep(LONG).await;
        // Only then does compaction need it.
        assert_held_up(&store).await;
        site.handle.sleep(SHORT).await;
        assert_held_up(&store).await;
        site.handle.sleep(LONG).await;
        assert_eq!(store.stats().scans.in_progress, 0);
        store.compact().await.expect("no scan is in the way");
        assert_eq!(scanned(&store).await.expect("a sound disk").len() as u64, KEYS);
    });
}

/// Keys share their chains with others, which are on the device. So the scan gathers them.
#[test]
fn a_leaked_scan_gives_its_memory_back() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = evicted(&site).await;
        let frames = || store.stats().memory.frames;
        let before = frames();
        let mut scan = store.scan();
        while frames() == before {
            assert!(scan.try_next().await.expect("a sound disk").is_some(), "nothing is gathered");
        }
        site.handle.sleep(LONG).await;
        assert!(frames() < before, "nothing waits for the scan");
        assert_held_up(&store).await;
        site.handle.sleep(LONG).await;
        assert_eq!(frames(), before, "the scan is still there");
        let error = loop {
            match scan.try_next().await {
                Ok(next) => assert!(next.is_some(), "the scan has expired"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        assert!(scan.try_next().await.expect("it is over").is_none());
        store.close().await.expect("closes");
    });
}

/// The work of a scan was dropped with the read for which its task waited. So that task was never
/// woken.
#[test]
fn the_task_of_a_scan_that_waits_for_a_read_learns_of_its_end() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = evicted(&site).await;
        let mut scan = store.scan();
        scan.try_next().await.expect("a sound disk").expect("there are keys");
        site.disk.stall();
        let ended = async {
            loop {
                match scan.try_next().await {
                    Ok(next) => assert!(next.is_some(), "the disk stands still"),
                    Err(error) => break Some(error),
                }
            }
        };
        let pressed = async {
            store.compact().await.expect_err("a scan is in the way");
            site.handle.sleep(10 * LONG).await;
            None
        };
        // Each has a waker of its own.
        let mut tasks: FuturesUnordered<_> =
            [ended.left_future(), pressed.right_future()].into_iter().map(Box::pin).collect();
        let error = tasks.next().await.flatten().expect("the scan waits for ever");
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    });
}

#[test]
fn a_scan_that_is_polled_goes_on() {
    seeds(10, slow::<u64, u64>);
    seeds(10, slow::<[u8], [u8]>);
}

fn slow<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = filled::<K, V>(&site).await;
        let contents = scanned(&store).await.expect("a sound disk");
        let mut scan = store.scan();
        let mut found = Vec::new();
        while let Some(next) = scan.try_next().await.expect("it does not expire") {
            found.push(next);
            if found.len() % 20 > 0 {
                continue;
            }
            overwrite(&store, &site, found.len() as u64).await;
            assert_held_up(&store).await;
            site.handle.sleep(SHORT).await;
        }
        assert_eq!(found.len() as u64, KEYS);
        assert_eq!(found.into_iter().collect::<super::Contents<K, V>>(), contents);
        drop(scan);
        store.compact().await.expect("no scan is in the way");
        store.close().await.expect("closes");
    });
}

/// A scan of a cache pauses, while old records are read. Each read that would have promoted one
/// marked the scan as in the way of compaction, so it expired although nothing waited for it.
#[test]
fn a_scan_of_a_cache_outlasts_reads() {
    let world = World::new(4);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = two_pages().with_cache(true).with_disk(ByteSize::mib(4));
        let store = site.open::<u64, [u8]>(config).await;
        for key in 0..KEYS {
            store.upsert(&key, &[1; LONGEST]).await.expect("there is space");
        }
        let mut scan = store.scan();
        scan.try_next().await.expect("a sound disk").expect("there are keys");
        let pause = async || {
            for key in 0..KEYS / 2 {
                assert!(store.read(&key).await.expect("a sound disk").is_some());
            }
            site.handle.sleep(LONG).await;
        };
        for _ in 0..3 {
            pause().await;
        }
        assert_eq!(store.stats().promotions, 0, "a scan is in progress");
        let rest: Vec<_> = scan.try_collect().await.expect("it does not expire");
        assert_eq!(rest.len() as u64, KEYS - 1);
        pause().await;
        assert!(store.stats().promotions > 0);
        store.close().await.expect("closes");
    });
}

#[test]
fn an_expired_scan_shows_only_its_moment() {
    seeds(40, expired::<u64, u64>);
    seeds(40, expired::<[u8], [u8]>);
}

/// A scan expires, and everything changes. What it shows is of its moment, then it fails, and a
/// scan from its cursor shows the rest.
fn expired<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = filled::<K, V>(&site).await;
        let contents = scanned(&store).await.expect("a sound disk");
        let mut scan = store.scan();
        let mut found = Vec::new();
        for _ in 0..site.random(2).below(KEYS / 2) {
            found.extend(scan.try_next().await.expect("a sound disk"));
        }
        // The scan may be in the middle of its work.
        for _ in 0..site.random(3).below(6) {
            if let std::task::Poll::Ready(next) = poll!(scan.next()) {
                let Some(next) = next else {
                    return store.close().await.expect("closes");
                };
                found.push(next.expect("a sound disk"));
            }
        }
        assert_held_up(&store).await;
        if site.random(5).chance(0.3) {
            // Frozen records are copied.
            overwrite(&store, &site, 7).await;
        }
        site.handle.sleep(2 * LONG).await;
        overwrite(&store, &site, 8).await;
        if site.random(4).chance(0.3) {
            store.compact().await.expect("no scan is in the way");
            overwrite(&store, &site, 9).await;
        }
        let end = loop {
            match scan.try_next().await {
                Ok(Some(next)) => found.push(next),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        for (key, value) in &found {
            assert_eq!(contents.get::<K::Owned>(key), Some(value), "{key:?} is of another moment");
        }
        let error = end.expect("the scan has expired");
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        let rest = store.scan_from(scan.cursor()).expect("the same opening");
        let rest: Vec<_> = rest.try_collect().await.expect("a sound disk");
        let keys: BTreeSet<_> = found.iter().chain(&rest).map(|(key, _value)| key).collect();
        assert_eq!(keys.len() as u64, KEYS, "a key is missed");
        drop(scan);
        store.close().await.expect("closes");
    });
}

#[test]
fn an_expired_removal_spares_what_has_changed() {
    seeds(60, removing::<u64, u64>);
    seeds(60, removing::<[u8], [u8]>);
}

/// A removal of everything is left alone in the middle, expires, and is polled again.
fn removing<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = filled::<K, V>(&site).await;
        let mut removal = pin!(store.retain(|_key, _value| false));
        for _ in 0..site.random(2).below(40) {
            if poll!(removal.as_mut()).is_ready() {
                return store.close().await.expect("closes");
            }
            // Other tasks work meanwhile.
            site.handle.sleep(Duration::from_micros(site.random(3).below(50))).await;
        }
        if store.stats().scans.in_progress == 0 {
            // It has no moment yet, and spares nothing.
            return;
        }
        assert_held_up(&store).await;
        site.handle.sleep(2 * LONG).await;
        overwrite(&store, &site, 8).await;
        let contents = scanned(&store).await.expect("a sound disk");
        assert_eq!(contents.len() as u64, KEYS);
        let error = removal.await.expect_err("it has expired");
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        assert_eq!(scanned(&store).await.expect("a sound disk"), contents, "a change is lost");
        store.close().await.expect("closes");
    });
}

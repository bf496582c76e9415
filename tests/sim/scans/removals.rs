//! Removals of all keys of one instant, beside writers.

use std::collections::BTreeMap;
use std::sync::Arc;

use kvick::config::ByteSize;
use kvick::io::sim::Random;
use kvick::{Config, FasterKv, Result};
use tests::polling::Waits;
use tests::samples::{SampleKey, SampleValue, item};
use tests::simulated::{Site, World, seeds};

use super::{
    Contents, KEYS, LONGEST, STEPS, WRITERS, Writes, disturb, pause, scanned, some_config,
};

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Writes<K, V> {
    /// Asserts that `found` are the contents after all writes and a removal of all keys. The
    /// removal happened after some number of writes in this range.
    fn assert_removed(&self, found: &Contents<K, V>, [first, last]: [usize; 2]) {
        let writes = self.0.lock().expect("one thread");
        let mut newest = BTreeMap::new();
        for (number, (key, value)) in writes.iter().enumerate() {
            newest.insert(key.clone(), (number, value));
        }
        for (key, (number, value)) in newest {
            let now = found.get::<K::Owned>(&key);
            if number >= last {
                assert_eq!(now, value.as_ref(), "{key:?} was written after the removal");
            } else if number < first {
                assert_eq!(now, None, "{key:?} was written before the removal");
            } else {
                assert!(now.is_none() || now == value.as_ref(), "{key:?}: {now:?}");
            }
        }
    }
}

#[test]
fn removals_of_words_spare_later_writes() {
    seeds(60, removing::<u64, u64>);
}

#[test]
fn removals_of_bytes_spare_later_writes() {
    seeds(60, removing::<[u8], [u8]>);
}

/// Deletes all keys of one instant, beside writers. The keys that were written before and not since
/// are gone, and the keys that were written later have their values, even the same ones.
fn removing<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(some_config(&site)).await;
        let writes = Writes::<K, V>(Arc::default());
        let mut random = site.random(4);
        for _ in 0..3 {
            let mut tasks = Vec::new();
            for number in 0..WRITERS {
                let writer = write_same(store.clone(), site.clone(), number, writes.clone());
                tasks.push(site.handle.spawn("writer", writer));
            }
            tasks.push(site.handle.spawn("disturber", disturb(store.clone(), site.clone())));
            pause(&site, &mut random).await;
            let (first, mut shown) = (writes.count(), None);
            let removed = if random.chance(0.3) {
                store.clear().await
            } else {
                let keep = |_key: K::View<'_>, _value: V::View<'_>| {
                    shown.get_or_insert(writes.count());
                    false
                };
                store.retain(keep).await
            };
            let removed = removed.expect("a sound disk");
            assert!(removed <= KEYS);
            let last = shown.unwrap_or(writes.count());
            for task in tasks {
                task.await.expect("the task ends well");
            }
            let contents = scanned(&store).await.expect("a sound disk");
            writes.assert_removed(&contents, [first, last]);
            // The next round begins with what is there.
            *writes.0.lock().expect("one thread") =
                contents.into_iter().map(|(key, value)| (key, Some(value))).collect();
        }
        assert_eq!(store.count().await.expect("a sound disk"), writes.count() as u64);
        assert_eq!(store.clear().await.expect("a sound disk"), writes.count() as u64);
        assert_eq!(store.count().await.expect("a sound disk"), 0);
        store.close().await.expect("closes");
    });
}

/// Writes one value to each key, again and again.
async fn write_same<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
    writes: Writes<K, V>,
) {
    let mut random = site.random(300 + number);
    for _ in 0..STEPS / 2 {
        let number = random.below(KEYS);
        let key = K::numbered(number);
        let value = V::sample(&mut Random::new(number), LONGEST);
        match random.below(6) {
            0 => pause(&site, &mut random).await,
            1 => {
                store.delete(item::<K>(&key)).await.expect("a sound disk");
                writes.note(key, None);
            }
            _ => {
                store.upsert(item::<K>(&key), item::<V>(&value)).await.expect("a sound disk");
                writes.note(key, Some(value));
            }
        }
    }
}

const COLD: u64 = 40_000;

/// Many keys share their chains with others. Once, a removal read the chain of each of them from
/// the device, although its scan had just done that.
#[test]
fn removals_of_cold_keys_read_no_more_than_a_scan() {
    let [scan, removal] = cold_removal(ByteSize::mib(2));
    assert!(scan.reads > 400, "few keys share a chain: {scan:?}");
    assert_eq!(removal.reads, scan.reads);
}

/// The deletions leave memory before the removal ends. So chains that its scan has read are read
/// again, but no longer one after the other.
#[test]
fn removals_of_cold_keys_read_their_chains_together() {
    let [scan, removal] = cold_removal(ByteSize::mib(1));
    let again = removal.reads - scan.reads;
    assert!(again > 1000, "few chains are read again: {removal:?}");
    assert!(removal.waits < again / 4, "{removal:?} for {again} chains");
}

/// The reads of a scan or a removal, and its waits during which the disk had nothing else to do.
#[derive(Debug)]
struct Cost {
    reads: u64,
    waits: u64,
}

/// Returns the costs of a scan of keys that are on the device, and of a removal of them.
fn cold_removal(memory: ByteSize) -> [Cost; 2] {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let page = ByteSize::kib(4);
        let config = Config::default().with_memory(memory).with_page_size(page);
        let store: FasterKv<u64, u64> = site.open(config.with_huge_pages(false)).await;
        store.upsert_each((0..COLD).map(|key| (key, key))).await.expect("a sound disk");
        store.flush_and_evict().await.expect("a sound disk");
        let scan = cost(&site, &store, store.count()).await;
        let removal = cost(&site, &store, store.clear()).await;
        assert_eq!(store.count().await.expect("a sound disk"), 0);
        store.close().await.expect("closes");
        [scan, removal]
    })
}

/// Returns the cost of work on all keys.
async fn cost(
    site: &Site,
    store: &FasterKv<u64, u64>,
    work: impl Future<Output = Result<u64>>,
) -> Cost {
    let reads = || store.stats().device.reads;
    let before = reads();
    let (keys, waits) = Waits::new(work, || site.disk.in_flight() == 1).await;
    assert_eq!(keys.expect("a sound disk"), COLD);
    Cost { reads: reads() - before, waits }
}

//! The read cache, while records move: no read returns less than the last write before it.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures::future::{LocalBoxFuture, join_all};
use kvick::config::ByteSize;
use kvick::{Config, FasterKv};
use tests::sharing::{HASH_SEED, chains};
use tests::simulated::{Site, World, seeds};

/// Chains of keys that share an index entry, and keys of each.
const CHAINS: usize = 4;
const KEYS_OF_CHAIN: usize = 6;
const WRITERS: usize = 2;
const STEPS: u32 = 120;

/// What one writer has done to its key. A reader sees one of the values since the last write that
/// had ended before the read began.
#[derive(Default)]
struct History {
    /// `None` is a deleted key.
    values: Vec<Option<u64>>,
    ended: usize,
}

impl History {
    /// Asserts that a read may have found this, which began after so many writes had ended.
    fn explain(&self, found: Option<Vec<u8>>, ended: usize) {
        let last = ended.checked_sub(1);
        // Before the first write there is no value.
        let none = last.is_none().then_some(None);
        let later = self.values[last.unwrap_or(0)..].iter().map(|value| value.map(bytes_of));
        let is_seen = none.into_iter().chain(later).any(|value| value == found);
        let found = found.map(|bytes| bytes[0]);
        assert!(is_seen, "{found:?}, but {ended} of {:?} had ended", self.values);
    }
}

#[test]
fn no_read_is_older_than_the_last_write() {
    let hits = Cell::new(0);
    seeds(100, |seed| hits.set(hits.get() + beside_movers(seed)));
    assert!(hits.get() > 1000, "{} hits of the cache", hits.get());
}

/// Returns the number of hits.
fn beside_movers(seed: u64) -> u64 {
    let world = World::new(seed);
    let site = Site { seed: HASH_SEED, ..world.site.clone() };
    world.simulation.run(async move {
        let mut random = world.site.random(3);
        let config = small(1 + random.below(8));
        let config = config.with_disk(random.chance(0.5).then_some(ByteSize::mib(1)));
        let store = site.open::<u64, [u8]>(config).await;
        let keys: Vec<u64> =
            chains()[..CHAINS].iter().flat_map(|chain| chain[..KEYS_OF_CHAIN].to_vec()).collect();
        let histories: Vec<_> = keys.iter().map(|_| RefCell::new(History::default())).collect();
        let mut tasks: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
        for number in 0..WRITERS {
            tasks.push(Box::pin(write(&world.site, &store, (&keys, &histories), number)));
        }
        for number in 0..3 {
            tasks.push(Box::pin(read(&world.site, &store, (&keys, &histories), number)));
        }
        tasks.push(Box::pin(move_records(&world.site, &store)));
        join_all(tasks).await;
        let hits = store.stats().hits.read_cache;
        store.close().await.expect("closes");
        hits
    })
}

/// Returns settings with few pages in memory, and a read cache of so many KiB.
fn small(read_cache: u64) -> Config {
    Config::default()
        .with_memory(ByteSize::kib(128))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(32))
        .with_read_cache(ByteSize::kib(read_cache))
        .with_keep_checkpoints(1)
        .with_huge_pages(false)
}

/// Returns the bytes of a value, which are sometimes in pieces.
fn bytes_of(value: u64) -> Vec<u8> {
    let words = if value.is_multiple_of(17) { 700 } else { 1 + value % 20 };
    value.to_le_bytes().repeat(usize::try_from(words).expect("small"))
}

/// Writes to every other key.
async fn write(
    site: &Site,
    store: &FasterKv<u64, [u8]>,
    (keys, histories): (&[u64], &[RefCell<History>]),
    number: usize,
) {
    let mut random = site.random(10 + number as u64);
    for step in 0..STEPS {
        let place = random.index(keys.len() / WRITERS) * WRITERS + number;
        let (key, history) = (&keys[place], &histories[place]);
        let value = (!random.chance(0.2)).then_some(u64::from(step));
        history.borrow_mut().values.push(value);
        match value {
            None => store.delete(key).await.map(drop),
            Some(value) if random.chance(0.5) => {
                store.upsert(key, &bytes_of(value)).await.map(drop)
            }
            // It reads the record before, which may be on the device.
            Some(value) => store.rmw(key, |_| bytes_of(value)).await.map(drop),
        }
        .expect("a sound disk");
        history.borrow_mut().ended += 1;
        site.handle.sleep(Duration::from_micros(random.below(600))).await;
    }
}

/// Reads some keys far more often than others.
async fn read(
    site: &Site,
    store: &FasterKv<u64, [u8]>,
    (keys, histories): (&[u64], &[RefCell<History>]),
    number: u64,
) {
    let mut random = site.random(20 + number);
    for _ in 0..3 * STEPS {
        let hot = if random.chance(0.8) { keys.len() / 4 } else { keys.len() };
        let place = random.index(hot);
        let history = &histories[place];
        let ended = history.borrow().ended;
        let found = match random.below(3) {
            0 => store.read_many(&[keys[place]]).await.map(|mut answers| answers.remove(0)),
            1 => store.read_with(&keys[place], <[u8]>::to_vec).await,
            _ => store.read(&keys[place]).await,
        }
        .expect("a sound disk");
        history.borrow().explain(found, ended);
        if random.chance(0.3) {
            site.handle.sleep(Duration::from_micros(random.below(300))).await;
        }
    }
}

/// Moves records to the device, copies those that are alive, and lets the memory change.
async fn move_records(site: &Site, store: &FasterKv<u64, [u8]>) {
    let mut random = site.random(30);
    for _ in 0..40 {
        site.handle.sleep(Duration::from_micros(random.below(2000))).await;
        match random.below(8) {
            0 => store.compact().await.map(drop).expect("a sound disk"),
            1 => store.checkpoint().await.map(drop).expect("a sound disk"),
            2 => {
                let memory = ByteSize::kib(112 + random.below(64));
                store.set_memory(memory).await.expect("above the floor");
            }
            _ => store.flush_and_evict().await.expect("a sound disk"),
        }
        let stats = store.stats().memory;
        assert!(stats.read_cache <= 16 << 10, "{stats:?}");
    }
}

/// A record that is dropped by compaction is gone from the cache too, also if its chain still leads
/// to the device.
#[test]
fn what_compaction_removes_is_not_found() {
    let world = World::new(7);
    let site = Site { seed: HASH_SEED, ..world.site.clone() };
    world.simulation.run(async move {
        let store = site.open::<u64, [u8]>(small(8)).await;
        let pairs: Vec<_> = chains()[..10].iter().map(|chain| (chain[0], chain[1])).collect();
        for (older, _) in &pairs {
            store.upsert(older, &bytes_of(1)).await.expect("a sound disk");
        }
        // The rest of the page.
        for key in 0..40 {
            store.upsert(&key, &[7; 100]).await.expect("a sound disk");
        }
        for (_, newer) in &pairs {
            store.upsert(newer, &bytes_of(2)).await.expect("a sound disk");
        }
        store.flush_and_evict().await.expect("a sound disk");
        for (older, newer) in &pairs {
            // The third read finds what the second one has kept.
            for _ in 0..3 {
                let found = store.read(older).await.expect("a sound disk");
                assert_eq!(found, Some(bytes_of(1)));
            }
            let found = store.read(newer).await.expect("a sound disk");
            assert_eq!(found, Some(bytes_of(2)));
        }
        assert_eq!(store.stats().hits.read_cache, 10, "{}", store.stats());
        let keep = |_: u64, value: &[u8]| value != bytes_of(1);
        let page = ByteSize::kib(4);
        let compacted = store.compact().oldest(page).keep(keep).await.expect("a sound disk");
        assert_eq!(compacted.removed_keys, 10, "{compacted:?}");
        for (older, newer) in &pairs {
            let found = store.read_many(&[*older, *newer]).await.expect("a sound disk");
            assert_eq!(found, [None, Some(bytes_of(2))]);
        }
        store.close().await.expect("closes");
    });
}

/// Reads fill the cache at the expense of pages, and a smaller budget takes it back.
#[test]
fn it_takes_memory_from_the_pages_as_it_fills() {
    let world = World::new(7);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = small(64).with_memory(ByteSize::kib(256));
        let store = site.open::<u64, [u8]>(config).await;
        for key in 0..3000 {
            store.upsert(&key, &[7; 160]).await.expect("a sound disk");
        }
        let before = store.stats().memory;
        assert_eq!(before.read_cache, 0);
        for key in (0..3000).map(|number| number % 1000) {
            assert!(store.contains(&key).await.expect("a sound disk"));
        }
        site.handle.sleep(Duration::from_millis(10)).await;
        let after = store.stats().memory;
        assert!((48 << 10..=64 << 10).contains(&after.read_cache), "{after:?}");
        assert!(after.frames <= before.frames - (40 << 10), "{before:?} {after:?}");
        let sum = after.index + after.frames + after.read_cache + after.sessions;
        assert!(sum <= after.budget, "{after:?}");
        store.set_memory(ByteSize::kib(112)).await.expect("above the floor");
        site.handle.sleep(Duration::from_millis(10)).await;
        let small = store.stats().memory;
        assert!(small.read_cache < after.read_cache, "{small:?}");
        let sum = small.index + small.frames + small.read_cache + small.sessions;
        assert!(sum <= small.budget, "{small:?}");
        store.close().await.expect("closes");
    });
}

/// Without it each read of a cold key reads the device.
#[test]
fn it_can_be_turned_off() {
    let world = World::new(7);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<u64, [u8]>(small(0)).await;
        store.upsert(&1, &[1; 100]).await.expect("a sound disk");
        store.flush_and_evict().await.expect("a sound disk");
        let before = store.stats().device.reads;
        for _ in 0..5 {
            assert!(store.contains(&1).await.expect("a sound disk"));
        }
        let stats = store.stats();
        assert_eq!((stats.device.reads - before, stats.hits.read_cache), (5, 0));
        store.close().await.expect("closes");
    });
}

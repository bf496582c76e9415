//! Values in pieces, while the log below them goes.
//!
//! Invariants, and the test of each:
//! 1. Compaction copies a piece once, however often the list of its value changes meanwhile
//!    (`a_renewed_value_is_copied_once`).
//! 2. A value that has lost a piece is absent, for every operation (`a_cut_value_is_absent`,
//!    `a_cut_value_is_compacted`), and writes say so (`a_cut_value_was_absent`).

use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

use futures::TryStreamExt;
use kvick::codec::Expiring;
use kvick::config::ByteSize;
use kvick::session::Expiry;
use kvick::{Config, FasterKv};
use tests::simulated::{Site, World, seeds, two_pages};

/// Many pieces, in pages of 4 KiB.
const LONG: usize = 200 << 10;

fn far(seconds: u64) -> Expiry {
    Expiry::at(UNIX_EPOCH + Duration::from_secs(2_000_000_000 + seconds))
}

async fn open(site: &Site) -> FasterKv<u64, Expiring<[u8]>> {
    let clock = {
        let handle = site.handle.clone();
        move || UNIX_EPOCH + Duration::from_secs(1_800_000_000) + handle.now()
    };
    let builder = FasterKv::builder(two_pages().with_memory(ByteSize::kib(128)));
    let builder = builder.runtime(site.handle.clone()).clock(clock).seed(site.seed);
    let builder = builder.directory(site.disk.directory("db"));
    builder.open_in_directory().await.expect("the store opens")
}

/// A task renews the expiry of a value as often as it can. Each renewal made compaction copy all
/// pieces again, so it ended only when the renewals did.
#[test]
fn a_renewed_value_is_copied_once() {
    seeds(4, |seed| {
        for in_place in [false, true] {
            let world = World::new(seed);
            let site = world.site.clone();
            world.simulation.run(async move {
                let store = open(&site).await;
                store.upsert_with(&1, &vec![7; LONG], far(0)).await.expect("a sound disk");
                store.upsert_with(&2, &[8; 100], far(0)).await.expect("a sound disk");
                let renewals = {
                    let (store, handle) = (store.clone(), site.handle.clone());
                    site.handle.spawn("renewals", async move {
                        for number in 1..2000 {
                            // The same expiry changes nothing.
                            let expiry = far(if in_place { 0 } else { number });
                            assert!(store.set_expiry(&1, expiry).await.expect("a sound disk"));
                            handle.sleep(Duration::from_micros(50)).await;
                        }
                    })
                };
                let compacted = store.compact().await.expect("a sound disk");
                let copied = compacted.copied_bytes;
                assert!(copied < 2 * LONG as u64, "{copied} bytes of {LONG}");
                renewals.await.expect("the task ends well");
                let found = store.read(&1).await.expect("a sound disk");
                assert!(found.is_some_and(|value| value == vec![7; LONG]));
                store.close().await.expect("closes");
            });
        }
    });
}

/// Writes to a cache until it has dropped the first pieces of the value of key 0, and not its list.
async fn cut(store: &FasterKv<u64, [u8]>) -> u64 {
    store.upsert(&0, &[7; LONG]).await.expect("a cache has room");
    for key in 1..100_000 {
        store.upsert(&key, &[8; 200]).await.expect("a cache has room");
        if key % 10 == 0 && store.read(&0).await.expect("a sound disk").is_none() {
            return key + 1;
        }
    }
    unreachable!("a cache drops what is old");
}

fn cache() -> Config {
    let config = Config::cache().with_memory(ByteSize::kib(128)).with_page_size(ByteSize::kib(4));
    let config = config.with_disk(ByteSize::kib(512)).with_segment_size(ByteSize::kib(16));
    config.with_huge_pages(false)
}

async fn check_absent(store: &FasterKv<u64, [u8]>, what: &str) {
    assert!(store.read(&0).await.expect(what).is_none(), "{what}");
    assert!(!store.contains(&0).await.expect(what), "{what}");
    let found: Vec<_> = store.scan().try_collect().await.expect(what);
    assert!(!found.is_empty() && found.iter().all(|(key, _value)| *key > 0), "{what}");
    assert_eq!(store.count().await.expect(what), found.len() as u64, "{what}");
    assert_eq!(store.retain(|key, _value| key > 0).await.expect(what), 0, "{what}");
}

/// A cache cuts a value. Its list ended every scan as damage, and counted as a key. Opened as a
/// plain store, no read and no compaction passed it.
#[test]
fn a_cut_value_is_absent() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = site.open::<u64, [u8]>(cache()).await;
            let last = cut(&store).await;
            check_absent(&store, "in the cache").await;
            store.checkpoint().await.expect("a sound disk");
            assert!(!store.insert_if_absent(&(last - 1), &[9]).await.expect("a sound disk"));
            store.close().await.expect("closes");
            let plain = cache().with_cache(false).with_disk(None);
            let store = site.open::<u64, [u8]>(plain).await;
            check_absent(&store, "in a plain store").await;
            store.flush_and_evict().await.expect("a sound disk");
            check_absent(&store, "on the device").await;
            assert!(store.insert_if_absent(&0, &[9]).await.expect("a sound disk"));
            store.delete(&0).await.expect("a sound disk");
            let compacted = store.compact().await.expect("no page is damaged");
            assert!(compacted.log_bytes > LONG as u64 / 4, "{compacted:?}");
            check_absent(&store, "after compaction").await;
            store.close().await.expect("closes");
        });
    });
}

/// Compaction passes the list of a cut value, which is the newest record of its key.
#[test]
fn a_cut_value_is_compacted() {
    let world = World::new(5);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<u64, [u8]>(cache()).await;
        cut(&store).await;
        store.checkpoint().await.expect("a sound disk");
        store.close().await.expect("closes");
        let store = site.open::<u64, [u8]>(cache().with_cache(false).with_disk(None)).await;
        store.compact().await.expect("no page is damaged");
        check_absent(&store, "after compaction").await;
        store.close().await.expect("closes");
    });
}

/// The list of a value is in memory, and a piece is not. Writes that find the list reported that
/// the key had a value.
#[test]
fn a_cut_value_was_absent() {
    let known = Cell::new(0);
    seeds(4, |seed| {
        for deletes in [false, true] {
            let world = World::new(seed);
            let site = world.site.clone();
            let previous = world.simulation.run(async move {
                let config = Config::cache().with_memory(ByteSize::kib(128 << (seed % 2)));
                let config = config.with_page_size(ByteSize::kib(4)).with_huge_pages(false);
                let store = site.open::<u64, [u8]>(config).await;
                store.upsert(&0, &[7; 60 << 10]).await.expect("a cache has room");
                for key in 1.. {
                    store.upsert(&key, &[8; 200]).await.expect("a cache has room");
                    if !store.contains(&0).await.expect("in memory") {
                        break;
                    }
                }
                let previous =
                    if deletes { store.delete(&0).await } else { store.upsert(&0, &[9]).await };
                store.close().await.expect("closes");
                previous.expect("a cache has room")
            });
            assert_ne!(previous.known(), Some(true), "it has lost a piece");
            known.set(known.get() + u32::from(previous.known().is_some()));
        }
    });
    assert!(known.get() > 0, "memory showed the list at least once");
}

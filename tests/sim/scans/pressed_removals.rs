//! Removals of a large part of a store in a full budget. Their own scan holds compaction up, which
//! makes the space for their tombstones. So a removal ends its scan while it waits for space, and
//! continues as of a later moment.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::{Either, select};
use kvick::config::ByteSize;
use kvick::{ErrorKind, FasterKv};
use tests::gauge::Gauge;
use tests::simulated::{Site, World, seeds, two_pages};

const VALUE: [u8; 200] = [7; 200];
const DISK: ByteSize = ByteSize::kib(2304);
const TASKS: u64 = 3;

async fn open(site: &Site) -> FasterKv<u64, [u8]> {
    let config = two_pages().with_segment_size(ByteSize::kib(8)).with_keep_checkpoints(2);
    site.open::<u64, [u8]>(config.with_disk(DISK)).await
}

/// Fills a store with keys from `from` on until it refuses one. Returns their end.
async fn fill(store: &FasterKv<u64, [u8]>, from: u64) -> u64 {
    for key in from.. {
        if let Err(error) = store.upsert(&key, &VALUE).await {
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            return key;
        }
    }
    unreachable!("a budget is finite")
}

/// Most of the budget is live data. Nothing else waits for the space.
#[test]
fn a_full_store_is_cleared_again_and_again() {
    let (simulation, site, gauge) = Gauge::world(1);
    simulation.run(async {
        let store = open(&site).await;
        let mut from = 0;
        for _ in 0..3 {
            let end = fill(&store, from).await;
            let live = (end - from) * 224;
            assert!(live > DISK.bytes() / 6 * 5, "{live} bytes are live");
            let removed = store.clear().await.expect("a removal makes its space");
            assert!(removed >= end - from, "{removed} of {}", end - from);
            assert_eq!(store.count().await.expect("a sound disk"), 0);
            from = end;
        }
        store.close().await.expect("closes");
    });
    gauge.check(DISK);
}

#[test]
fn half_of_a_full_store_is_removed() {
    let (simulation, site, gauge) = Gauge::world(2);
    simulation.run(async {
        let store = open(&site).await;
        let end = fill(&store, 0).await;
        let removed = store.retain(|key, _value| key % 2 == 0).await;
        assert_eq!(removed.expect("a removal makes its space"), end / 2);
        for key in 0..end {
            let found = store.read(&key).await.expect("a sound disk");
            let expected = (key % 2 == 0).then_some(&VALUE[..]);
            assert_eq!(found.as_deref(), expected, "key {key}");
        }
        store.close().await.expect("closes");
    });
    gauge.check(DISK);
}

/// Writers take the space as soon as there is some. What was there before the removal is gone, and
/// what was written after it is there.
#[test]
fn a_full_store_is_cleared_beside_writers() {
    let (simulation, site, gauge) = Gauge::world(3);
    simulation.run(async {
        let store = open(&site).await;
        let end = fill(&store, 0).await;
        let (next, is_over) = (Cell::new(end), Cell::new(false));
        let writer = async {
            while !is_over.get() {
                let key = next.get();
                next.set(key + 1);
                if let Err(error) = store.upsert(&(key % (3 * end / 2)), &VALUE).await {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                }
                site.handle.sleep(Duration::from_millis(20)).await;
            }
        };
        let removal = async {
            let removed = store.clear().await.expect("a removal makes its space");
            assert!(removed >= end, "{removed} of {end}");
        };
        match select(pin!(removal), pin!(writer)).await {
            Either::Left(((), writer)) => {
                let later = 3 * end;
                store.upsert(&later, &VALUE).await.expect("there is space");
                is_over.set(true);
                writer.await;
                assert!(store.read(&later).await.expect("a sound disk").is_some());
                let left = store.count().await.expect("a sound disk");
                assert!(left < end / 4, "{left} of {end} keys");
            }
            Either::Right(_) => unreachable!("the writer ends after the removal"),
        }
        store.close().await.expect("closes");
    });
    gauge.check(DISK);
}

/// Other deletions take the last pages for tombstones while the removal waits for the frame of one.
/// It waited on for compaction then, which waited for its scan.
#[test]
fn a_full_store_is_cleared_beside_deletions() {
    seeds(3, |seed| {
        let (simulation, site, gauge) = Gauge::world(seed);
        simulation.run(async {
            let store = open(&site).await;
            let end = fill(&store, 0).await;
            let deletions = (0..TASKS).map(|number| {
                let store = store.clone();
                site.handle.spawn("deletions", async move {
                    for key in (end / 3..end).filter(|key| key % TASKS == number) {
                        store.delete(&key).await.expect("there is space after a while");
                    }
                })
            });
            let deletions: Vec<_> = deletions.collect();
            store.clear().await.expect("a removal makes its space");
            for task in deletions {
                task.await.expect("the task ends well");
            }
            assert_eq!(store.count().await.expect("a sound disk"), 0);
            store.close().await.expect("closes");
        });
        gauge.check(DISK);
    });
}

/// The task holds another scan, so the removal would wait for itself.
#[test]
fn a_removal_within_a_scan_is_refused() {
    let world = World::new(4);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = open(&site).await;
        fill(&store, 0).await;
        let mut scan = store.scan();
        assert!(scan.try_next().await.expect("a sound disk").is_some());
        let error = store.clear().await.expect_err("the scan is in the way");
        super::pressed::assert_held_up(&error);
        drop(scan);
        store.clear().await.expect("a removal makes its space");
        assert_eq!(store.count().await.expect("a sound disk"), 0);
        store.close().await.expect("closes");
    });
}

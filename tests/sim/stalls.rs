//! A cache while no file can go.
//!
//! Invariants, and the test of each:
//! 1. While no checkpoint can let files go, it drops no more of its log
//!    (`a_full_device_costs_a_cache_a_part`, `missing_descriptors_cost_a_cache_a_part`), and goes
//!    on when one can.
//! 2. A writer is refused by a cache that a backup pins, before all of it is dropped
//!    (`a_pinned_cache_keeps_its_records`).

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use kvick::config::ByteSize;
use kvick::io::sim::{Fault, SimDisk, SimOptions};
use kvick::{Config, ErrorKind, FasterKv};
use tests::simulated::World;

const DISK: ByteSize = ByteSize::kib(512);

/// Returns the settings of a cache of sixteen pages in memory.
fn sixteen_pages(disk: ByteSize) -> Config {
    let config = Config::cache().with_memory(ByteSize::kib(128)).with_page_size(ByteSize::kib(4));
    config.with_disk(disk).with_segment_size(ByteSize::kib(16)).with_huge_pages(false)
}

async fn fill(store: &FasterKv<u64, [u8]>, keys: std::ops::Range<u64>) -> kvick::Result<()> {
    for key in keys {
        store.upsert(&key, &key.to_le_bytes().repeat(12)).await?;
    }
    Ok(())
}

/// Writes new keys from `from` on until the store refuses one.
async fn fill_until_refused(store: &FasterKv<u64, [u8]>, from: u64) -> kvick::Error {
    fill(store, from..from + 100_000).await.expect_err("there is no space for as many")
}

/// The device is full, so no checkpoint can be taken without which no file goes.
#[test]
fn a_full_device_costs_a_cache_a_part() {
    let world = World::new(9);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = sixteen_pages(ByteSize::mib(64));
        let store = site.open::<u64, [u8]>(config).await;
        fill(&store, 0..4000).await.expect("a cache has room");
        store.checkpoint().await.expect("there is space");
        site.disk.set_capacity(Some(site.disk.bytes_used()));
        let error = fill_until_refused(&store, 4000).await;
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        site.handle.sleep(Duration::from_mins(1)).await;
        let (evicted, log) = (store.stats().space.evicted_bytes, store.stats().log);
        let log = evicted + log.mutable + log.read_only + log.on_device;
        assert!(evicted <= log / 4, "{evicted} of {log} bytes went: {}", store.stats());
        site.disk.set_capacity(None);
        site.handle.sleep(Duration::from_secs(5)).await;
        fill(&store, 10_000..30_000).await.expect("there is space");
        store.close().await.expect("closes");
    });
}

/// No file can be opened, so no checkpoint can be taken, while the log has its own open.
#[test]
fn missing_descriptors_cost_a_cache_a_part() {
    let world = World::new(10);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<u64, [u8]>(sixteen_pages(DISK)).await;
        fill(&store, 0..2000).await.expect("a cache has room");
        store.checkpoint().await.expect("there is space");
        site.disk.fail_opens(Some(Fault::NoDescriptors));
        for key in 2000..2600_u64 {
            let value = key.to_le_bytes().repeat(12);
            if store.upsert(&key, &value).await.is_err() {
                break;
            }
            site.handle.sleep(Duration::from_millis(100)).await;
        }
        let (evicted, log) = (store.stats().space.evicted_bytes, store.stats().log);
        let log = evicted + log.mutable + log.read_only + log.on_device;
        assert!(evicted <= log / 4, "{evicted} of {log} bytes went: {}", store.stats());
        site.disk.fail_opens(None);
        site.handle.sleep(Duration::from_secs(5)).await;
        fill(&store, 10_000..30_000).await.expect("there is space");
        store.close().await.expect("closes");
    });
}

/// A backup does not end. Each wait of a writer cost the cache all of its records.
#[test]
fn a_pinned_cache_keeps_its_records() {
    let world = World::new(11);
    let site = world.site.clone();
    let target = SimDisk::new(1, SimOptions::default());
    world.simulation.add_source(Arc::new(target.clone()));
    world.simulation.run(async move {
        let store = site.open::<u64, [u8]>(sixteen_pages(DISK)).await;
        fill(&store, 0..2000).await.expect("a cache has room");
        store.checkpoint().await.expect("there is space");
        let backup = store.backup_to_directory(target.directory("copy")).into_future();
        let writer = async {
            while !target.files().iter().any(|(name, _bytes)| name.contains("log.")) {
                site.handle.sleep(Duration::from_micros(100)).await;
            }
            target.stall();
            let mut evicted = 0;
            for wait in 0..3 {
                let error = fill_until_refused(&store, 10_000 * (wait + 1)).await;
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                assert!(error.to_string().contains("a backup in progress needs files"), "{error}");
                let space = store.stats().space;
                assert!(wait == 0 || space.evicted_bytes == evicted, "wait {wait}: {space:?}");
                evicted = space.evicted_bytes;
            }
            let log = store.stats().log;
            assert!(log.on_device > DISK.bytes() / 4, "{}", store.stats());
        };
        // The backup is dropped with the wait.
        match select(backup, Box::pin(writer)).await {
            Either::Left(_) => panic!("the backup ends"),
            Either::Right(((), backup)) => drop(backup),
        }
        target.release();
        fill(&store, 50_000..70_000).await.expect("there is space");
        store.close().await.expect("closes");
    });
}

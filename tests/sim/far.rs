//! A store at the end of its addresses.

use std::sync::Arc;

use kvick::io::Directory;
use kvick::io::sim::SimDisk;
use kvick::runtime::Simulation;
use kvick::{ErrorKind, FasterKv, Result, checkpoint};
use tests::crash::{Image, Shared, Snapshots};
use tests::files::Files;
use tests::simulated::{Site, World, seeds, two_pages};

const PAGE: u64 = 4096;
const SEGMENT: u64 = 16 << 10;
/// The number of pages before the end that no store uses.
const KEPT_PAGES: u64 = 16;
const END: u64 = (1 << 48) - KEPT_PAGES * PAGE;
/// The begin of the log. More pages follow than the memory has.
const BEGIN: u64 = END - 20 * PAGE;

/// Moves an empty store to `BEGIN`, as if all pages before had been truncated.
async fn move_to_begin(directory: &dyn Directory) {
    let files = Files::of(directory).await;
    let moved = files.with_manifest(|text| {
        let line = |line: &str| match line.split_once(" = ") {
            Some((name @ ("begin" | "flushed" | "end"), _)) => format!("{name} = {BEGIN}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    });
    directory.write_file("manifest", moved.manifest().as_bytes()).await.expect("sound");
    directory.remove_file("manifest.copy").await.expect("there");
    directory.write_file("log.000000", b"").await.expect("sound");
    let first = format!("log.{}", BEGIN / SEGMENT);
    directory.rename("log.000000", &first).await.expect("there");
    directory.sync().await.expect("sound");
}

fn assert_exhausted<T>(result: Result<T>) {
    let Err(error) = result else { panic!("there is no address for it") };
    assert_eq!(error.kind(), ErrorKind::AddressesExhausted, "{error}");
    assert!(error.to_string().contains("new directory"), "{error}");
}

/// Writes keys that equal their values until the store refuses. Returns the number of keys.
async fn fill(store: &FasterKv<u64, u64>, first: u64) -> u64 {
    for key in first..10_000 {
        match store.upsert(&key, &key).await {
            Ok(_) => {}
            refused => {
                assert_exhausted(refused);
                return key;
            }
        }
    }
    panic!("the store never refused a key");
}

/// Checks that the store has these keys, with equal values, and no next one.
async fn assert_has(store: &FasterKv<u64, u64>, keys: u64) {
    for key in (0..keys).step_by(31).chain([keys - 1]) {
        assert_eq!(store.read(&key).await.expect("sound"), Some(key), "of {keys} keys");
    }
    assert_eq!(store.read(&keys).await.expect("sound"), None);
}

/// Addresses of a store have 48 bits, and no test had used all of them. The store must refuse an
/// operation that needs an address while the drivers can still compute, and do all others.
#[test]
fn a_store_without_addresses_keeps_what_it_has() {
    seeds(2, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(two_pages()).await;
            store.checkpoint().kind(checkpoint::Kind::FoldOver).await.expect("a sound disk");
            store.close().await.expect("closes");
            drop(store);
            move_to_begin(&*site.disk.directory("db")).await;
        });
        let keys = exhaust(seed, &site.disk);
        println!("{keys} keys before the end");
    });
}

/// Runs the life in which the addresses end, with power cuts, and the lives after it.
fn exhaust(seed: u64, disk: &SimDisk) -> u64 {
    let acknowledged = Shared::new(0);
    let random = kvick::io::sim::Random::new(seed);
    let snapshots = Arc::new(Snapshots::new(disk.clone(), acknowledged.clone(), 0.04, random));
    let simulation = Simulation::new(seed);
    simulation.add_source(snapshots.clone());
    let site = Site { handle: simulation.handle(), disk: disk.clone(), seed };
    let keys = simulation.run(async {
        let store = site.open::<u64, u64>(two_pages()).await;
        let keys = fill(&store, 0).await;
        assert_has(&store, keys).await;
        let keys = changes_in_place(&store, keys).await;
        for kind in [checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental] {
            store.checkpoint().kind(kind).await.expect("needs no address");
            *acknowledged.lock() = keys;
        }
        store.checkpoint().kind(checkpoint::Kind::FoldOver).await.expect("needs no address");
        // No record is mutable any more.
        assert_exhausted(store.upsert(&(keys - 1), &1).await);
        assert_has(&store, keys).await;
        store.close().await.expect("closes");
        keys
    });
    for _ in 0..2 {
        let simulation = Simulation::new(seed + 1);
        simulation.add_source(Arc::new(disk.clone()));
        let site = Site { handle: simulation.handle(), disk: disk.clone(), seed };
        simulation.run(async {
            let store = site.open::<u64, u64>(two_pages()).await;
            assert_has(&store, keys).await;
            assert_exhausted(store.upsert(&keys, &keys).await);
            store.checkpoint().snapshot().await.expect("needs no address");
            store.close().await.expect("closes");
        });
    }
    let images = snapshots.take();
    println!("{} images", images.len());
    for Image { disk, acknowledged } in images {
        let World { simulation, site } = World::on(seed, disk);
        simulation.run(async {
            let store = site.open::<u64, u64>(two_pages()).await;
            let mut found = 0;
            while store.read(&found).await.expect("sound") == Some(found) {
                found += 1;
            }
            assert!(found >= acknowledged, "{found} of {acknowledged} keys");
            let keys = fill(&store, found).await;
            store.checkpoint().kind(checkpoint::Kind::FoldOver).await.expect("needs no address");
            assert_has(&store, keys).await;
        });
    }
    keys
}

/// Changes the newest record in place. Older records would need a copy. Returns the number of keys
/// that are left.
async fn changes_in_place(store: &FasterKv<u64, u64>, keys: u64) -> u64 {
    let last = keys - 1;
    store.upsert(&last, &7).await.expect("in place");
    store.rmw(&last, |value| value.unwrap_or(0) + 1).await.expect("in place");
    assert_eq!(store.read(&last).await.expect("sound"), Some(8));
    store.upsert(&last, &last).await.expect("in place");
    assert_exhausted(store.upsert(&0, &7).await);
    assert_exhausted(store.rmw(&0, |value| value.unwrap_or(0) + 1).await);
    assert_exhausted(store.delete(&0).await);
    assert_has(store, keys).await;
    store.delete(&last).await.expect("in place");
    assert_has(store, last).await;
    assert_exhausted(store.upsert(&last, &last).await);
    last
}

//! The bytes that a checkpoint writes and keeps, and the bytes that a recovery must read.

use kvick::config::ByteSize;
use kvick::io::sim::Survival;
use kvick::{Config, FasterKv, checkpoint};
use tests::simulated::{Site, World, seeds, two_pages};

const KINDS: [checkpoint::Kind; 3] =
    [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental];

fn config() -> Config {
    two_pages().with_checkpoint_on_close(false)
}

async fn fill(store: &FasterKv<u64, u64>, keys: u64, value: u64) {
    for key in 0..keys {
        store.upsert(&key, &value).await.expect("a sound disk");
    }
}

/// Checks that each key has `value` after a power cut.
fn assert_left(seed: u64, site: &Site, config: Config, (keys, value): (u64, u64)) {
    let world = World::on(seed, site.disk.crash_with(seed, Survival::NOTHING));
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config).await;
        for key in 0..keys {
            assert_eq!(store.read(&key).await.expect("sound"), Some(value), "key {key}");
        }
        store.close().await.expect("closes");
    });
}

fn of_kind(site: &Site, kind: &str) -> usize {
    let prefix = format!("db/{kind}-");
    let is_first = |file: &str| file.starts_with(&prefix) && file.ends_with(".000000");
    site.disk.files().iter().filter(|(file, _)| is_first(file)).count()
}

/// Each checkpoint wrote the whole index: 131 MB for one changed key, with 1 GiB of memory.
#[test]
fn one_changed_key_is_a_small_checkpoint() {
    for kind in KINDS {
        let world = World::new(1);
        let site = world.site.clone();
        let config = Config::default()
            .with_memory(ByteSize::gib(1))
            .with_huge_pages(false)
            .with_checkpoint_on_close(false);
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config.clone()).await;
            fill(&store, 1000, 1).await;
            for value in 2..5 {
                let taken = store.checkpoint().kind(kind).await.expect("a sound disk");
                assert!(taken.bytes <= 1 << 20, "{kind:?}: {} bytes", taken.bytes);
                store.upsert(&7, &value).await.expect("a sound disk");
            }
            store.upsert(&7, &1).await.expect("a sound disk");
            store.checkpoint().kind(kind).await.expect("a sound disk");
            store.close().await.expect("closes");
        });
        assert_left(1, &site, config, (1000, 1));
    }
}

/// A store writes an image of the index when the log has grown by the size of the image.
/// Checkpoints in between refer to the image before, whose files stay as long as a checkpoint needs
/// them.
#[test]
fn images_of_the_index_are_as_frequent_as_the_log_grows() {
    seeds(3, |seed| {
        for kind in KINDS {
            let world = World::new(seed);
            let site = world.site.clone();
            let config = config().with_keep_checkpoints(3);
            let mut own = 0;
            world.simulation.run(async {
                let store = site.open::<u64, u64>(config.clone()).await;
                let image = store.stats().memory.index;
                for round in 1..=30 {
                    fill(&store, 300, round).await;
                    store.flush().await.expect("a sound disk");
                    let taken = store.checkpoint().kind(kind).await.expect("a sound disk");
                    let newest = format!("db/index-{}.000000", taken.token);
                    own += u32::from(site.disk.files().iter().any(|(file, _)| *file == newest));
                    let replayed = store.checkpoints().last().expect("taken").replayed_bytes;
                    // The log also grows while the store writes the image.
                    assert!(replayed <= image + 10_000, "{replayed} of {image}");
                }
                drop(store);
            });
            assert!((2..=8).contains(&own), "{kind:?}: {own} of 30 have an image of their own");
            assert!(of_kind(&site, "index") <= 4, "{:?}", site.disk.files());
            assert_left(seed, &site, config, (300, 30));
        }
    });
}

/// Increments of a set in memory never became a snapshot. There were as many delta files as
/// checkpoints, and recovery had to read all of them.
#[test]
fn increments_go_on_from_a_snapshot_now_and_then() {
    seeds(3, |seed| {
        for (keys, changed) in [(100, 100), (100, 3), (100, 0)] {
            let world = World::new(seed);
            let site = world.site.clone();
            let mut snapshots = 0;
            world.simulation.run(async {
                let store = site.open::<u64, u64>(config()).await;
                fill(&store, keys, 1).await;
                for round in 0..100 {
                    fill(&store, changed, round).await;
                    let taken = store.checkpoint().incremental().await.expect("a sound disk");
                    snapshots += u32::from(taken.kind == checkpoint::Kind::Snapshot);
                    let files = of_kind(&site, "delta") + of_kind(&site, "part");
                    assert!(files <= 2 * 18, "{files} files of two checkpoints");
                }
                fill(&store, keys, 7).await;
                store.checkpoint().incremental().await.expect("a sound disk");
                store.prune_checkpoints(1).await.expect("a sound disk");
                let files = site.disk.files().len();
                assert!(files < 24, "{files} files for one checkpoint");
                drop(store);
            });
            assert!((4..=60).contains(&snapshots), "{snapshots} of 100 are snapshots");
            assert_left(seed, &site, config(), (keys, 7));
        }
    });
}

/// A manifest without the removed checkpoint needed a block that a full disk did not have. The
/// removal failed when its space was needed.
#[test]
fn checkpoints_are_removed_from_a_full_disk() {
    seeds(6, |seed| {
        for prunes in [false, true] {
            let world = World::new(seed);
            let site = world.site.clone();
            world.simulation.run(async {
                let store = site.open::<u64, u64>(config().with_keep_checkpoints(9)).await;
                let mut oldest = None;
                for value in 1..=4 {
                    fill(&store, 300, value).await;
                    let taken = store.checkpoint().snapshot().with_index().await;
                    oldest.get_or_insert(taken.expect("a sound disk").token);
                }
                site.disk.set_capacity(Some(site.disk.bytes_used()));
                let before = site.disk.bytes_used();
                let removed = if prunes {
                    store.prune_checkpoints(1).await
                } else {
                    store.delete_checkpoint(oldest.expect("taken")).await
                };
                removed.expect("a removal needs no space");
                assert!(site.disk.bytes_used() < before, "nothing was freed");
                let has_copy = site.disk.files().iter().any(|(file, _)| file == "db/manifest.copy");
                assert!(has_copy, "the copy is written again");
                store.checkpoint().snapshot().await.expect("there is space again");
                site.disk.set_capacity(None);
                drop(store);
            });
            assert_left(seed, &site, config(), (300, 4));
        }
    });
}

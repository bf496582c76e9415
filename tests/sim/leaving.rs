//! A store that is opened without the write-ahead log that it has: the power fails at any I/O of
//! the opening, and the next one is of either kind.

use std::sync::Arc;

use kvick::checkpoint::Token;
use kvick::config::{ByteSize, DurableBy};
use kvick::io::sim::{Random, SimDisk};
use kvick::runtime::Simulation;
use kvick::{Config, FasterKv};
use tests::crash::{Image, Shared, Snapshots};
use tests::simulated::{Site, World, seeds, two_pages};

type Store = FasterKv<u64, u64>;

const KEYS: u64 = 200;

fn config(durable: DurableBy) -> Config {
    two_pages()
        .with_memory(ByteSize::kib(256))
        .with_durability(durable)
        .with_wal_memory(ByteSize::kib(256))
        .with_checkpoint_on_close(false)
        .with_commit_every(None)
}

async fn open(site: &Site, durable: DurableBy) -> Store {
    open_in(site, durable, Some("wal"), None).await
}

/// Opens the store with the log in this directory, at a checkpoint if there is one given.
async fn open_in(
    site: &Site,
    durable: DurableBy,
    wal: Option<&str>,
    token: Option<Token>,
) -> Store {
    let mut builder = FasterKv::builder(config(durable))
        .runtime(site.handle.clone())
        .directory(site.disk.directory("db"))
        .seed(site.seed);
    if let Some(wal) = wal {
        builder = builder.wal_directory(site.disk.directory(wal));
    }
    builder.recover(token).open_in_directory().await.expect("opens")
}

async fn check(store: &Store, number: u64) {
    for key in 0..KEYS {
        assert_eq!(store.read(&key).await.expect("a sound disk"), Some(number + key), "key {key}");
    }
}

/// Opens a store with all keys set from `number` on, and leaves its log or goes on with one.
/// Returns the number of images that were checked.
fn leave(seed: u64, disk: &SimDisk, number: u64, (depth, random): (u32, &mut Random)) -> u64 {
    let chance = if depth == 0 { 0.3 } else { 0.03 };
    let chance = if depth < 3 { chance } else { 0.0 };
    let snapshots = Snapshots::new(disk.clone(), Shared::new(()), chance, random.fork());
    let (snapshots, simulation) = (Arc::new(snapshots), Simulation::new(seed));
    simulation.add_source(snapshots.clone());
    let life = seed + random.below(1 << 20);
    let site = Site { handle: simulation.handle(), disk: disk.clone(), seed: life };
    let is_logged = depth > 0 && random.chance(0.5);
    let durable = if is_logged { DurableBy::Wal } else { DurableBy::Checkpoint };
    let images = simulation.run(async {
        let store = open(&site, durable).await;
        let images = snapshots.take();
        check(&store, number).await;
        assert_eq!(store.stats().wal.is_some(), is_logged);
        store.close().await.expect("closes");
        images
    });
    let mut checked = u64::from(depth > 0);
    for Image { disk, acknowledged: () } in images {
        checked += leave(seed, &disk, number, (depth + 1, random));
    }
    checked
}

#[test]
fn power_cuts_while_a_log_is_left_lose_nothing() {
    let checked = std::cell::Cell::new(0);
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = open(&site, DurableBy::Wal).await;
            for number in [0, 1000] {
                for key in 0..KEYS {
                    store.upsert(&key, &(number + key)).await.expect("there is space");
                }
                if number == 0 && seed % 2 == 0 {
                    store.checkpoint().await.expect("taken");
                }
            }
            store.sync().await.expect("a sound disk");
        });
        let (disk, mut random) = (site.disk.crash(seed), Random::new(seed));
        checked.set(checked.get() + leave(seed, &disk, 1000, (0, &mut random)));
    });
    println!("{} images checked", checked.get());
}

/// Returns the number of files in a directory, beside its lock.
fn files_in(disk: &SimDisk, directory: &str) -> usize {
    let within = format!("{directory}/");
    let is_file = |name: &&String| name.starts_with(&within) && !name.ends_with("/lock");
    disk.files().iter().map(|(name, _bytes)| name).filter(is_file).count()
}

/// A store that left a log whose files were out of reach, and then left another one, forgot the
/// first: its files stayed, and no log could be made in their directory.
#[test]
fn logs_that_were_left_out_of_reach_go_later() {
    const DIRECTORIES: [&str; 3] = ["one", "two", "three"];
    seeds(20, |seed| {
        let (world, random) = (World::new(seed), &mut Random::new(seed));
        let mut site = world.site.clone();
        world.simulation.run(async {
            for (number, directory) in (1..).zip(DIRECTORIES) {
                let store = open_in(&site, DurableBy::Wal, Some(directory), None).await;
                for key in 0..KEYS {
                    store.upsert(&key, &(number + key)).await.expect("there is space");
                }
                let taken = store.checkpoint().await.expect("taken");
                store.close().await.expect("closes");
                // Gives up the changes after the checkpoint, and so the log.
                site.seed += 1;
                let token = Some(taken.token);
                let store = open_in(&site, DurableBy::Checkpoint, None, token).await;
                check(&store, number).await;
                store.close().await.expect("closes");
                assert!(files_in(&site.disk, directory) > 0, "out of reach");
                site.seed += 1;
            }
            for directory in DIRECTORIES {
                if random.chance(0.5) {
                    let store = open_in(&site, DurableBy::Wal, Some(directory), None).await;
                    check(&store, DIRECTORIES.len() as u64).await;
                    store.close().await.expect("closes");
                    site.seed += 1;
                }
                let store = open_in(&site, DurableBy::Checkpoint, Some(directory), None).await;
                check(&store, DIRECTORIES.len() as u64).await;
                store.close().await.expect("closes");
                assert_eq!(files_in(&site.disk, directory), 0, "{directory}");
                site.seed += 1;
            }
        });
    });
}

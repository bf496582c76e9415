//! Recoveries by the token of a checkpoint that need not survive power cuts: it survives the next
//! one, since all others are given up for it.

use std::sync::Arc;

use kvick::checkpoint::{Durability, Token};
use kvick::config::{ByteSize, DurableBy};
use kvick::io::sim::{Random, SimDisk};
use kvick::runtime::Simulation;
use kvick::{Config, FasterKv, checkpoint};
use tests::crash::{Image, Shared, Snapshots};
use tests::simulated::{Site, World, seeds, two_pages};

const KEYS: u64 = 200;

fn config(has_wal: bool) -> Config {
    let config = two_pages().with_checkpoint_on_close(false).with_keep_checkpoints(3);
    if !has_wal {
        return config;
    }
    config.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256))
}

async fn fill(store: &FasterKv<u64, u64>, value: u64) {
    for key in 0..KEYS {
        store.upsert(&key, &value).await.expect("a sound disk");
    }
}

async fn recover(site: &Site, has_wal: bool, token: Token) -> kvick::Result<FasterKv<u64, u64>> {
    FasterKv::builder(config(has_wal))
        .runtime(site.handle.clone())
        .directory(site.disk.directory("db"))
        .wal_directory(site.disk.directory("wal"))
        .seed(site.seed + 1)
        .recover(token)
        .open_in_directory()
        .await
}

/// Takes a strong checkpoint of the value 1, unless there shall be none, and a weak one of the
/// value 2.
async fn make(site: &Site, has_wal: bool, has_strong: bool) -> Token {
    let store = site.open::<u64, u64>(config(has_wal)).await;
    fill(&store, 1).await;
    if has_strong {
        store.checkpoint().kind(checkpoint::Kind::Snapshot).await.expect("a sound disk");
    }
    fill(&store, 2).await;
    let kinds = [checkpoint::Kind::Snapshot, checkpoint::Kind::FoldOver];
    let weak = store.checkpoint().kind(kinds[site.random(5).index(2)]).with_index();
    let weak = weak.durability(Durability::ProcessCrash).await.expect("a sound disk");
    fill(&store, 3).await;
    store.close().await.expect("closes");
    weak.token
}

/// Checks that all keys have one value, which is one of these.
fn check(seed: u64, disk: &SimDisk, has_wal: bool, values: &[u64]) {
    let world = World::on(seed, disk.crash(seed));
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config(has_wal)).await;
        let first = store.read(&0).await.expect("a sound disk").expect("nothing is lost");
        assert!(values.contains(&first), "{first} of {values:?}");
        for key in 0..KEYS {
            assert_eq!(store.read(&key).await.expect("a sound disk"), Some(first), "key {key}");
        }
        store.close().await.expect("closes");
    });
}

/// Nothing was left after a power cut: the stronger checkpoints had gone. If there was none, the
/// write-ahead log must not bring back what was given up.
#[test]
fn a_weak_checkpoint_survives_after_a_recovery_by_its_token() {
    for (has_wal, has_strong) in [(false, true), (true, true), (true, false)] {
        seeds(12, |seed| {
            let world = World::new(seed);
            let site = world.site.clone();
            let token = world.simulation.run(make(&site, has_wal, has_strong));
            let disk = &site.disk;
            let random = Random::new(seed);
            let snapshots = Snapshots::new(disk.clone(), Shared::new(()), 0.3, random);
            let (snapshots, simulation) = (Arc::new(snapshots), Simulation::new(seed));
            simulation.add_source(snapshots.clone());
            recover_and_end(&simulation, disk, (seed, token), has_wal);
            // All that was given up is in the log until then.
            let before: &[u64] = if has_wal { &[2, 3] } else { &[1, 2] };
            for Image { disk, .. } in snapshots.take() {
                check(seed, &disk, has_wal, before);
            }
            check(seed, disk, has_wal, if has_wal { &[2] } else { before });
        });
    }
}

/// When a store has left its write-ahead log, the weak checkpoint is all that has the changes.
#[test]
fn a_weak_checkpoint_survives_after_its_store_has_left_the_log() {
    seeds(30, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let token = world.simulation.run(make(&site, true, true));
        let simulation = Simulation::new(seed);
        simulation.add_source(Arc::new(site.disk.clone()));
        recover_and_end(&simulation, &site.disk, (seed, token), false);
        check(seed, &site.disk, false, &[2]);
    });
}

/// Recovers the checkpoint, and then ends everything without a close.
fn recover_and_end(
    simulation: &Simulation,
    disk: &SimDisk,
    (seed, token): (u64, Token),
    has_wal: bool,
) {
    let site = Site { handle: simulation.handle(), disk: disk.clone(), seed };
    simulation.run(async {
        let store = recover(&site, has_wal, token).await.expect("it is there");
        assert_eq!(store.read(&1).await.expect("a sound disk"), Some(2));
        drop(store);
    });
}

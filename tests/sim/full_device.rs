//! A full device: removals free space after any number of power cuts, and the space that compaction
//! needs, by a budget or by hand.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::io::sim::{Random, SimDisk};
use kvick::runtime::Simulation;
use kvick::{Config, ErrorKind, FasterKv, FasterLog, checkpoint, log};
use tests::crash::{Image, Shared, Snapshots};
use tests::simulated::{Site, World, four_log_pages, seeds, two_pages};

const KEYS: u64 = 300;

fn config() -> Config {
    two_pages().with_checkpoint_on_close(false).with_keep_checkpoints(9)
}

/// Fills the free space of the disk.
fn fill_up(disk: &SimDisk) {
    disk.set_capacity(Some(disk.bytes_used()));
}

async fn checkpoint(store: &FasterKv<u64, u64>, value: u64) {
    for key in 0..KEYS {
        store.upsert(&key, &value).await.expect("there is space");
    }
    store.checkpoint().kind(checkpoint::Kind::FoldOver).with_index().await.expect("there is space");
}

/// On a full device the store wrote the manifest into the file of its copy. The copy came back only
/// if there was space at that moment: not after a power cut, nor if a flush was faster. From then
/// on no removal could free space.
#[test]
fn checkpoints_are_removed_from_a_full_device_after_any_power_cut() {
    let removed = std::cell::Cell::new(0);
    seeds(3, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            for value in 1..=4 {
                checkpoint(&store, value).await;
            }
            store.close().await.expect("closes");
        });
        let mut random = site.random(1);
        let cut = site.disk.crash(seed);
        removed.set(removed.get() + remove_and_cut(seed, &cut, (0, &mut random)));
    });
    println!("{} times a checkpoint was removed", removed.get());
}

/// Starts a life on a full disk, with images at its I/Os.
fn life_on(
    seed: u64,
    disk: &SimDisk,
    (life, random): (usize, &mut Random),
) -> (Arc<Snapshots<()>>, Simulation, Site) {
    fill_up(disk);
    let snapshots = Snapshots::new(disk.clone(), Shared::default(), CHANCES[life], random.fork());
    let (snapshots, simulation) = (Arc::new(snapshots), Simulation::new(seed));
    simulation.add_source(snapshots.clone());
    let site = Site { handle: simulation.handle(), disk: disk.clone(), seed };
    (snapshots, simulation, site)
}

/// The chances of an image at an I/O, for each life.
const CHANCES: [f64; 3] = [1.0, 0.1, 0.0];

/// Removes the oldest checkpoint on a full disk, and repeats this on images of power cuts
/// meanwhile.
fn remove_and_cut(seed: u64, disk: &SimDisk, (life, random): (usize, &mut Random)) -> u64 {
    let (snapshots, simulation, site) = life_on(seed, disk, (life, random));
    simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        for value in 4..6 {
            if store.checkpoints().len() < 2 {
                // The disk has space meanwhile.
                disk.set_capacity(None);
                checkpoint(&store, value).await;
            }
        }
        fill_up(disk);
        let before = disk.bytes_used();
        let oldest = store.checkpoints()[0].token;
        if let Err(error) = store.delete_checkpoint(oldest).await {
            let files = disk.files();
            panic!("a removal needs no space: {error}: {files:?}{}", disk.history());
        }
        assert!(disk.bytes_used() < before, "nothing was freed");
        fill_up(disk);
        for key in (0..KEYS).step_by(50) {
            assert!(store.read(&key).await.expect("sound").is_some(), "key {key}");
        }
    });
    let images = snapshots.take().into_iter();
    let deeper = images.map(|Image { disk, .. }| remove_and_cut(seed, &disk, (life + 1, random)));
    1 + deeper.sum::<u64>()
}

/// The test above, with the files of a truncated log.
#[test]
fn files_of_a_log_are_removed_from_a_full_device_after_any_power_cut() {
    let freed = std::cell::Cell::new(0);
    seeds(3, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(four_log_pages()).await;
            append(&log, 0).await;
            log.close().await.expect("closes");
        });
        let mut random = site.random(1);
        let cut = site.disk.crash(seed);
        freed.set(freed.get() + truncate_and_cut(seed, &cut, (0, &mut random)));
    });
    println!("{} times a truncation freed space", freed.get());
}

/// Appends numbered entries, which fill several files.
async fn append(log: &FasterLog, from: u64) {
    for number in from..from + 100 {
        let mut entry = vec![7; 700];
        entry[..8].copy_from_slice(&number.to_le_bytes());
        log.append(&entry).await.expect("there is space");
    }
    log.commit().await.expect("there is space");
}

/// Truncates a log on a full disk, and repeats this on images of power cuts meanwhile.
fn truncate_and_cut(seed: u64, disk: &SimDisk, (life, random): (usize, &mut Random)) -> u64 {
    let (snapshots, simulation, site) = life_on(seed, disk, (life, random));
    simulation.run(async {
        let log = site.open_log(four_log_pages()).await;
        let mut entries = entries_of(&log).await;
        let (mut first, last) = (entries[0], *entries.last().expect("an entry is left"));
        if last.1.raw() - first.1.raw() < 40_000 {
            // The disk has space meanwhile.
            disk.set_capacity(None);
            append(&log, last.0 + 1).await;
            entries = entries_of(&log).await;
            first = entries[0];
        }
        fill_up(disk);
        let before = disk.bytes_used();
        let kept = *entries.iter().find(|(_, at)| at.raw() > first.1.raw() + 33_000).expect("far");
        log.truncate_until(kept.1).await.expect("needs no space");
        let begun = site.handle.now();
        while disk.bytes_used() >= before {
            // A write lets the log notice that its device is full.
            if let Err(error) = log.commit().await {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            }
            let (waited, files) = (site.handle.now() - begun, disk.files());
            assert!(waited < Duration::from_secs(5), "{waited:?}: {files:?}{}", disk.history());
            site.handle.sleep(Duration::from_millis(20)).await;
        }
        fill_up(disk);
        assert_eq!(entries_of(&log).await[0], kept);
    });
    let images = snapshots.take().into_iter();
    let deeper = images.map(|Image { disk, .. }| truncate_and_cut(seed, &disk, (life + 1, random)));
    1 + deeper.sum::<u64>()
}

/// Returns the numbers of the entries and their addresses. Checks that no number is missing.
async fn entries_of(log: &FasterLog) -> Vec<(u64, log::Address)> {
    let number = |payload: &[u8]| u64::from_le_bytes(payload[..8].try_into().expect("8 bytes"));
    let scan = log.scan(..).map_ok(|entry| (number(&entry.payload), entry.address));
    let entries: Vec<_> = scan.try_collect().await.expect("sound");
    assert!(entries.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "{entries:?}");
    entries
}

const SMALL: u64 = 400;

/// Overwrites keys with values of some hundred bytes, again and again, until a write is refused.
/// Returns the number of writes.
async fn overwrite(store: &FasterKv<u64, [u8]>, most: u64) -> u64 {
    for number in 0..most {
        match store.upsert(&(number % SMALL), &[7; 300]).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                return number;
            }
        }
    }
    most
}

/// A budget keeps the space for compaction free, so a device of its size is never full.
#[test]
fn a_device_as_large_as_the_budget_is_never_full() {
    seeds(6, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let disk = ByteSize::kib(600);
            let config = two_pages().with_memory(ByteSize::kib(64 << (seed % 2))).with_disk(disk);
            let store = site.open::<u64, [u8]>(config).await;
            site.disk.set_capacity(Some(disk.bytes()));
            assert_eq!(overwrite(&store, 20_000).await, 20_000);
            store.close().await.expect("closes");
        });
    });
}

//! A write-ahead log whose own device is full: a checkpoint relieves it, whatever happens
//! meanwhile.
//!
//! One session sets keys in turn to the numbers of its operations. So the highest number tells all
//! that a store must have, and a reader of changes sees the numbers without a gap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kvick::config::{ByteSize, DurableBy};
use kvick::feed::{ChangeToken, Changes, Start};
use kvick::io::sim::{Random, SimDisk};
use kvick::runtime::Simulation;
use kvick::{Config, ErrorKind, FasterKv, Result};
use tests::cramped::Space;
use tests::crash::{Image, Shared, Snapshots};
use tests::simulated::{Site, World, seeds};

type Store = FasterKv<u64, [u8]>;

const KEYS: u64 = 40;
/// Room for two whole files of the log, and for a part of the third.
const ROOM: u64 = 5 << 20;
const FREE: u64 = 1 << 40;

fn config(site: &Site) -> Config {
    let small = Config::default()
        .with_memory(ByteSize::mib(1))
        .with_page_size(ByteSize::kib(16))
        .with_huge_pages(false);
    let config = small.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256));
    let every = site.random(7).chance(0.5).then_some(Duration::from_millis(1));
    let kept = u32::try_from(1 + site.random(8).below(3)).expect("small");
    config
        .with_wal_size(ByteSize::mib(16))
        .with_commit_every(every)
        .with_checkpoint_on_close(false)
        .with_keep_checkpoints(kept)
}

async fn open(site: &Site, space: &Space) -> Store {
    open_in(site, (space, &Space::of(FREE))).await
}

/// Opens the store, with space for its write-ahead log, and room for its other files.
async fn open_in(site: &Site, (space, room): (&Space, &Space)) -> Store {
    FasterKv::builder(config(site))
        .runtime(site.handle.clone())
        .directory(room.within(site.disk.directory("db")))
        .wal_directory(space.within(site.disk.directory("wal")))
        .seed(site.seed)
        .open_in_directory()
        .await
        .expect("opens")
}

/// The promises of a store.
#[derive(Clone, Debug, Default)]
struct Promises {
    /// The operations up to this number survive.
    durable: u64,
    /// A place in the changes, and the number of the last one before it.
    place: Option<(ChangeToken, u64)>,
}

/// The only writer of a store, and a reader of its changes.
struct Writer {
    store: Store,
    changes: Changes<u64, [u8]>,
    random: Random,
    /// The last number that was written.
    last: u64,
    /// The last number that was shown; `None` if some were removed before they were read.
    shown: Option<u64>,
    promises: Shared<Promises>,
}

impl Writer {
    fn new(store: Store, random: Random, last: u64, promises: Shared<Promises>) -> Self {
        let changes = store.changes(Start::Now).expect("it has a log");
        Self { store, changes, random, last, shown: Some(last), promises }
    }

    /// Writes the next number, and makes it durable now and then.
    async fn step(&mut self) -> Result<()> {
        let (key, value) = item(self.last + 1);
        self.store.upsert(&key, &value).await?;
        self.last += 1;
        if self.random.chance(0.02) {
            let written = self.last;
            self.store.sync().await?;
            self.promises.lock().durable = written;
            self.read().await;
        }
        Ok(())
    }

    /// Writes until something is refused, or until there are so many numbers.
    async fn fill(&mut self, most: u64) -> bool {
        while self.last < most {
            if let Err(error) = self.step().await {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                return true;
            }
        }
        false
    }

    /// Reads the changes that are durable. A checkpoint may have removed some of them.
    async fn read(&mut self) {
        loop {
            match self.changes.next_durable().await {
                Ok(None) => break,
                Ok(Some(change)) => {
                    let number = number(change.kind.into_value().as_deref());
                    let is_next = self.shown.is_none_or(|before| number == before + 1);
                    assert!(is_next, "{number} after {:?}", self.shown);
                    self.shown = Some(number);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
                    self.changes = self.store.changes(Start::Oldest).expect("it has a log");
                    self.shown = None;
                }
            }
        }
        self.promises.lock().place = self.shown.map(|shown| (self.changes.token(), shown));
    }

    /// Writes as [`fill`](Self::fill), and waits while the log is full.
    async fn go_on(&mut self, site: &Site, most: u64) {
        let mut waits = 0;
        while self.fill(most).await {
            waits += 1;
            assert!(waits < 500, "it is full for ever: {:?}", self.store.stats().wal);
            site.handle.sleep(Duration::from_millis(20)).await;
        }
    }
}

fn item(number: u64) -> (u64, Vec<u8>) {
    let mut value = vec![7; 6000];
    value[..8].copy_from_slice(&number.to_le_bytes());
    (number % KEYS, value)
}

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes(value[..8].try_into().expect("8 bytes")))
}

/// Checks that a store has all operations up to some number, which is no lower than the promised
/// one. Returns that number.
async fn check(store: &Store, promises: &Promises) -> u64 {
    let mut numbers = BTreeMap::new();
    for key in 0..KEYS {
        let value = store.read(&key).await.expect("a sound disk");
        numbers.insert(key, number(value.as_deref()));
    }
    let last = numbers.values().copied().max().unwrap_or_default();
    assert!(last >= promises.durable, "{last} came back of {promises:?}");
    for (key, number) in numbers {
        let newest = (last.saturating_sub(KEYS - 1)..=last).find(|number| number % KEYS == key);
        assert_eq!(number, newest.unwrap_or_default(), "key {key} of {last}");
    }
    if let Some((token, shown)) = promises.place {
        match store.changes(token) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Truncated, "{error}"),
            Ok(mut changes) => {
                let mut shown = shown;
                while let Some(change) = changes.next_durable().await.expect("kept") {
                    shown += 1;
                    assert_eq!(number(change.kind.into_value().as_deref()), shown, "a gap");
                }
                assert_eq!(shown, last, "some do not show");
            }
        }
    }
    last
}

/// Opens the store after a power cut, and checks it.
fn check_after_a_cut(seed: u64, disk: &SimDisk, promises: &Promises) {
    let cut = World::on(seed, disk.crash(seed));
    let site = cut.site.clone();
    cut.simulation.run(async {
        for _ in 0..2 {
            let store = open(&site, &Space::of(FREE)).await;
            check(&store, promises).await;
            store.close().await.expect("closes");
        }
    });
}

/// A checkpoint committed the log first, which needs space, so nothing could free any.
#[test]
fn a_full_log_is_relieved_by_a_checkpoint() {
    seeds(12, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let promises = Shared::default();
        world.simulation.run(async {
            let space = Space::of(ROOM);
            let store = open(&site, &space).await;
            let mut writer = Writer::new(store, site.random(1), 0, promises.clone());
            assert!(writer.fill(u64::MAX).await, "it is full at some time");
            // By the driver of checkpoints, or by hand.
            if seed % 2 == 0 {
                let taken = writer.store.checkpoint().await.expect("only the log is full");
                promises.lock().durable = writer.last;
                let from = writer.store.changes(taken.token).expect("kept").token();
                let last = writer.last;
                writer.go_on(&site, last + 100).await;
                writer.store.sync().await.expect("a checkpoint relieves the log");
                let mut changes = writer.store.changes(from).expect("kept");
                let first = changes.next_durable().await.expect("sound").expect("more follow");
                assert_eq!(number(first.kind.into_value().as_deref()), last + 1);
            }
            writer.go_on(&site, 3000).await;
            if writer.store.sync().await.is_ok() {
                promises.lock().durable = writer.last;
            }
        });
        let promises = promises.lock().clone();
        check_after_a_cut(seed, &site.disk, &promises);
    });
}

/// Older checkpoints kept what was needed, and nothing changed that a further one could have.
#[test]
fn a_full_log_is_relieved_beside_older_checkpoints() {
    seeds(6, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let promises: Shared<Promises> = Shared::default();
        world.simulation.run(async {
            let store = open(&site, &Space::of(ROOM)).await;
            let mut writer = Writer::new(store, site.random(1), 0, promises.clone());
            for _ in 0..3 {
                writer.go_on(&site, writer.last + 10).await;
                writer.store.checkpoint().await.expect("there is space");
            }
            assert!(writer.fill(u64::MAX).await, "it is full at some time");
            writer.store.sync().await.expect("a checkpoint relieves the log");
            promises.lock().durable = writer.last;
        });
        let promises = promises.lock().clone();
        check_after_a_cut(seed, &site.disk, &promises);
    });
}

/// The caller of a sync got an error, although a checkpoint made everything durable soon after.
#[test]
fn a_sync_waits_for_the_checkpoint_that_relieves_the_log() {
    seeds(12, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let promises: Shared<Promises> = Shared::default();
        world.simulation.run(async {
            let store = open(&site, &Space::of(ROOM)).await;
            let mut writer = Writer::new(store, site.random(1), 0, promises.clone());
            for _ in 0..3 {
                assert!(writer.fill(u64::MAX).await, "it is full at some time");
                if seed % 2 == 0 {
                    writer.store.sync().await.expect("a checkpoint has everything");
                } else {
                    // A session whose last operations have no entry, too.
                    let mut session =
                        writer.store.session_named("worker").expect("it is new, or ended");
                    for key in 0..5 {
                        session.take(&(KEYS + key)).await.expect("it is absent");
                    }
                    session.sync().await.expect("a checkpoint has everything");
                }
                promises.lock().durable = writer.last;
            }
        });
        let promises = promises.lock().clone();
        check_after_a_cut(seed, &site.disk, &promises);
    });
}

/// The checkpoint is tried first. Without space for it, too, the caller hears of the full log.
#[test]
fn a_sync_is_refused_if_no_checkpoint_relieves_the_log() {
    seeds(6, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let (space, room) = (Space::of(ROOM), Space::of(FREE));
            let store = open_in(&site, (&space, &room)).await;
            let mut writer = Writer::new(store, site.random(1), 0, Shared::default());
            room.set(0);
            assert!(writer.fill(u64::MAX).await, "it is full at some time");
            let refused = writer.store.sync().await.expect_err("nothing has space");
            assert_eq!(refused.kind(), ErrorKind::StorageFull, "{refused}");
            room.set(FREE);
            writer.store.sync().await.expect("a checkpoint has everything");
        });
    });
}

/// An opening continues the log at the cut of a checkpoint, and published that first. Without a
/// copy there is nothing that a manifest could be written over, so the store did not open.
#[test]
fn a_full_log_without_a_copy_of_its_manifest_opens() {
    seeds(12, |seed| {
        let promises: Shared<Promises> = Shared::default();
        let (mut world, mut last) = (World::new(seed), 0);
        for life in 0..4 {
            let site = world.site.clone();
            last = world.simulation.run(async {
                let space = Space::of(ROOM);
                if life > 0 {
                    space.refuse_files();
                }
                let store = open(&site, &space).await;
                let promised = promises.lock().clone();
                assert_eq!(check(&store, &promised).await, last, "life {life}");
                let mut writer = Writer::new(store, site.random(1), last, promises.clone());
                assert!(writer.fill(u64::MAX).await, "it is full at some time");
                space.refuse_files();
                let directory = site.disk.directory("wal");
                let copy = directory.remove_file("manifest.copy").await;
                directory.sync().await.expect("a sound disk");
                assert_eq!(copy.is_ok(), life == 0, "life {life}: {copy:?}");
                writer.store.checkpoint().await.expect("only the log is full");
                *promises.lock() = Promises { durable: writer.last, place: None };
                writer.last
            });
            world = World::on(seed + 1, world.site.disk.crash(seed));
        }
        let promises = promises.lock().clone();
        check_after_a_cut(seed, &world.site.disk, &promises);
    });
}

#[test]
fn power_cuts_while_a_full_log_is_relieved_lose_nothing() {
    let verified = std::cell::Cell::new(0);
    seeds(3, |seed| {
        let disk = World::new(seed).site.disk;
        let mut random = Random::new(seed);
        verified.set(verified.get() + relieve_and_cut(seed, &disk, (0, &mut random)));
    });
    println!("{} images verified", verified.get());
}

/// The chances of an image at an I/O, for each life.
const CHANCES: [f64; 3] = [0.03, 0.002, 0.0];

/// Fills the log until it is relieved, and repeats this on images of power cuts meanwhile.
fn relieve_and_cut(seed: u64, disk: &SimDisk, (life, random): (usize, &mut Random)) -> u64 {
    let promises: Shared<Promises> = Shared::default();
    let snapshots = Snapshots::new(disk.clone(), promises.clone(), CHANCES[life], random.fork());
    let (snapshots, simulation) = (Arc::new(snapshots), Simulation::new(seed));
    simulation.add_source(snapshots.clone());
    let site = Site { handle: simulation.handle(), disk: disk.clone(), seed };
    simulation.run(async {
        let space = Space::of(ROOM);
        let store = open(&site, &space).await;
        let last = check(&store, &Promises::default()).await;
        promises.lock().durable = last;
        let mut writer = Writer::new(store, site.random(1), last, promises.clone());
        writer.fill(last + 2000).await;
        // From here on. Before, there is nothing new.
        snapshots.take();
        writer.go_on(&site, writer.last + 200).await;
    });
    let mut verified = 1;
    for Image { disk, acknowledged } in snapshots.take() {
        check_after_a_cut(seed, &disk, &acknowledged);
        verified += relieve_and_cut(seed, &disk, (life + 1, random));
    }
    verified
}

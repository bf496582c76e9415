//! Batches with an offset, under power cuts at any I/O: each session comes back exactly at its
//! offset, with all changes of the batches up to there, and none of the next.
//!
//! The contents of a batch follow from the session and the number of the batch, which is its
//! offset. So the offset tells the value of each key of the session. Sessions share some keys, for
//! the order of changes: a store that was reopened by its log has the values of before.

mod ends;
mod space;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kvick::config::{ByteSize, DurableBy};
use kvick::io::sim::{Random, SimDisk};
use kvick::runtime::Simulation;
use kvick::{Config, ErrorKind, FasterKv, Session};
use tests::batches::batch_of;
use tests::crash::{Image, Shared, Snapshots};
use tests::simulated::{Site, World, seeds, two_pages};

type Store = FasterKv<u64, [u8]>;

const SESSIONS: u64 = 3;
const KEYS: u64 = 8;
const SHARED: u64 = 2;
const BATCHES: u64 = 20;
/// The chances of an image at an I/O, for each life.
const CHANCES: [f64; 3] = [0.02, 0.004, 0.0];

/// How a history is written, and made durable.
#[derive(Clone, Copy, Debug)]
struct Mode {
    is_logged: bool,
    /// Each change by itself, and then the offset: the negative control.
    is_single: bool,
}

/// The number of the last batch of each session that survives.
type Promises = BTreeMap<u64, u64>;

fn config(site: &Site, mode: Mode) -> Config {
    // So few pages that batches wait for the device, or an index that grows from one bucket, or
    // one with long chains of lines.
    let config = two_pages().with_checkpoint_on_close(false);
    let config = match site.random(9).below(3) {
        0 => config,
        1 => config.with_index_buckets(None).with_index_min(ByteSize::new(128)),
        _ => config.with_index_buckets(1),
    };
    if !mode.is_logged {
        return config;
    }
    let every = site.random(7).chance(0.5).then_some(Duration::from_millis(1));
    config
        .with_durability(DurableBy::Wal)
        .with_wal_memory(ByteSize::kib(256))
        .with_wal_size(ByteSize::kib(64 + site.random(8).below(256)))
        .with_commit_every(every)
}

async fn open(site: &Site, mode: Mode) -> Store {
    let store = FasterKv::builder(config(site, mode))
        .runtime(site.handle.clone())
        .directory(site.disk.directory("db"))
        .seed(site.seed);
    let store =
        if mode.is_logged { store.wal_directory(site.disk.directory("wal")) } else { store };
    store.open_in_directory().await.expect("opens")
}

/// The changes of a batch: keys of the session, and one that all sessions have.
fn changes(seed: u64, session: u64, number: u64) -> Vec<(u64, Option<Vec<u8>>)> {
    let mut random = Random::new(seed ^ (session << 40) ^ (number << 20));
    let mut value = || {
        let mut value = vec![0; 16 + [20, 100, 250][random.index(3)]];
        value[..8].copy_from_slice(&number.to_le_bytes());
        value[8..16].copy_from_slice(&session.to_le_bytes());
        let key = random.below(KEYS);
        (key, Some(value).filter(|_| !random.chance(0.25)))
    };
    let mut all: Vec<_> = (0..6).map(|_| value()).collect();
    for (key, _) in &mut all {
        *key += session * 100;
    }
    all.push((1000 + number % SHARED, Some([number, session].map(u64::to_le_bytes).concat())));
    all
}

async fn write(session: &mut Session<u64, [u8]>, mode: Mode, seed: u64, which: [u64; 2]) {
    let [own, number] = which;
    let changes = changes(seed, own, number);
    if !mode.is_single {
        let batch = batch_of(&changes);
        return session.write_batch(&batch, &number.to_le_bytes()).await.expect("there is space");
    }
    for (key, value) in &changes {
        match value {
            Some(value) => drop(session.upsert(key, value).await.expect("there is space")),
            None => drop(session.delete(key).await.expect("there is space")),
        }
    }
    session.set_offset(&number.to_le_bytes()).expect("it is short");
}

/// Works beside batches: ordinary changes of their keys, other keys, and compaction.
async fn disturb(store: &Store, random: &mut Random) {
    if random.chance(0.5) {
        store.upsert(&(1000 + random.below(SHARED)), &[9; 16]).await.expect("there is space");
    }
    let other = 10_000 + random.below(500);
    match random.below(30) {
        0 => drop(store.upsert(&other, &[7; 30]).await.expect("there is space")),
        1 => drop(store.delete(&other).await.expect("there is space")),
        2 => match store.compact().await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
        },
        _ => {}
    }
}

/// Writes batches of one session, from a number on.
async fn work(
    site: Site,
    store: Store,
    (mode, seed): (Mode, u64),
    own: u64,
    kept: Shared<Promises>,
) {
    let mut session = store.session_named(&own.to_string()).expect("it is not open");
    let mut random = site.random(own);
    let first = number_of(&session);
    for number in first + 1..=first + BATCHES {
        write(&mut session, mode, seed, [own, number]).await;
        disturb(&store, &mut random).await;
        let is_durable = match (mode.is_logged, random.below(8)) {
            (true, 0) => session.sync().await.map(|()| true).expect("a sound disk"),
            (_, 1) => match store.checkpoint().await {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                    false
                }
            },
            _ => false,
        };
        if is_durable {
            kept.lock().insert(own, number);
        }
    }
}

fn number_of(session: &Session<u64, [u8]>) -> u64 {
    session
        .offset()
        .map_or(0, |offset| u64::from_le_bytes(offset.bytes.try_into().expect("a number")))
}

/// Checks that each session has exactly the batches up to its offset.
async fn check(store: &Store, seed: u64, promises: &Promises) {
    for own in 0..SESSIONS {
        let session = store.session_named(&own.to_string()).expect("it is not open");
        let last = number_of(&session);
        let offset = session.offset().map_or(0, |offset| offset.serial);
        assert_eq!(session.serial(), offset, "session {own}: operations after its offset");
        let promised = promises.get(&own).copied().unwrap_or_default();
        assert!(last >= promised, "session {own}: {last}, and {promised} was promised");
        let mut expected = BTreeMap::new();
        for number in 1..=last {
            expected.extend(changes(seed, own, number));
        }
        for key in own * 100..own * 100 + KEYS {
            let found = store.read(&key).await.expect("a sound disk");
            let value = expected.get(&key).cloned().flatten();
            assert_eq!(found, value, "session {own} at {last}: key {key}");
        }
    }
}

async fn shared(store: &Store) -> Vec<Option<Vec<u8>>> {
    let keys: Vec<u64> = (1000..1000 + SHARED).collect();
    store.read_many(&keys).await.expect("a sound disk")
}

/// Works on a store, and checks it and the images of power cuts meanwhile. Returns their number.
fn history(
    (seed, mode): (u64, Mode),
    disk: &SimDisk,
    before: &Promises,
    (life, random): (usize, &mut Random),
) -> u64 {
    let kept = Shared::new(before.clone());
    let snapshots = Snapshots::new(disk.clone(), kept.clone(), CHANCES[life], random.fork());
    let (snapshots, simulation) = (Arc::new(snapshots), Simulation::new(seed));
    simulation.add_source(snapshots.clone());
    let number = random.below(1000);
    let site = Site { handle: simulation.handle(), disk: disk.clone(), seed: seed + number };
    simulation.run(async {
        let store = open(&site, mode).await;
        check(&store, seed, before).await;
        if life + 1 == CHANCES.len() {
            return;
        }
        let begin = |own| work(site.clone(), store.clone(), (mode, seed), own, kept.clone());
        join_all((0..SESSIONS).map(begin)).await;
        let values = shared(&store).await;
        if mode.is_logged {
            store.sync().await.expect("a sound disk");
            store.close().await.expect("closes");
            let store = open(&site, mode).await;
            assert_eq!(shared(&store).await, values, "in another order");
            let promised = kept.lock().clone();
            check(&store, seed, &promised).await;
        }
    });
    let mut verified = u64::from(life > 0);
    for Image { disk, acknowledged } in snapshots.take() {
        verified += history((seed, mode), &disk, &acknowledged, (life + 1, random));
    }
    verified
}

fn histories(mode: Mode, count: u64) {
    let verified = std::cell::Cell::new(0);
    seeds(count, |seed| {
        let (disk, mut random) = (World::new(seed).site.disk, Random::new(seed));
        let images = history((seed, mode), &disk, &Promises::new(), (0, &mut random));
        verified.set(verified.get() + images);
    });
    println!("{} images verified", verified.get());
}

#[test]
fn logged_batches_come_back_whole() {
    histories(Mode { is_logged: true, is_single: false }, 12);
}

#[test]
fn batches_in_checkpoints_come_back_whole() {
    histories(Mode { is_logged: false, is_single: false }, 18);
}

/// The negative control: changes one by one, with the offset after them.
#[test]
fn changes_one_by_one_are_caught() {
    for is_logged in [true, false] {
        let mode = Mode { is_logged, is_single: true };
        let caught = (0..8).filter(|seed| {
            let (disk, mut random) = (World::new(*seed).site.disk, Random::new(*seed));
            let run = || history((*seed, mode), &disk, &Promises::new(), (0, &mut random));
            let Err(caught) = catch_unwind(AssertUnwindSafe(run)) else { return false };
            let text = caught.downcast_ref::<String>().expect("an assertion failed");
            assert!(text.contains("operations after its offset"), "{text}");
            true
        });
        let caught = caught.count();
        assert!(caught > 0, "{mode:?}: no run of 8");
    }
}

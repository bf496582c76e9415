//! Stores that reopen with another configuration, checkpoints close to each other, and counters
//! that several sessions share while versions end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::io::sim::Survival;
use kvick::io::{Directory, MemoryDirectory};
use kvick::{Config, FasterKv, checkpoint, session};
use tests::journal::{ALL_KINDS, Journal};
use tests::simulated::{Site, World, seeds, small_configs, two_pages};

/// Returns configurations with other memory, other files, or another mutable fraction.
fn shapes() -> Vec<Config> {
    let base = two_pages().with_checkpoint_on_close(false);
    vec![
        base.clone(),
        base.clone().with_memory(ByteSize::mib(1)),
        base.clone().with_memory(ByteSize::kib(256)).with_expected_keys(5000),
        base.clone().with_mutable_fraction(0.0),
        base.with_segment_size(ByteSize::mib(1)).with_memory(ByteSize::kib(128)),
    ]
}

#[test]
fn a_store_comes_back_in_any_shape() {
    seeds(6, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let mut random = site.random(1);
            let mut before: Vec<tests::journal::Record> = Vec::new();
            for life in 0..12 {
                let config = shapes()[random.index(shapes().len())].clone();
                // Each life has its own seed, or sessions would get the ids of an earlier one.
                let place = Site { seed: seed * 100 + life, ..site.clone() };
                let store = place.open::<u64, u64>(config).await;
                for record in &before {
                    assert_eq!(record.check(&store).await, record.serial(), "life {life}");
                }
                let first_key = 1000 * life;
                let mut journal = Journal::new(&store, first_key, random.fork()).expect("open");
                for _ in 0..3 {
                    for _ in 0..random.below(400) {
                        journal.step().await.expect("a sound disk");
                    }
                    let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                    store.checkpoint().kind(kind).await.expect("a sound disk");
                }
                store.checkpoint().incremental().await.expect("a sound disk");
                before.push(journal.end());
                drop(store);
                site.handle.sleep(Duration::from_secs(1)).await;
            }
        });
    });
}

/// The files of the simulated disk open in a directory of another kind.
#[test]
fn a_store_comes_back_on_another_backend() {
    seeds(4, |seed| {
        for kind in ALL_KINDS {
            let world = World::new(seed);
            let site = world.site.clone();
            world.simulation.run(async {
                let config = site.small_config().with_checkpoint_on_close(false);
                let store = site.open::<u64, u64>(config.clone()).await;
                let mut journal = Journal::new(&store, 0, site.random(3)).expect("open");
                for _ in 0..500 {
                    journal.step().await.expect("a sound disk");
                }
                store.checkpoint().snapshot().await.expect("a sound disk");
                store.checkpoint().kind(kind).await.expect("a sound disk");
                let record = journal.end();
                let directory = MemoryDirectory::new();
                let from = site.disk.directory("db");
                for name in from.list().await.expect("a sound disk") {
                    let bytes = from.read_file(&name).await.expect("a sound disk");
                    directory.write_file(&name, &bytes).await.expect("memory");
                }
                let moved: FasterKv<u64, u64> = FasterKv::builder(config)
                    .runtime(site.handle.clone())
                    .directory(Arc::new(directory))
                    .open_in_directory()
                    .await
                    .expect("the same files");
                assert_eq!(record.check(&moved).await, record.serial(), "{kind:?}");
            });
        }
    });
}

/// Several checkpoints within one page of the log are each recovered after a crash.
#[test]
fn checkpoints_within_one_page() {
    seeds(3, |seed| {
        for count in 1..=6 {
            for kinds in 0..3 {
                for crash in [None, Some(Survival::NOTHING), Some(Survival::EVERYTHING)] {
                    within_one_page(seed, count, kinds, crash);
                }
            }
        }
    });
}

fn within_one_page(seed: u64, count: usize, kinds: usize, crash: Option<Survival>) {
    let mut world = World::new(seed);
    let mut before: BTreeMap<u64, tests::journal::Record> = BTreeMap::new();
    for life in 0..3_u64 {
        let site = Site { seed: seed * 10 + life, ..world.site.clone() };
        let config = small_configs()[kinds].clone().with_checkpoint_on_close(false);
        let record = world.simulation.run(async {
            let store = site.open::<u64, u64>(config).await;
            for (life, record) in &before {
                assert_eq!(record.check(&store).await, record.serial(), "of life {life}");
            }
            let mut journal = Journal::new(&store, 1000 * life, site.random(3)).expect("open");
            for number in 0..count {
                for _ in 0..7 {
                    journal.step().await.expect("a sound disk");
                }
                let kind = [
                    checkpoint::Kind::FoldOver,
                    checkpoint::Kind::Snapshot,
                    checkpoint::Kind::Incremental,
                ][(kinds + number * kinds) % 3];
                let request = store.checkpoint().kind(kind);
                let taken = if number % 2 == 0 { request } else { request.without_index() };
                taken.await.expect("a sound disk");
            }
            if crash.is_none() {
                store.close().await.expect("closes");
            }
            journal.end()
        });
        before.insert(life, record);
        if let Some(survival) = crash {
            let image = world.site.disk.crash_with(seed + life, survival);
            world = World::on(seed + life, image);
        }
    }
}

const SHARED: u64 = 5;
const WORKERS: u64 = 4;

/// Each update of a shared counter has a serial number, so a version contains it or not. A
/// recovered counter is the sum of the contained updates, and a live one the sum of all.
#[test]
fn shared_counters_are_those_of_their_version() {
    seeds(24, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let logs = world.simulation.run(async {
            let config = site.small_config().with_checkpoint_on_close(false);
            let store = site.open::<u64, u64>(config).await;
            let workers: Vec<_> = (0..WORKERS)
                .map(|number| {
                    let worker = count(store.clone(), site.clone(), number);
                    site.handle.spawn("worker", worker)
                })
                .collect();
            let mut random = site.random(2);
            for _ in 0..6 {
                let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                store.checkpoint().kind(kind).await.expect("a sound disk");
                site.handle.sleep(Duration::from_micros(random.below(3000))).await;
            }
            store.checkpoint().incremental().await.expect("a sound disk");
            let mut logs = BTreeMap::new();
            for worker in workers {
                let (id, log) = worker.await.expect("the worker ends well");
                logs.insert(id, log);
            }
            let expected = sums(&logs, |_, _| true);
            assert_eq!(read(&store).await, expected, "the live counters");
            logs
        });
        for survival in [Survival::NOTHING, Survival::EVERYTHING] {
            let world = World::on(seed, site.disk.crash_with(seed, survival));
            let site = world.site.clone();
            world.simulation.run(async {
                let config = site.small_config().with_checkpoint_on_close(false);
                let store = site.open::<u64, u64>(config).await;
                let points = store.recovered_sessions();
                let is_in = |id: session::Id, serial| {
                    points.get(&id).is_some_and(|point| point.covers(serial))
                };
                assert_eq!(read(&store).await, sums(&logs, is_in), "the recovered counters");
            });
        }
    });
}

/// The counter and the amount of each update, by serial number.
type Log = Vec<(u64, u64)>;

async fn count(store: FasterKv<u64, u64>, site: Site, number: u64) -> (session::Id, Log) {
    let mut random = site.random(10 + number);
    let mut session = store.session().expect("open");
    let id = session.id();
    let mut log = Log::new();
    for round in 0..150 {
        if random.chance(0.3) {
            // Batches leave gaps: keys on the device end later than keys in memory.
            let keys: Vec<u64> = (0..SHARED).filter(|_| random.chance(0.5)).collect();
            let amount = 1 + random.below(9);
            let add = |_, value: Option<u64>| value.unwrap_or(0) + amount;
            session.rmw_many(&keys, add).await.expect("a sound disk");
            // The order of the numbers within the batch is unknown. The batch uses all of them, and
            // each adds the same amount.
            log.extend(keys.iter().map(|key| (*key, amount)));
        } else {
            let (key, amount) = (random.below(SHARED), random.below(1000));
            let add = |value: Option<u64>| value.unwrap_or(0) + amount;
            session.rmw(&key, add).await.expect("a sound disk");
            log.push((key, amount));
        }
        for filler in 0..random.below(20) {
            // An operation through the handle has no serial number.
            let key = 1000 + number * 10_000 + round * 20 + filler;
            store.upsert(&key, &key).await.expect("a sound disk");
        }
        if random.chance(0.2) {
            site.handle.sleep(Duration::from_micros(random.below(500))).await;
        }
    }
    assert_eq!(session.serial(), log.len() as u64);
    (id, log)
}

fn sums(logs: &BTreeMap<session::Id, Log>, is_in: impl Fn(session::Id, u64) -> bool) -> Vec<u64> {
    let mut sums = vec![0; usize::try_from(SHARED).expect("small")];
    for (id, log) in logs {
        for (serial, (key, amount)) in (1..).zip(log) {
            if is_in(*id, serial) {
                sums[usize::try_from(*key).expect("small")] += amount;
            }
        }
    }
    sums
}

async fn read(store: &FasterKv<u64, u64>) -> Vec<u64> {
    let mut found = Vec::new();
    for key in 0..SHARED {
        found.push(store.read(&key).await.expect("a sound disk").unwrap_or(0));
    }
    found
}

//! Power cuts at any I/O of stores that take checkpoints of every kind while several sessions work.
//! The power also fails during recovery and in the life after it. A recovery yields a checkpoint no
//! older than the newest acknowledged one. It has exactly the prefix of every session that the
//! checkpoint names.
//!
//! `IMAGES=1000000` sets the number of verified images in all tests together. `SEED` replays one
//! history with all its images.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kvick::checkpoint::Durability;
use kvick::config::{Acknowledge, ByteSize, DurableBy};
use kvick::io::sim::{Random, SimDisk, SimOptions};
use kvick::runtime::Simulation;
use kvick::session::Update;
use kvick::{Config, FasterKv, Session, checkpoint};
use tests::budgets::set_some_memory;
use tests::crash::{
    Acknowledged, COUNTERS, Effect, Entry, Image, Ledgers, SHARED, Shared, Snapshots, apply,
    next_life, recovered, verify,
};
use tests::crowd::CROWD;
use tests::polling::AtMost;
use tests::replica::{Replica, Seen};
use tests::samples::{SampleKey, SampleValue, item};
use tests::simulated::{Site, seeds_until};

const SESSIONS: u64 = 3;
const KEYS: u64 = 10;
const STEPS: u64 = 50;
/// The share of lives with many sessions, most of them idle, whose commit points need files.
const CROWDED: f64 = 0.25;
/// The number of images of each of the four tests.
const IMAGES: u64 = 12_500;
/// The share of the I/Os with an image in histories with a log. These have a hundred thousand and
/// more: few images of many histories find more than all of one.
const LOGGED: f64 = 0.05;

#[test]
fn words() {
    crashes::<u64, u64>(Durable::ByCheckpoints);
}

#[test]
fn bytes() {
    crashes::<[u8], [u8]>(Durable::ByCheckpoints);
}

#[test]
fn bytes_under_numbers() {
    crashes::<u64, [u8]>(Durable::ByCheckpoints);
}

#[test]
fn words_under_texts() {
    crashes::<str, u64>(Durable::ByCheckpoints);
}

#[test]
fn logged_words() {
    crashes::<u64, u64>(Durable::ByLog);
}

#[test]
fn logged_bytes() {
    crashes::<[u8], [u8]>(Durable::ByLog);
}

#[test]
fn logged_bytes_under_numbers() {
    crashes::<u64, [u8]>(Durable::ByLog);
}

#[test]
fn logged_words_under_texts() {
    crashes::<str, u64>(Durable::ByLog);
}

/// What makes the operations of a history durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    ByCheckpoints,
    /// A write-ahead log, beside checkpoints.
    ByLog,
}

impl Durable {
    fn config(self, config: Config, random: &mut Random) -> Config {
        if self == Self::ByCheckpoints {
            return config;
        }
        let every = random.chance(0.3).then(|| Duration::from_micros(300 + random.below(3000)));
        config
            .with_durability(DurableBy::Wal)
            .with_wal_memory(ByteSize::kib(256))
            .with_wal_size(ByteSize::kib(16 + random.below(64)))
            .with_commit_every(every)
    }
}

fn crashes<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(durable: Durable) {
    let wanted = std::env::var("IMAGES")
        .map_or(IMAGES, |images| images.parse::<u64>().expect("IMAGES is a number").div_ceil(8));
    let verified = AtomicU64::new(0);
    let is_enough = |_seed| verified.load(Ordering::Relaxed) >= wanted;
    seeds_until(is_enough, |seed| {
        // A third of the disks may damage durable bytes beside a sector that is being written.
        let physical_block = (seed % 3 == 2).then_some(4096);
        let options = SimOptions { physical_block, ..SimOptions::default() };
        verified.fetch_add(history::<K, V>(seed, options, durable), Ordering::Relaxed);
    });
    println!("{} crash images verified", verified.load(Ordering::Relaxed));
}

/// The negative control: these checks must fail on a disk that syncs nothing and reports success.
#[test]
fn a_disk_that_ignores_syncs_is_caught() {
    let lying = SimOptions { ignore_syncs: true, ..SimOptions::default() };
    for durable in [Durable::ByCheckpoints, Durable::ByLog] {
        let caught = (0..10).filter(|seed| {
            let history = || history::<u64, u64>(*seed, lying.clone(), durable);
            catch_unwind(AssertUnwindSafe(history)).is_err()
        });
        assert_eq!(caught.count(), 10, "{durable:?}");
    }
}

/// Runs one history and verifies all its images. Returns their number.
fn history<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    seed: u64,
    options: SimOptions,
    durable: Durable,
) -> u64 {
    let mut random = Random::new(seed ^ 0xc2a5);
    let options = SimOptions {
        latency: Duration::from_micros(1)..=Duration::from_micros([20, 200, 2000][random.index(3)]),
        write_once: vec!["log.".to_owned(), "part-".to_owned()],
        ..options
    };
    let disk = SimDisk::new(seed, options);
    let (seen, ledgers) = (Seen::default(), Ledgers::default());
    let run: Run<K, V> = Run { seed, durable, disk, seen, ledgers, depth: 0 };
    run.explore(&mut random)
}

/// One life of a store, and the state in which it begins.
struct Run<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    seed: u64,
    durable: Durable,
    disk: SimDisk,
    seen: Seen<K, V>,
    ledgers: Ledgers<V>,
    depth: u32,
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Run<K, V> {
    /// Opens and verifies the store, perhaps works on it, and explores the images taken meanwhile.
    /// Returns the number of verified images.
    fn explore(self, random: &mut Random) -> u64 {
        let (works, chance) = next_life(self.depth, random);
        let chance = if self.durable == Durable::ByLog { chance * LOGGED } else { chance };
        let seen = self.seen.clone();
        let shared = Shared::new(seen.share());
        let snapshots = Snapshots::new(self.disk.clone(), shared, chance, random.fork());
        let snapshots = Arc::new(snapshots);
        let simulation = Simulation::new(self.seed);
        simulation.add_source(snapshots.clone());
        let life =
            self.seed.wrapping_add(u64::from(self.depth) << 32).wrapping_add(random.below(99));
        let site = Site { handle: simulation.handle(), disk: self.disk.clone(), seed: life };
        let ledgers = Shared::new(self.ledgers.clone());
        simulation.run(async {
            let first = Site { seed: self.seed, ..site.clone() };
            let config = self.durable.config(first.small_config(), &mut first.random(6));
            let disk = (self.seed % 2 == 1).then_some(ByteSize::kib(256));
            let store = site.open::<K, V>(config.with_disk(disk));
            let store = store.await;
            let before = self.seen.acknowledged.lock().clone();
            let kept = verify(&store, &before, &self.ledgers).await;
            if self.durable == Durable::ByLog {
                let mut replica = self.seen.replica.lock().clone();
                replica.verify(&store).await;
                *seen.replica.lock() = replica;
            }
            if works {
                // From here on no operation of an earlier life may be missing.
                *seen.acknowledged.lock() = recovered(&store, &before);
                *ledgers.lock() = kept;
                work(&site, &store, (&ledgers, &seen), self.durable).await;
            }
        });
        let mut verified = u64::from(self.depth > 0);
        for Image { disk, acknowledged: seen } in snapshots.take() {
            let (ledgers, depth) = (ledgers.lock().clone(), self.depth + 1);
            let Self { seed, durable, .. } = self;
            verified += Self { seed, durable, disk, seen, ledgers, depth }.explore(random);
        }
        verified
    }
}

/// Runs sessions and checkpoints side by side.
async fn work<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: &Site,
    store: &FasterKv<K, V>,
    (ledgers, seen): (&Shared<Ledgers<V>>, &Seen<K, V>),
    durable: Durable,
) {
    let acknowledged = &seen.acknowledged;
    let following = (durable == Durable::ByLog).then(|| {
        let following = Replica::follow(seen.replica.clone(), store.clone());
        site.handle.spawn("replica", following)
    });
    let mut sessions: Vec<_> = store
        .recovered_sessions()
        .into_keys()
        .map(|id| store.resume_session(id).expect("recovered"))
        .collect();
    let busy = usize::try_from(SESSIONS).expect("small");
    let wanted = if site.random(4).chance(CROWDED) { busy + CROWD } else { busy };
    while sessions.len() < wanted {
        sessions.push(store.session().expect("open"));
    }
    let others = sessions.split_off(busy);
    let workers: Vec<_> = sessions
        .into_iter()
        .zip(0..)
        .map(|(session, number)| {
            let log = (durable == Durable::ByLog).then(|| acknowledged.clone());
            let worker = worker::<K, V>(site.clone(), (session, log), ledgers.clone(), number);
            site.handle.spawn("worker", worker)
        })
        .collect();
    let others = crowd::<K, V>(site.clone(), others, ledgers.clone());
    let others = site.handle.spawn("crowd", others);
    let taker = take_checkpoints(site.clone(), store.clone(), acknowledged.clone());
    let taker = site.handle.spawn("checkpoints", taker);
    for worker in workers {
        worker.await.expect("the worker ends well");
    }
    others.await.expect("the crowd ends well");
    taker.await.expect("checkpoints end well");
    drop(following);
}

async fn take_checkpoints<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    store: FasterKv<K, V>,
    acknowledged: Shared<Acknowledged>,
) {
    let mut random = site.random(3);
    let favourite = [
        checkpoint::Kind::Auto,
        checkpoint::Kind::FoldOver,
        checkpoint::Kind::Snapshot,
        checkpoint::Kind::Incremental,
    ][random.index(4)];
    for _ in 0..1 + random.below(6) {
        pause(&site, &mut random).await;
        if random.chance(0.3) {
            set_some_memory(&store, &mut random).await;
        }
        if random.chance(0.25) {
            // It takes a checkpoint of its own.
            let polls = if random.chance(0.2) { 1 } else { u32::MAX };
            let compacted = AtMost::new(polls, store.compact().into_future()).await;
            compacted.transpose().expect("a sound disk");
        }
        let kind = match random.below(10) {
            0 => checkpoint::Kind::IndexOnly,
            1 => checkpoint::Kind::FoldOver,
            2 => checkpoint::Kind::Snapshot,
            3 => checkpoint::Kind::Incremental,
            4 => checkpoint::Kind::Auto,
            _ => favourite,
        };
        let is_weak = random.chance(0.1);
        let mut request = store.checkpoint().kind(kind);
        if random.chance(0.5) {
            request = request.without_index();
        }
        if is_weak {
            request = request.durability(Durability::ProcessCrash);
        }
        if random.chance(0.1) {
            // A dropped checkpoint continues, so the store may refuse the next one.
            drop(request.start());
            continue;
        }
        match request.await {
            Ok(taken) if is_weak || kind == checkpoint::Kind::IndexOnly => drop(taken),
            Ok(taken) => {
                let token = taken.token.version();
                let mut acknowledged = acknowledged.lock();
                acknowledged.token = token;
                acknowledged.points.extend(taken.sessions);
            }
            // The budget of the run has no room for an image that was asked for.
            Err(error) if error.to_string().contains("an image of the index") => {}
            Err(error) => panic!("a sound disk, and a turn for each: {error}"),
        }
        if random.chance(0.2) {
            store.flush_and_evict().await.expect("a sound disk");
        }
    }
}

/// Works on keys of its own, whose values it knows, and on shared counters. With a log, makes its
/// operations durable now and then.
async fn worker<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    (mut session, log): (Session<K, V>, Option<Shared<Acknowledged>>),
    ledgers: Shared<Ledgers<V>>,
    number: u64,
) {
    let mut random = site.random(100 + number);
    let id = session.id();
    let first_key = 1000 * number_of(id);
    let mut contents = ledgers.lock().contents();
    let waits = log.is_some() && random.chance(0.3);
    if waits {
        session.set_acknowledge(Acknowledge::Durable).expect("there is a log");
    }
    for _ in 0..STEPS {
        let (key, mut last) = (first_key + random.below(KEYS), None);
        if let Some(acknowledged) = log.as_ref().filter(|_| random.chance(0.2)) {
            session.sync().await.expect("a sound disk");
            acknowledged.lock().points.insert(id, session.commit_point());
        }
        match random.below(20) {
            0..3 => {
                let encoded = K::numbered(key);
                let found = session.read(item::<K>(&encoded)).await.expect("a sound disk");
                assert_eq!(found.as_ref(), contents.get(&key), "key {key} of a running store");
            }
            3 => pause(&site, &mut random).await,
            4..6 => {
                let keys = (first_key, &mut random);
                last = batch::<K, V>(&mut session, &ledgers, &mut contents, keys).await;
            }
            _ => {
                let (key, effect) = draw::<V>(key, &mut random);
                let serial = session.next_serial();
                ledgers.lock().push(id, Entry { serial, key, effect: effect.clone() });
                let polls = if random.chance(0.2) { 1 } else { u32::MAX };
                let operation = Box::pin(operate::<K, V>(&mut session, key, effect.clone()));
                let ended = AtMost::new(polls, operation).await.is_some();
                let done = session.next_serial() != serial;
                assert!(done || !ended, "a finished operation has its number");
                assert!(!done || session.serial() == serial, "the operation has the next number");
                if done {
                    last = ended.then_some(serial);
                    apply::<V>(&mut contents, key, &effect);
                } else {
                    ledgers.lock().forget(id, &[serial]);
                }
            }
        }
        if let (true, Some(last), Some(acknowledged)) = (waits, last, &log) {
            assert!(session.commit_point().until >= last, "{last} is durable");
            acknowledged.lock().points.insert(id, session.commit_point());
        }
    }
    // A power failure runs no destructor either.
    std::mem::forget(session);
}

/// Lets one session or all of them write now and then.
async fn crowd<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    mut sessions: Vec<Session<K, V>>,
    ledgers: Shared<Ledgers<V>>,
) {
    let mut random = site.random(5);
    for _ in 0..3 {
        pause(&site, &mut random).await;
        let busy = if random.chance(0.5) { sessions.len() } else { 1 };
        for session in sessions.iter_mut().take(busy) {
            let (id, serial) = (session.id(), session.next_serial());
            let (key, effect) = (1000 * number_of(id), Effect::Set(V::sample(&mut random, 20)));
            ledgers.lock().push(id, Entry { serial, key, effect: effect.clone() });
            operate::<K, V>(session, key, effect).await;
        }
    }
    std::mem::forget(sessions);
}

/// Returns a number for a session. Two sessions are unlikely to share it, or the keys after it.
fn number_of(id: kvick::session::Id) -> u64 {
    let text = id.to_string();
    let hash = text.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    2000 + hash % 1_000_000_007
}

fn draw<V: SampleValue + ?Sized>(key: u64, random: &mut Random) -> (u64, Effect<V::Owned>) {
    match random.below(11) {
        0..4 => (key, Effect::Set(V::sample(random, 600))),
        4..7 => (key, Effect::Update(random.next_u64())),
        7 => (key, Effect::Delete),
        8 => (key, Effect::Take { decides: random.chance(0.5) }),
        _ => (SHARED + random.below(COUNTERS), Effect::Count),
    }
}

async fn operate<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    session: &mut Session<K, V>,
    key: u64,
    effect: Effect<V::Owned>,
) {
    let encoded = K::numbered(key);
    let key = item::<K>(&encoded);
    let done = match effect {
        Effect::Set(value) => session.upsert(key, item::<V>(&value)).await.map(drop),
        Effect::Update(tag) => session.rmw(key, |value| V::updated(value, tag)).await.map(drop),
        Effect::Delete => session.delete(key).await.map(drop),
        Effect::Take { decides: false } => session.take(key).await.map(drop),
        Effect::Take { decides: true } => session.update(key, |_| Update::Remove(())).await,
        Effect::Count => session.rmw(key, V::counted).await.map(drop),
    };
    done.expect("a sound disk");
}

/// Writes several keys in one batch, each once. A dropped batch has done some of its keys, and the
/// numbers of the others come next. Returns the number of the last key if the batch has ended.
async fn batch<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    session: &mut Session<K, V>,
    ledgers: &Shared<Ledgers<V>>,
    contents: &mut BTreeMap<u64, V::Owned>,
    (first_key, random): (u64, &mut Random),
) -> Option<u64> {
    let id = session.id();
    let count = 2 + random.below(KEYS - 2);
    let numbers: Vec<u64> = (first_key..first_key + count).collect();
    let keys: Vec<K::Owned> = numbers.iter().map(|number| K::numbered(*number)).collect();
    let sets = random.chance(0.5);
    let effects: Vec<Effect<V::Owned>> = numbers
        .iter()
        .map(|_| {
            let value = V::sample(random, 300);
            if sets { Effect::Set(value) } else { Effect::Update(random.next_u64()) }
        })
        .collect();
    let serials = session.next_serials(numbers.len());
    for ((serial, key), effect) in serials.iter().zip(&numbers).zip(&effects) {
        let entry = Entry { serial: *serial, key: *key, effect: effect.clone() };
        ledgers.lock().push(id, entry);
    }
    let polls = if random.chance(0.3) {
        1 + u32::try_from(random.below(3)).expect("small")
    } else {
        u32::MAX
    };
    let all = Box::pin(all_at_once::<K, V>(session, &keys, &effects));
    let ended = AtMost::new(polls, all).await.is_some();
    let undone = session.next_serials(numbers.len());
    for ((serial, key), effect) in serials.iter().zip(&numbers).zip(&effects) {
        if !undone.contains(serial) {
            apply::<V>(contents, *key, effect);
        } else {
            assert!(!ended, "number {serial} was not done");
        }
    }
    ledgers.lock().forget(id, &undone);
    serials.last().copied().filter(|_| ended)
}

async fn all_at_once<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    session: &mut Session<K, V>,
    keys: &[K::Owned],
    effects: &[Effect<V::Owned>],
) {
    if let Effect::Set(_) = effects[0] {
        let values = effects.iter().map(|effect| match effect {
            Effect::Set(value) => value.clone(),
            other => unreachable!("{other:?}"),
        });
        let pairs: Vec<_> = keys.iter().cloned().zip(values).collect();
        session.upsert_many(&pairs).await.expect("a sound disk");
    } else {
        let tags: Vec<u64> = effects
            .iter()
            .map(|effect| match effect {
                Effect::Update(tag) => *tag,
                other => unreachable!("{other:?}"),
            })
            .collect();
        let update = |place: usize, value| V::updated(value, tags[place]);
        session.rmw_many(keys, update).await.expect("a sound disk");
    }
}

async fn pause(site: &Site, random: &mut Random) {
    site.handle.sleep(Duration::from_micros(random.below(3000))).await;
}

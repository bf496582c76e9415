//! Commit points of many sessions, in files and in the manifest. Every kept checkpoint has exactly
//! its own points after any power cut, whatever sessions were busy, forgotten or removed meanwhile.
//!
//! The manifest had the points of all sessions once for each kept checkpoint. With 100,000 idle
//! sessions a checkpoint of one word wrote 16 MB twice and took 2.6 s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kvick::checkpoint::Durability;
use kvick::config::ByteSize;
use kvick::io::sim::{Random, SimDisk, SimOptions, Survival};
use kvick::runtime::Simulation;
use kvick::{Config, FasterKv, Session, checkpoint, session};
use tests::crash::{Image, Shared, Snapshots};
use tests::crowd::pass_through;
use tests::simulated::{Site, World, seeds, two_pages};

const LIVES: u64 = 4;
const ROUNDS: u64 = 8;

/// The serial number of each session.
type Points = BTreeMap<session::Id, u64>;

/// The commit points that a checkpoint must have.
#[derive(Clone, Debug, Default)]
struct Expected {
    points: Points,
    /// The sessions that were forgotten while the checkpoint was taken: it may have them or not.
    going: BTreeSet<session::Id>,
}

impl Expected {
    fn check(&self, found: &Points, what: &str) {
        let ids: BTreeSet<&session::Id> = self.points.keys().chain(found.keys()).collect();
        for id in ids {
            let (expected, found) = (self.points.get(id), found.get(id));
            let is_gone = found.is_none() && self.going.contains(id);
            assert!(is_gone || expected == found, "{what}: {id}: {expected:?}, found {found:?}");
        }
    }
}

/// The expected points of all checkpoints.
#[derive(Clone, Debug, Default)]
struct Known {
    by_token: BTreeMap<u64, Expected>,
    /// The expected points of the checkpoint that is being taken.
    next: Expected,
    /// The newest checkpoint that must be there after a power cut.
    acknowledged: u64,
}

impl Known {
    fn of(&self, token: u64) -> &Expected {
        self.by_token.get(&token).unwrap_or(&self.next)
    }
}

fn config() -> Config {
    two_pages()
        .with_memory(ByteSize::kib(256))
        .with_keep_checkpoints(3)
        .with_checkpoint_on_close(false)
}

#[test]
fn every_checkpoint_has_its_own_points() {
    let counts = Shared::new((0, 0));
    seeds(12, |seed| {
        let mut random = Random::new(seed ^ 0x5e55);
        let disk = SimDisk::new(seed, SimOptions::default());
        let (mut image, mut images) = (Image { disk, acknowledged: Known::default() }, 0);
        let mut layers = 0;
        for life in 0..LIVES {
            let Image { disk, acknowledged } = image;
            let known = Shared::new(acknowledged);
            let snapshots = Snapshots::new(disk.clone(), known.clone(), 0.04, random.fork());
            let snapshots = Arc::new(snapshots);
            // The ids of sessions derive from the seed, so each life has another one.
            let in_life = seed ^ (life + 1) << 32;
            let simulation = Simulation::new(in_life);
            simulation.add_source(snapshots.clone());
            let site = Site { handle: simulation.handle(), disk: disk.clone(), seed: in_life };
            simulation.run(live(site, known.clone(), random.fork()));
            layers += disk.files().iter().filter(|(file, _)| file.contains("sessions-")).count();
            let mut taken = snapshots.take();
            taken.iter().for_each(|image| verify(seed, image, &mut random));
            images += taken.len();
            let last =
                Image { disk: disk.crash(random.next_u64()), acknowledged: known.lock().clone() };
            taken.push(last);
            image = taken.swap_remove(random.index(taken.len()));
        }
        let mut counts = counts.lock();
        *counts = (counts.0 + images, counts.1 + layers);
    });
    let (images, layers) = *counts.lock();
    println!("{images} images, {layers} files of points");
    assert!(images > 60 && layers > 40, "{images} images, {layers} files of points");
}

/// Opens the newest checkpoint of an image, and sometimes the older ones by their tokens.
fn verify(seed: u64, image: &Image<Known>, random: &mut Random) {
    let known = &image.acknowledged;
    let older = open_copy(seed, &image.disk, None, known);
    if random.chance(0.3) {
        for token in older {
            open_copy(seed, &image.disk, Some(token), known);
        }
    }
}

/// Opens a checkpoint of a copy of a disk. Returns the tokens of the older ones.
fn open_copy(
    seed: u64,
    disk: &SimDisk,
    token: Option<checkpoint::Token>,
    known: &Known,
) -> Vec<checkpoint::Token> {
    let world = World::on(seed, disk.crash_with(seed, Survival::NOTHING));
    let site = world.site.clone();
    world.simulation.run(async {
        let mut builder = FasterKv::<u64, u64>::builder(config());
        if let Some(token) = token {
            builder = builder.recover(token);
        }
        let builder = builder.runtime(site.handle.clone()).directory(site.disk.directory("db"));
        let store = builder.seed(seed).open_in_directory().await.expect("the store opens");
        check(&store, known);
        let mut tokens: Vec<_> = store.checkpoints().iter().map(|info| info.token).collect();
        tokens.pop();
        tokens
    })
}

/// Checks the points of an opened store, and returns them.
fn check(store: &FasterKv<u64, u64>, known: &Known) -> Points {
    let chosen = store.recovery().and_then(|report| report.chosen);
    let token = chosen.map_or(0, checkpoint::Token::version);
    let found = points(store);
    if token > 0 {
        known.of(token).check(&found, &format!("checkpoint {token}"));
    } else {
        assert!(found.is_empty() && known.acknowledged == 0, "nothing was acknowledged");
    }
    for info in store.checkpoints() {
        let Expected { points, going } = known.of(info.token.version());
        let fewest = points.keys().filter(|id| !going.contains(id)).count();
        assert!((fewest..=points.len()).contains(&info.sessions), "{info:?}: {}", points.len());
    }
    found
}

fn points(store: &FasterKv<u64, u64>) -> Points {
    store.recovered_sessions().into_iter().map(|(id, point)| (id, point.until)).collect()
}

async fn live(site: Site, known: Shared<Known>, random: Random) {
    let store: FasterKv<u64, u64> = site.open(config()).await;
    let newest = store.checkpoints().last().map_or(0, |info| info.token.version());
    let acknowledged = known.lock().acknowledged;
    assert!(newest >= acknowledged, "{acknowledged} was acknowledged, {newest} was found");
    let found = check(&store, &known.lock());
    {
        let mut known = known.lock();
        // The store assigns the tokens of lost checkpoints again.
        let kept: BTreeMap<u64, Expected> = store
            .checkpoints()
            .iter()
            .map(|info| (info.token.version(), known.of(info.token.version()).clone()))
            .collect();
        known.by_token = kept;
        known.by_token.insert(newest, Expected { points: found.clone(), going: BTreeSet::new() });
        known.acknowledged = newest;
    }
    let found_none = found.is_empty();
    let mut life = Life { site, store, known, random, sessions: Vec::new(), points: found };
    if found_none && life.random.chance(0.4) {
        // With so many sessions, the store rarely merges the changed points with the rest.
        life.come(400).await;
    }
    for _ in 0..ROUNDS {
        life.round().await;
    }
    // A power failure runs no destructor either.
    std::mem::forget(life.sessions);
}

struct Life {
    site: Site,
    store: FasterKv<u64, u64>,
    known: Shared<Known>,
    random: Random,
    sessions: Vec<Session<u64, u64>>,
    /// The serial numbers of all kept sessions, open or not.
    points: Points,
}

impl Life {
    /// Creates sessions, each of which writes once.
    async fn come(&mut self, new: usize) {
        for _ in 0..new {
            let mut session = self.store.session().expect("open");
            let id = session.id();
            session.upsert(&1, &1).await.expect("a sound disk");
            self.points.insert(id, session.serial());
            self.sessions.push(session);
        }
    }

    async fn round(&mut self) {
        self.come_and_go();
        let many = 1 + self.random.index(150);
        let busy = [0, 5, many, many, self.sessions.len()][self.random.index(5)];
        for _ in 0..busy.min(self.sessions.len()) {
            let session = self.random.index(self.sessions.len());
            let session = &mut self.sessions[session];
            session.upsert(&self.random.below(50), &1).await.expect("a sound disk");
            self.points.insert(session.id(), session.serial());
        }
        if self.random.chance(0.3) {
            let most = 1 + self.random.index(100);
            self.forget(most, false);
        }
        self.checkpoint().await;
        if self.random.chance(0.3) {
            self.remove_checkpoints().await;
        }
    }

    /// Creates and resumes some sessions, and drops others.
    fn come_and_go(&mut self) {
        let new = [0, 2, 40, 100][self.random.index(4)];
        for _ in 0..new {
            self.sessions.push(self.store.session().expect("open"));
        }
        for id in self.store.recovered_sessions().into_keys() {
            if self.random.chance(0.3) {
                self.sessions.push(self.store.resume_session(id).expect("it waits"));
            }
        }
        for _ in 0..self.sessions.len().min(300) / 3 {
            self.sessions.swap_remove(self.random.index(self.sessions.len()));
        }
    }

    /// Forgets some sessions that are not open, perhaps while a checkpoint is taken.
    fn forget(&mut self, most: usize, is_beside: bool) {
        let waiting = self.store.recovered_sessions();
        for id in waiting.into_keys().take(most) {
            if is_beside {
                self.known.lock().next.going.insert(id);
            }
            assert!(self.store.forget_session(id));
            self.points.remove(&id);
        }
    }

    async fn checkpoint(&mut self) {
        let kinds =
            [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental];
        let is_weak = self.random.chance(0.2);
        let durability = if is_weak { Durability::ProcessCrash } else { Durability::PowerCut };
        let points = self.points.clone();
        self.known.lock().next = Expected { points, going: BTreeSet::new() };
        let request = self.store.checkpoint().kind(kinds[self.random.index(3)]);
        let taking = request.without_index().durability(durability).start().expect("free");
        for _ in 0..self.random.below(3) {
            let pause = std::time::Duration::from_micros(self.random.below(2000));
            self.site.handle.sleep(pause).await;
            let most = 1 + self.random.index(8);
            self.forget(most, true);
        }
        let token = taking.await.expect("a sound disk").token.version();
        let mut known = self.known.lock();
        let expected = known.next.clone();
        known.by_token.insert(token, expected);
        if !is_weak {
            known.acknowledged = token;
        }
    }

    async fn remove_checkpoints(&mut self) {
        let kept = self.store.checkpoints();
        // The newest checkpoint stays.
        let older = &kept[..kept.len().saturating_sub(1)];
        if older.is_empty() {
            return;
        }
        let removed = older[self.random.index(older.len())].token;
        let left = kept.iter().filter(|info| info.token != removed);
        let strong = left.filter(|info| info.durability == Durability::PowerCut);
        let Some(left) = strong.map(|info| info.token).max() else {
            return;
        };
        self.known.lock().acknowledged = left.version();
        self.store.delete_checkpoint(removed).await.expect("a sound disk");
    }
}

/// A forgotten session does not return from an older file of points. This holds in every life,
/// whether the store merged the file of the session or not.
#[test]
fn a_forgotten_session_does_not_come_back() {
    for (forgotten, new) in [(1, 0), (70, 0), (70, 5), (70, 70), (200, 0), (490, 100)] {
        let mut world = World::new(1);
        let mut expected = Vec::new();
        for life in 0..4 {
            let site = world.site.clone();
            expected = world.simulation.run(async {
                let store: FasterKv<u64, u64> = site.open(config()).await;
                let found = Vec::from_iter(store.recovered_sessions().into_keys());
                assert_eq!(found, expected, "{forgotten} forgotten, {new} new, life {life}");
                let [first, later] = [if life == 0 { 500 } else { new }, new];
                pass_through(&store, first, 1).await.expect("a sound disk");
                store.checkpoint().without_index().await.expect("a sound disk");
                let ids = Vec::from_iter(store.recovered_sessions().into_keys());
                for id in ids.into_iter().take(forgotten) {
                    assert!(store.forget_session(id));
                }
                pass_through(&store, later, 1).await.expect("a sound disk");
                store.checkpoint().without_index().await.expect("a sound disk");
                Vec::from_iter(store.recovered_sessions().into_keys())
            });
            world = World::on(2 + life, world.site.disk.crash_with(1, Survival::NOTHING));
        }
    }
}

/// The bytes that a checkpoint writes do not depend on idle sessions.
#[test]
fn idle_sessions_cost_a_checkpoint_nothing() {
    let mut sizes = Vec::new();
    for idle in [0, 100, 1_000, 10_000] {
        let world = World::new(1);
        let site = world.site.clone();
        let size = world.simulation.run(async {
            let store: FasterKv<u64, u64> = site.open(config()).await;
            let mut sessions = Vec::new();
            for _ in 0..=idle {
                let mut session = store.session().expect("open");
                let _id = session.id();
                session.upsert(&1, &1).await.expect("a sound disk");
                sessions.push(session);
            }
            let mut largest = 0;
            for round in 0..20 {
                let taken = store.checkpoint().without_index().await.expect("a sound disk");
                let manifest = site.disk.directory("db").file_bytes("manifest").await;
                // The first checkpoint has the points of all sessions, and the next ones refer to
                // it.
                if round > 0 {
                    largest = largest.max(taken.bytes + manifest.expect("there is one"));
                }
                sessions[0].upsert(&1, &round).await.expect("a sound disk");
            }
            largest
        });
        sizes.push(size);
    }
    println!("bytes of log, files and manifest: {sizes:?}");
    assert!(sizes.iter().all(|size| *size < sizes[0] + 1_000), "{sizes:?}");
}

//! A database of tables of several types, under power cuts at any I/O. Tables are created, renamed
//! and dropped at random steps, between operations of one session on all of them.
//!
//! After each power cut the list of tables is the acknowledged one, or the one after the change
//! that was in progress. Each table has exactly the operations up to the commit point of the
//! session.
//!
//! Some tables have an expiry. Each life has a wall clock of its own, which may be earlier than the
//! clock of the life before. The time of the store never goes back.

mod handles;
mod openers;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kvick::config::{ByteSize, DurableBy};
use kvick::io::sim::{Random, SimDisk, SimOptions};
use kvick::runtime::Simulation;
use kvick::stats::Condition;
use kvick::{Config, Database, ErrorKind, FasterKv, Session, checkpoint, inspect, session};
use tests::crash::{Image, Shared, Snapshots};
use tests::journal::ALL_KINDS;
use tests::polling::AtMost;
use tests::simulated::{Site, World, after_each_number_of_polls, seeds, two_pages};

use handles::{Handle, Kind, TABLE_KINDS};

const LIVES: u64 = 4;
const STEPS: u64 = 120;
const KEYS: u64 = 30;
const MOST_TABLES: usize = 7;

/// A table of the model. A name may be used again, for another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table {
    id: u64,
    kind: Kind,
}

type Tables = BTreeMap<String, Table>;

/// An operation: sets a key to a version, or deletes it.
#[derive(Clone, Copy, Debug)]
struct Operation {
    table: u64,
    key: u64,
    version: Option<u64>,
}

/// Everything that must be there after a power cut.
#[derive(Clone, Debug, Default)]
struct Known {
    tables: Tables,
    /// The tables after the change in progress.
    next: Option<Tables>,
    /// The operations of the session, by serial number.
    operations: BTreeMap<u64, Operation>,
    session: Option<session::Id>,
    /// The number of tables so far, which is the id of the next one.
    created: u64,
    /// The token of the newest acknowledged checkpoint, and its commit point.
    acknowledged: (u64, u64),
    /// The second at which the step in progress began.
    now: u64,
    /// The time of the store is at least this one; 0 before a table with expiry was created.
    second: u64,
}

impl Known {
    /// Notes that a manifest was published in this step.
    fn published(&mut self) {
        if self.second > 0 || self.tables.values().any(|table| table.kind.has_expiry()) {
            self.second = self.second.max(self.now);
        }
    }

    /// Returns the contents of a table.
    fn contents(&self, table: u64) -> BTreeMap<u64, u64> {
        let mut contents = BTreeMap::new();
        for operation in self.operations.values().filter(|it| it.table == table) {
            match operation.version {
                Some(version) => _ = contents.insert(operation.key, version),
                None => _ = contents.remove(&operation.key),
            }
        }
        contents
    }
}

fn config(random: &mut Random) -> Config {
    let buckets = [1, 2, 64][random.index(3)];
    two_pages()
        .with_memory(ByteSize::kib(128))
        .with_index_buckets(buckets)
        .with_keep_checkpoints(2)
        .with_checkpoint_on_close(false)
}

/// Returns the wall clock of a life, which is up to an hour ahead of those of other lives.
fn clock(site: &Site) -> impl Fn() -> SystemTime + Send + Sync + 'static {
    let begin = UNIX_EPOCH + Duration::from_secs(1_800_000_000 + site.seed % 3600);
    let handle = site.handle.clone();
    move || begin + handle.now()
}

async fn open(site: &Site, config: Config) -> Database {
    let builder = Database::builder(config).runtime(site.handle.clone()).clock(clock(site));
    let builder = builder.directory(site.disk.directory("db")).seed(site.seed);
    let builder = builder.wal_directory(site.disk.directory("wal"));
    builder.open_in_directory().await.expect("the database opens")
}

#[test]
fn tables_survive_power_cuts() {
    power_cuts(10, |config, _random| config);
}

/// With a write-ahead log, which has changes of all tables and their expiries.
#[test]
fn logged_tables_survive_power_cuts() {
    power_cuts(6, |config, random| {
        let every = random.chance(0.5).then_some(Duration::from_millis(1));
        config
            .with_durability(DurableBy::Wal)
            .with_wal_memory(ByteSize::kib(256))
            .with_wal_size(ByteSize::kib(16 + random.below(64)))
            .with_commit_every(every)
    });
}

fn power_cuts(count: u64, durable: impl Fn(Config, &mut Random) -> Config) {
    let seen = Shared::new([0; 3]);
    seeds(count, |seed| {
        let mut random = Random::new(seed ^ 0x7ab1);
        let config = durable(config(&mut random), &mut random);
        let options = SimOptions { write_once: vec!["log.".to_owned()], ..SimOptions::default() };
        let disk = SimDisk::new(seed, options);
        let mut image = Image { disk, acknowledged: Known::default() };
        for life in 0..LIVES {
            let Image { disk, acknowledged } = image;
            let known = Shared::new(acknowledged);
            let snapshots = Snapshots::new(disk.clone(), known.clone(), 0.03, random.fork());
            let snapshots = Arc::new(snapshots);
            let in_life = seed ^ (life + 1) << 32;
            let simulation = Simulation::new(in_life);
            simulation.add_source(snapshots.clone());
            let site = Site { handle: simulation.handle(), disk: disk.clone(), seed: in_life };
            simulation.run(live(&site, config.clone(), &known, random.fork()));
            let mut images = snapshots.take();
            let acknowledged = known.lock().clone();
            images.push(Image { disk: disk.crash(random.next_u64()), acknowledged });
            let mut seen = seen.lock();
            for image in &images {
                seen[0] += 1;
                seen[1] += usize::from(image.acknowledged.next.is_some());
                seen[2] += usize::from(image.acknowledged.second > 0);
                look(seed, image, config.clone());
            }
            image = images.swap_remove(random.index(images.len()));
        }
    });
    let seen = seen.lock();
    assert!(seen[1] > 0, "{} power cuts, and none during a change of the tables", seen[0]);
    assert!(seen[2] > 0, "{} power cuts, and none of a store with expiry", seen[0]);
}

/// Opens an image in a run of its own, and verifies it.
fn look(seed: u64, image: &Image<Known>, config: Config) {
    let disk = image.disk.crash(seed);
    let simulation = Simulation::new(seed);
    simulation.add_source(Arc::new(disk.clone()));
    let site = Site { handle: simulation.handle(), disk, seed };
    simulation.run(async {
        let mut known = image.acknowledged.clone();
        let database = open(&site, config).await;
        verify(&database, &mut known).await;
        database.close().await.expect("a sound disk");
        let inspection = inspect(site.disk.directory("db")).await.expect("a sound disk");
        // A copy that was being written does not count: the manifest is sound.
        let mut problems = inspection.problems.iter();
        assert!(problems.all(|problem| problem.file == "manifest.copy"), "{inspection}");
        let clock = inspection.store.as_ref().map_or(0, |store| u64::from(store.clock));
        assert!(clock >= known.second, "{clock} after {}", known.second);
    });
}

/// Checks the recovered tables, and lets `known` continue from them.
async fn verify(database: &Database, known: &mut Known) {
    let report = database.recovery();
    let token = report.and_then(|report| report.chosen).map_or(0, |token| token.version());
    let points = report.map(|report| &report.sessions);
    let point = known.session.and_then(|id| points?.get(&id)).map_or(0, |point| point.until);
    let (least, until) = known.acknowledged;
    assert!(token >= least && point >= until, "{token} and {point} after {least} and {until}");

    let tables = database.tables();
    let names: Vec<&String> = tables.iter().map(|table| &table.name).collect();
    let has_names = |tables: &Tables| {
        let mut names = names.clone();
        names.sort_unstable();
        tables.keys().eq(names)
    };
    // The change in progress may have taken place.
    if let Some(next) = known.next.take().filter(|next| has_names(next)) {
        known.tables = next;
    }
    assert!(has_names(&known.tables), "{names:?}, not {:?}", known.tables);

    known.operations.retain(|serial, _| *serial <= point);
    for (name, table) in &known.tables {
        let has_expiry = tables.iter().any(|found| found.name == *name && found.has_expiry);
        assert_eq!(has_expiry, table.kind.has_expiry(), "{name}");
        let handle = Handle::open(database, name, table.kind).await.expect("its types");
        let contents = known.contents(table.id);
        for key in 0..KEYS {
            let what = format!("key {key} of {name}, {table:?}, up to {point}");
            handle.assert(key, contents.get(&key).copied(), &what).await;
        }
    }
}

async fn live(site: &Site, config: Config, known: &Shared<Known>, mut random: Random) {
    let is_logged = config.durability == DurableBy::Wal;
    let database = open(site, config).await;
    let mut at_first = known.lock().clone();
    verify(&database, &mut at_first).await;
    *known.lock() = at_first;
    if known.lock().tables.is_empty() {
        add_table(&database, known, "home".to_owned(), Kind::Words).await;
    }
    // The table of the session is never dropped.
    let home = database.table::<u64, u64>("home").await.expect("it was created");
    let id = known.lock().session.filter(|id| database.recovered_sessions().contains_key(id));
    let mut session = match id {
        Some(id) => home.resume_session(id),
        None => home.session(),
    }
    .expect("open");
    known.lock().session = Some(session.id());
    let clock = clock(site);
    for _step in 0..STEPS {
        let now = clock().duration_since(UNIX_EPOCH).expect("after 1970");
        known.lock().now = now.as_secs();
        match random.below(100) {
            0..6 => {
                let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                take(&database, known, &session, kind).await;
            }
            6..10 => {
                let kind = TABLE_KINDS[random.index(TABLE_KINDS.len())];
                let name = format!("table {}", random.below(20));
                let has = known.lock().tables.contains_key(&name);
                if !has && known.lock().tables.len() < MOST_TABLES {
                    add_table(&database, known, name, kind).await;
                }
            }
            10..13 => rename_or_drop(&database, known, &mut random).await,
            13..17 if is_logged => {
                session.sync().await.expect("a sound disk");
                known.lock().acknowledged.1 = session.serial();
            }
            _ => operate(&database, known, &mut session, &mut random).await,
        }
    }
}

async fn take(
    database: &Database,
    known: &Shared<Known>,
    session: &Session<u64, u64>,
    kind: checkpoint::Kind,
) {
    let taken = database.checkpoint().kind(kind).await.expect("a sound disk");
    known.lock().published();
    if kind != checkpoint::Kind::IndexOnly {
        known.lock().acknowledged = (taken.token.version(), session.commit_point().until);
    }
}

async fn add_table(database: &Database, known: &Shared<Known>, name: String, kind: Kind) {
    let mut next = known.lock().tables.clone();
    known.lock().created += 1;
    let id = known.lock().created;
    next.insert(name.clone(), Table { id, kind });
    known.lock().next = Some(next.clone());
    Handle::open(database, &name, kind).await.expect("a sound disk");
    let mut known = known.lock();
    (known.tables, known.next) = (next, None);
    known.published();
}

/// Renames or drops a table that is not the home of the session.
async fn rename_or_drop(database: &Database, known: &Shared<Known>, random: &mut Random) {
    let mut next = known.lock().tables.clone();
    let names: Vec<String> = next.keys().filter(|name| *name != "home").cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = &names[random.index(names.len())];
    let table = next.remove(name).expect("it is there");
    let new = format!("table {}", 20 + random.below(20));
    if random.chance(0.5) && !next.contains_key(&new) {
        next.insert(new.clone(), table);
        known.lock().next = Some(next.clone());
        database.rename_table(name, &new).await.expect("a sound disk");
    } else {
        known.lock().next = Some(next.clone());
        database.drop_table(name).await.expect("a sound disk");
    }
    let mut known = known.lock();
    (known.tables, known.next) = (next, None);
    known.published();
}

async fn operate(
    database: &Database,
    known: &Shared<Known>,
    session: &mut Session<u64, u64>,
    random: &mut Random,
) {
    let tables = known.lock().tables.clone();
    let (name, table) = tables.iter().nth(random.index(tables.len())).expect("one is home");
    let handle = Handle::open(database, name, table.kind).await.expect("its types");
    let (key, serial) = (random.below(KEYS), session.next_serial());
    let version = random.chance(0.8).then_some(serial * 100 + key);
    let operation = Operation { table: table.id, key, version };
    known.lock().operations.insert(serial, operation);
    handle.change(session, key, version).await.expect("a sound disk");
    let expected = known.lock().contents(table.id).get(&key).copied();
    handle.assert(key, expected, &format!("{operation:?}")).await;
}

/// Opens a database with one table, whose key is in a checkpoint.
async fn with_one_table(site: &Site) -> (Database, FasterKv<u64, u64>) {
    let database = open(site, two_pages().with_checkpoint_on_close(false)).await;
    let table = database.table::<u64, u64>("first").await.expect("a sound disk");
    table.upsert(&1, &10).await.expect("a sound disk");
    database.checkpoint().await.expect("a sound disk");
    (database, table)
}

/// A table whose creation failed is there or not, and can be created later. Nothing else is lost.
#[test]
fn a_creation_may_fail_at_any_operation() {
    for error in [io::ErrorKind::PermissionDenied, io::ErrorKind::StorageFull] {
        let mut failed = 0;
        for number in 0..40 {
            let world = World::new(number);
            let site = world.site.clone();
            failed += u32::from(world.simulation.run(async {
                let (database, table) = with_one_table(&site).await;
                site.disk.fail_at(site.disk.operations() + number, error);
                let created = database.table::<u64, str>("second").await.map(drop);
                site.disk.heal();
                if let Err(error) = &created {
                    let kinds = [ErrorKind::Io, ErrorKind::StorageFull, ErrorKind::Poisoned];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    if database.health().condition == Condition::Sound {
                        // A table of another layout gets the number.
                        database.table::<u64, u64>("other").await.expect("a sound disk");
                        database.table::<u64, str>("second").await.expect("a sound disk");
                    }
                }
                assert_eq!(table.read(&1).await.expect("in memory"), Some(10));
                drop((database, table));
                reopened(&site, created.is_ok()).await;
                created.is_err()
            }));
        }
        assert!(failed > 1, "{failed} creations failed with {error:?}");
    }
}

/// A creation continues if its future is dropped after any poll.
#[test]
fn a_creation_may_be_given_up_at_every_poll() {
    after_each_number_of_polls(3, 0..20, async |site, polls| {
        let (database, table) = with_one_table(site).await;
        let creation = database.table::<u64, str>("second");
        let created = AtMost::new(polls, creation).await.is_some();
        table.upsert(&1, &11).await.expect("a sound disk");
        database.table::<u64, str>("second").await.expect("a sound disk");
        database.drop_table("first").await.expect("a sound disk");
        table.read(&1).await.expect_err("the table is gone");
        database.close().await.expect("a sound disk");
        created
    });
}

async fn reopened(site: &Site, was_created: bool) {
    site.handle.sleep(Duration::from_secs(1)).await;
    let database = open(site, two_pages()).await;
    let names: Vec<String> = database.tables().into_iter().map(|table| table.name).collect();
    assert!(names.contains(&"second".to_owned()) || !was_created, "{names:?}");
    let first = database.table::<u64, u64>("first").await.expect("its types");
    assert_eq!(first.read(&1).await.expect("a sound disk"), Some(10));
    let second = database.table::<u64, str>("second").await.expect("a sound disk");
    second.upsert(&1, "one").await.expect("a sound disk");
    database.close().await.expect("a sound disk");
}

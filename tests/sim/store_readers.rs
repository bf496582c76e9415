//! Readers of a store beside its writer.
//!
//! A reader shows exactly the state of its checkpoint, or an error that asks for a refresh. The
//! writer may change in place what the reader shows, flush and compact it, remove the checkpoint
//! with its files, crash, and go back to an older checkpoint.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::io::sim::Random;
use kvick::io::{BoxFuture, Directory};
use kvick::reader::StoreReader;
use kvick::session::{CommitPoint, Id};
use kvick::{Config, Error, ErrorKind, FasterKv, Result, checkpoint};
use tests::anew::Anew;
use tests::interrupted::Interrupted;
use tests::journal::{ALL_KINDS, Journal, Record};
use tests::mortal::{Death, Mortal};
use tests::simulated::{Site, World, seeds, two_pages};

pub(super) const JOURNALS: u64 = 2;
pub(super) const KEYS: u64 = 1300;
/// The kinds of two checkpoints, one after the other.
const RECORDS: [[checkpoint::Kind; 2]; 4] = [
    [checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental],
    [checkpoint::Kind::Incremental, checkpoint::Kind::FoldOver],
    [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot],
    [checkpoint::Kind::Auto, checkpoint::Kind::Auto],
];

type Store = FasterKv<u64, u64>;
type Reader = StoreReader<u64, u64>;

async fn open_in(directory: Arc<dyn Directory>, site: &Site, config: Config) -> Result<Reader> {
    let config = config.with_page_size(None);
    let builder = Reader::builder(config).runtime(site.handle.clone()).seed(site.seed);
    builder.directory(directory).open_in_directory().await
}

fn open(site: &Site, config: Config) -> BoxFuture<'_, Result<Reader>> {
    Box::pin(open_in(site.disk.directory("db"), site, config))
}

/// Opens a reader that holds no file open: it sees at once that a file is gone, or is another one.
fn open_anew(site: &Site, config: Config) -> BoxFuture<'_, Result<Reader>> {
    let (inner, handle) = (site.disk.directory("db"), site.handle.clone());
    Box::pin(open_in(Anew::on(inner, handle), site, config))
}

/// Checks that an error asks for a refresh.
fn assert_overtaken(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    assert!(error.to_string().contains("refresh the reader"), "{error}");
}

/// All keys and values that a reader has shown, and the operations that its checkpoint has.
pub(super) struct Seen {
    pub(super) sessions: BTreeMap<Id, CommitPoint>,
    pub(super) content: BTreeMap<u64, u64>,
}

impl Seen {
    /// Compares with the operations of all sessions.
    pub(super) fn check(&self, records: &[Record]) {
        let until = |record: &Record| self.sessions.get(&record.id()).map_or(0, |it| it.until);
        let states = records.iter().flat_map(|record| record.state(until(record)));
        assert_eq!(self.content, states.collect(), "{:?}", self.sessions);
    }
}

/// Reads all keys in one of the ways.
pub(super) async fn look(reader: &Reader, random: &mut Random) -> Result<Seen> {
    let sessions = reader.sessions();
    let keys: Vec<u64> = (0..KEYS).collect();
    let content = match random.below(3) {
        0 => reader.scan().try_collect().await?,
        1 => {
            let values = reader.read_many(&keys).await?;
            keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect()
        }
        _ => {
            let mut content = BTreeMap::new();
            for key in keys {
                content.extend(reader.read(&key).await?.map(|value| (key, value)));
            }
            content
        }
    };
    Ok(Seen { sessions, content })
}

/// Works, with checkpoints of all kinds and compaction, until `is_over`.
pub(super) async fn write(
    store: &Store,
    journals: &mut [Journal],
    random: &mut Random,
    is_over: &Cell<bool>,
) {
    while !is_over.get() {
        for journal in &mut *journals {
            for _ in 0..random.below(60) {
                journal.step().await.expect("a sound disk");
            }
        }
        match random.below(6) {
            0..3 => {
                let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                let request = store.checkpoint().kind(kind);
                let is_weak = random.chance(0.3) && kind != checkpoint::Kind::IndexOnly;
                let request = if is_weak {
                    request.durability(checkpoint::Durability::ProcessCrash)
                } else {
                    request
                };
                request.await.expect("a sound disk");
            }
            3 => drop(store.compact().await.expect("a sound disk")),
            4 => store.flush_and_evict().await.expect("a sound disk"),
            _ => {}
        }
    }
}

/// Opens a reader, and looks and refreshes in random order.
async fn read(site: &Site, config: &Config, tally: &Tally) -> Vec<Seen> {
    let (mut random, mut seen) = (site.random(9), Vec::new());
    let is_anew = random.chance(0.5);
    let reader = loop {
        let opening =
            if is_anew { open_anew(site, config.clone()) } else { open(site, config.clone()) };
        match opening.await {
            Ok(reader) => break reader,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
        site.handle.sleep(Duration::from_micros(100)).await;
    };
    for _ in 0..12 {
        if random.chance(0.5) {
            let moved = reader.refresh().await.expect("the writer removes files now and then");
            tally.moved.set(tally.moved.get() + u32::from(moved));
        }
        match look(&reader, &mut random).await {
            Ok(found) => seen.push(found),
            Err(error) => {
                assert_overtaken(&error);
                tally.overtaken.set(tally.overtaken.get() + 1);
            }
        }
        site.handle.sleep(Duration::from_micros(random.below(3000))).await;
    }
    seen
}

/// What has happened in all runs.
#[derive(Debug, Default)]
struct Tally {
    moved: Cell<u32>,
    overtaken: Cell<u32>,
    seen: Cell<u32>,
}

#[test]
fn a_reader_shows_a_checkpoint_or_asks_for_a_refresh() {
    let tally = Tally::default();
    let is_chosen = std::env::var_os("SEED").is_some();
    seeds(60, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let keep = 1 + u32::try_from(site.random(3).below(2)).expect("small");
            let config = site.small_config().with_checkpoint_on_close(false);
            let config = config.with_keep_checkpoints(keep);
            let store = site.open::<u64, u64>(config.clone()).await;
            let mut random = site.random(7);
            let mut journals = Journal::several(&store, &site, JOURNALS);
            let is_over = Cell::new(false);
            let reading = async {
                let seen = read(&site, &config, &tally).await;
                is_over.set(true);
                seen
            };
            let writing = write(&store, &mut journals, &mut random, &is_over);
            let (seen, ()) = futures::join!(reading, writing);
            let records: Vec<Record> = journals.into_iter().map(Journal::end).collect();
            seen.iter().for_each(|seen| seen.check(&records));
            tally.seen.set(tally.seen.get() + u32::try_from(seen.len()).expect("few"));
            store.close().await.expect("closes");
        });
    });
    let [moved, overtaken, seen] = [&tally.moved, &tally.overtaken, &tally.seen].map(Cell::get);
    assert!(is_chosen || moved > 80 && overtaken > 3 && seen > 300, "{tally:?}");
}

async fn set_all(store: &Store, value: u64) {
    for key in 0..KEYS {
        store.upsert(&key, &value).await.expect("a sound disk");
    }
}

/// Reads all keys. Each has the value or an error that asks for a refresh. Returns the number of
/// errors.
async fn errors_beside(reader: &Reader, value: u64) -> u64 {
    let mut errors = 0;
    for key in 0..KEYS {
        match reader.read(&key).await {
            Ok(found) => assert_eq!(found, Some(value), "key {key}"),
            Err(error) => {
                assert_overtaken(&error);
                errors += 1;
            }
        }
    }
    errors
}

fn config() -> Config {
    two_pages().with_keep_checkpoints(1).with_checkpoint_on_close(false)
}

/// The log goes on where the checkpoint ends, and its last page is flushed with later changes in
/// place.
#[test]
fn what_is_changed_in_place_and_flushed_later_does_not_show() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let config = config().with_memory(ByteSize::mib(1));
        let store = site.open::<u64, u64>(config.clone()).await;
        set_all(&store, 1).await;
        store.checkpoint().snapshot().await.expect("a sound disk");
        set_all(&store, 2).await;
        store.flush_and_evict().await.expect("a sound disk");
        let reader = open(&site, config).await.expect("a sound disk");
        assert_eq!(errors_beside(&reader, 1).await, 0);
        store.close().await.expect("closes");
    });
}

/// The writer compacts, and keeps one checkpoint. Its reader has little in memory.
#[test]
fn files_that_are_gone_ask_for_a_refresh() {
    let world = World::new(2);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        set_all(&store, 1).await;
        store.checkpoint().fold_over().await.expect("a sound disk");
        let holds_files = open(&site, config()).await.expect("a sound disk");
        let reader = open_anew(&site, config()).await.expect("a sound disk");
        assert_eq!(errors_beside(&reader, 1).await, 0);
        set_all(&store, 2).await;
        store.compact().await.expect("a sound disk");
        let last = store.checkpoint().fold_over().await.expect("a sound disk");
        assert_eq!(errors_beside(&holds_files, 1).await, 0, "as far as its files reach");
        assert!(errors_beside(&reader, 1).await > KEYS / 4, "a file of the log is gone");
        let scanned: Result<Vec<(u64, u64)>> = reader.scan().try_collect().await;
        assert_overtaken(&scanned.expect_err("the files of the log are gone"));
        assert_overtaken(&reader.count().await.expect_err("as well"));
        assert!(reader.refresh().await.expect("a sound disk"));
        assert_eq!(reader.checkpoint().token, last.token);
        assert_eq!(errors_beside(&reader, 2).await, 0);
        store.close().await.expect("closes");
    });
}

/// The writer recovers an older checkpoint, and writes other records at the addresses that the
/// newer one had.
#[test]
fn records_of_a_later_life_never_show() {
    let world = World::new(3);
    let site = world.site.clone();
    world.simulation.run(async {
        let config = config().with_keep_checkpoints(3);
        let store = site.open::<u64, u64>(config.clone()).await;
        set_all(&store, 1).await;
        let older = store.checkpoint().fold_over().await.expect("a sound disk").token;
        set_all(&store, 2).await;
        let newer = store.checkpoint().fold_over().await.expect("a sound disk").token;
        let reader = open_anew(&site, config.clone()).await.expect("a sound disk");
        assert_eq!(reader.checkpoint().token, newer);
        store.close().await.expect("closes");
        let builder = Store::builder(config).runtime(site.handle.clone()).seed(9).recover(older);
        let store = builder.directory(site.disk.directory("db")).open_in_directory().await;
        let store = store.expect("a sound disk");
        set_all(&store, 3).await;
        store.flush().await.expect("a sound disk");
        assert!(errors_beside(&reader, 2).await > KEYS / 2, "the log was truncated");
        assert!(reader.refresh().await.expect("a sound disk"), "the older one");
        assert_eq!(reader.checkpoint().token, older);
        assert_eq!(errors_beside(&reader, 1).await, 0);
        store.checkpoint().await.expect("a sound disk");
        assert!(reader.refresh().await.expect("a sound disk"));
        assert_eq!(errors_beside(&reader, 3).await, 0);
        store.close().await.expect("closes");
    });
}

/// Damage stays damage: no refresh would help.
#[test]
fn a_damaged_file_is_no_reason_for_a_refresh() {
    let world = World::new(4);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        set_all(&store, 1).await;
        store.checkpoint().fold_over().await.expect("a sound disk");
        let reader = open(&site, config()).await.expect("a sound disk");
        for (name, bytes) in site.disk.files().into_iter().filter(|it| it.0.contains("log.")) {
            (0..bytes).step_by(100).for_each(|offset| site.disk.corrupt(&name, offset, 1));
        }
        let mut corrupt = 0;
        for key in 0..KEYS {
            match reader.read(&key).await {
                Ok(found) => assert_eq!(found, Some(1), "key {key}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    corrupt += 1;
                }
            }
        }
        assert!(corrupt > KEYS / 2, "{corrupt}");
    });
}

/// The writer ends at any moment of a checkpoint, and another one recovers the store. The reader
/// shows what it showed, and then what is recovered.
#[test]
fn a_reader_outlives_the_end_of_the_writer() {
    seeds(40, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let config = site.small_config().with_checkpoint_on_close(false);
            let config = config.with_keep_checkpoints(1);
            let mut random = site.random(7);
            let mortal = Mortal::new(site.handle.clone(), u64::MAX, Death::Drops);
            let builder = Store::builder(config.clone()).runtime(mortal.handle()).seed(seed);
            let builder = builder.directory(site.disk.directory("db"));
            let store = builder.open_in_directory().await.expect("a sound disk");
            let mut journal = Journal::new(&store, 0, site.random(1)).expect("open");
            for _ in 0..400 {
                journal.step().await.expect("a sound disk");
            }
            let kinds = RECORDS[random.index(RECORDS.len())];
            store.checkpoint().kind(kinds[0]).await.expect("a sound disk");
            let reader = open(&site, config.clone()).await.expect("a sound disk");
            for _ in 0..200 {
                journal.step().await.expect("a sound disk");
            }
            let started = store.checkpoint().kind(kinds[1]).start().expect("the only one");
            site.handle.sleep(Duration::from_micros(random.below(4000))).await;
            mortal.end();
            drop(started);
            drop(store);
            let first = journal.end();
            let mut seen = vec![look(&reader, &mut random).await.expect("nothing was removed")];
            reader.refresh().await.expect("a sound disk");
            seen.extend(look(&reader, &mut random).await.ok());

            // With other ids of sessions.
            let builder = Store::builder(config).runtime(site.handle.clone()).seed(seed + 1000);
            let builder = builder.directory(site.disk.directory("db"));
            let store = builder.open_in_directory().await.expect("a sound disk");
            let mut journal = Journal::new(&store, 1000, site.random(2)).expect("open");
            for _ in 0..300 {
                journal.step().await.expect("a sound disk");
                if random.chance(0.02) {
                    store.flush_and_evict().await.expect("a sound disk");
                }
            }
            // Whatever the first writer has left, and this one has written since.
            seen.extend(look(&reader, &mut random).await.ok());
            store.checkpoint().await.expect("a sound disk");
            assert!(reader.refresh().await.expect("a sound disk"));
            seen.push(look(&reader, &mut random).await.expect("the newest"));
            let records = [first, journal.end()];
            seen.iter().for_each(|seen| seen.check(&records));
            store.close().await.expect("closes");
        });
    });
}

/// A machine that has lost power has only what its disk has kept, and no writer yet.
#[test]
fn a_reader_shows_what_a_power_cut_has_left() {
    seeds(30, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let (record, least, config) = world.simulation.run(async {
            let config = site.small_config().with_checkpoint_on_close(false);
            let (store, mut random) = (site.open::<u64, u64>(config.clone()).await, site.random(7));
            let mut journal = Journal::new(&store, 0, site.random(1)).expect("open");
            for _ in 0..1 + random.below(4) {
                for _ in 0..random.below(400) {
                    journal.step().await.expect("a sound disk");
                }
                let kinds = RECORDS[random.index(RECORDS.len())];
                store.checkpoint().kind(kinds[0]).await.expect("a sound disk");
            }
            let least = journal.session().commit_point().until;
            for _ in 0..random.below(400) {
                journal.step().await.expect("a sound disk");
            }
            (journal.end(), least, config)
        });
        let world = World::on(seed, world.site.disk.crash(seed));
        let site = world.site.clone();
        world.simulation.run(async {
            let reader = open(&site, config).await.expect("a durable checkpoint");
            let seen = look(&reader, &mut site.random(8)).await.expect("durable");
            assert!(seen.sessions.get(&record.id()).map_or(0, |point| point.until) >= least);
            seen.check(&[record]);
        });
    });
}

#[test]
fn a_disk_that_is_read_only_is_enough() {
    let world = World::new(5);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config().with_memory(ByteSize::mib(1))).await;
        set_all(&store, 1).await;
        store.checkpoint().snapshot().await.expect("a sound disk");
        set_all(&store, 2).await;
        // No close: the reader recovers nothing on the disk.
        site.disk.set_read_only(true);
        let files = site.disk.files();
        let reader = open(&site, config().with_memory(ByteSize::mib(1))).await.expect("it reads");
        assert_eq!(errors_beside(&reader, 1).await, 0);
        assert!(!reader.refresh().await.expect("it reads"));
        assert_eq!(reader.count().await.expect("it reads"), KEYS);
        assert_eq!(files, site.disk.files());
        drop(reader);
        site.disk.set_read_only(false);
        store.close().await.expect("closes");
    });
}

/// The files of the store are replaced just before each operation of an opening.
#[test]
fn a_reader_opens_while_the_writer_replaces_all_files() {
    for (operation, again) in (0..30).map(|operation| (operation, false)).chain([(1, true)]) {
        let world = World::new(u64::from(operation));
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            set_all(&store, 1).await;
            store.checkpoint().fold_over().await.expect("a sound disk");
            let writer = store.clone();
            let inner = site.disk.directory("db");
            let directory = Interrupted::new(inner, (operation, again), move || {
                let store = writer.clone();
                async move {
                    set_all(&store, 2).await;
                    store.compact().await.expect("a sound disk");
                    let checkpoint = store.checkpoint().fold_over().with_index();
                    checkpoint.await.expect("a sound disk");
                }
            });
            let opened = open_in(directory.clone(), &site, config()).await;
            if again {
                let error = opened.expect_err("the files are never there");
                assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                assert!(directory.done() < 200, "the reader gives up");
            } else {
                let reader = opened.expect("the writer works once");
                while directory.done() == 0 {
                    reader.refresh().await.expect("a sound disk");
                }
                reader.refresh().await.expect("a sound disk");
                assert_eq!(errors_beside(&reader, 2).await, 0);
            }
            store.close().await.expect("closes");
        });
    }
}

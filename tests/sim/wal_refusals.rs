//! A store with a write-ahead log whose own device is full or broken, while the log is sound.

use std::time::Duration;

use futures::StreamExt;
use kvick::codec::Expiring;
use kvick::config::{ByteSize, DurableBy};
use kvick::feed::Start;
use kvick::session::Expiry;
use kvick::{Config, Database, ErrorKind, FasterKv};
use tests::cramped::Space;
use tests::simulated::{Site, World, seeds, two_pages};

type Store = FasterKv<u64, [u8]>;

const FREE: u64 = 1 << 40;
const LENGTH: usize = 1000;

fn config() -> Config {
    two_pages()
        .with_memory(ByteSize::kib(256))
        .with_mutable_fraction(0.9)
        .with_durability(DurableBy::Wal)
        .with_wal_memory(ByteSize::kib(256))
        .with_checkpoint_on_close(false)
        .with_commit_every(None)
}

async fn open(site: &Site, space: &Space) -> Store {
    FasterKv::builder(config())
        .runtime(site.handle.clone())
        .directory(space.within(site.disk.directory("db")))
        .wal_directory(site.disk.directory("wal"))
        .seed(site.seed)
        .open_in_directory()
        .await
        .expect("opens")
}

async fn open_tables(site: &Site, space: &Space) -> Database {
    Database::builder(config())
        .runtime(site.handle.clone())
        .directory(space.within(site.disk.directory("db")))
        .wal_directory(site.disk.directory("wal"))
        .seed(site.seed)
        .open_in_directory()
        .await
        .expect("opens")
}

fn end_of_log(store: &Store) -> u64 {
    store.stats().wal.expect("it has a log").kept_bytes
}

/// Each refused write left an entry of zeros, as long as its own, so they filled the log.
#[test]
fn refused_writes_take_no_space_in_the_log() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let space = Space::of(FREE);
            let store = open(&site, &space).await;
            for key in 0..100 {
                store.upsert(&key, &[1; LENGTH]).await.expect("there is space");
            }
            store.flush().await.expect("there is space");
            space.set(0);
            let (mut last, mut refused) = (200, 0);
            while refused < 20 {
                if store.upsert(&last, &[2; LENGTH]).await.is_ok() {
                    (last, refused) = (last + 1, 0);
                } else {
                    // What was written before may still leave memory.
                    site.handle.sleep(Duration::from_millis(1)).await;
                    refused += 1;
                }
            }
            let before = end_of_log(&store);
            let bytes = |value: Option<Vec<u8>>| vec![4; value.map_or(LENGTH, |it| it.len())];
            for key in 0..100 {
                let refused = [
                    store.upsert(&key, &[3; LENGTH]).await.expect_err("full"),
                    store.upsert(&(1000 + key), &[3; LENGTH]).await.expect_err("full"),
                    store.rmw(&(1000 + key), bytes).await.expect_err("full"),
                    store.insert_if_absent(&(1000 + key), &[3; LENGTH]).await.expect_err("full"),
                ];
                for error in refused {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                }
            }
            let more = end_of_log(&store) - before;
            assert!(more < 3 * LENGTH as u64, "{more} bytes for refused writes");
            // What is in memory changes in place, and what is not there need not be deleted.
            store.upsert(&(last - 1), &[5; LENGTH]).await.expect("in place");
            store.delete(&(last - 1)).await.expect("in place");
            store.delete(&5000).await.expect("it is absent");
            space.set(FREE);
            store.flush().await.ok();
            while store.upsert(&1, &[6; LENGTH]).await.is_err() {
                site.handle.sleep(Duration::from_millis(20)).await;
            }
            store.sync().await.expect("durable");
            store.close().await.expect("closes");
            let store = open(&site, &space).await;
            for key in 0..100 {
                let expected = if key == 1 { [6; LENGTH] } else { [1; LENGTH] };
                let found = store.read(&key).await.expect("read");
                assert_eq!(found.as_deref(), Some(&expected[..]), "key {key}");
            }
            assert_eq!(store.read(&(last - 1)).await.expect("read"), None);
            store.close().await.expect("closes");
        });
    });
}

/// Another expiry of an immutable record needs a copy. Each refused copy left an entry of zeros.
#[test]
fn refused_expiries_take_no_space_in_the_log() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let space = Space::of(FREE);
            let database = open_tables(&site, &space).await;
            let words = database.table::<u64, Expiring<u64>>("words").await.expect("created");
            let texts = database.table::<u64, Expiring<[u8]>>("texts").await.expect("created");
            for key in 0..100 {
                words.upsert(&key, &key).await.expect("there is space");
                texts.upsert(&key, &[1; LENGTH]).await.expect("there is space");
            }
            database.flush().await.expect("there is space");
            space.set(0);
            let (mut last, mut refused) = (200, 0);
            while refused < 20 {
                // A short record finds room where a longer one is refused.
                let long = texts.upsert(&last, &[2; LENGTH]).await.is_ok();
                if words.upsert(&last, &0).await.is_ok() || long {
                    (last, refused) = (last + 1, 0);
                } else {
                    site.handle.sleep(Duration::from_millis(1)).await;
                    refused += 1;
                }
            }
            let end = || database.stats().wal.expect("it has a log").kept_bytes;
            let (before, hour) = (end(), Expiry::after(Duration::from_secs(3600)));
            for key in 0..100 {
                let refused = [
                    words.set_expiry(&key, hour).await.expect_err("full"),
                    texts.set_expiry(&key, hour).await.expect_err("full"),
                ];
                for error in refused {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                }
            }
            let more = end() - before;
            assert_eq!(more, 0, "{more} bytes for refused expiries");
            assert!(!words.set_expiry(&5000, hour).await.expect("it is absent"));
            space.set(FREE);
            for key in 0..100 {
                while words.set_expiry(&key, hour).await.is_err() {
                    site.handle.sleep(Duration::from_millis(20)).await;
                }
                assert!(texts.set_expiry(&key, hour).await.expect("there is space"));
            }
            database.close().await.expect("closes");
        });
    });
}

/// Nothing woke the reader, so it waited for ever.
#[test]
fn a_waiting_feed_hears_that_the_store_is_poisoned() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let space = Space::of(FREE);
            let store = open(&site, &space).await;
            let mut changes = store.changes(Start::Oldest).expect("it has a log");
            store.upsert(&1, b"one").durable().await.expect("durable");
            assert_eq!(changes.next().await.expect("shown").expect("sound").key, 1);
            space.transition_to_broken();
            let failing = async { store.flush().await.expect_err("a write fails") };
            let (next, failed) = futures::join!(changes.next(), failing);
            assert_eq!(failed.kind(), ErrorKind::Poisoned, "{failed}");
            let ended = next.expect("an error").expect_err("no change follows");
            assert_eq!(ended.kind(), ErrorKind::Poisoned, "{ended}");
            assert!(changes.next().await.is_none());
        });
    });
}

/// The report had the time without the repetition.
#[test]
fn a_recovery_takes_as_long_as_its_replay() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let space = Space::of(FREE);
        let store = open(&site, &space).await;
        for key in 0..2000 {
            store.upsert(&key, &[1; 100]).await.expect("there is space");
        }
        store.close().await.expect("closes");
        let begun = site.handle.now();
        let store = open(&site, &space).await;
        let took = site.handle.now() - begun;
        let report = store.recovery().expect("recovered");
        assert_eq!(report.repeated, 2000);
        assert!(report.took <= took && report.took * 10 > took * 9, "{report} of {took:?}");
        store.close().await.expect("closes");
    });
}

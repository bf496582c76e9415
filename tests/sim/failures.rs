//! Reads, writes and syncs that fail: the tasks that get the error, and the operations that still
//! work.

use std::cell::Cell;
use std::error::Error as _;
use std::io;

use kvick::io::sim::{FaultRates, SimOptions};
use kvick::{Error, ErrorKind, FasterKv};
use tests::model::{EntryPoints, Mix, Model};
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, World, seeds};

const STEPS: u32 = 250;

fn mix() -> Mix {
    Mix { first_key: 0, keys: 60, longest: 6000, batches: false, flush: 0.02 }
}

#[test]
fn a_failed_read_fails_one_operation() {
    let failed = Cell::new(0);
    seeds(160, |seed| failed.set(failed.get() + failing_reads::<u64, u64>(seed)));
    assert!(failed.get() > 0, "no read met a fault");
}

#[test]
fn a_failed_read_of_bytes_fails_one_operation() {
    let failed = Cell::new(0);
    seeds(160, |seed| failed.set(failed.get() + failing_reads::<[u8], [u8]>(seed)));
    assert!(failed.get() > 0, "no read met a fault");
}

/// Runs operations while reads fail. Returns the number of failed operations.
fn failing_reads<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) -> u32 {
    let options = SimOptions {
        fault_rates: FaultRates { read: 0.3, ..FaultRates::default() },
        ..SimOptions::default()
    };
    let world = World::with(seed, options);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(site.small_config()).await;
        let mut entry_points = EntryPoints::new(&store).expect("the store is open");
        let mut model = Model::new(mix(), site.random(3));
        let mut failed = 0;
        for _ in 0..STEPS {
            if let Err(error) = model.step(&mut entry_points).await {
                assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                assert!(error.to_string().contains("log.0"), "names no file: {error}");
                assert_is_simulated(&error);
                failed += 1;
            }
        }
        site.disk.heal();
        model.check(&mut entry_points).await.expect("reads work again");
        store.close().await.expect("closes");
        failed
    })
}

#[test]
fn a_failed_write_poisons() {
    seeds(160, failing_write::<u64, u64>);
}

#[test]
fn a_failed_write_of_bytes_poisons() {
    seeds(160, failing_write::<[u8], [u8]>);
}

fn failing_write<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(site.small_config()).await;
        let mut entry_points = EntryPoints::new(&store).expect("the store is open");
        let mut model = Model::new(mix(), site.random(4));
        for _ in 0..site.random(5).below(100) {
            model.step(&mut entry_points).await.expect("a sound disk");
        }
        let others = start_writers(&site, &store);
        site.disk.fail_writes(Some(io::ErrorKind::Other));
        // An operation that needs no space may succeed in place until a flush fails.
        let error = loop {
            if let Err(error) = model.step(&mut entry_points).await {
                break error;
            }
        };
        assert_poisoned_by(&error, ErrorKind::Io);
        site.disk.heal();
        for other in others {
            let error = other.await.expect("a writer ends well");
            assert_poisoned_by(&error, ErrorKind::Io);
        }
        assert_reads_only(&store, &mut entry_points, &model).await;
    });
}

/// Starts tasks that write keys of their own until they fail.
fn start_writers<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: &Site,
    store: &FasterKv<K, V>,
) -> Vec<kvick::runtime::Task<Error>> {
    let writers = (1..4).map(|number| {
        let mut entry_points = EntryPoints::new(store).expect("the store is open");
        let mix = Mix { first_key: number * 1000, ..mix() };
        let mut model = Model::new(mix, site.random(10 + number));
        site.handle.spawn("writer", async move {
            loop {
                if let Err(error) = model.step(&mut entry_points).await {
                    break error;
                }
            }
        })
    });
    writers.collect()
}

#[test]
fn a_failed_sync_poisons() {
    seeds(120, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = site.open::<u64, u64>(site.small_config()).await;
            let mut entry_points = EntryPoints::new(&store).expect("the store is open");
            let without_flush = Mix { flush: 0.0, ..mix() };
            let mut model = Model::new(without_flush, site.random(6));
            for _ in 0..STEPS {
                model.step(&mut entry_points).await.expect("a sound disk");
            }
            site.disk.fail_syncs(true);
            let error = store.flush().await.expect_err("the sync fails");
            assert_is_simulated(&error);
            site.disk.heal();
            // The system reports a failed sync once. A second sync would succeed, and prove
            // nothing.
            let again = store.flush().await.expect_err("a second flush");
            assert_poisoned_by(&again, ErrorKind::Io);
            let error = store.upsert(&1, &1).await.expect_err("no more writes");
            assert_poisoned_by(&error, ErrorKind::Io);
            assert_reads_only(&store, &mut entry_points, &model).await;
        });
    });
}

/// Checks that all acknowledged data can be read, that writes fail, and that closing ends.
async fn assert_reads_only<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
    entry_points: &mut EntryPoints<K, V>,
    model: &Model<K, V>,
) {
    model.check(entry_points).await.expect("reads continue");
    let flushed = store.flush_and_evict().await;
    assert_poisoned_by(&flushed.expect_err("nothing is written"), ErrorKind::Io);
    let closed = store.close().await;
    assert_poisoned_by(&closed.expect_err("not all is stored"), ErrorKind::Io);
    let key = K::numbered(0);
    let read = store.read(tests::model::item::<K>(&key)).await;
    assert_eq!(read.expect_err("closed").kind(), ErrorKind::Closed);
}

/// Checks that the error is poison, with the first failure and its cause.
fn assert_poisoned_by(error: &Error, cause: ErrorKind) {
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    let source = error.source().expect("poison has a cause");
    let source = source.downcast_ref::<Error>().expect("it is an error of ours");
    assert_eq!(source.kind(), cause);
    assert_is_simulated(source);
}

fn assert_is_simulated(error: &Error) {
    let text = error.to_string();
    assert!(text.contains("simulated fault"), "the cause is lost: {text}");
}

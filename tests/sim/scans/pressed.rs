//! Scans beside writers that wait for space within a budget. Compaction makes it, and waits for the
//! scans.
//!
//! Invariants, and the test of each:
//! 1. Scans that are used are waited for, also if they overlap all the time, since new ones wait
//!    (`writers_wait_for_scans_that_overlap`).
//! 2. A task that scans and writes for each key never waits for itself, whatever other scans do
//!    (`a_task_writes_while_it_scans`).
//! 3. Nor does a task that begins a scan within a scan (`a_task_scans_while_it_scans`).
//! 4. A writer waits for a scan no longer than a minute, and compaction has its turn when the scan
//!    has ended (`compaction_has_its_turn`).
//! 5. A lap that no writer waits for holds new scans and requests back for half a minute at most
//!    (`a_lap_without_writers_ends`).
//! 6. A writer waits for readers of the oldest page no longer than that, also if there is always
//!    one (`readers_that_begin_again_end_no_wait`).

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::{Either, join, join_all, select};
use kvick::config::ByteSize;
use kvick::{Error, ErrorKind, FasterKv};
use tests::simulated::{Site, World, two_pages};

const KEYS: u64 = 300;
const VALUE: [u8; 200] = [7; 200];

/// Runs `test` with a store of 300 keys in a budget of 256 KiB, which is used up.
fn run(seed: u64, test: impl AsyncFn(&Site, &FasterKv<u64, [u8]>)) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async {
        let config = two_pages().with_segment_size(ByteSize::kib(8)).with_keep_checkpoints(2);
        let store = site.open::<u64, [u8]>(config.with_disk(ByteSize::kib(256))).await;
        for key in 0..KEYS {
            store.upsert(&key, &VALUE).await.expect("there is space");
        }
        test(&site, &store).await;
        store.close().await.expect("closes");
    });
}

/// Scans all keys, with a pause after each. Returns their number.
pub(super) async fn scan_slowly(site: &Site, store: &FasterKv<u64, [u8]>, pause: Duration) -> u64 {
    let (mut scan, mut keys) = (store.scan(), 0);
    while scan.try_next().await.expect("the scan goes on").is_some() {
        keys += 1;
        site.handle.sleep(pause).await;
    }
    keys
}

/// Writes to all keys again and again until there is an error.
async fn write_until_refused(store: &FasterKv<u64, [u8]>) -> Error {
    loop {
        for key in 0..KEYS {
            if let Err(error) = store.upsert(&key, &VALUE).await {
                return error;
            }
        }
    }
}

pub(super) fn assert_held_up(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().contains("a scan in progress holds compaction up"), "{error}");
}

/// Three tasks scan all the time, so at each moment two scans or three are in progress.
#[test]
fn writers_wait_for_scans_that_overlap() {
    run(1, async |site, store| {
        let (is_over, scans) = (Cell::new(false), Cell::new(0));
        let scanner = async |number: u64| {
            site.handle.sleep(Duration::from_secs(2) * u32::try_from(number).expect("few")).await;
            while !is_over.get() {
                assert_eq!(scan_slowly(site, store, Duration::from_millis(20)).await, KEYS);
                scans.set(scans.get() + 1);
            }
        };
        let writer = async {
            for round in 0..40 {
                for key in 0..KEYS {
                    store.upsert(&key, &VALUE).await.expect("there is space");
                }
                site.handle.sleep(Duration::from_millis(500 * (round % 3))).await;
            }
            is_over.set(true);
        };
        join(join_all((0..3).map(scanner)), writer).await;
        let space = store.stats().space;
        assert!(space.waits > 5 && space.refused == 0, "{space:?}");
        assert!(scans.get() > 10, "{} scans", scans.get());
    });
}

/// Another scan is used all the time, and another task presses.
#[test]
fn a_task_writes_while_it_scans() {
    run(2, async |site, store| {
        let other = async {
            loop {
                scan_slowly(site, store, Duration::from_secs(1)).await;
            }
        };
        let presser = async {
            loop {
                assert_held_up(&write_until_refused(store).await);
            }
        };
        let own = async {
            site.handle.sleep(Duration::from_secs(1)).await;
            let (mut scan, mut keys, mut refused) = (store.scan(), 0, 0);
            while let Some((key, _value)) = scan.try_next().await.expect("the scan goes on") {
                let begun = site.handle.now();
                if let Err(error) = store.upsert(&key, &VALUE).await {
                    assert_held_up(&error);
                    refused += 1;
                }
                let waited = site.handle.now() - begun;
                assert!(waited < Duration::from_secs(12), "{waited:?} for key {key}");
                keys += 1;
            }
            assert_eq!(keys, KEYS);
            assert!(refused > 0, "{}", store.stats());
        };
        select(pin!(own), pin!(join(other, presser))).await;
    });
}

#[test]
fn a_task_scans_while_it_scans() {
    run(3, async |site, store| {
        let presser = async {
            loop {
                assert_held_up(&write_until_refused(store).await);
            }
        };
        let own = async {
            let mut scan = store.scan();
            let mut keys = 0;
            while scan.try_next().await.expect("the scan goes on").is_some() {
                keys += 1;
                if keys % 30 == 0 {
                    let begun = site.handle.now();
                    assert_eq!(store.count().await.expect("a sound disk"), KEYS);
                    let waited = site.handle.now() - begun;
                    assert!(waited < Duration::from_secs(12), "{waited:?} at key {keys}");
                }
            }
            assert_eq!(keys, KEYS);
        };
        select(pin!(own), pin!(presser)).await;
    });
}

/// Scans of two minutes follow one another, and each begins while another is in progress. A writer
/// that is refused tries again later.
#[test]
fn compaction_has_its_turn() {
    run(4, async |site, store| {
        let scans = Rc::new(Cell::new(0));
        let scanner = async |number: u32| {
            site.handle.sleep(Duration::from_secs(1) + Duration::from_mins(1) * number).await;
            loop {
                scan_slowly(site, store, Duration::from_millis(400)).await;
                scans.set(scans.get() + 1);
            }
        };
        let writer = async {
            site.handle.sleep(Duration::from_mins(2)).await;
            let (mut refused, begun) = (0, site.handle.now());
            loop {
                let began = site.handle.now();
                let error = write_until_refused_or_compacted(store).await;
                let waited = site.handle.now() - began;
                assert!(waited < Duration::from_secs(65), "{waited:?} in one wait");
                let Some(error) = error else { break };
                assert_held_up(&error);
                refused += 1;
                assert!(refused < 10, "compaction has no turn: {:?}", store.stats().space);
                site.handle.sleep(Duration::from_secs(3)).await;
            }
            let waited = site.handle.now() - begun;
            assert!(refused > 0 && waited < Duration::from_mins(3), "{refused} in {waited:?}");
        };
        select(pin!(join(scanner(0), scanner(1))), pin!(writer)).await;
        assert!(scans.get() > 0, "scans go on");
    });
}

/// Writes until it is refused, or compaction has made a round since this call.
async fn write_until_refused_or_compacted(store: &FasterKv<u64, [u8]>) -> Option<Error> {
    let rounds = store.stats().space.rounds;
    for key in (0..KEYS).cycle() {
        if store.stats().space.rounds > rounds {
            return None;
        }
        if let Err(error) = store.upsert(&key, &VALUE).await {
            return Some(error);
        }
    }
    unreachable!("the keys come again")
}

/// A scan goes on for minutes after the only writer was refused for it. New scans waited for its
/// end, and so did requests, although no writer was there.
#[test]
fn a_lap_without_writers_ends() {
    for asks in [false, true] {
        run(6, async move |site, store| {
            let other = scan_slowly(site, store, Duration::from_secs(2));
            let writer = async {
                site.handle.sleep(Duration::from_secs(1)).await;
                assert_held_up(&write_until_refused(store).await);
                let begun = site.handle.now();
                if asks {
                    super::assert_held_up(store).await;
                }
                let mut scan = store.scan();
                assert!(scan.try_next().await.expect("a sound disk").is_some());
                let (waited, most) = (site.handle.now() - begun, if asks { 2 } else { 32 });
                assert!(waited <= Duration::from_secs(most), "{waited:?}");
                assert_eq!(store.stats().scans.in_progress, 2, "the other one goes on");
            };
            match select(pin!(other), pin!(writer)).await {
                Either::Left(_) => panic!("the new scan waits for the end of the other one"),
                Either::Right(((), _other)) => {}
            }
        });
    }
}

/// Readers of the oldest page begin again and again. Their number changed, which looked as if they
/// went on, so writers waited for ever.
#[test]
fn readers_that_begin_again_end_no_wait() {
    run(5, async |site, store| {
        let reader = async |number: u32| {
            site.handle.sleep(Duration::from_millis(2500) * number).await;
            loop {
                let mut records = store.log_records(..);
                for _ in 0..10 {
                    records.try_next().await.expect("a sound disk");
                    site.handle.sleep(Duration::from_millis(500)).await;
                }
            }
        };
        let writer = async {
            for _ in 0..5 {
                let began = site.handle.now();
                let error = write_until_refused(store).await;
                let waited = site.handle.now() - began;
                assert!(waited < Duration::from_secs(65), "{waited:?} in one wait");
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                assert!(error.to_string().contains("a reader of the log holds"), "{error}");
            }
        };
        select(pin!(writer), pin!(join(reader(0), reader(1)))).await;
        for key in 0..KEYS {
            store.upsert(&key, &VALUE).await.expect("no reader is in the way");
        }
    });
}

//! A disk that fails under a log at work: waiting tasks are told, all of the same cause, none
//! hangs, and afterwards everything acknowledged is there.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use kvick::io::sim::{FaultRates, SimOptions, Survival};
use tests::log_model::{LogAcknowledged, LogLedger};
use tests::simulated::{Site, World, seeds};

use crate::log_excuses::Excuses;
use crate::log_work::{Ending, Scene};

/// A run has fewer operations of the disk.
const OPERATIONS: u64 = 5000;

/// What a run leaves.
struct Left {
    ledger: LogLedger,
    known: LogAcknowledged,
    excuses: Excuses,
}

/// Virtual time is at no loss: a task that takes longer hangs.
async fn in_time<T>(site: &Site, what: &str, future: impl Future<Output = T>) -> T {
    let limit = site.handle.sleep(Duration::from_secs(60));
    match select(pin!(future), limit).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("{what}: a task hangs\n{}", site.disk.history()),
    }
}

/// Opens a log that is as `before` says, lets all tasks work, and closes it.
async fn run(site: &Site, before: Left, what: &str) -> Left {
    let Left { ledger, known, excuses } = before;
    let log = match in_time(site, what, site.try_open_log(site.small_log_config())).await {
        Ok(log) => log,
        Err(error) => {
            excuses.check(&error);
            return Left { ledger, known, excuses };
        }
    };
    let scene = Scene::new(site.clone(), log, excuses);
    *scene.ledger.lock() = ledger;
    *scene.known.lock() = known;
    in_time(site, what, scene.work(Ending::Closed, false)).await;
    scene.excuses.settle();
    let (ledger, known) = (scene.ledger.lock().clone(), scene.known.lock().clone());
    Left { ledger, known, excuses: scene.excuses }
}

/// Opens what a run left, on a disk that is sound, and whatever a power cut makes of it.
fn check_left(world: &World, left: &Left, what: &str) {
    let site = &world.site;
    site.disk.heal();
    let images = [Survival::NOTHING, Survival::EVERYTHING]
        .map(|survival| site.disk.crash_with(site.seed, survival));
    let check = async |site: Site| {
        let opened = in_time(&site, what, site.try_open_log(site.small_log_config())).await;
        let log = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
        left.ledger.verify(&log, &left.known).await;
        log.append_durable(b"and on").await.expect("a sound disk");
        log.close().await.expect("a sound disk");
    };
    for image in images {
        let world = World::on(site.seed, image);
        world.simulation.run(check(world.site.clone()));
    }
    world.simulation.run(check(site.clone()));
}

fn nothing() -> Left {
    nothing_on(LogLedger::default())
}

fn nothing_on(ledger: LogLedger) -> Left {
    Left { ledger, known: LogAcknowledged::default(), excuses: Excuses::faulty() }
}

/// Each operation of a run fails once, from the creation of the log on. Gives how many runs went
/// on, and how many were poisoned.
fn any_operation_may_fail(seed: u64, kind: io::ErrorKind) -> [u32; 2] {
    let mut runs = [0; 2];
    for number in 0..OPERATIONS {
        let world = World::new(seed);
        let what = format!("{kind:?} at operation {number}");
        world.site.disk.fail_at(number, kind);
        let ledger = match kind {
            io::ErrorKind::StorageFull => LogLedger::on_a_full_device(),
            _ => LogLedger::default(),
        };
        let left = world.simulation.run(run(&world.site, nothing_on(ledger), &what));
        let was_met = world.site.disk.operations() > number;
        check_left(&world, &left, &what);
        runs[usize::from(left.excuses.cause().is_some())] += 1;
        if !was_met {
            return runs;
        }
    }
    panic!("a run has more operations than {OPERATIONS}");
}

fn all_operations_may_fail(seeds_usual: u64, kind: io::ErrorKind) -> [u32; 2] {
    let sum = Cell::new([0; 2]);
    seeds(seeds_usual, |seed| {
        let [sound, poisoned] = any_operation_may_fail(seed, kind);
        sum.set([sum.get()[0] + sound, sum.get()[1] + poisoned]);
    });
    println!("{:?} runs went on, and were poisoned", sum.get());
    sum.get()
}

#[test]
fn any_operation_may_fail_for_good() {
    let runs = all_operations_may_fail(12, io::ErrorKind::Other);
    assert!(runs.iter().all(|count| *count > 0), "{runs:?}");
}

#[test]
fn any_operation_may_be_denied() {
    all_operations_may_fail(6, io::ErrorKind::PermissionDenied);
}

#[test]
fn any_operation_may_meet_a_full_disk() {
    let runs = all_operations_may_fail(12, io::ErrorKind::StorageFull);
    assert!(runs[0] > 0, "{runs:?}");
}

/// Recovery, and work after it: each operation of the opening fails, and some of what follows.
#[test]
fn any_operation_of_a_recovery_may_fail() {
    seeds(12, |seed| {
        for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
            for number in 0..40 {
                let world = World::new(seed);
                let first = Left { excuses: Excuses::default(), ..nothing() };
                let left = world.simulation.run(run(&world.site, first, "sound"));
                let image = world.site.disk.crash_with(seed, Survival::EVERYTHING);
                let what = format!("{kind:?} at operation {number} of a recovery");
                let world = World::on(seed, image);
                // Ledgers know where entries are: they go on from what a sound recovery finds.
                world.site.disk.fail_at(number, kind);
                let left = world.simulation.run(reopened(&world.site, left, &what));
                check_left(&world, &left, &what);
            }
        }
    });
}

async fn reopened(site: &Site, left: Left, what: &str) -> Left {
    let excuses = Excuses::faulty();
    let Left { ledger, known, .. } = left;
    match in_time(site, what, site.try_open_log(site.small_log_config())).await {
        Ok(log) => {
            in_time(site, what, log.close()).await.map_or_else(|error| excuses.check(&error), drop);
        }
        Err(error) => excuses.check(&error),
    }
    Left { ledger, known, excuses }
}

/// A device on which everything fails now and then.
#[test]
fn a_flaky_disk_loses_nothing_that_was_acknowledged() {
    let poisoned = Cell::new(0);
    seeds(400, |seed| {
        let rate = [0.0, 0.003, 0.01, 0.03][usize::try_from(seed % 4).expect("small")];
        let fault_rates = FaultRates { read: 0.05, write: rate, sync: rate, name: rate };
        let world = World::with(seed, SimOptions { fault_rates, ..SimOptions::default() });
        let left = world.simulation.run(run(&world.site, nothing(), "a flaky disk"));
        check_left(&world, &left, "a flaky disk");
        poisoned.set(poisoned.get() + u32::from(left.excuses.cause().is_some()));
    });
    println!("{} runs were poisoned", poisoned.get());
    assert!(poisoned.get() > 0);
}

//! A disk that fails under a log at work. All waiting tasks get an error of the same cause, none
//! hangs, and every acknowledged entry is recovered.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use kvick::io::sim::{FaultRates, SimOptions, Survival};
use tests::log_model::{LogAcknowledged, LogLedger};
use tests::simulated::{Site, World, seeds};

use crate::log_allowed_errors::AllowedErrors;
use crate::log_work::{Ending, Job};

/// A number that exceeds the disk operations of a run.
const OPERATIONS: u64 = 5000;

/// The state after a run.
struct Left {
    ledger: LogLedger,
    known: LogAcknowledged,
    allowed_errors: AllowedErrors,
}

/// Waits for `future` with a generous limit of virtual time. A task that takes longer hangs.
async fn in_time<T>(site: &Site, what: &str, future: impl Future<Output = T>) -> T {
    let limit = site.handle.sleep(Duration::from_secs(60));
    match select(pin!(future), limit).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("{what}: a task hangs\n{}", site.disk.history()),
    }
}

/// Opens a log in the state `before`, lets all tasks work, and closes it.
async fn run(site: &Site, before: Left, what: &str) -> Left {
    let Left { ledger, known, allowed_errors } = before;
    let log = match in_time(site, what, site.try_open_log(site.small_log_config())).await {
        Ok(log) => log,
        Err(error) => {
            allowed_errors.check(&error);
            return Left { ledger, known, allowed_errors };
        }
    };
    let job = Job::new(site.clone(), log, allowed_errors);
    *job.ledger.lock() = ledger;
    *job.known.lock() = known;
    in_time(site, what, job.work(Ending::Closed, false)).await;
    job.allowed_errors.check_losses();
    let (ledger, known) = (job.ledger.lock().clone(), job.known.lock().clone());
    Left { ledger, known, allowed_errors: job.allowed_errors }
}

/// Opens the log again on a sound disk, and on the images of two power cuts.
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
    Left { ledger, known: LogAcknowledged::default(), allowed_errors: AllowedErrors::faulty() }
}

/// Lets each disk operation of a run fail once, including the creation of the log. Returns how many
/// runs continued, and how many were poisoned.
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
        runs[usize::from(left.allowed_errors.cause().is_some())] += 1;
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
    println!("{:?} runs continued, and were poisoned", sum.get());
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

/// Each operation of a recovery fails once, and some after it.
#[test]
fn any_operation_of_a_recovery_may_fail() {
    seeds(12, |seed| {
        for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
            for number in 0..40 {
                let world = World::new(seed);
                let first = Left { allowed_errors: AllowedErrors::default(), ..nothing() };
                let left = world.simulation.run(run(&world.site, first, "sound"));
                let image = world.site.disk.crash_with(seed, Survival::EVERYTHING);
                let what = format!("{kind:?} at operation {number} of a recovery");
                let world = World::on(seed, image);
                // A ledger knows the addresses of the entries, and continues from a sound recovery.
                world.site.disk.fail_at(number, kind);
                let left = world.simulation.run(reopened(&world.site, left, &what));
                check_left(&world, &left, &what);
            }
        }
    });
}

async fn reopened(site: &Site, left: Left, what: &str) -> Left {
    let allowed_errors = AllowedErrors::faulty();
    let Left { ledger, known, .. } = left;
    match in_time(site, what, site.try_open_log(site.small_log_config())).await {
        Ok(log) => {
            in_time(site, what, log.close())
                .await
                .map_or_else(|error| allowed_errors.check(&error), drop);
        }
        Err(error) => allowed_errors.check(&error),
    }
    Left { ledger, known, allowed_errors }
}

/// Each kind of disk operation fails now and then.
#[test]
fn a_flaky_disk_loses_nothing_that_was_acknowledged() {
    let poisoned = Cell::new(0);
    seeds(400, |seed| {
        let rate = [0.0, 0.003, 0.01, 0.03][usize::try_from(seed % 4).expect("small")];
        let fault_rates = FaultRates { read: 0.05, write: rate, sync: rate, name: rate };
        let world = World::with(seed, SimOptions { fault_rates, ..SimOptions::default() });
        let left = world.simulation.run(run(&world.site, nothing(), "a flaky disk"));
        check_left(&world, &left, "a flaky disk");
        poisoned.set(poisoned.get() + u32::from(left.allowed_errors.cause().is_some()));
    });
    println!("{} runs were poisoned", poisoned.get());
    assert!(poisoned.get() > 0);
}

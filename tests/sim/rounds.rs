//! Rounds of compaction over many pages, of records whose chains are on the device, which stop
//! half way: reads fail for a moment, closures panic, callers leave, the device or the budget is
//! full. Whatever a round leaves undone, no live key is lost, and no writer is refused while the
//! live data fit.
//!
//! Other simulations have seen no error of the records that a round gathers, because their keys
//! hardly ever share a chain. Without that, memory alone decides which records are live.
//!
//! # Negative controls
//! These mistakes were made by hand in `engine/src/store/compaction/`:
//!
//! * A round stops at the span where it got the error, not at the lowest place that is left, in
//!   `uncertain.rs`. About every seventh run loses a key.
//! * A round does not look up what it has gathered while the copies are sure to fit, in `round.rs`.
//!   One run in fifteen has no room for copies, although most of the log is dead.
//! * A stop does not forget the records that were gathered again, so that a second stop raises the
//!   end of what is done, in `round.rs`. That is rare: the usual number of runs may miss it.

mod plan;
mod stops;
mod writers;

use std::cell::Cell;
use std::sync::Arc;

use kvick::FasterKv;
use tests::gauge::Gauge;
use tests::sharing::{HASH_SEED, chains};
use tests::simulated::{Site, World, seeds};

use plan::Plan;
use stops::Device;
use writers::Writer;

type Store = FasterKv<u64, [u8]>;

/// The rounds that failed, and the waits for space.
#[derive(Default)]
struct Sums {
    failed: u64,
    waits: u64,
}

/// A round that stopped after one failed read let the log begin after records that it had not
/// copied: a span that could not be read is read again after higher ones that were in flight.
#[test]
fn no_stop_loses_a_key() {
    let failed = Cell::new(0);
    seeds(90, |seed| failed.set(failed.get() + run(seed, Plan::of_stops(seed)).failed));
    assert!(failed.get() > 0, "no round stopped");
}

/// A round gathered the records of the oldest pages, and filled the space for copies with later
/// ones. No file went, and writers were refused although most of the log was dead.
#[test]
fn no_writer_is_refused_while_live_data_fit() {
    let waits = Cell::new(0);
    seeds(70, |seed| waits.set(waits.get() + run(seed, Plan::of_budgets(seed)).waits));
    assert!(waits.get() > 0, "no writer waited for space");
}

/// The simulation depends on it: otherwise memory decides about nearly every record.
#[test]
fn the_keys_share_chains() {
    let world = World::new(0);
    let site = Site { seed: HASH_SEED, ..world.site.clone() };
    world.simulation.run(async move {
        let store: Store = site.open(Plan::of_stops(0).config).await;
        for key in chains().iter().flatten() {
            store.upsert(key, b"").await.expect("a sound disk");
        }
        assert_eq!(store.stats().index.entries, chains().len() as u64);
        store.close().await.expect("closes");
    });
}

/// Runs the lives of a store. Returns the sums of some numbers of all lives.
fn run(seed: u64, plan: Plan) -> Sums {
    let (simulation, site, gauge) = Gauge::world(seed);
    let mut sums = Sums::default();
    simulation.run(async {
        let mut writers = plan.writers(&site);
        for life in 0..plan.lives {
            // The hash of the keys follows from the seed of the first opening.
            let opened = Site { seed: HASH_SEED + life, ..site.clone() };
            let store: Store = opened.open(plan.config.clone()).await;
            check(&store, &writers).await;
            writers = live(&site, &store, writers, (life, &plan)).await;
            site.disk.heal();
            check(&store, &writers).await;
            store.compact().await.expect("a sound disk");
            check(&store, &writers).await;
            let space = store.stats().space;
            sums.failed += space.failed;
            sums.waits += space.waits;
            store.close().await.expect("closes");
        }
    });
    plan.config.disk.into_iter().for_each(|disk| gauge.check(disk));
    sums
}

async fn check(store: &Store, writers: &[Writer]) {
    for writer in writers {
        writer.check(store).await.expect("a sound disk");
    }
}

/// Lets writers write while rounds stop.
async fn live(
    site: &Site,
    store: &Store,
    writers: Vec<Writer>,
    (life, plan): (u64, &Plan),
) -> Vec<Writer> {
    let device = Device::new(site.clone(), plan.faults);
    let faults = Arc::clone(&device).disturb(site.random(100 + life));
    let faults = site.handle.spawn("faults", faults);
    let times = (site.random(200 + life), plan.compactions);
    let compactor = Arc::clone(&device).compact_often(store.clone(), times);
    let compactor = site.handle.spawn("compactor", compactor);
    let start = |writer: Writer| {
        let writing = writer.write(store.clone(), Arc::clone(&device), plan.steps);
        site.handle.spawn("writer", writing)
    };
    let tasks: Vec<_> = writers.into_iter().map(start).collect();
    let mut writers = Vec::new();
    for task in tasks {
        writers.push(task.await.expect("the writer ends well"));
    }
    compactor.await.expect("the compactor ends well");
    device.end();
    faults.await.expect("the faults end well");
    writers
}

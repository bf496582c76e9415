//! A write-ahead log whose device fails or is full: what was acknowledged as durable is there, and
//! nothing hangs.

use std::time::Duration;

use kvick::config::{ByteSize, DurableBy};
use kvick::{Config, Error, ErrorKind, FasterKv};
use tests::journal::{Journal, Record};
use tests::simulated::{Site, World, seeds};

const STEPS: u64 = 120;

fn config(site: &Site) -> Config {
    let config = site.small_config().with_durability(DurableBy::Wal);
    let config = config.with_wal_memory(ByteSize::kib(256)).with_checkpoint_on_close(false);
    let every = site.random(7).chance(0.5).then_some(Duration::from_millis(1));
    config.with_commit_every(every)
}

/// Does some operations, and makes them durable now and then. Returns the number of the last
/// durable operation.
async fn work(site: &Site, journal: &mut Journal, steps: u64) -> u64 {
    let (mut random, mut durable) = (site.random(3), 0);
    for _ in 0..steps {
        journal.step().await.expect("a sound disk");
        if random.chance(0.1) {
            journal.session().sync().await.expect("a sound disk");
            durable = journal.session().serial();
        }
    }
    durable
}

/// Opens the store after a power cut, and checks that it has a prefix of the operations, no shorter
/// than the durable one.
fn check_after_a_cut(world: &World, record: &Record, durable: u64) {
    let seed = world.site.seed;
    let cut = World::on(seed, world.site.disk.crash(seed));
    let site = cut.site.clone();
    cut.simulation.run(async {
        let store = site.open::<u64, u64>(config(&site)).await;
        let recovered = record.check(&store).await;
        assert!(recovered >= durable, "{durable} are durable, {recovered} came back");
        store.close().await.expect("closes");
    });
}

/// Every write fails at once, or does not hang for long: it returns this kind of error.
async fn writes_fail(store: &FasterKv<u64, u64>, kind: ErrorKind) {
    let failed: Error = store.upsert(&1, &1).await.expect_err("the log takes no entry");
    assert_eq!(failed.kind(), kind, "{failed}");
    let failed = store.rmw(&1, |_| 1).durable().await.expect_err("the log takes no entry");
    assert_eq!(failed.kind(), kind, "{failed}");
    let failed = store.delete(&1).await.map(drop).expect_err("the log takes no entry");
    assert_eq!(failed.kind(), kind, "{failed}");
}

#[test]
fn after_a_failed_sync_nothing_is_durable_and_reads_work() {
    seeds(60, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let (record, durable) = world.simulation.run(async {
            let store = site.open::<u64, u64>(config(&site)).await;
            let mut journal = Journal::new(&store, 1000, site.random(1)).expect("open");
            let durable = work(&site, &mut journal, STEPS).await;
            journal.step().await.expect("in memory");
            site.disk.fail_syncs(true);
            let failed = journal.session().sync().await.expect_err("syncs fail");
            assert_eq!(failed.kind(), ErrorKind::Poisoned, "{failed}");
            writes_fail(&store, ErrorKind::Poisoned).await;
            assert!(!store.health().is_sound(), "it is told");
            site.disk.heal();
            journal.check(|_| false).await;
            let checkpoint = store.checkpoint().await.expect_err("it would need the log");
            assert_eq!(checkpoint.kind(), ErrorKind::Poisoned, "{checkpoint}");
            let closed = store.close().await.expect_err("the log could not be committed");
            assert_eq!(closed.kind(), ErrorKind::Poisoned, "{closed}");
            (journal.end(), durable)
        });
        check_after_a_cut(&world, &record, durable);
    });
}

#[test]
fn a_full_device_refuses_what_would_not_be_durable() {
    seeds(60, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let (record, durable) = world.simulation.run(async {
            let store = site.open::<u64, u64>(config(&site)).await;
            let mut journal = Journal::new(&store, 1000, site.random(1)).expect("open");
            work(&site, &mut journal, STEPS).await;
            site.disk.set_capacity(Some(site.disk.bytes_used()));
            let failed = loop {
                if let Err(failed) = journal.step().await {
                    break failed;
                }
                if let Err(failed) = journal.session().sync().await {
                    break failed;
                }
            };
            assert_eq!(failed.kind(), ErrorKind::StorageFull, "{failed}");
            // The same error until there is space, also when memory is full of entries.
            let failed = loop {
                if let Err(failed) = journal.step().await {
                    break failed;
                }
            };
            assert_eq!(failed.kind(), ErrorKind::StorageFull, "{failed}");
            journal.check(|_| false).await;
            site.disk.set_capacity(None);
            // The log tries again after a while.
            while let Err(failed) = journal.session().sync().await {
                assert_eq!(failed.kind(), ErrorKind::StorageFull, "{failed}");
                site.handle.sleep(Duration::from_millis(1)).await;
            }
            let durable = journal.session().serial();
            work(&site, &mut journal, 5).await;
            (journal.end(), durable)
        });
        check_after_a_cut(&world, &record, durable);
    });
}

//! Automatic checkpoints that fail. The tasks that depend on them get an error.

use std::io;
use std::time::Duration;

use kvick::stats::Condition;
use kvick::{Config, ErrorKind, FasterKv, checkpoint};
use tests::polling::AtMost;
use tests::simulated::{Site, World, seeds, two_pages};

const EVERY: Duration = Duration::from_secs(30);

fn config() -> Config {
    two_pages()
        .with_checkpoint_every(EVERY)
        .with_checkpoint_kind(checkpoint::Kind::Snapshot)
        .with_checkpoint_on_close(false)
}

/// Waits until the next due checkpoint has ended.
async fn until_due(site: &Site) {
    site.handle.sleep(EVERY + Duration::from_secs(1)).await;
}

/// Checks that the last checkpoint failed with `kind`, and that the store reports it.
fn assert_reported(store: &FasterKv<u64, u64>, kind: ErrorKind, failed: u64) {
    let stats = store.stats().checkpoints;
    assert_eq!(stats.failed, failed);
    let last = stats.last.expect("one has ended");
    let (reported, text) = last.error.expect("it failed");
    assert_eq!(reported, kind, "{text}");
    assert!(last.ago <= EVERY, "{:?} ago", last.ago);
    let health = store.health();
    assert!(!health.is_sound());
    assert_eq!(health.checkpoint.expect("it failed").kind(), kind);
}

fn assert_sound(store: &FasterKv<u64, u64>, taken: u64) {
    let stats = store.stats().checkpoints;
    assert_eq!(stats.taken, taken);
    let last = stats.last.expect("one has ended");
    assert_eq!((last.kind, last.error), (checkpoint::Kind::Snapshot, None));
    assert!(store.health().is_sound(), "{:?}", store.health());
}

/// A failed checkpoint by time left one line in a trace and no other sign. The health of the store
/// was sound, and each task that waited for durability waited for ever.
#[test]
fn a_due_checkpoint_that_fails_is_reported() {
    seeds(6, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            assert!(store.health().is_sound() && store.stats().checkpoints.last.is_none());
            let mut session = store.session().expect("open");
            session.upsert(&1, &1).await.expect("a sound disk");
            let waiting = session.wait_durable();
            site.disk.fail_writes(Some(io::ErrorKind::Other));
            let (waited, ()) = futures::join!(waiting, until_due(&site));
            assert_eq!(waited.expect_err("it failed").kind(), ErrorKind::Io);
            assert_reported(&store, ErrorKind::Io, 1);
            assert_eq!(store.health().condition, Condition::Sound, "writers continue");
            site.disk.heal();
            // The earlier failure does not concern tasks that begin to wait now.
            let (waited, ()) = futures::join!(session.wait_durable(), until_due(&site));
            waited.expect("the next checkpoint has it");
            assert_sound(&store, 1);
            drop(session);
            store.close().await.expect("closes");
            assert_eq!(store.health().condition, Condition::Closed);
        });
    });
}

/// A full disk is not a permanent failure: a waiting task waits for the next checkpoint.
#[test]
fn a_wait_for_durability_outlasts_a_full_disk() {
    seeds(6, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            let mut session = store.session().expect("open");
            session.upsert(&1, &1).await.expect("a sound disk");
            site.disk.set_capacity(Some(site.disk.bytes_used()));
            let mut waiting = Box::pin(session.wait_durable());
            assert!(AtMost::new(1, waiting.as_mut()).await.is_none());
            until_due(&site).await;
            assert_reported(&store, ErrorKind::StorageFull, 1);
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            site.disk.set_capacity(None);
            let (waited, ()) = futures::join!(waiting, until_due(&site));
            waited.expect("there is space again");
            assert_sound(&store, 1);
            drop(session);
            store.close().await.expect("closes");
        });
    });
}

/// The health of a store reports poison, and so does the health of a log.
#[test]
fn poison_is_reported() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(config()).await;
        let log = site.open_log(site.small_log_config()).await;
        assert!(log.health().is_sound());
        store.upsert(&1, &1).await.expect("a sound disk");
        log.append(b"one").await.expect("a sound disk");
        site.disk.fail_syncs(true);
        store.flush().await.expect_err("the sync fails");
        log.commit().await.expect_err("the sync fails");
        for health in [store.health(), log.health()] {
            assert_eq!(health.condition, Condition::Poisoned);
            assert_eq!(health.cause.expect("a sync failed").kind(), ErrorKind::Poisoned);
        }
    });
}

/// Each job of the driver restarted the clock of `checkpoint_every`. A service that pruned more
/// often than a checkpoint was due never had one: a crash lost all data without a warning.
#[test]
fn other_jobs_do_not_put_off_what_is_due() {
    for job in 0..3 {
        let world = World::new(1);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            for key in 0..30 {
                store.upsert(&key, &key).await.expect("a sound disk");
                match job {
                    0 => store.prune_checkpoints(3).await.expect("a sound disk"),
                    1 => drop(store.checkpoint().index_only().await.expect("a sound disk")),
                    _ => {
                        if let Some(kept) = store.checkpoints().last() {
                            // The last checkpoint stays.
                            if let Err(error) = store.delete_checkpoint(kept.token).await {
                                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
                            }
                        }
                    }
                }
                site.handle.sleep(EVERY * 2 / 3 + Duration::from_millis(7)).await;
            }
            let kept = store.checkpoints().len();
            assert!(kept > 0, "job {job}");
            let taken = store.stats().checkpoints.taken;
            assert!(taken >= 19, "job {job}: {taken} in {:?}", EVERY * 20);
            store.close().await.expect("closes");
        });
    }
}

/// A snapshot failed, and an image of the index succeeded after it. The store then reported sound
/// health although it had no checkpoint.
#[test]
fn an_image_of_the_index_hides_no_failure() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let store = site.open::<u64, u64>(two_pages().with_checkpoint_on_close(false)).await;
        store.upsert(&1, &1).await.expect("a sound disk");
        site.disk.fail_opens(Some(io::ErrorKind::OutOfMemory.into()));
        store.checkpoint().snapshot().await.expect_err("no file can be made");
        site.disk.fail_opens(None);
        store.checkpoint().index_only().await.expect("a sound disk");
        assert!(store.health().checkpoint.is_some() && store.checkpoints().is_empty());
        store.checkpoint().snapshot().await.expect("a sound disk");
        assert!(store.health().checkpoint.is_none());
        store.close().await.expect("closes");
    });
}

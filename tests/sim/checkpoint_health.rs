//! Automatic checkpoints fail, and the tasks that depend on them get to know.

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

/// Until the next one that is due has ended.
async fn until_due(site: &Site) {
    site.handle.sleep(EVERY + Duration::from_secs(1)).await;
}

/// The last checkpoint failed with `kind`, and the store says so.
fn assert_told(store: &FasterKv<u64, u64>, kind: ErrorKind, failed: u64) {
    let stats = store.stats().checkpoints;
    assert_eq!(stats.failed, failed);
    let last = stats.last.expect("one has ended");
    let (told, text) = last.error.expect("it failed");
    assert_eq!(told, kind, "{text}");
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

/// Once a checkpoint by time that failed left one line in a trace, and nothing else: the store was
/// healthy by all that could be asked, and each task that waited for durability waited for ever.
#[test]
fn a_due_checkpoint_that_fails_is_told() {
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
            assert_told(&store, ErrorKind::Io, 1);
            assert_eq!(store.health().condition, Condition::Sound, "writers go on");
            site.disk.heal();
            // The failure of before is nothing to the tasks that wait now.
            let (waited, ()) = futures::join!(session.wait_durable(), until_due(&site));
            waited.expect("the next one has it");
            assert_sound(&store, 1);
            drop(session);
            store.close().await.expect("closes");
            assert_eq!(store.health().condition, Condition::Closed);
        });
    });
}

/// A full disk is none of the failures that last: a waiting task goes on waiting for the next one.
#[test]
fn who_waits_outlasts_a_full_disk() {
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
            assert_told(&store, ErrorKind::StorageFull, 1);
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

/// What poisons a store is told by its health, and so is that of a log.
#[test]
fn poison_is_told() {
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

/// Each job of the driver started the clock of `checkpoint_every` anew. A service that pruned more
/// often than a checkpoint was due never had one: a crash lost everything, and nothing said so.
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
                            // The last one stays.
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

/// A snapshot had failed, and an image of the index was taken: the store was sound by what it said,
/// and had no checkpoint.
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

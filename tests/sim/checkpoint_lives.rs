//! Checkpoints that are dropped, repeated, removed, due, or refused.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::io::sim::{SimDisk, Survival};
use kvick::{Config, ErrorKind, FasterKv, checkpoint};
use tests::journal::{ALL_KINDS, Journal};
use tests::polling::AtMost;
use tests::simulated::{Site, World, seeds, two_pages};

fn config() -> Config {
    two_pages().with_checkpoint_on_close(false)
}

async fn fill(store: &FasterKv<u64, u64>, keys: u64, value: u64) {
    for key in 0..keys {
        store.upsert(&key, &value).await.expect("a sound disk");
    }
}

fn tokens(store: &FasterKv<u64, u64>) -> Vec<u64> {
    store.checkpoints().iter().map(|info| info.token.version()).collect()
}

/// A checkpoint continues if it is dropped or leaked after any poll, and does not stop the next
/// one.
#[test]
fn a_checkpoint_may_be_given_up_at_every_poll() {
    seeds(3, |seed| {
        for kind in ALL_KINDS {
            for polls in 0..4 {
                for leaks in [false, true] {
                    let world = World::new(seed);
                    let site = world.site.clone();
                    world.simulation.run(given_up(site, kind, polls, leaks));
                }
            }
        }
    });
}

async fn given_up(site: Site, kind: checkpoint::Kind, polls: u32, leaks: bool) {
    let store = site.open::<u64, u64>(config()).await;
    let mut journal = Journal::new(&store, 0, site.random(3)).expect("open");
    for _ in 0..200 {
        journal.step().await.expect("a sound disk");
    }
    let request = store.checkpoint().kind(kind).into_future();
    drop(AtMost::new(polls, request).leaking(leaks).await);
    for _ in 0..200 {
        journal.step().await.expect("a sound disk");
    }
    let taken = store.checkpoint().await.expect("a sound disk");
    // The dropped checkpoint was completed, and has a token.
    assert_eq!(taken.token.version(), if polls == 0 { 1 } else { 2 });
    let record = journal.end();
    drop(store);
    site.handle.sleep(Duration::from_secs(1)).await;
    let store = site.open::<u64, u64>(config()).await;
    assert_eq!(record.check(&store).await, record.serial());
}

/// Idle or leaked sessions delay no checkpoint. Nor do sessions within an operation that no task
/// polls any more.
#[test]
fn idle_sessions_block_no_checkpoint() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config()).await;
            fill(&store, 600, 1).await;
            store.flush_and_evict().await.expect("a sound disk");
            let idle = store.session().expect("open");
            let mut parked = store.session().expect("open");
            // The operation waits for the device, and is polled once.
            let mut operation = Box::pin(parked.rmw(&3, |value| value.unwrap_or(0) + 1));
            assert!(futures::poll!(operation.as_mut()).is_pending());
            for key in 4..8 {
                let leaked = AtMost::new(1, store.rmw(&key, |_| 9)).leaking(true).await;
                assert!(leaked.is_none());
                let mut session = store.session().expect("open");
                let keys = [key + 10, key + 20];
                let batch = session.rmw_many(&keys, |_, _| 9);
                assert!(AtMost::new(1, batch).leaking(true).await.is_none());
                std::mem::forget(session);
            }
            for kind in ALL_KINDS {
                let begun = site.handle.now();
                store.checkpoint().kind(kind).await.expect("a sound disk");
                let took = site.handle.now() - begun;
                assert!(took < Duration::from_secs(1), "{kind:?} took {took:?}");
            }
            operation.await.expect("a sound disk");
            drop(idle);
            for key in 4..8 {
                assert_eq!(store.read(&key).await.expect("sound"), Some(1), "never took effect");
            }
            store.close().await.expect("closes");
        });
    });
}

#[test]
fn a_second_checkpoint_waits_for_the_first_or_is_refused() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config().with_keep_checkpoints(9)).await;
            fill(&store, 100, 1).await;
            let first = store.checkpoint().start().expect("free");
            let busy = store.checkpoint().start().expect_err("one at a time");
            assert_eq!(busy.kind(), ErrorKind::Busy, "{busy}");
            assert!(busy.is_retryable());
            // A request that is awaited waits for its turn, and so does a removal.
            let second = store.checkpoint().await.expect("a sound disk");
            let first = first.await.expect("a sound disk");
            assert!(first.token < second.token);
            let third = store.checkpoint().start().expect("free again");
            store.delete_checkpoint(first.token).await.expect("the newest one stays");
            let third = third.await.expect("a sound disk");
            let kept: Vec<_> = store.checkpoints().iter().map(|kept| kept.token).collect();
            assert!(kept.ends_with(&[third.token]) && !kept.contains(&first.token), "{kept:?}");
            // Closing waits for the checkpoint that is being taken.
            fill(&store, 100, 2).await;
            let last = store.checkpoint().snapshot().start().expect("free");
            store.close().await.expect("closes");
            let last = last.await.expect("closing waits for it");
            let closed = store.checkpoint().await.expect_err("closed");
            assert_eq!(closed.kind(), ErrorKind::Closed);
            let store = site.open::<u64, u64>(config()).await;
            assert_eq!(store.recovery().expect("recovered").chosen, Some(last.token));
            assert_eq!(store.read(&1).await.expect("sound"), Some(2));
        });
    });
}

/// The files of checkpoints that `keep_checkpoints` leaves.
#[test]
fn as_many_are_kept_as_are_asked_for() {
    seeds(3, |seed| {
        for keep in 1..=3_u32 {
            let world = World::new(seed);
            let site = world.site.clone();
            world.simulation.run(async {
                let store = site.open::<u64, u64>(config().with_keep_checkpoints(keep)).await;
                for number in 1..=6 {
                    fill(&store, 60, number).await;
                    let snapshot = store.checkpoint().snapshot().with_index();
                    snapshot.await.expect("a sound disk");
                    site.handle.sleep(Duration::from_millis(100)).await;
                    let first = number.saturating_sub(u64::from(keep)) + 1;
                    let kept: Vec<u64> = (first..=number).collect();
                    assert_eq!(tokens(&store), kept);
                    let images = kept.iter().map(|token| format!("db/index-{token}.000000"));
                    let parts = kept.iter().map(|token| format!("db/part-{token}.000000"));
                    let named: Vec<String> = images.chain(parts).collect();
                    let files = site.disk.files().into_iter().map(|(file, _)| file);
                    let first =
                        files.filter(|file| file.contains('-') && file.ends_with(".000000"));
                    let files: Vec<String> = first.collect();
                    assert_eq!(files, named, "keep {keep}");
                }
            });
        }
    });
}

#[test]
fn checkpoints_are_removed_except_the_last() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config().with_keep_checkpoints(9)).await;
            let up_to_incremental = ALL_KINDS.into_iter().take(4);
            for (number, kind) in (1..).zip(up_to_incremental) {
                // More changes would make a snapshot due instead of an increment.
                let changed = if kind == checkpoint::Kind::Incremental { 20 } else { 80 };
                fill(&store, changed, number).await;
                store.checkpoint().kind(kind).await.expect("a sound disk");
            }
            assert_eq!(tokens(&store), [1, 2, 4]);
            let refused = |error: kvick::Error| {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            };
            let delete = |token| store.delete_checkpoint(checkpoint::Token::new(token));
            refused(delete(3).await.expect_err("an image of the index alone"));
            refused(delete(7).await.expect_err("not there"));
            refused(store.prune_checkpoints(0).await.expect_err("the last one stays"));
            // The base of an incremental checkpoint may go, since the increment keeps its files.
            delete(1).await.expect("not the last");
            refused(delete(4).await.expect_err("the newest stays"));
            delete(2).await.expect("not the last");
            assert_eq!(tokens(&store), [4]);
            store.prune_checkpoints(5).await.expect("nothing to do");
            refused(delete(4).await.expect_err("the last one"));
            store.prune_checkpoints(1).await.expect("nothing to do");
            drop(store);
            let image = site.disk.crash_with(seed, Survival::NOTHING);
            check_incremental(seed, image).await;
            site.handle.sleep(Duration::from_secs(1)).await;
            let store = site.open::<u64, u64>(config()).await;
            assert_eq!(store.read(&7).await.expect("sound"), Some(4));
            let taken = store.checkpoint().incremental().await.expect("a sound disk");
            assert!(taken.token.version() > 4, "tokens never go back");
        });
    });
}

async fn check_incremental(seed: u64, image: SimDisk) {
    let world = World::on(seed, image);
    let files: BTreeMap<String, u64> = world.site.disk.files().into_iter().collect();
    assert!(files.keys().any(|file| file.contains("part-1")), "{files:?}");
}

#[test]
fn checkpoints_that_are_due_are_taken() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let every = config().with_checkpoint_every(Duration::from_secs(30));
            let every = every.with_checkpoint_kind(checkpoint::Kind::Snapshot);
            let store = site.open::<u64, u64>(every).await;
            site.handle.sleep(Duration::from_secs(100)).await;
            assert_eq!(tokens(&store), [0; 0], "nothing has changed");
            for round in 1..4 {
                fill(&store, 10, round).await;
                site.handle.sleep(Duration::from_secs(31)).await;
                assert_eq!(tokens(&store).last(), Some(&round));
                site.handle.sleep(Duration::from_secs(300)).await;
                assert_eq!(tokens(&store).last(), Some(&round), "nothing has changed");
            }
            assert!(store.checkpoints().iter().all(|info| info.kind == checkpoint::Kind::Snapshot));
            store.close().await.expect("closes");
        });
    });
}

#[test]
fn a_log_that_grows_takes_checkpoints() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let growing = config().with_checkpoint_log_growth(ByteSize::kib(16));
            let store = site.open::<u64, u64>(growing.with_keep_checkpoints(1000)).await;
            for key in 0..20_000_u64 {
                store.upsert(&key, &key).await.expect("a sound disk");
                if key % 100 == 0 {
                    site.handle.sleep(Duration::from_millis(20)).await;
                }
            }
            // 20,000 records of 24 bytes are 29 times 16 KiB. The store notices the growth at the
            // end of a page.
            let count = tokens(&store).len();
            assert!((20..=29).contains(&count), "{count} checkpoints");
            let last = store.checkpoints().last().expect("several").log_bytes;
            assert!(480_000 < last + 24_000, "the last one has {last} bytes");
        });
    });
}

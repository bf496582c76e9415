//! Batches without space: on a full device, and within a budget for the disk.

use super::{Promises, Store, batch_of, check, number_of};
use futures::future::join_all;
use kvick::config::{ByteSize, DurableBy};
use kvick::{Config, ErrorKind, FasterKv};
use std::cell::Cell;
use std::time::Duration;
use tests::cramped::Space;
use tests::polling::AtMost;
use tests::simulated::{Site, World, seeds, two_pages};

fn config(is_logged: bool) -> Config {
    let config = two_pages().with_checkpoint_on_close(false).with_keep_checkpoints(2);
    if !is_logged {
        return config;
    }
    let config = config.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256));
    config.with_commit_every(Some(Duration::from_millis(1)))
}

/// Writes batches of a session, until one is refused or has this number. A refused batch has not
/// happened.
async fn write_up_to(store: &Store, seed: u64, (own, last): (u64, u64)) -> Option<ErrorKind> {
    let mut session = store.session_named(&own.to_string()).expect("it is not open");
    for number in number_of(&session) + 1..=last {
        let batch = batch_of(&super::changes(seed, own, number));
        if let Err(error) = session.write_batch(&batch, &number.to_le_bytes()).await {
            assert_eq!(number_of(&session), number - 1, "{error}");
            return Some(error.kind());
        }
    }
    None
}

/// Room for two whole files of the write-ahead log, and for a part of the third.
const ROOM: u64 = 5 << 20;

async fn reopened(site: &Site, is_logged: bool, seed: u64, promises: &Promises) {
    let store: Store = site.open(config(is_logged)).await;
    check(&store, seed, promises).await;
    store.close().await.expect("closes");
}

/// A full device refuses batches whole, and takes them when it has space again. A checkpoint in
/// between does not wait for them.
#[test]
fn a_full_device_refuses_whole_batches() {
    seeds(12, |seed| {
        let (world, is_logged) = (World::new(seed), seed.is_multiple_of(2));
        let site = world.site.clone();
        world.simulation.run(async {
            let store: Store = site.open(config(is_logged)).await;
            assert_eq!(write_up_to(&store, seed, (0, 20)).await, None);
            store.checkpoint().await.expect("there is space");
            site.disk.set_capacity(Some(site.disk.bytes_used()));
            let works = (0..super::SESSIONS).map(|own| write_up_to(&store, seed, (own, 10_000)));
            let checkpoints = async {
                for _ in 0..5 {
                    site.handle.sleep(Duration::from_millis(1)).await;
                    drop(store.checkpoint().await);
                }
            };
            let (refused, ()) = futures::join!(join_all(works), checkpoints);
            assert!(refused.iter().all(|kind| *kind == Some(ErrorKind::StorageFull)));
            check(&store, seed, &Promises::new()).await;
            site.disk.set_capacity(None);
            site.handle.sleep(Duration::from_secs(3)).await;
            let last = {
                let session = store.session_named("0").expect("it is not open");
                number_of(&session)
            };
            assert_eq!(write_up_to(&store, seed, (0, last + 40)).await, None);
            store.checkpoint().await.expect("there is space");
            store.close().await.expect("closes");
            reopened(&site, is_logged, seed, &Promises::from([(0, last + 40)])).await;
        });
    });
}

/// An open batch once waited for compaction, whose checkpoint waited for the batch.
#[test]
fn batches_within_a_budget_wait_for_compaction_alone() {
    seeds(12, |seed| {
        let (world, is_logged) = (World::new(seed), seed.is_multiple_of(2));
        let site = world.site.clone();
        world.simulation.run(async {
            let config = config(is_logged).with_segment_size(ByteSize::kib(8));
            let config = config.with_disk(ByteSize::kib(320));
            let store: Store = site.open(config.clone()).await;
            let works = (0..super::SESSIONS).map(|own| write_up_to(&store, seed, (own, 300)));
            assert_eq!(join_all(works).await, [None; 3]);
            assert!(store.stats().space.rounds > 0, "the budget was never met");
            check(&store, seed, &Promises::from([(0, 300), (1, 300), (2, 300)])).await;
            store.checkpoint().await.expect("there is space");
            store.close().await.expect("closes");
            let store: Store = site.open(config).await;
            check(&store, seed, &Promises::from([(0, 300), (1, 300), (2, 300)])).await;
            store.close().await.expect("closes");
        });
    });
}

/// A batch that waits for space in the write-ahead log has not happened yet, nor has one that is
/// refused because the memory of the log is full of what its device has no space for. A checkpoint
/// relieves the log.
#[test]
fn a_full_log_takes_whole_batches_or_nothing() {
    let (dropped, refused) = (Cell::new(0), Cell::new(0));
    seeds(12, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let space = Space::of(ROOM);
            let config =
                config(true).with_memory(ByteSize::mib(1)).with_wal_size(ByteSize::mib(16));
            let store = FasterKv::builder(config)
                .runtime(site.handle.clone())
                .directory(site.disk.directory("db"))
                .wal_directory(space.within(site.disk.directory("wal")))
                .seed(seed);
            let store: Store = store.open_in_directory().await.expect("opens");
            let mut random = site.random(3);
            let (mut number, mut tries) = (1, 0);
            while number <= 300 {
                for filler in 0..4 {
                    // A full log may refuse it.
                    drop(store.upsert(&(10_000 + filler), &[7; 6000]).await);
                }
                let mut session = store.session_named("0").expect("it is not open");
                let batch = batch_of(&super::changes(seed, 0, number));
                let polls = 1 + u32::try_from(random.below(6)).expect("small");
                let offset = number.to_le_bytes();
                let written = AtMost::new(polls, session.write_batch(&batch, &offset)).await;
                if let Some(Ok(())) = written {
                    (number, tries) = (number + 1, 0);
                    continue;
                }
                assert_eq!(number_of(&session), number - 1);
                drop(session);
                check(&store, seed, &Promises::new()).await;
                tries += 1;
                assert!(tries < 100, "nothing relieves the log: {written:?}");
                if let Some(Err(error)) = written {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                    refused.set(refused.get() + 1);
                    site.handle.sleep(Duration::from_secs(1)).await;
                } else {
                    dropped.set(dropped.get() + 1);
                }
            }
            check(&store, seed, &Promises::from([(0, 300)])).await;
            space.set(1 << 40);
            store.close().await.expect("closes");
        });
    });
    let (dropped, refused) = (dropped.get(), refused.get());
    assert!(dropped > 10 && refused > 5, "{dropped} batches had to wait, {refused} were refused");
}

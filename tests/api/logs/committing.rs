//! Commits: the calls that request them, their number, and the calls that wait for them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{ErrorKind, log};
use tests::polling::poll_once;
use tests::simulated::{World, seeds};

use super::{open, open_on, payloads, small};

#[test]
fn entries_become_durable_by_themselves_after_a_while() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let handle = world.site.handle.clone();
        world.simulation.run(async {
            let every = Duration::from_millis(50);
            let log = open_on(&world.site, small().with_commit_every(every)).await;
            for round in 1..5 {
                let before = handle.now();
                let address = log.append(b"entry").await.expect("appended");
                log.wait_for_commit(address).await.expect("durable");
                let took = handle.now() - before;
                assert!(took < 2 * every, "{took:?}");
                assert_eq!(log.last_commit().number, round);
            }
            // A log without new entries commits nothing.
            handle.sleep(20 * every).await;
            assert_eq!(log.last_commit().number, 4);
            // A request does not wait for the period. A durable append waits with the others, for
            // one period after that commit.
            let before = handle.now();
            log.append(b"entry").await.expect("appended");
            log.commit().await.expect("committed");
            assert!(handle.now() - before < every);
            log.append_durable(b"entry").await.expect("durable");
            assert!(handle.now() - before >= every);
            assert_eq!(log.last_commit().number, 6);
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn entries_become_durable_by_themselves_when_they_are_many() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let handle = world.site.handle.clone();
        world.simulation.run(async {
            let log = open_on(&world.site, small().with_commit_bytes(ByteSize::kib(8))).await;
            let mut address = log::Address::FIRST;
            for number in 1..=4 {
                for _ in 0..7 {
                    log.append(&[1; 1000]).await.expect("appended");
                }
                handle.sleep(Duration::from_secs(1)).await;
                assert_eq!(log.last_commit().number, number - 1, "too few");
                for _ in 0..2 {
                    address = log.append(&[1; 1000]).await.expect("appended");
                }
                log.wait_for_commit(address).await.expect("durable");
                assert_eq!(log.last_commit().number, number);
            }
            assert!(log.committed_until() > address);
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn waiting_for_a_commit_starts_none() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let handle = world.site.handle.clone();
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            let first = log.append(b"first").await.expect("appended");
            let waiting = log.wait_for_commit(first).boxed_local();
            let waiting = match select(waiting, handle.sleep(Duration::from_secs(9)).boxed()).await
            {
                Either::Left(_) => panic!("no task has requested a commit"),
                Either::Right(((), waiting)) => waiting,
            };
            assert_eq!((log.last_commit().number, log.committed_until()), (0, first));
            let (waited, committed) = futures::join!(waiting, log.commit().into_future());
            waited.expect("durable");
            assert_eq!(committed.expect("committed"), log.last_commit());
            log.wait_for_commit(first).await.expect("it is durable already");
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn a_storm_of_requests_writes_nothing_new() {
    seeds(5, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            log.append(b"entry").await.expect("appended");
            let requests = (0..500).map(|_| log.commit().into_future());
            for committed in futures::future::join_all(requests).await {
                assert_eq!(committed.expect("committed").number, 1);
            }
            let (end, written) = (log.tail_address(), log.stats().device);
            for _ in 0..500 {
                assert_eq!(log.commit().await.expect("nothing new").number, 1);
            }
            assert_eq!((log.tail_address(), log.stats().device), (end, written));
            // While entries arrive, the log writes at most one record for each entry.
            let storm = async {
                for _ in 0..500 {
                    log.commit().await.expect("committed");
                    world.site.handle.sleep(Duration::from_micros(30)).await;
                }
            };
            let entries = async {
                for _ in 0..40 {
                    log.append(b"entry").await.expect("appended");
                    world.site.handle.sleep(Duration::from_micros(300)).await;
                }
            };
            let ((), (), ()) = futures::join!(storm.boxed_local(), entries, async {
                for _ in 0..40 {
                    log.commit().await.expect("committed");
                }
            });
            let number = log.commit().await.expect("committed").number;
            assert!(number <= 42, "{number} commits of 41 entries");
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn waiting_tasks_share_a_commit() {
    seeds(5, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            let appends = (0..100).map(|_| log.append_durable(b"entry"));
            for address in futures::future::join_all(appends).await {
                assert!(address.expect("durable") < log.committed_until());
            }
            let number = log.last_commit().number;
            assert!(number <= 4, "{number} commits for tasks that came at once");
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn distinct_commits_are_distinct_and_checked() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let numbers = [5, 6, 9].map(|number| log.commit().number(number).into_future());
        let made = futures::future::try_join_all(numbers).await.expect("committed");
        assert!(made.iter().zip([5, 6, 9]).all(|(commit, number)| commit.number >= number));
        assert_eq!(log.last_commit().number, 9);
        for number in [0, 1, 9] {
            let error = log.commit().number(number).await.expect_err("given already");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            let text = format!("commit {number}: 9 was given already");
            assert!(error.to_string().contains(&text), "{error}");
        }
        let error = log.commit().cookie(&[0; 513]).await.expect_err("too long");
        assert!(error.to_string().contains("a cookie of 513 bytes: at most 512"), "{error}");
        let cookie = vec![7; 512];
        assert_eq!(log.commit().cookie(&cookie).await.expect("committed").cookie, cookie);
        log.append(b"entry").await.expect("appended");
        // A cookie stays until a commit brings another one.
        assert_eq!(log.commit().await.expect("committed").cookie, cookie);
        assert_eq!(log.commit().cookie(b"").await.expect("committed").cookie, b"");
        log.complete().await.expect("completed");
        let error = log.commit().cookie(b"late").await.expect_err("completed");
        assert_eq!(error.kind(), ErrorKind::Completed);
        log.close().await.expect("closes");
    });
}

#[test]
fn closing_a_log_ends_every_wait() {
    seeds(10, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            let first = log.append(b"first").await.expect("appended");
            let beyond = log::Address::new(first.raw() + 100_000);
            let waits = async {
                let error = log.wait_for_commit(beyond).await.expect_err("no task appends it");
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            };
            let committed = async { log.wait_for_commit(first).await.expect("closing commits") };
            let tails = async {
                let mut tail = log.follow_from(first);
                assert_eq!(
                    tail.next().await.expect("it is committed").expect("sound").payload[..],
                    *b"first"
                );
                let error = tail.next().await.expect("an item").expect_err("closed");
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                assert!(tail.next().await.is_none());
            };
            let uncommitted = async {
                let mut tail = log.follow_from(log.tail_address()).uncommitted();
                let error = tail.next().await.expect("an item").expect_err("closed");
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            };
            let mut worker = log.iterator("worker").expect("free");
            let works = async {
                worker.next().await.expect("it is committed").expect("sound");
                worker.next().await.expect("an item").expect_err("closed");
            };
            let closes = async {
                // All other tasks are waiting by now.
                world.site.handle.sleep(Duration::from_secs(1)).await;
                log.close().await.expect("closes");
            };
            futures::join!(waits, committed, tails, uncommitted, works, closes);
        });
    });
}

#[test]
fn appends_that_wait_for_room_end_with_the_log() {
    seeds(10, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            while log.try_append(&[0; 1000]).is_ok() {}
            let mut waiting: Vec<_> =
                (0..100).map(|_| log.append(&[1; 1000]).boxed_local()).collect();
            for append in &mut waiting {
                assert!(poll_once(append).is_pending());
            }
            let (closed, ended) = futures::join!(log.close(), futures::future::join_all(waiting));
            closed.expect("closes");
            let mut appended = 0;
            for end in ended {
                match end {
                    Ok(_) => appended += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
                }
            }
            let log = open_on(&world.site, small()).await;
            let found = payloads(&log).await.iter().filter(|entry| entry[0] == 1).count();
            assert!(found <= appended, "{found} of {appended}");
            log.close().await.expect("closes");
        });
    });
}

//! Requests for commits: started in the background, with numbers and cookies, and by the clock.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kvick::ErrorKind;
use kvick::io::MemoryDirectory;
use kvick::log::CommitPhase;
use kvick::runtime::block_on;
use tests::simulated::{World, seeds};

use super::{open, open_on, payloads, small};

/// A commit did nothing until its first poll, so a caller had to spawn a task for a commit in the
/// background. Now a caller can start a commit and watch it, as with a checkpoint.
#[test]
fn a_started_commit_needs_no_poll() {
    seeds(10, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let site = &world.site;
            let log = open_on(site, small()).await;
            let entry = log.append(&[7; 3000]).await.expect("appended");
            drop(log.commit().start().expect("started"));
            site.handle.sleep(Duration::from_secs(1)).await;
            assert!(log.committed_until() > entry);

            log.append_many(&[[8; 900]; 20]).await.expect("appended");
            let committing = log.commit().start().expect("started");
            let end = log.tail_address();
            let seen: Vec<_> = committing.progress().collect().await;
            assert!(seen.windows(2).all(|pair| pair[0].phase <= pair[1].phase), "{seen:?}");
            assert!(seen.windows(2).all(|pair| pair[0].written <= pair[1].written), "{seen:?}");
            assert_eq!(seen[0].phase, CommitPhase::Writing);
            let last = seen.last().expect("it has ended");
            assert_eq!((last.phase, last.written), (CommitPhase::Ended, last.until));
            let commit = committing.await.expect("committed");
            assert!(commit.until >= end.min(last.until) && commit == log.last_commit());

            log.append(b"last").await.expect("appended");
            let committing = log.commit().start().expect("started");
            let progress = committing.progress();
            site.disk.fail_writes(Some(std::io::ErrorKind::BrokenPipe));
            let error = committing.await.expect_err("the disk is broken");
            assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
            let last = progress.collect::<Vec<_>>().await.pop().expect("it has ended");
            assert_eq!(last.phase, CommitPhase::Ended);
            let error = log.commit().start().expect_err("poisoned");
            assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        });
    });
}

/// A hundred tasks with a cookie each caused a hundred commits, each with a sync of its own.
#[test]
fn cookies_ride_on_the_next_commit() {
    seeds(10, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let site = &world.site;
            let log = open_on(site, small()).await;
            let appends = (0..100_u8).map(|number| {
                let log = &log;
                async move {
                    log.append(&[number]).await.expect("appended");
                    log.commit().cookie(&[number]).await.expect("committed")
                }
            });
            let commits = futures::future::join_all(appends).await;
            assert!(log.last_commit().number <= 4, "{} commits", log.last_commit().number);
            assert_eq!(log.last_commit().cookie, [99]);
            assert!(commits.iter().all(|commit| !commit.cookie.is_empty()));

            // Setting a cookie requests no commit.
            let before = log.last_commit();
            log.set_cookie(b"set").expect("small");
            site.handle.sleep(Duration::from_secs(1)).await;
            assert_eq!(log.last_commit(), before);
            log.append(b"entry").await.expect("appended");
            assert_eq!(log.commit().await.expect("committed").cookie, b"set");
            let error = log.set_cookie(&[0; 513]).expect_err("too long");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");

            // Commits with different numbers stay separate, and in order with the other commits.
            let first = log.last_commit().number;
            log.set_cookie(b"replaced").expect("small");
            let fifth = log.commit().number(first + 5).cookie(b"five").start().expect("started");
            let ninth = log.commit().number(first + 9).cookie(b"nine").start().expect("started");
            log.set_cookie(b"later").expect("small");
            let (fifth, ninth) = futures::join!(fifth, ninth);
            assert!(fifth.expect("committed").number >= first + 5);
            assert!(ninth.expect("committed").number >= first + 9);
            assert_eq!(log.commit().await.expect("committed").cookie, b"later");
            log.close().await.expect("closes");
            let error = log.set_cookie(b"x").expect_err("closed");
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            assert!(error.to_string().contains("the log is closed"), "{error}");
        });
    });
}

/// The log accepted the commit number 2^64 - 1. The next commit panicked the driver, which poisoned
/// the log, now and after each opening.
#[test]
fn every_number_is_refused_or_followed_by_others() {
    const HIGHEST: u64 = u64::MAX / 2;
    let numbers = [0, 1, 2, HIGHEST - 1, HIGHEST, HIGHEST + 1, u64::MAX - 1, u64::MAX];
    for number in numbers {
        block_on(async {
            let directory = Arc::new(MemoryDirectory::new());
            let log = open(&directory).await;
            log.append(b"entry").await.expect("appended");
            match log.commit().number(number).await {
                Ok(commit) => {
                    assert!((1..=HIGHEST).contains(&number));
                    assert_eq!(commit.number, number);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
                    assert!(!(1..=HIGHEST).contains(&number), "{error}");
                }
            }
            for life in 0..2 {
                let before = log.last_commit().number;
                let log = if life == 0 { log.clone() } else { open(&directory).await };
                log.append(b"entry").await.expect("appended");
                assert!(log.commit().await.expect("committed").number > before.min(HIGHEST));
                log.commit().cookie(b"more").await.expect("committed");
                log.close().await.expect("closes");
            }
            let log = open(&directory).await;
            assert_eq!(payloads(&log).await.len(), 3);
            log.close().await.expect("closes");
        });
    }
}

/// The setting `commit_every` was documented as a period, but was a delay after the first entry. So
/// commits came later and later, and an entry after a long rest waited without a reason.
#[test]
fn commits_by_the_clock_come_in_time() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let handle = world.site.handle.clone();
        world.simulation.run(async {
            let every = Duration::from_millis(50);
            let log = open_on(&world.site, small().with_commit_every(every)).await;
            let begun = handle.now();
            while handle.now() - begun < 100 * every {
                log.append(b"entry").await.expect("appended");
                handle.sleep(Duration::from_micros(700)).await;
            }
            let commits = log.last_commit().number;
            assert!((97..=101).contains(&commits), "{commits} commits in 100 periods");
            handle.sleep(10 * every).await;
            let before = handle.now();
            log.append_durable(b"after a rest").await.expect("durable");
            assert!(handle.now() - before < every, "nothing was to be waited for");
            log.close().await.expect("closes");
        });
    });
}

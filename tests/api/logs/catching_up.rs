//! Readers that have reached the last entry, and readers that have missed some entries.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt};
use kvick::io::MemoryDirectory;
use kvick::io::sim::Random;
use kvick::runtime::{Handle, block_on};
use kvick::{ErrorKind, FasterLog, log};

use super::open;

async fn next(
    stream: &mut (impl futures::Stream<Item = kvick::Result<log::Entry>> + Unpin),
) -> log::Entry {
    stream.next().await.expect("there").expect("sound")
}

/// No reader sees the records of commits that lie after the last entry. A consumer that had done
/// everything saw `completed_until() < committed()` forever. A consumer that waited until the two
/// were equal hung.
#[test]
fn a_consumer_sees_that_it_has_done_everything() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let mut worker = log.iterator("worker").expect("free");
        assert!(worker.is_caught_up() && worker.completed_until() == log.committed_until());
        for round in 0..20_u8 {
            log.append_durable(&[round; 100]).await.expect("durable");
            log.append_durable(&[round; 3000]).await.expect("durable");
            assert!(!worker.is_caught_up() && worker.lag() > 3000);
            assert!(worker.completed_until() < log.committed_until());
            while !worker.is_caught_up() {
                let entry = next(&mut worker).await;
                worker.complete_until(entry.next).await.expect("completed");
            }
            log.commit().await.expect("committed");
            assert_eq!((worker.lag(), worker.completed_until()), (0, log.committed_until()));
            log.commit().cookie(b"only a record").await.expect("committed");
            assert!(worker.is_caught_up() && worker.completed_until() == log.committed_until());
        }
        drop(worker);
        log.close().await.expect("closes");
        let log = open(&directory).await;
        let mut worker = log.iterator("worker").expect("free");
        assert!(worker.is_caught_up() && worker.completed_until() == log.committed_until());
        log.append_durable(b"one more").await.expect("durable");
        assert!(!worker.is_caught_up());
        assert_eq!(next(&mut worker).await.payload[..], *b"one more");
        assert!(worker.is_caught_up() && worker.completed_until() < log.committed_until());
        drop(worker);
        log.close().await.expect("closes");
    });
}

/// Returns the last entry that a scan shows.
async fn last_of(log: &FasterLog) -> Option<log::Entry> {
    let entries: Vec<log::Entry> = log.scan(..).try_collect().await.expect("sound");
    entries.last().cloned()
}

/// Checks that readers know exactly when no entry is left, whatever lies after the last one.
async fn check(log: &FasterLog, what: &str) {
    let last = last_of(log).await;
    assert_eq!(log.last().await.expect("sound"), last, "{what}");
    let at = last.as_ref().map_or(log.begin_address(), |entry| entry.address);
    let behind = last.as_ref().map_or(log.begin_address(), |entry| entry.next);
    assert_eq!(log.scan(behind..).lag(), 0, "{what}: after {last:?}");
    assert!(log.follow_from(behind).is_caught_up(), "{what}: after {last:?}");
    assert_eq!(log.scan(at..).is_caught_up(), last.is_none(), "{what}: at {last:?}");
    // The reader stops once it has caught up; another wait would last forever.
    let mut tail = log.follow_from(log.begin_address());
    let mut found = None;
    while !tail.is_caught_up() {
        let entry = loop {
            // Other tasks run between the polls.
            if let Some(entry) = tail.next().now_or_never() {
                break entry;
            }
            assert!(log.last().await.is_ok());
        };
        found = Some(entry.expect("there").expect("sound"));
    }
    assert_eq!(found, last, "{what}");
    assert_eq!(log.read_at_or_after(at).await.expect("sound"), last, "{what}");
    assert_eq!(log.read_at_or_after(behind).await.expect("sound"), None, "{what}");
}

#[test]
fn readers_know_exactly_when_nothing_is_left() {
    block_on(async {
        for seed in 0..6 {
            let directory = Arc::new(MemoryDirectory::new());
            let mut random = Random::new(seed);
            let mut log = open(&directory).await;
            check(&log, "an empty log").await;
            for step in 0..40 {
                let what = format!("seed {seed}, step {step}");
                match random.below(8) {
                    0..=3 => {
                        for _ in 0..random.below(8) {
                            // Some lengths leave no room in their page, and some leave no room for
                            // a record.
                            let length = [0, 100, 1300, 3900, 4016, 9000][random.index(6)];
                            log.append(&vec![7; length]).await.expect("appended");
                        }
                        log.commit().await.expect("committed");
                    }
                    4 => drop(log.commit().cookie(&[step; 200]).await.expect("committed")),
                    5 => {
                        let entries: Vec<log::Entry> =
                            log.scan(..).try_collect().await.expect("sound");
                        if let Some(entry) = entries.len().checked_sub(1 + random.index(6)) {
                            let at = entries[entry].address;
                            log.truncate_suffix(at).await.expect("taken back");
                        }
                    }
                    6 => {
                        let at =
                            last_of(&log).await.map_or(log.begin_address(), |entry| entry.address);
                        let at = if random.chance(0.5) { at } else { log.tail_address() };
                        log.truncate_until(at).await.expect("truncated");
                        log.commit().await.expect("committed");
                    }
                    _ => {
                        log.close().await.expect("closes");
                        log = open(&directory).await;
                    }
                }
                check(&log, &what).await;
                let handle = Handle::background().expect("starts");
                let follower = log::Follower::open_in(Arc::clone(&directory) as _, handle);
                let follower = follower.await.expect("follows");
                let behind = last_of(&log).await.map_or(log.begin_address(), |entry| entry.next);
                assert_eq!(follower.scan(behind..).lag(), 0, "{what}: followed");
            }
            log.close().await.expect("closes");
        }
    });
}

#[test]
fn only_uncommitted_readers_see_uncommitted_entries() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        log.append_durable(b"one").await.expect("durable");
        let (mut tail, mut eager) = (log.follow(), log.follow().uncommitted());
        assert!(tail.is_caught_up() && eager.is_caught_up());
        let at = log.append(b"two").await.expect("appended");
        assert!(tail.is_caught_up() && eager.lag() >= 8);
        let entry = next(&mut eager).await;
        assert_eq!((entry.address, eager.lag()), (at, 0));
        assert!(tail.next().now_or_never().is_none());
        assert!(tail.is_caught_up());
        log.commit().await.expect("committed");
        assert!(!tail.is_caught_up() && eager.is_caught_up());
        assert_eq!(next(&mut tail).await, entry);
        assert!(tail.is_caught_up());
        // A scan is caught up at its end.
        let mut scan = log.scan(..at);
        assert!(!scan.is_caught_up());
        drop(next(&mut scan).await);
        assert!(scan.next().await.is_none() && scan.is_caught_up());
        log.close().await.expect("closes");
    });
}

#[test]
fn the_entry_at_or_after_any_address_is_found() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        for length in [100, 9000, 0, 3000, 2000, 40] {
            log.append(&vec![0; length]).await.expect("appended");
        }
        let gone = log.append(&[1; 500]).await.expect("appended");
        log.truncate_suffix(gone).await.expect("taken back");
        for length in [700, 5000, 8] {
            log.append_durable(&vec![0; length]).await.expect("durable");
        }
        log.close().await.expect("closes");
        let log = open(&directory).await;
        let entries: Vec<log::Entry> = log.scan(..).try_collect().await.expect("sound");
        for raw in (0..log.tail_address().raw() + 100).step_by(4) {
            let found = log.read_at_or_after(log::Address::new(raw)).await.expect("sound");
            let expected = entries.iter().find(|entry| entry.address.raw() >= raw);
            assert_eq!(found.as_ref(), expected, "{raw}");
        }
        assert_eq!(log.read_at_or_after(log::Address::MAX).await.expect("sound"), None);
        log.close().await.expect("closes");
    });
}

/// A truncation overtook a reader, which then continued at the first entry that was left. The
/// reader did not learn that it had missed entries.
#[test]
fn a_reader_can_tell_that_it_has_missed_entries() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let mut at = Vec::new();
        for number in 0..10_u8 {
            at.push(log.append_durable(&[number; 2000]).await.expect("durable"));
        }
        let mut lenient = log.follow_from(at[0]);
        let mut strict = log.follow_from(at[0]).fail_on_truncated();
        let mut worker = log.iterator("worker").expect("free").fail_on_truncated();
        assert_eq!(next(&mut lenient).await.address, at[0]);
        assert_eq!(next(&mut strict).await.address, at[0]);
        assert_eq!(next(&mut worker).await.address, at[0]);
        // The reader has read these entries already, so it misses nothing.
        log.truncate_until(at[1]).await.expect("truncated");
        for reader in [&mut lenient, &mut strict] {
            assert_eq!(next(reader).await.address, at[1]);
            assert_eq!(reader.skipped(), 0);
        }
        log.truncate_until(at[7]).await.expect("truncated");
        assert_eq!(next(&mut lenient).await.address, at[7]);
        assert!(lenient.skipped() > 4 * 2000 && lenient.skipped() < at[7].raw());
        for error in [strict.next().await, worker.next().await] {
            let error = error.expect("an error").expect_err("it has missed entries");
            assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
            assert!(error.to_string().contains("go on where the log begins"), "{error}");
        }
        assert!(strict.next().await.is_none() && strict.skipped() > 0);
        assert_eq!(strict.position(), log.begin_address());
        drop(worker);
        // This reader starts at an address that is already truncated.
        let mut late = log.follow_from(at[2]).fail_on_truncated();
        let error = late.next().await.expect("an error").expect_err("truncated");
        assert!(error.to_string().contains(&format!("address {}", at[2])), "{error}");
        let all = log.scan(..).fail_on_truncated();
        assert_eq!(all.count().await, 3, "all entries that are left");
        log.close().await.expect("closes");
    });
}

/// Only records of commits lie between the last read entry and the new begin of the log, so the
/// reader has missed nothing.
#[test]
fn records_of_commits_are_not_missed() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        log.append_durable(&[1; 100]).await.expect("durable");
        let mut tail = log.follow_from(log::Address::FIRST).fail_on_truncated();
        drop(next(&mut tail).await);
        log.commit().cookie(b"a record").await.expect("committed");
        log.truncate_until(log.tail_address()).await.expect("truncated");
        log.append_durable(&[2; 100]).await.expect("durable");
        assert_eq!(next(&mut tail).await.payload[..], [2; 100]);
        assert_eq!(tail.skipped(), 0);
        log.close().await.expect("closes");
    });
}

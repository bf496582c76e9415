//! Scans, tails and reads: where they begin, what they show, and where they end.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use kvick::io::MemoryDirectory;
use kvick::log::Scan;
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterLog, log};
use tests::simulated::{World, seeds};

use super::{open, open_on, small};

fn number(entry: &log::Entry) -> u32 {
    u32::from_le_bytes(*entry.payload.first_chunk().expect("a number"))
}

async fn numbers_of(scan: Scan) -> Vec<u32> {
    scan.map_ok(|entry| number(&entry)).try_collect().await.expect("sound")
}

/// Appends and commits numbered entries of some length.
async fn filled(log: &FasterLog, count: u32, repeated: usize) -> Vec<log::Address> {
    let mut addresses = Vec::new();
    for number in 0..count {
        let entry = number.to_le_bytes().repeat(repeated);
        addresses.push(log.append(&entry).await.expect("appended"));
    }
    log.commit().await.expect("committed");
    addresses
}

#[test]
fn ranges_are_of_entries_that_begin_in_them() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let at = filled(&log, 1000, 50).await;
        let expect = |range: std::ops::Range<u32>| range.collect::<Vec<_>>();
        assert_eq!(numbers_of(log.scan(..)).await, expect(0..1000));
        assert_eq!(numbers_of(log.scan(at[7]..)).await, expect(7..1000));
        assert_eq!(numbers_of(log.scan(..at[7])).await, expect(0..7));
        assert_eq!(numbers_of(log.scan(..=at[7])).await, expect(0..8));
        assert_eq!(numbers_of(log.scan(at[990]..at[995])).await, expect(990..995));
        assert_eq!(numbers_of(log.scan(at[5]..at[5])).await, expect(0..0));
        assert_eq!(numbers_of(log.scan(at[9]..at[5])).await, expect(0..0));
        assert_eq!(numbers_of(log.scan(log.tail_address()..)).await, expect(0..0));
        assert_eq!(numbers_of(log.scan(..log::Address::MAX)).await, expect(0..1000));
        // Another scan may continue at the position of a scan.
        let mut scan = log.scan(..);
        let entry = (&mut scan).skip(299).next().await.expect("there").expect("sound");
        assert_eq!((number(&entry), entry.next, scan.position()), (299, at[300], at[300]));
        assert_eq!(numbers_of(log.scan(scan.position()..)).await, expect(300..1000));
        log.close().await.expect("closes");
    });
}

#[test]
fn entries_committed_after_a_scan_was_polled_are_not_in_it() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        filled(&log, 10, 1).await;
        let later = log.scan(..);
        let mut scan = log.scan(..);
        assert_eq!(number(&scan.next().await.expect("there").expect("sound")), 0);
        filled(&log, 10, 1).await;
        assert_eq!(scan.count().await, 9);
        assert_eq!(later.count().await, 20);
        log.close().await.expect("closes");
    });
}

/// The end of a scan was set at its creation, before the caller could request uncommitted entries.
/// So such a scan showed only committed entries.
#[test]
fn an_uncommitted_scan_shows_uncommitted_entries() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let at = filled(&log, 10, 1).await;
        let more = log.append(&10_u32.to_le_bytes()).await.expect("appended");
        assert_eq!(log.scan(..).count().await, 10);
        assert_eq!(numbers_of(log.scan(at[8]..).uncommitted()).await, [8, 9, 10]);
        assert_eq!(numbers_of(log.scan(more..).uncommitted()).await, [10]);
        assert_eq!(numbers_of(log.scan(..more).uncommitted()).await.len(), 10);
        let mut scan = log.scan(more..).uncommitted();
        assert_eq!(number(&scan.next().await.expect("there").expect("sound")), 10);
        log.append(&11_u32.to_le_bytes()).await.expect("appended");
        assert_eq!(scan.count().await, 0, "its end is that of the first poll");
        log.close().await.expect("closes");
    });
}

#[test]
fn readers_skip_truncated_entries() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let at = filled(&log, 1000, 100).await;
        let mut early = log.scan(..);
        assert_eq!(number(&early.next().await.expect("there").expect("sound")), 0);
        log.truncate_until(at[900]).await.expect("truncated");
        assert_eq!(log.begin_address(), at[900]);
        // The reader may still return entries that it has read ahead. Then it continues with the
        // first entry that is left.
        let rest = numbers_of(early).await;
        assert!(rest.is_sorted() && rest.ends_with(&(900..1000).collect::<Vec<_>>()));
        assert!(rest.len() < 500, "{} of 100", rest.len());
        assert_eq!(numbers_of(log.scan(at[10]..)).await.len(), 100);
        assert_eq!(log.scan(..at[10]).count().await, 0);
        // A tail that starts below the begin neither ends nor fails.
        let mut tail = log.follow_from(log::Address::FIRST);
        assert_eq!(number(&tail.next().await.expect("there").expect("sound")), 900);
        log.commit().await.expect("committed");
        log.truncate_until(log.tail_address()).await.expect("all of them");
        assert_eq!(log.scan(..).count().await, 0);
        log.close().await.expect("closes");
    });
}

/// A reader copies many entries out of memory at once. It showed entries that were taken back
/// meanwhile, although the truncation had already returned.
#[test]
fn readers_do_not_see_entries_that_were_taken_back() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let at = filled(&log, 20, 10).await;
        let mut scan = log.scan(..);
        let mut tail = log.follow_from(log::Address::FIRST);
        for reader in [&mut scan, &mut tail] {
            assert_eq!(number(&reader.next().await.expect("there").expect("sound")), 0);
        }
        log.truncate_suffix(at[5]).await.expect("truncated");
        log.append(&77_u32.to_le_bytes()).await.expect("appended");
        log.complete().await.expect("completed");
        assert_eq!(numbers_of(scan).await, [1, 2, 3, 4]);
        assert_eq!(numbers_of(tail).await, [1, 2, 3, 4, 77]);
        log.close().await.expect("closes");
    });
}

#[test]
fn a_tail_begins_after_the_committed_entries() {
    seeds(5, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            filled(&log, 10, 1).await;
            let (mut tail, mut eager) = (log.follow(), log.follow().uncommitted());
            log.append(&10_u32.to_le_bytes()).await.expect("appended");
            assert_eq!(number(&eager.next().await.expect("there").expect("sound")), 10);
            world.site.handle.sleep(Duration::from_secs(1)).await;
            assert!(tail.next().now_or_never().is_none(), "it is not committed");
            let waiting = async { number(&tail.next().await.expect("there").expect("sound")) };
            let (seen, _) = futures::join!(waiting, log.commit().into_future());
            assert_eq!(seen, 10);
            // Both tails end with the log, even while they wait.
            let ends = futures::future::join(tail.count(), eager.count());
            let completes = async {
                world.site.handle.sleep(Duration::from_secs(1)).await;
                log.append(&11_u32.to_le_bytes()).await.expect("appended");
                log.complete().await.expect("completed");
            };
            assert_eq!(futures::join!(ends, completes).0, (1, 1));
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn an_uncommitted_tail_sees_all_of_four_writers_in_order() {
    const WRITERS: u32 = 4;
    const ENTRIES: u32 = 2000;
    let log = block_on(open(&Arc::new(MemoryDirectory::new())));
    let tail = log.follow().uncommitted();
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| block_on(tail.try_collect::<Vec<_>>()));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let log = &log;
                scope.spawn(move || {
                    for number in 0..ENTRIES {
                        let entry = (writer * ENTRIES + number).to_le_bytes();
                        let entry = entry.repeat(1 + number as usize % 90);
                        block_on(log.append(&entry)).expect("appended");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("no panic");
        }
        block_on(log.complete()).expect("completed");
        reader.join().expect("no panic").expect("sound")
    });
    assert!(seen.is_sorted_by_key(|entry| entry.address));
    for writer in 0..WRITERS {
        let own = seen.iter().map(number).filter(|number| number / ENTRIES == writer);
        assert!(own.eq(writer * ENTRIES..(writer + 1) * ENTRIES), "writer {writer}");
    }
    block_on(log.close()).expect("closes");
}

/// Zeros look like an entry that a task is still writing. A read of an address within zeros waited
/// forever.
#[test]
fn addresses_where_no_entry_begins_are_refused() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let mut at = Vec::new();
        for byte in [0, 1, 0xff, 0] {
            for length in [100, 1000, 9000] {
                at.push((log.append(&vec![byte; length]).await.expect("appended"), length));
            }
        }
        for round in 0..4 {
            for (address, length) in &at {
                let read = log.read(*address).await.expect("sound");
                assert_eq!(read.map(|entry| entry.len()), Some(*length), "round {round}");
                for off in [1, 4, 8, 16, 40, 96] {
                    let wrong = log::Address::new(address.raw() + off);
                    let errors = [
                        log.read(wrong).await.expect_err("within an entry"),
                        log.truncate_until(wrong).await.expect_err("within an entry"),
                        log.truncate_suffix(wrong).await.expect_err("within an entry"),
                    ];
                    for error in errors {
                        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
                        let text = format!("no entry begins at address {wrong}");
                        assert!(error.to_string().contains(&text), "{error}");
                    }
                }
            }
            match round {
                // The rounds: in memory and on its way to the device, then durable, then on the
                // device only.
                0 => drop(log.commit().await.expect("committed")),
                1 => drop(filled(&log, 200, 200).await),
                _ => {}
            }
        }
        let end = log.tail_address();
        for beyond in [end, log::Address::new(end.raw() + 8), log::Address::MAX] {
            assert_eq!(log.read(beyond).await.expect("nothing yet"), None);
        }
        for beyond in [log::Address::new(end.raw() + 8), log::Address::MAX] {
            let text = format!("address {beyond}: the log ends at {end}");
            let error = log.truncate_until(beyond).await.expect_err("beyond the end");
            assert!(error.to_string().contains(&text), "{error}");
            let error = log.truncate_suffix(beyond).await.expect_err("beyond the end");
            assert!(error.to_string().contains(&text), "{error}");
        }
        // A truncation to an already truncated address changes nothing, as does one to the end.
        log.truncate_until(at[6].0).await.expect("truncated");
        log.truncate_until(log::Address::new(at[5].0.raw() + 3)).await.expect("changes nothing");
        assert_eq!((log.read(at[5].0).await.expect("gone"), log.begin_address()), (None, at[6].0));
        log.truncate_suffix(log.tail_address()).await.expect("changes nothing");
        log.close().await.expect("closes");
    });
}

/// A reader of a closed log must know whether it has seen all entries. A stream that has or may
/// have more entries fails with `Closed`, and a stream at its end just ends.
#[test]
fn closing_a_log_ends_its_readers() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let entry = vec![1; 20_000];
        for _ in 0..20 {
            log.append_durable(&entry).await.expect("durable");
        }
        let mut done = log.scan(..);
        while !done.is_caught_up() {
            done.next().await.expect("there").expect("sound");
        }
        let (mut half, mut unread) = (log.scan(..), log.scan(..));
        half.next().await.expect("there").expect("sound");
        let mut waiting = log.follow();
        let mut worker = log.iterator("worker").expect("free");
        assert!(waiting.next().now_or_never().is_none());
        let (ended, closed) = futures::join!(waiting.next(), log.close());
        closed.expect("closes");
        let closed = |error: Option<kvick::Result<log::Entry>>| {
            let error = error.expect("an error").expect_err("closed");
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        };
        closed(ended);
        assert!(waiting.next().await.is_none(), "an error comes once");
        closed(unread.next().await);
        closed(worker.next().await);
        let rest: Vec<_> = half.collect().await;
        closed(rest.into_iter().last());
        assert!(done.next().await.is_none());
        closed(Some(log.scan(..).next().await.expect("an error")));
        assert_eq!(log.last().await.expect_err("closed").kind(), ErrorKind::Closed);
    });
}

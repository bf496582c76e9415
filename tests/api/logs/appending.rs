//! Appends: which entries fit, which appends wait, and which are refused.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Error, ErrorKind};
use tests::polling::poll_once;
use tests::simulated::{World, seeds};

use super::{open, open_on, payloads, small};

/// Appends until there is no room. The log writes nothing meanwhile, because no other task runs.
fn fill(log: &kvick::FasterLog, entry: &[u8]) -> u64 {
    for taken in 0.. {
        if let Err(error) = log.try_append(entry) {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            assert!(
                error.is_retryable() && error.to_string().contains("memory is full"),
                "{error}"
            );
            return taken;
        }
    }
    unreachable!("memory is small")
}

#[test]
fn without_room_an_attempt_is_busy_and_an_append_waits() {
    seeds(5, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            let taken = fill(&log, &[7; 1000]);
            assert!((40..60).contains(&taken), "{taken} entries of 1000 bytes in 14 pages");
            let mut given_up = log.append(b"given up");
            assert!(poll_once(&mut given_up).is_pending());
            drop(given_up);
            // The memory may still have room for small entries.
            let small = fill(&log, b"");
            let entries: Vec<_> = (0..200_u32).map(|n| n.to_le_bytes().repeat(100)).collect();
            let waiting = entries.iter().map(|entry| log.append(entry));
            for address in futures::future::join_all(waiting).await {
                address.expect("appended");
            }
            log.commit().await.expect("committed");
            let all = payloads(&log).await;
            let count = |length| all.iter().filter(|entry| entry.len() == length).count() as u64;
            assert_eq!((count(1000), count(0), count(400)), (taken, small, 200));
            assert_eq!(all.len() as u64, taken + small + 200);
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn batches_are_whole_and_contiguous() {
    let entries: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; usize::from(n) * 30]).collect();
    seeds(5, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            let tasks = (0..6).map(|_| async {
                for _ in 0..5 {
                    let addresses = log.append_many(&entries).await.expect("appended");
                    assert!(addresses.len() == 40 && addresses.is_sorted());
                    log.append(b"between").await.expect("appended");
                }
            });
            futures::future::join_all(tasks).await;
            log.commit().await.expect("committed");
            let mut rest = &payloads(&log).await[..];
            let mut batches = 0;
            while let Some(first) = rest.first() {
                let length = if first == b"between" { 1 } else { 40 };
                assert!(length == 1 || rest[..40] == entries);
                batches += length / 40;
                rest = &rest[length..];
            }
            assert_eq!(batches, 30);
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn a_batch_may_be_empty_but_not_larger_than_half_of_the_memory() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let nothing: [&[u8]; 0] = [];
        assert_eq!(log.append_many(&nothing).await.expect("nothing"), []);
        let end = log.tail_address();
        let error = log.append_many(&vec!["x".repeat(900); 40]).await.expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("memory = 64KiB at most about"), "{error}");
        let error = log.try_append(&[0; 30_000]).expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(log.tail_address(), end, "nothing of it was appended");
        log.append_many(&["x".repeat(900), "y".to_owned()]).await.expect("appended");
        log.commit().await.expect("committed");
        assert_eq!(payloads(&log).await.len(), 2);
        log.close().await.expect("closes");
    });
}

/// Covers the limits of a page: pages of 4 KiB hold frames of 4032 bytes, of which 8 are a header.
#[test]
fn entries_of_every_length_come_back() {
    let lengths = [0, 1, 7, 8, 9, 495, 496, 497, 1000, 1001, 4015, 4016, 4017];
    let lengths = lengths.into_iter().chain([4023, 4024, 4025, 4032, 4096, 8048, 8049, 20_000]);
    let entries: Vec<Vec<u8>> = lengths
        .enumerate()
        .flat_map(|(number, length)| vec![vec![number.to_le_bytes()[0]; length]; 3])
        .collect();
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let mut addresses = Vec::new();
        for entry in &entries {
            addresses.push(log.append(entry).await.expect("appended"));
        }
        for life in 0..2 {
            let log = if life == 0 { log.clone() } else { open(&directory).await };
            for (address, entry) in addresses.iter().zip(&entries) {
                let read = log.read(*address).await.expect("sound");
                assert_eq!(read.as_deref(), Some(&entry[..]), "{} bytes", entry.len());
            }
            log.commit().await.expect("committed");
            assert_eq!(payloads(&log).await, entries);
            log.close().await.expect("closes");
        }
    });
}

#[test]
fn a_sink_waits_for_room_and_commits_when_its_stream_rests() {
    seeds(5, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            let entries: Vec<Vec<u8>> =
                (0..2000_u32).map(|n| n.to_le_bytes().repeat(1 + n as usize % 200)).collect();
            let (mut give, take) = futures::channel::mpsc::channel::<Result<_, Error>>(0);
            let giver = async {
                for (number, entry) in entries.iter().enumerate() {
                    give.send(Ok(entry.clone().into())).await.expect("the sink takes every entry");
                    if number == 1000 {
                        // The stream pauses here, and the sink commits the entries that it has.
                        while log.committed_until() < log.tail_address()
                            || log.last_commit().number == 0
                        {
                            world.site.handle.sleep(Duration::from_millis(1)).await;
                        }
                        assert!(log.scan(..).count().await >= 1000);
                    }
                }
                drop(give);
            };
            let ((), forwarded) = futures::join!(giver, take.forward(log.sink()));
            forwarded.expect("appended");
            // The end of a forward closes the sink, and the closing commits.
            let found = payloads(&log).await;
            assert!(found.iter().zip(&entries).all(|(found, entry)| found == entry));
            assert_eq!(found.len(), entries.len());
            log.close().await.expect("closes");
        });
    });
}

#[test]
fn a_closed_or_completed_log_takes_no_entries() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        log.append(b"one").await.expect("appended");
        log.complete().await.expect("completed");
        let mut sink = log.sink();
        let refusals = [
            log.append(b"x").await.expect_err("completed"),
            log.try_append(b"x").expect_err("completed"),
            log.append_many(&[b"x"]).await.expect_err("completed"),
            log.append_durable(b"x").await.expect_err("completed"),
            sink.send(vec![b'x'].into()).await.expect_err("completed"),
        ];
        for error in refusals {
            assert_eq!(error.kind(), ErrorKind::Completed);
            assert!(error.to_string().contains("takes no more entries"), "{error}");
        }
        assert_eq!(log.complete().await.expect("once more"), log.last_commit());
        log.close().await.expect("closes");
        let refusals = [
            log.append(b"x").await.expect_err("closed"),
            log.try_append(b"x").expect_err("closed"),
            log.append_many(&[b"x"]).await.expect_err("closed"),
            log.commit().await.expect_err("closed"),
            log.read(log.begin_address()).await.expect_err("closed"),
            log.truncate_until(log.tail_address()).await.expect_err("closed"),
            log.scan(..).next().await.expect("an item").expect_err("closed"),
        ];
        for error in refusals {
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        }
        assert!(matches!(poll_once(&mut log.scan(..).collect::<Vec<_>>()), Poll::Ready(_)));
    });
}

/// A log of 8 MiB refused `try_append(1 MiB)` forever after it had been full once, although every
/// entry was committed. The log evicts pages for waiting tasks, and an attempt does not wait. An
/// attempt now leaves a request for room in the log.
#[test]
fn an_attempt_of_many_pages_succeeds_after_it_was_busy() {
    seeds(20, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let site = &world.site;
            let log = open_on(site, small()).await;
            for length in [5000, 9000, 20_000, 26_000] {
                let entry = vec![1; length];
                for round in 0..3 {
                    fill(&log, &entry);
                    log.commit().await.expect("committed");
                    let mut refusals = 0;
                    while let Err(error) = log.try_append(&entry) {
                        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                        refusals += 1;
                        assert!(refusals < 100, "{length} bytes, round {round}: busy for ever");
                        site.handle.sleep(Duration::from_millis(1)).await;
                    }
                }
            }
            log.close().await.expect("closes");
        });
    });
}

/// A task that may not wait with an entry in hand can first wait for room. The `poll_ready` of a
/// sink is such a task.
#[test]
fn room_can_be_waited_for_without_appending() {
    seeds(20, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let log = open_on(&world.site, small()).await;
            for length in [0, 1000, 4024, 5000, 20_000, 26_000] {
                let entry = vec![1; length];
                fill(&log, &entry);
                let end = log.tail_address();
                log.wait_for_room(length).await.expect("there will be room");
                assert_eq!(log.tail_address(), end, "nothing was appended");
                log.try_append(&entry).expect("there is room");
            }
            let error = log.wait_for_room(30_000).await.expect_err("never");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            let error = log.wait_for_room(usize::MAX).await.expect_err("never");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            log.close().await.expect("closes");
            let error = log.wait_for_room(1).await.expect_err("closed");
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        });
    });
}

/// A writer that numbers entries had to read the log to learn the address of the next entry.
#[test]
fn an_append_returns_the_next_address() {
    block_on(async {
        let log = open(&Arc::new(MemoryDirectory::new())).await;
        let mut appended = Vec::new();
        for number in 0..300_usize {
            let length = [number * 8 % 600, 4016, 4017, 4024, 4025, 9000][number % 6];
            appended.push(log.append_entry(&vec![1; length]).await.expect("appended"));
        }
        log.commit().await.expect("committed");
        let read: Vec<_> = log.scan(..).map(|entry| entry.expect("sound")).collect().await;
        let read: Vec<_> = read.iter().map(|entry| (entry.address, entry.next)).collect();
        let told: Vec<_> = appended.iter().map(|entry| (entry.address, entry.next)).collect();
        assert_eq!(told, read);
        log.close().await.expect("closes");
    });
}

/// An append that was polled again after its result appended its entry again.
#[test]
fn an_append_that_is_polled_again_panics_and_appends_once() {
    for is_large in [false, true] {
        block_on(async {
            let log = open(&Arc::new(MemoryDirectory::new())).await;
            let entry = vec![7; if is_large { 10_000 } else { 10 }];
            let mut append = log.append(&entry);
            assert!(matches!(poll_once(&mut append), Poll::Ready(Ok(_))));
            let again = std::panic::AssertUnwindSafe(|| poll_once(&mut append).is_ready());
            let panic = std::panic::catch_unwind(again).expect_err("a broken caller");
            let text = panic.downcast_ref::<&str>().expect("a text");
            assert!(text.contains("polled after it was ready"), "{text}");
            log.commit().await.expect("committed");
            assert_eq!(payloads(&log).await, std::slice::from_ref(&entry));
            log.close().await.expect("closes");
        });
    }
}

/// The log kept frames reserved for a large entry when its caller appended smaller ones instead. It
/// then refused all appends forever, although every entry was committed.
#[test]
fn room_that_is_not_taken_is_left_to_others() {
    let world = World::new(1);
    let handle = world.site.handle.clone();
    world.simulation.run(async {
        let log = open_on(&world.site, small().with_memory(ByteSize::kib(128))).await;
        log.wait_for_room(40_000).await.expect("there is room");
        let (mut taken, mut refused) = (0, 0);
        while taken < 500 {
            match log.try_append(&[7; 1500]) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                    refused += 1;
                    assert!(refused < 1000, "refused for ever after {taken}");
                    log.commit().await.expect("committed");
                    handle.sleep(Duration::from_millis(20)).await;
                }
            }
        }
        assert!(refused > 0, "memory was never full");
        log.close().await.expect("closes");
    });
}

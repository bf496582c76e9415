//! The public API of the log.

mod addresses;
mod appending;
mod asking;
mod catching_up;
mod checking;
mod committing;
mod ended_runtimes;
mod far;
mod following;
mod handing_over;
mod iterators;
mod life;
mod lives;
mod places;
mod reading;
mod recovering;
mod settings;
mod truncating;
mod voids;

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt, TryStreamExt};
use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Error, ErrorKind, FasterLog, log};
use tests::simulated::Site;

fn small() -> log::Config {
    log::Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(32))
        .with_huge_pages(false)
}

/// Opens a log as soon as the previous one has freed the directory.
async fn open(directory: &Arc<MemoryDirectory>) -> FasterLog {
    loop {
        let directory = Arc::clone(directory);
        match FasterLog::builder(small()).directory(directory).open_in_directory().await {
            Ok(log) => return log,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InUse, "{error}"),
        }
    }
}

/// Opens a log on the simulated disk.
async fn open_on(site: &Site, config: log::Config) -> FasterLog {
    let builder = FasterLog::builder(config).runtime(site.handle.clone()).seed(site.seed);
    builder.directory(site.disk.directory("log")).open_in_directory().await.expect("opens")
}

async fn payloads(log: &FasterLog) -> Vec<Vec<u8>> {
    log.scan(..).map_ok(|entry| entry.payload.to_vec()).try_collect().await.expect("sound")
}

#[test]
fn entries_come_back_in_order_after_a_restart() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let mut expected = Vec::new();
        for life in 0..4_u32 {
            let log = open(&directory).await;
            assert_eq!(payloads(&log).await, expected);
            for number in 0..200_u32 {
                let length = (number * 37 + life * 11) as usize % 3000;
                let entry = vec![number.to_le_bytes()[0]; length];
                log.append(&entry).await.expect("appended");
                expected.push(entry);
                if number % 17 == 0 {
                    log.commit().await.expect("committed");
                }
            }
            log.commit().await.expect("committed");
            assert_eq!(payloads(&log).await, expected);
            if life % 2 == 0 {
                log.close().await.expect("closes");
            }
        }
    });
}

#[test]
fn entries_larger_than_a_page_go_in_pieces() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let large: Vec<u8> = (0..20_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
        let entries = [b"before".to_vec(), large, b"after".to_vec()];
        let addresses = log.append_many(&entries).await.expect("appended");
        log.commit().await.expect("committed");
        assert_eq!(payloads(&log).await, entries);
        for (address, entry) in addresses.iter().zip(&entries) {
            let read = log.read(*address).await.expect("sound").expect("there");
            assert_eq!(&read[..], &entry[..]);
        }
        let error = log.append(&vec![0; 40_000]).await.expect_err("half of the memory");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        log.close().await.expect("closes");
    });
}

#[test]
fn a_sink_appends_the_entries_of_a_stream() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let entries: Vec<Vec<u8>> = (0..1000_u32).map(|n| n.to_le_bytes().repeat(20)).collect();
        let stream =
            futures::stream::iter(entries.clone()).map(|entry| Ok::<_, Error>(entry.into()));
        let mut sink = log.sink();
        sink.send_all(&mut stream.fuse()).await.expect("appended");
        sink.close().await.expect("durable");
        assert_eq!(payloads(&log).await, entries);
        assert_eq!(log.committed_until(), log.tail_address());
        log.close().await.expect("closes");
    });
}

#[test]
fn a_tail_waits_and_ends_when_the_log_is_completed() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let tail = log.follow();
        let writer = async {
            for number in 0..100_u32 {
                log.append_durable(&number.to_le_bytes()).await.expect("durable");
            }
            log.complete().await.expect("completed");
        };
        let (seen, ()) = futures::join!(tail.try_collect::<Vec<_>>(), writer);
        assert_eq!(seen.expect("sound").len(), 100);
        let error = log.append(b"more").await.expect_err("completed");
        assert_eq!(error.kind(), ErrorKind::Completed);
        log.close().await.expect("closes");
        let log = open(&directory).await;
        assert_eq!(log.append(b"more").await.expect_err("still").kind(), ErrorKind::Completed);
        assert_eq!(log.follow_from(log::Address::FIRST).count().await, 100);
    });
}

#[test]
fn truncation_takes_entries_away_at_both_ends() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let mut addresses = Vec::new();
        for number in 0..1000_u32 {
            addresses.push(log.append(&number.to_le_bytes().repeat(25)).await.expect("appended"));
        }
        log.commit().await.expect("committed");
        log.truncate_until(addresses[900]).await.expect("truncated");
        log.truncate_suffix(addresses[950]).await.expect("truncated");
        assert_eq!(log.read(addresses[899]).await.expect("sound"), None);
        assert_eq!(log.read(addresses[950]).await.expect("sound"), None);
        assert_eq!(payloads(&log).await.len(), 50);
        log.append(b"new").await.expect("appended");
        log.commit().await.expect("committed");
        assert_eq!(payloads(&log).await.len(), 51);
        let error = log.truncate_until(log::Address::new(addresses[920].raw() + 8)).await;
        assert_eq!(error.expect_err("between").kind(), ErrorKind::InvalidArgument);
        log.close().await.expect("closes");
        let log = open(&directory).await;
        let left = payloads(&log).await;
        assert_eq!((left.len(), &left[50][..]), (51, &b"new"[..]));
        assert_eq!(log.begin_address(), addresses[900]);
    });
}

#[test]
fn named_iterators_go_on_where_they_were_completed() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        for number in 0..10_u32 {
            log.append(&number.to_le_bytes()).await.expect("appended");
        }
        log.commit().await.expect("committed");
        let mut worker = log.iterator("worker").expect("free");
        assert_eq!(log.iterator("worker").expect_err("in use").kind(), ErrorKind::Busy);
        for number in 0..5_u32 {
            let entry = worker.next().await.expect("there").expect("sound");
            assert_eq!(entry.payload[..], number.to_le_bytes());
            worker.complete_until(entry.next).await.expect("completed");
        }
        log.commit().await.expect("committed");
        let entry = worker.next().await.expect("there").expect("sound");
        // This completion is in no commit, so the entry appears again.
        worker.complete_until(entry.next).await.expect("completed");
        drop((worker, log));
        let log = open(&directory).await;
        let mut worker = log.iterator("worker").expect("free");
        let entry = worker.next().await.expect("there").expect("sound");
        assert_eq!(entry.payload[..], 5_u32.to_le_bytes());
        drop(worker);
        log.close().await.expect("closes");
    });
}

#[test]
fn commits_have_numbers_and_cookies() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        log.append(b"one").await.expect("appended");
        let first = log.commit().await.expect("committed");
        assert_eq!(first.number, 1);
        assert_eq!(log.commit().await.expect("nothing new"), first);
        let with = log.commit().cookie(b"applied 7").await.expect("committed");
        assert_eq!((with.number, &with.cookie[..]), (2, &b"applied 7"[..]));
        let error = log.commit().number(2).await.expect_err("given already");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(log.commit().number(10).await.expect("committed").number, 10);
        drop(log);
        let log = open(&directory).await;
        let last = log.last_commit();
        assert_eq!((last.number, &last.cookie[..]), (10, &b"applied 7"[..]));
    });
}

#[test]
fn a_follower_sees_committed_entries_and_continues() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        let error = log::Follower::open(&path).await.expect_err("nothing");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.to_string().ends_with("is missing; create it with `FasterLog` first"),
            "{error}"
        );
        let log = FasterLog::open(&path, small()).await.expect("opens");
        let follower = log::Follower::open(&path).await.expect("follows");
        let tail = follower.follow_from(log::Address::FIRST, Duration::from_millis(1));
        let writer = async {
            for number in 0..2000_u32 {
                log.append(&number.to_le_bytes().repeat(20)).await.expect("appended");
                if number % 100 == 99 {
                    log.commit().await.expect("committed");
                }
            }
            log.complete().await.expect("completed");
        };
        let (seen, ()) = futures::join!(tail.try_collect::<Vec<_>>(), writer);
        let seen = seen.expect("sound");
        let in_order =
            seen.iter().zip(0_u32..).all(|(entry, n)| entry.payload[..4] == n.to_le_bytes());
        assert!(seen.len() == 2000 && in_order);
        assert_eq!(follower.last_commit(), log.last_commit());
        assert_eq!(follower.scan(seen[1000].address..).count().await, 1000);
        log.truncate_until(seen[1500].address).await.expect("truncated");
        log.close().await.expect("closes");
        follower.refresh().await.expect("looks");
        assert_eq!(follower.scan(..).count().await, 500);
    });
}

#[test]
fn values_of_one_type_come_back() {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let log = open(&directory).await;
        let pairs = log.typed::<(u64, String)>();
        let mut expected = Vec::new();
        for number in 0..50_u64 {
            let pair = (number, "x".repeat(number.to_le_bytes()[0].into()));
            expected.push((pairs.append(&pair).await.expect("appended"), pair));
        }
        pairs.append_durable(&(50, "last".to_owned())).await.expect("durable");
        let values: Vec<_> = pairs.scan(..).try_collect().await.expect("sound");
        assert_eq!(values[..50], expected);
        assert_eq!(pairs.read(values[50].0).await.expect("sound"), Some((50, "last".to_owned())));
        let error = log.typed::<u64>().read(values[50].0).await.expect_err("not a number");
        assert_eq!(error.kind(), ErrorKind::Codec);
        drop(pairs);
        log.close().await.expect("closes");
    });
}

#[test]
fn logs_of_a_group_live_by_themselves() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |number: usize| place.path().join(number.to_string());
    block_on(async {
        for life in 1..=2 {
            let group = log::Group::new(log::Config::small()).expect("starts");
            let mut logs = Vec::new();
            for number in 0..50 {
                logs.push(group.open(path(number)).await.expect("opens"));
            }
            let error = group.open(path(0)).await.expect_err("open already");
            assert_eq!(error.kind(), ErrorKind::InUse);
            drop(group);
            let appends = logs.iter().enumerate().map(|(number, log)| async move {
                for _ in 0..=number {
                    log.append_durable(&[7; 100]).await.expect("durable");
                }
            });
            futures::future::join_all(appends).await;
            logs[3].close().await.expect("closes");
            for (number, log) in logs.iter().enumerate().filter(|(number, _)| *number != 3) {
                assert_eq!(log.scan(..).count().await, life * (number + 1), "log {number}");
                log.close().await.expect("closes");
            }
        }
    });
}

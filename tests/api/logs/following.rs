//! Followers of a log whose files go while they are read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kvick::runtime::{Handle, block_on};
use kvick::{ErrorKind, FasterLog, LogAddress, LogEntry, LogFollower};

use super::small;

async fn fill(log: &FasterLog, count: u32) -> Vec<LogAddress> {
    let mut addresses = Vec::new();
    for number in 0..count {
        addresses.push(log.append(&number.to_le_bytes().repeat(25)).await.expect("appended"));
    }
    log.commit().await.expect("committed");
    addresses
}

/// Files of `directory` that are open here and were deleted.
#[cfg(target_os = "linux")]
fn deleted(directory: &Path) -> Vec<String> {
    let open = fs::read_dir("/proc/self/fd").expect("readable").flatten();
    let names = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let directory = directory.to_str().expect("ASCII");
    names.filter(|name| name.starts_with(directory) && name.ends_with("(deleted)")).collect()
}

/// A follower kept every file open that it had ever read from: the space of a log that was cut
/// again and again did not come back as long as it was followed.
#[cfg(target_os = "linux")]
#[test]
fn a_follower_lets_go_of_deleted_files() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        let log = FasterLog::open(&path, small()).await.expect("opens");
        let follower = LogFollower::open(&path).await.expect("follows");
        for _ in 0..20 {
            fill(&log, 1000).await;
            follower.refresh().await.expect("looks");
            assert_eq!(follower.scan(..).count().await, 1000);
            log.truncate_until(log.end()).await.expect("truncated");
            log.commit().await.expect("committed");
        }
        log.close().await.expect("closes");
        follower.refresh().await.expect("looks");
        let deleted = deleted(&path);
        assert!(deleted.len() <= 1, "{deleted:?}");
        assert_eq!(follower.begin(), log.begin());
    });
}

/// What a follower stands at is deleted before it has heard of the truncation: it used to be told
/// that a file is missing.
#[test]
fn a_follower_that_is_behind_hears_of_the_truncation() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        let log = FasterLog::open(&path, small()).await.expect("opens");
        let follower = LogFollower::open(&path).await.expect("follows");
        let at = fill(&log, 3000).await;
        log.close().await.expect("closes");
        // From the manifest it knows of files that it has never opened.
        follower.refresh().await.expect("looks");
        let mut tail = follower.tail_from(at[0], Duration::from_millis(1));
        assert_eq!(tail.next().await.expect("there").expect("sound").address, at[0]);
        let log = FasterLog::open(&path, small()).await.expect("opens");
        log.truncate_until(at[2990]).await.expect("truncated");
        log.complete().await.expect("completed");
        log.close().await.expect("closes");

        let behind: Vec<_> = follower.scan(at[5]..).collect().await;
        let error = behind.last().expect("an error").as_ref().expect_err("deleted");
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        let rest: Vec<LogEntry> = tail.try_collect().await.expect("goes on behind");
        let rest: Vec<LogAddress> = rest.iter().map(|entry| entry.address).collect();
        assert!(rest.ends_with(&at[2990..]) && rest.len() < 2000, "{} entries", rest.len());
        follower.refresh().await.expect("looks");
        assert_eq!(follower.scan(at[5]..).count().await, 10);
    });
}

#[test]
fn a_follower_needs_no_runtime_of_its_own() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        let log = FasterLog::open(&path, small()).await.expect("opens");
        let handle = Handle::background().expect("starts");
        let mut followers = Vec::new();
        for _ in 0..10 {
            followers.push(LogFollower::open_with(&path, handle.clone()).await.expect("follows"));
        }
        followers.push(LogFollower::open(&path).await.expect("follows"));
        let at = fill(&log, 10).await;
        log.complete().await.expect("completed");
        for follower in followers {
            let tail = follower.tail_from(at[0], Duration::from_millis(1));
            assert_eq!(tail.count().await, 10);
        }
        log.close().await.expect("closes");
    });
}

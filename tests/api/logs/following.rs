//! Followers of a log whose files are deleted while they are read.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kvick::io::sim::{SimDisk, SimOptions};
use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::{Handle, Simulation, block_on};
use kvick::{ErrorKind, FasterLog, log};
use tests::polling::AtMost;

use super::small;

async fn fill(log: &FasterLog, count: u32) -> Vec<log::Address> {
    let mut addresses = Vec::new();
    for number in 0..count {
        addresses.push(log.append(&number.to_le_bytes().repeat(25)).await.expect("appended"));
    }
    log.commit().await.expect("committed");
    addresses
}

/// Returns the deleted files of `directory` that this process still has open.
#[cfg(target_os = "linux")]
fn deleted(directory: &Path) -> Vec<String> {
    let open = fs::read_dir("/proc/self/fd").expect("readable").flatten();
    let names = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let directory = directory.to_str().expect("ASCII");
    names.filter(|name| name.starts_with(directory) && name.ends_with("(deleted)")).collect()
}

/// A follower kept every file open that it had ever read. The space of truncated files did not come
/// back while the log was followed.
#[cfg(target_os = "linux")]
#[test]
fn a_follower_lets_go_of_deleted_files() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        let log = FasterLog::open(&path, small()).await.expect("opens");
        let follower = log::Follower::open(&path).await.expect("follows");
        for _ in 0..20 {
            fill(&log, 1000).await;
            follower.refresh().await.expect("looks");
            assert_eq!(follower.scan(..).count().await, 1000);
            log.truncate_until(log.tail_address()).await.expect("truncated");
            log.commit().await.expect("committed");
        }
        log.close().await.expect("closes");
        follower.refresh().await.expect("looks");
        let deleted = deleted(&path);
        assert!(deleted.len() <= 1, "{deleted:?}");
        assert_eq!(follower.begin_address(), log.begin_address());
    });
}

/// The log deleted the file under a follower that did not know of the truncation yet. The follower
/// reported a missing file.
#[test]
fn a_follower_that_lags_learns_of_the_truncation() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        let log = FasterLog::open(&path, small()).await.expect("opens");
        let follower = log::Follower::open(&path).await.expect("follows");
        let at = fill(&log, 3000).await;
        log.close().await.expect("closes");
        // The follower knows from the manifest of files that it has never opened.
        follower.refresh().await.expect("looks");
        let mut tail = follower.follow_from(at[0], Duration::from_millis(1));
        assert_eq!(tail.next().await.expect("there").expect("sound").address, at[0]);
        let log = FasterLog::open(&path, small()).await.expect("opens");
        log.truncate_until(at[2990]).await.expect("truncated");
        log.complete().await.expect("completed");
        log.close().await.expect("closes");

        let behind: Vec<_> = follower.scan(at[5]..).collect().await;
        let error = behind.last().expect("an error").as_ref().expect_err("deleted");
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        let rest: Vec<log::Entry> = tail.try_collect().await.expect("goes on after it");
        let rest: Vec<log::Address> = rest.iter().map(|entry| entry.address).collect();
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
            followers.push(log::Follower::open_with(&path, handle.clone()).await.expect("follows"));
        }
        followers.push(log::Follower::open(&path).await.expect("follows"));
        let at = fill(&log, 10).await;
        log.complete().await.expect("completed");
        for follower in followers {
            let tail = follower.follow_from(at[0], Duration::from_millis(1));
            assert_eq!(tail.count().await, 10);
        }
        log.close().await.expect("closes");
    });
}

/// A log went back to an earlier commit, and wrote to the later addresses again. Its follower kept
/// the abandoned commit. It showed entries that no commit had, and reported damage in sound files.
#[test]
fn a_follower_learns_that_the_log_went_back() {
    let directory = Arc::new(MemoryDirectory::new());
    let builder = || FasterLog::builder(small()).directory(Arc::clone(&directory) as _);
    block_on(async {
        let log = builder().open_in_directory().await.expect("opens");
        for _ in 0..5 {
            fill(&log, 20).await;
        }
        let handle = Handle::background().expect("a thread");
        let follow = || log::Follower::open_in(Arc::clone(&directory) as _, handle.clone());
        let follower = follow().await.expect("follows");
        let seen = follower.last_commit();
        assert_eq!(seen, log.last_commit());
        // An ordinary opening does not go back.
        let manifest = directory.read_file("manifest").await.expect("there");
        log.close().await.expect("closes");
        builder().open_in_directory().await.expect("opens").close().await.expect("closes");
        assert_eq!(follower.refresh().await.expect("looks").until, seen.until);
        // The manifest lags, as after a crash.
        for name in ["manifest", "manifest.copy"] {
            directory.write_file(name, &manifest).await.expect("written");
        }
        let log = builder().recover(1).open_in_directory().await.expect("goes back");
        for _ in 0..10 {
            fill(&log, 20).await;
        }
        assert!(log.last_commit().until > seen.until, "its commits pass the old one");
        let error = follower.refresh().await.expect_err("it went back");
        assert!(error.to_string().contains("went back to an earlier commit"), "{error}");
        assert_eq!(follower.last_commit().until, seen.until);
        let follower = follow().await.expect("follows");
        assert_eq!(follower.scan(..).count().await, 20 + 200);
        log.close().await.expect("closes");
    });
}

/// A dropped refresh had already stored the new commit, but not the end of its last entry. A reader
/// with all entries never was caught up again.
#[test]
fn a_refresh_may_be_dropped_at_any_poll() {
    for polls in 0..60 {
        let simulation = Simulation::new(1);
        let disk = SimDisk::new(1, SimOptions::default());
        simulation.add_source(Arc::new(disk.clone()));
        let handle = simulation.handle();
        simulation.run(async {
            let builder = FasterLog::builder(small()).runtime(handle.clone());
            let log = builder.directory(disk.directory("log")).open_in_directory().await;
            let log = log.expect("opens");
            log.append_durable(b"one").await.expect("durable");
            let follower = log::Follower::open_in(disk.directory("log"), handle.clone()).await;
            let follower = follower.expect("follows");
            log.append_durable(b"two").await.expect("durable");
            AtMost::new(polls, follower.refresh()).await;
            follower.refresh().await.expect("looks");
            let mut scan = follower.scan(..);
            assert_eq!(scan.by_ref().count().await, 2);
            let mut scan = follower.scan(..);
            scan.next().await.expect("one").expect("sound");
            scan.next().await.expect("two").expect("sound");
            assert!(scan.is_caught_up() && scan.lag() == 0, "after {polls} polls: {}", scan.lag());
            log.close().await.expect("closes");
        });
    }
}

/// A follower in memory, or in a directory that was opened for writing, did not find segments that
/// were created later. It stopped at the end of the old files, or reported damage.
#[test]
fn a_follower_reaches_segments_that_are_made_later() {
    let place = tempfile::tempdir().expect("a directory");
    let real = || kvick::io::open_directory(place.path(), &kvick::io::IoConfig::default());
    let memory = Arc::new(MemoryDirectory::new());
    let pairs: [[Arc<dyn Directory>; 2]; 2] =
        [[memory.clone(), memory], [real().expect("opens"), real().expect("opens")]];
    for [written, followed] in pairs {
        block_on(async {
            let log = FasterLog::builder(small()).directory(written).open_in_directory().await;
            let log = log.expect("opens");
            fill(&log, 10).await;
            let handle = Handle::background().expect("a thread");
            let follower = log::Follower::open_in(followed, handle).await.expect("follows");
            let mut early =
                follower.follow_from(follower.begin_address(), Duration::from_millis(1));
            for round in 2..=20 {
                fill(&log, 100).await;
                follower.refresh().await.expect("looks");
                assert_eq!(follower.last_commit(), log.last_commit(), "round {round}");
                assert_eq!(follower.scan(..).count().await, (round - 1) * 100 + 10);
            }
            for _ in 0..1910 {
                early.next().await.expect("there is more").expect("sound");
            }
            log.close().await.expect("closes");
        });
    }
}

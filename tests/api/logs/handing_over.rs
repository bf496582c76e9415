//! Replacing a stuck writer, with one directory for each epoch.

use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};
use kvick::runtime::block_on;
use kvick::{FasterLog, log};

use super::small;

/// Returns the directories of the epochs, the newest last.
fn epochs(place: &Path) -> Vec<(u64, PathBuf)> {
    let listed = std::fs::read_dir(place).expect("there").map(|entry| entry.expect("there").path());
    let numbered = listed.filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        Some((name.strip_prefix("epoch-")?.parse().ok()?, path))
    });
    let mut all: Vec<_> = numbered.collect();
    all.sort();
    all
}

/// The writer of one epoch.
struct Writer {
    place: PathBuf,
    epoch: u64,
    log: FasterLog,
}

impl Writer {
    /// Takes over: it first announces its epoch, and then reads the commits of the previous writer.
    async fn take_over(place: &Path) -> Self {
        let before = epochs(place).pop();
        let epoch = before.as_ref().map_or(1, |(epoch, _)| epoch + 1);
        let path = place.join(format!("epoch-{epoch}"));
        let log = FasterLog::open(path, small()).await.expect("a new directory");
        if let Some((_, path)) = before {
            let follower = log::Follower::open(path).await.expect("it is only read");
            let entries = follower.scan(..).map_ok(|entry| entry.payload);
            let entries: Vec<_> = entries.try_collect().await.expect("sound");
            log.append_many(&entries).await.expect("appended");
        }
        log.commit().await.expect("committed");
        Self { place: place.to_owned(), epoch, log }
    }

    /// Appends durably, and returns whether the caller may acknowledge the entry. It may not if a
    /// later epoch exists by then, because the writer of that epoch may have missed the entry.
    async fn append(&self, entry: &[u8]) -> bool {
        self.log.append_durable(entry).await.expect("a sound disk");
        epochs(&self.place).last().expect("its own").0 == self.epoch
    }
}

/// A stopped process keeps the lock of its log forever, so no other process could continue that
/// log. Each writer has a directory of its own. A writer that takes over makes a new directory and
/// ignores the lock. The old writer notices the new directory before it acknowledges anything more.
#[test]
fn acknowledged_entries_stay_and_an_old_writer_adds_none() {
    let place = tempfile::tempdir().expect("a directory");
    block_on(async {
        let old = Writer::take_over(place.path()).await;
        let mut acknowledged = Vec::new();
        for number in 0..20_u8 {
            assert!(old.append(&[number]).await);
            acknowledged.push(vec![number]);
        }
        // The writer stops here. It has its lock, and an entry that it was about to commit.
        old.log.append(b"not acknowledged").await.expect("appended");
        let new = Writer::take_over(place.path()).await;
        assert!(new.append(b"by the new one").await);
        acknowledged.push(b"by the new one".to_vec());

        // The old writer continues as if nothing had happened.
        assert!(!old.append(b"too late").await, "no reader will ever see this");
        let third = Writer::take_over(place.path()).await;
        assert!(!new.append(b"too late as well").await);
        let entries: Vec<_> = third.log.scan(..).collect().await;
        let entries: Vec<_> =
            entries.iter().map(|e| e.as_ref().expect("sound").payload.to_vec()).collect();
        assert_eq!(entries, acknowledged);
        for writer in [old, new, third] {
            writer.log.close().await.expect("closes");
        }
    });
}

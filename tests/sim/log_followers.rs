//! Followers that open a log while its writer deletes files.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use kvick::io::Directory;
use kvick::runtime::Handle;
use kvick::{ErrorKind, FasterLog, log};
use tests::interrupted::Interrupted;
use tests::simulated::{World, four_log_pages};

/// More operations of a directory than the opening of a follower takes.
const OPERATIONS: u32 = 24;

async fn segments(directory: &dyn Directory) -> Vec<String> {
    let files = directory.list().await.expect("a sound disk");
    files.into_iter().filter(|file| file.starts_with("log.")).collect()
}

/// Makes the log delete all its present files and write others.
async fn truncate(log: &FasterLog, handle: &Handle, directory: &dyn Directory) {
    let before = segments(directory).await;
    fill(log, 400).await;
    log.truncate_until(log.tail_address()).await.expect("a sound disk");
    fill(log, 20).await;
    while segments(directory).await.iter().any(|file| before.contains(file)) {
        handle.sleep(Duration::from_millis(1)).await;
    }
}

async fn fill(log: &FasterLog, entries: u64) {
    for number in 0..entries {
        log.append(&number.to_le_bytes().repeat(12)).await.expect("a sound disk");
    }
    log.commit().await.expect("a sound disk");
}

fn run(operation: u32, again: bool) {
    let world = World::new(u64::from(operation));
    let site = world.site.clone();
    world.simulation.run(async move {
        let log = site.open_log(four_log_pages()).await;
        fill(&log, 500).await;
        let inner: Arc<dyn Directory> = site.disk.directory("log");
        let (writer, handle, files) = (log.clone(), site.handle.clone(), Arc::clone(&inner));
        let directory = Interrupted::new(inner, (operation, again), move || {
            let (log, handle, files) = (writer.clone(), handle.clone(), Arc::clone(&files));
            async move { truncate(&log, &handle, &*files).await }
        });
        let opened = log::Follower::open_in(directory.clone(), site.handle.clone()).await;
        if again {
            let error = opened.expect_err("there is never a file");
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            assert!(directory.done() < 100, "the follower gives up");
        } else {
            let follower = opened.expect("the writer truncates once");
            // The truncation may come while the follower looks for newer commits.
            while directory.done() == 0 {
                follower.refresh().await.expect("a sound disk");
            }
            follower.refresh().await.expect("a sound disk");
            let found: Vec<log::Entry> = follower.scan(..).try_collect().await.expect("sound");
            let there: Vec<log::Entry> = log.scan(..).try_collect().await.expect("sound");
            assert!(found == there, "{} of {} entries", found.len(), there.len());
            assert_eq!(follower.begin_address(), log.begin_address());
        }
        log.close().await.expect("a sound disk");
    });
}

/// A writer deleted files after a follower had read the manifest and before it opened the device.
/// Opening the follower failed with a missing file, although nothing was wrong.
#[test]
fn a_follower_opens_while_files_are_deleted() {
    for operation in 0..OPERATIONS {
        run(operation, false);
    }
}

/// The test above, with a truncation at each attempt. The follower must not retry for ever.
#[test]
fn a_follower_gives_up_where_files_are_deleted_again_and_again() {
    run(1, true);
}

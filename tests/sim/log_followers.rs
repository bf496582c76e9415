//! Followers that open a log while its writer deletes files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use kvick::io::{BoxFuture, Device, DeviceOptions, Directory};
use kvick::runtime::Handle;
use kvick::{ErrorKind, FasterLog, log};
use tests::simulated::{World, four_log_pages};

/// More operations of a directory than the opening of a follower takes.
const OPERATIONS: u32 = 24;

/// A directory whose writer truncates the whole log and continues, just before an operation of the
/// follower.
#[derive(Debug)]
struct Truncated {
    inner: Arc<dyn Directory>,
    log: FasterLog,
    handle: Handle,
    /// The number of operations up to the first truncation.
    left: AtomicU32,
    /// Whether the writer truncates again after that.
    again: bool,
    done: AtomicU32,
}

impl Truncated {
    async fn step(&self) {
        // Relaxed, here and below: the simulation has one thread.
        match self.left.load(Ordering::Relaxed) {
            0 => {}
            1 => {
                self.left.store(u32::from(self.again), Ordering::Relaxed);
                self.done.fetch_add(1, Ordering::Relaxed);
                truncate(&self.log, &self.handle, &*self.inner).await;
            }
            left => self.left.store(left - 1, Ordering::Relaxed),
        }
    }
}

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

impl Directory for Truncated {
    /// Opens listed files one by one, as a real directory does, and fails if all are gone.
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let listed = segments(&*self.inner).await;
            self.step().await;
            let left = segments(&*self.inner).await;
            if !left.iter().any(|file| listed.contains(file)) {
                return Err(io::Error::new(io::ErrorKind::NotFound, "log has no segment"));
            }
            self.inner.open_device(&name, options).await
        })
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async move {
            self.step().await;
            self.inner.list().await
        })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.step().await;
            self.inner.read_file(&name).await
        })
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.step().await;
            self.inner.file_bytes(&name).await
        })
    }

    kvick::io::forward_directory!(write_file, rename, remove_file, sync, lock, describe);
}

fn run(operation: u32, again: bool) {
    let world = World::new(u64::from(operation));
    let site = world.site.clone();
    world.simulation.run(async move {
        let log = site.open_log(four_log_pages()).await;
        fill(&log, 500).await;
        let inner: Arc<dyn Directory> = site.disk.directory("log");
        let directory = Arc::new(Truncated {
            inner,
            log: log.clone(),
            handle: site.handle.clone(),
            left: AtomicU32::new(operation + 1),
            again,
            done: AtomicU32::new(0),
        });
        let opened = log::Follower::open_in(directory.clone(), site.handle.clone()).await;
        if again {
            let error = opened.expect_err("there is never a file");
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            assert!(directory.done.load(Ordering::Relaxed) < 100, "the follower gives up");
        } else {
            let follower = opened.expect("the writer truncates once");
            // The truncation may come while the follower looks for newer commits.
            while directory.left.load(Ordering::Relaxed) > 0 {
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

//! Reads through the ring of a glommio executor, and the end of an executor.

#![cfg(all(feature = "glommio", target_os = "linux"))]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use glommio::{LocalExecutor, LocalExecutorBuilder};
use kvick_io::{
    AlignedBuf, BackendChoice, BufPool, Completion, Device, DeviceOptions, IoConfig,
    attach_glommio, open_directory,
};

const PAGE: usize = 4096;
const PAGES: usize = 64;

/// Returns a device with some pages, or `None` if glommio cannot work here.
fn device(path: &Path) -> Option<Arc<dyn Device>> {
    let config = IoConfig { backend: BackendChoice::Glommio, ..IoConfig::default() };
    let directory = match open_directory(path, &config) {
        Ok(directory) => directory,
        Err(error) => panic!("{error}"),
    };
    let device = pollster::block_on(async {
        let device =
            directory.open_device("log", DeviceOptions::default()).await.expect("the device opens");
        let mut pages = AlignedBuf::zeroed(PAGES * PAGE);
        for (page, bytes) in (1_u8..).zip(pages.chunks_mut(PAGE)) {
            bytes.fill(page);
        }
        let written = device.write_at(0, pages).await;
        written.result.expect("the pages are written");
        device
    });
    if device.geometry().backend != "glommio" || !device.geometry().direct {
        println!("skipped: {:?}", device.geometry());
        return None;
    }
    Some(device)
}

fn executor() -> Option<LocalExecutor> {
    LocalExecutorBuilder::default().make().inspect_err(|error| println!("skipped: {error}")).ok()
}

async fn read(device: &dyn Device, page: usize) {
    let read = device.read_at((page * PAGE) as u64, AlignedBuf::zeroed(PAGE)).await;
    let buf = read.into_buf().expect("the page is read");
    assert!(buf.iter().all(|&byte| usize::from(byte) == page + 1));
}

/// Returns the reads of this executor's ring since the last call.
fn own_reads() -> u64 {
    glommio::executor().io_stats().all_rings().file_reads().0
}

#[test]
fn an_attached_executor_reads_by_itself() {
    let place = tempfile::tempdir().unwrap();
    let (Some(device), Some(executor)) = (device(place.path()), executor()) else {
        return;
    };
    executor.run(async {
        read(&*device, 0).await;
        assert_eq!(own_reads(), 0, "not attached yet: the driver reads");

        let attachment = attach_glommio();
        // The first read opens the segment, which may read too.
        read(&*device, 1).await;
        assert!(own_reads() > 0);
        for page in 0..PAGES {
            read(&*device, page).await;
        }
        assert_eq!(own_reads(), PAGES as u64);
        let offsets = (0..8).map(|page| ((page * PAGE) as u64, AlignedBuf::zeroed(PAGE)));
        for read in device.read_many(offsets.collect()) {
            read.await.result.unwrap();
        }
        assert_eq!(own_reads(), 8);

        // The driver handles long reads, writes and syncs.
        let pages = device.read_at(0, AlignedBuf::zeroed(PAGES * PAGE)).await.into_buf().unwrap();
        device.write_at(0, pages).await.result.unwrap();
        device.sync().await.result.unwrap();
        drop(attachment);
        read(&*device, 2).await;
        assert_eq!(own_reads(), 0);
    });
}

#[test]
fn a_read_may_be_awaited_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let (Some(device), Some(executor)) = (device(place.path()), executor()) else {
        return;
    };
    executor.run(async {
        let _attachment = attach_glommio();
        let read = device.read_at(0, AlignedBuf::zeroed(PAGE));
        let elsewhere = move || pollster::block_on(read).into_buf().unwrap()[0];
        assert_eq!(glommio::executor().spawn_blocking(elsewhere).await, 1);
    });
}

#[test]
fn two_executors_share_a_device() {
    let place = tempfile::tempdir().unwrap();
    let Some(device) = device(place.path()) else {
        return;
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let Some(executor) = executor() else { return };
                executor.run(async {
                    let _attachment = attach_glommio();
                    for page in 0..PAGES {
                        read(&*device, page).await;
                    }
                });
            });
        }
    });
}

/// An executor that ends forgets its tasks; their reads must be done even so.
#[test]
fn reads_outlive_the_executor() {
    let place = tempfile::tempdir().unwrap();
    let (Some(device), Some(executor)) = (device(place.path()), executor()) else {
        return;
    };
    let reads: Vec<_> = executor.run(async {
        let _attachment = attach_glommio();
        // Opens the segment, so that the reads below reach the ring.
        read(&*device, 0).await;
        let begin = |page| device.read_at((page * PAGE) as u64, AlignedBuf::zeroed(PAGE));
        let reads = (0..8).map(begin).collect();
        glommio::executor().yield_now().await;
        reads
    });
    drop(executor);
    assert_read(reads);
    pollster::block_on(read(&*device, 5));
}

/// The thread ends with its attachment, which is leaked, as in a task that an executor forgot.
#[test]
fn reads_outlive_the_thread() {
    let place = tempfile::tempdir().unwrap();
    let Some(device) = device(place.path()) else {
        return;
    };
    let reads = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            executor()?.run(async {
                std::mem::forget(attach_glommio());
                let begin = |page| device.read_at((page * PAGE) as u64, AlignedBuf::zeroed(PAGE));
                Some((0..8).map(begin).collect::<Vec<_>>())
            })
        });
        thread.join().unwrap()
    });
    assert_read(reads.unwrap_or_default());
}

fn assert_read(reads: Vec<Completion>) {
    for (page, read) in (1_u8..).zip(reads) {
        let buf = pollster::block_on(read).into_buf().expect("it is read");
        assert!(buf.iter().all(|&byte| byte == page));
    }
}

/// Dropped futures of waiting and running reads return their buffers here.
#[test]
fn dropped_reads_give_their_buffers_back() {
    let place = tempfile::tempdir().unwrap();
    let (Some(device), Some(executor)) = (device(place.path()), executor()) else {
        return;
    };
    let pool = BufPool::new(1 << 20);
    executor.run(async {
        let attachment = attach_glommio();
        for page in 0..200 {
            drop(device.read_at((page % PAGES * PAGE) as u64, pool.take(PAGE)));
            if page % 3 == 0 {
                read(&*device, page % PAGES).await;
            }
        }
        drop(attachment);
    });
    drop(executor);
    for _ in 0..20_000 {
        if pool.outstanding_bytes() == 0 {
            return;
        }
        pollster::block_on(read(&*device, 0));
    }
    panic!("{} bytes never came back", pool.outstanding_bytes());
}

#[test]
fn a_segment_is_read_after_it_was_deleted() {
    let place = tempfile::tempdir().unwrap();
    let (Some(device), Some(executor)) = (device(place.path()), executor()) else {
        return;
    };
    executor.run(async {
        let _attachment = attach_glommio();
        let reads: Vec<_> = (0..8)
            .map(|page| device.read_at(page * PAGE as u64, AlignedBuf::zeroed(PAGE)))
            .collect();
        device.discard_below(device.geometry().segment_bytes).await.unwrap();
        for read in reads {
            read.await.result.unwrap();
        }
    });
}

/// Returns how many descriptors of this process lead to files in `place`, deleted or not.
fn descriptors_in(place: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").expect("Linux says");
    let targets = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(place)).count()
}

/// Far more looks than a thread needs to close a few files.
const PATIENCE: usize = 20_000;

/// Executors kept their descriptors of deleted segments until they opened another segment, or, if
/// they ended before, until the process ended. Five segments of 64 MiB, four of them discarded,
/// took 320 MiB.
#[test]
fn deleted_segments_are_closed_while_the_executor_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let (Some(other), Some(executor)) = (device(place.path()), executor()) else {
        return;
    };
    drop(other);
    let config = IoConfig { backend: BackendChoice::Glommio, ..IoConfig::default() };
    let directory = open_directory(&place.path().join("small"), &config).unwrap();
    executor.run(async {
        let attachment = attach_glommio();
        let options = DeviceOptions { segment_bytes: 1 << 16, create: true };
        let device = directory.open_device("log", options).await.unwrap();
        device.write_at(0, AlignedBuf::zeroed(5 << 16)).await.result.unwrap();
        for segment in 0..5 {
            device.read_at(segment << 16, AlignedBuf::zeroed(PAGE)).await.result.unwrap();
        }
        // The directory, and each segment twice.
        assert_eq!(descriptors_in(&place.path().join("small")), 1 + 2 * 5);
        device.discard_below(4 << 16).await.unwrap();
        let awaits = |count: usize| {
            let small = place.path().join("small");
            async move {
                for _ in 0..PATIENCE {
                    if descriptors_in(&small) == count {
                        return;
                    }
                    glommio::executor().yield_now().await;
                }
                panic!("{} descriptors are open, not {count}", descriptors_in(&small));
            }
        };
        awaits(1 + 2).await;
        device.read_at(4 << 16, AlignedBuf::zeroed(PAGE)).await.result.unwrap();
        drop(device);
        drop(directory);
        awaits(0).await;
        drop(attachment);
    });
}

#[test]
fn an_executor_that_ends_leaves_no_descriptor() {
    let place = tempfile::tempdir().unwrap();
    let Some(device) = device(place.path()) else {
        return;
    };
    thread::scope(|scope| {
        for forgets in [false, true] {
            let device = &device;
            scope.spawn(move || {
                let Some(executor) = executor() else { return };
                executor.run(async {
                    let attachment = attach_glommio();
                    read(&**device, 0).await;
                    if forgets {
                        std::mem::forget(attachment);
                    }
                });
            });
        }
    });
    pollster::block_on(device.discard_below(device.geometry().segment_bytes)).unwrap();
    drop(device);
    for _ in 0..PATIENCE {
        if descriptors_in(place.path()) == 0 {
            return;
        }
        thread::yield_now();
    }
    panic!("{} descriptors are open", descriptors_in(place.path()));
}

/// Reads when its thread ends, after the thread's attachment is gone.
struct LastRead {
    device: Arc<dyn Device>,
    report: std::sync::mpsc::Sender<bool>,
}

impl Drop for LastRead {
    fn drop(&mut self) {
        let read = pollster::block_on(self.device.read_at(0, AlignedBuf::zeroed(PAGE)));
        let _ = self.report.send(read.result.is_ok());
    }
}

thread_local! {
    static LAST_READ: RefCell<Option<LastRead>> = const { RefCell::new(None) };
}

/// The read panicked: the thread-local with the attachment was gone.
#[test]
fn a_thread_reads_while_it_ends() {
    let place = tempfile::tempdir().unwrap();
    let Some(device) = device(place.path()) else {
        return;
    };
    let (report, reported) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            // A thread drops its thread-locals in the opposite order of their first use.
            LAST_READ.with_borrow_mut(|last| {
                *last = Some(LastRead { device: Arc::clone(&device), report });
            });
            if let Some(executor) = executor() {
                executor.run(async {
                    let attachment = attach_glommio();
                    read(&*device, 0).await;
                    drop(attachment);
                });
            }
        });
    });
    assert!(reported.recv().expect("it did not panic"));
}

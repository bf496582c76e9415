//! Which reads go through the ring of a glommio executor, and what happens when one ends.

#![cfg(all(feature = "glommio", target_os = "linux"))]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use glommio::{LocalExecutor, LocalExecutorBuilder};
use kvick_io::{
    AlignedBuf, BackendChoice, Device, DeviceOptions, IoConfig, attach_glommio, open_directory,
};

const PAGE: usize = 4096;
const PAGES: usize = 64;

/// A device with some pages, or `None` where glommio cannot work.
fn device(path: &Path) -> Option<Arc<dyn Device>> {
    let config = IoConfig {
        backend: BackendChoice::Glommio,
        ..IoConfig::default()
    };
    let directory = match open_directory(path, &config) {
        Ok(directory) => directory,
        Err(error) => panic!("{error}"),
    };
    let device = pollster::block_on(async {
        let device = directory
            .open_device("log", DeviceOptions::default())
            .await
            .unwrap();
        let mut pages = AlignedBuf::zeroed(PAGES * PAGE);
        for (page, bytes) in (1_u8..).zip(pages.chunks_mut(PAGE)) {
            bytes.fill(page);
        }
        device.write_at(0, pages).await.result.unwrap();
        device
    });
    if device.geometry().backend != "glommio" || !device.geometry().direct {
        println!("skipped: {:?}", device.geometry());
        return None;
    }
    Some(device)
}

fn executor() -> Option<LocalExecutor> {
    LocalExecutorBuilder::default()
        .make()
        .inspect_err(|error| println!("skipped: {error}"))
        .ok()
}

async fn read(device: &dyn Device, page: usize) {
    let read = device
        .read_at((page * PAGE) as u64, AlignedBuf::zeroed(PAGE))
        .await;
    let buf = read.into_buf().unwrap();
    assert!(buf.iter().all(|&byte| usize::from(byte) == page + 1));
}

/// Reads that the ring of this executor has carried out.
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
        let before = own_reads();
        read(&*device, 0).await;
        assert_eq!(own_reads(), before, "not attached yet: the driver reads");

        let attachment = attach_glommio();
        // The first read opens the segment, which may read too.
        read(&*device, 1).await;
        let before = own_reads();
        for page in 0..PAGES {
            read(&*device, page).await;
        }
        assert_eq!(own_reads(), before + PAGES as u64);
        let offsets = (0..8).map(|page| ((page * PAGE) as u64, AlignedBuf::zeroed(PAGE)));
        for read in device.read_many(offsets.collect()) {
            read.await.result.unwrap();
        }
        assert_eq!(own_reads(), before + PAGES as u64 + 8);

        // Long reads, writes and syncs are the driver's.
        let before = own_reads();
        let pages = device
            .read_at(0, AlignedBuf::zeroed(PAGES * PAGE))
            .await
            .into_buf()
            .unwrap();
        device.write_at(0, pages).await.result.unwrap();
        device.sync().await.result.unwrap();
        drop(attachment);
        read(&*device, 2).await;
        assert_eq!(own_reads(), before);
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
        let (report, done) = futures_like_channel();
        let other = thread::Builder::new()
            .spawn(move || report(pollster::block_on(read).into_buf().unwrap()[0]))
            .unwrap();
        assert_eq!(done.await, 1);
        other.join().unwrap();
    });
}

/// A value handed from a thread to a task: one that wakes this executor from outside.
fn futures_like_channel() -> (impl FnOnce(u8) + Send, impl Future<Output = u8>) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    (move |value| sender.send(value).unwrap(), async {
        receiver.await.unwrap()
    })
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

#[test]
fn a_read_outlives_neither_executor_nor_buffer() {
    let place = tempfile::tempdir().unwrap();
    let (Some(device), Some(executor)) = (device(place.path()), executor()) else {
        return;
    };
    let reads: Vec<_> = executor.run(async {
        let _attachment = attach_glommio();
        (0..8)
            .map(|page| device.read_at(page * PAGE as u64, AlignedBuf::zeroed(PAGE)))
            .collect()
    });
    drop(executor);
    // The executor is gone: each read has ended, one way or the other. None waits for ever.
    for (page, read) in (1_u8..).zip(reads) {
        match pollster::block_on(read).into_buf() {
            Ok(buf) => assert!(buf.iter().all(|&byte| byte == page)),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Other, "{error}"),
        }
    }
    pollster::block_on(self::read(&*device, 5));
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
        device
            .discard_below(device.geometry().segment_bytes)
            .await
            .unwrap();
        for read in reads {
            read.await.result.unwrap();
        }
    });
}

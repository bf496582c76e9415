//! Several directories on one backend.

use std::io;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kvick_io::{AlignedBuf, Device, IoConfig, SharedIo};

use crate::{House, PAGE, on_each_backend};

fn page(byte: u8) -> AlignedBuf {
    let mut page = AlignedBuf::zeroed(PAGE);
    page.fill(byte);
    page
}

#[test]
fn many_transfer_at_once() {
    on_each_backend(|house| {
        let devices: Vec<_> = (0..100).map(|index| house.device(index)).collect();
        pollster::block_on(async {
            let bytes = || (0..100_u8).zip(&devices);
            let writes: Vec<_> =
                bytes().map(|(byte, device)| device.write_at(0, page(byte))).collect();
            for write in writes {
                write.await.result.unwrap();
            }
            let syncs: Vec<_> = devices.iter().map(|device| device.sync()).collect();
            let reads: Vec<_> = devices.iter().map(|device| device.read_at(0, page(255))).collect();
            for (read, byte) in reads.into_iter().zip(0..100) {
                let found = read.await.into_buf().unwrap();
                assert!(found.iter().all(|&one| one == byte), "directory {byte} has its own bytes");
            }
            for sync in syncs {
                sync.await.result.unwrap();
            }
        });
    });
}

#[test]
fn threads_open_them_at_once() {
    on_each_backend(|house| {
        thread::scope(|scope| {
            for first in 0..8 {
                scope.spawn(move || {
                    for index in (first..80).step_by(8) {
                        let write = house.device(index).write_at(0, page(1));
                        pollster::block_on(write).result.unwrap();
                    }
                });
            }
        });
        #[cfg(target_os = "linux")]
        assert!(crate::process::threads("kvick-uring") <= 1, "one backend was started");
    });
}

#[test]
fn each_has_names_and_locks_of_its_own() {
    on_each_backend(|house| {
        pollster::block_on(async {
            let (first, second) = (house.directory(0).unwrap(), house.directory(1).unwrap());
            let (held, other) = (first.lock("lock").await.unwrap(), second.lock("lock").await);
            assert!(other.is_ok(), "it is another lock");
            assert!(house.directory(0).unwrap().lock("lock").await.is_err());
            first.write_file("manifest", b"first").await.unwrap();
            assert_eq!(first.list().await.unwrap(), ["lock", "manifest"]);
            assert_eq!(second.list().await.unwrap(), ["lock"], "a probe leaves no file");
            drop(held);
        });
    });
}

/// The number of operations of each noisy device that wait at any time.
const BACKLOG: usize = 20;
/// Far more rounds than the quiet device needs to complete its few operations.
const PATIENCE: usize = 100_000;

/// Keeps writes and syncs of all these devices waiting until `done`.
fn keep_busy(devices: &[Arc<dyn Device>], done: &AtomicBool) {
    pollster::block_on(async {
        for round in 0.. {
            assert!(round < PATIENCE, "the quiet device was starved by {round} rounds");
            let writes = devices.iter().flat_map(|device| {
                (0..BACKLOG).map(|index| device.write_at((index * PAGE) as u64, page(7)))
            });
            let writes: Vec<_> = writes.collect();
            let syncs: Vec<_> = devices.iter().map(|device| device.sync()).collect();
            for completion in writes.into_iter().chain(syncs) {
                completion.await.result.expect("the device serves");
            }
            // Relaxed: it only tells when to stop, and guards nothing.
            if done.load(Ordering::Relaxed) {
                return;
            }
        }
    });
}

#[test]
fn a_quiet_one_is_not_starved_by_busy_ones() {
    on_each_backend(|house| {
        let busy: Vec<_> = (1..50).map(|index| house.device(index)).collect();
        let quiet = house.device(0);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let noise = scope.spawn(|| keep_busy(&busy, &done));
            let outcome: io::Result<()> = pollster::block_on(async {
                for index in 0..8 {
                    quiet.write_at(index * PAGE as u64, page(1)).await.result?;
                    quiet.read_at(index * PAGE as u64, page(0)).await.result?;
                    quiet.sync().await.result?;
                }
                Ok(())
            });
            done.store(true, Ordering::Relaxed);
            noise.join().expect("the quiet device is not starved");
            outcome.unwrap();
        });
    });
}

/// Opens a directory at the path of a file.
fn impossible(house: &House) -> io::ErrorKind {
    let file = house.place.path().join("file");
    std::fs::write(&file, b"").expect("a scratch file");
    house.io.open_directory(&file.join("log")).expect_err("a file holds no directory").kind()
}

#[test]
fn one_that_cannot_be_opened_harms_no_other() {
    on_each_backend(|house| {
        assert_eq!(impossible(house), io::ErrorKind::NotADirectory);
        #[cfg(target_os = "linux")]
        {
            // The directory `/proc` allows no probe, even while the backend runs.
            let barren = || house.io.open_directory(Path::new("/proc"));
            assert!(barren().is_err());
            crate::process::await_no_threads();
            house.device(1);
            assert!(barren().is_err());
        }
        let device = house.device(0);
        assert_eq!(impossible(house), io::ErrorKind::NotADirectory);
        pollster::block_on(device.write_at(0, page(1))).result.unwrap();
        let next = house.device(2);
        pollster::block_on(next.write_at(0, page(1))).result.unwrap();
    });
}

#[test]
fn settings_are_checked_before_a_directory_is_there() {
    let refused = SharedIo::new(IoConfig { depth: 1, ..IoConfig::default() }).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

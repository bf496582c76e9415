//! A child process that uses the directories of its parent, without the parent's threads.

use std::sync::Arc;
use std::task::{Context, Waker};

use kvick_io::{
    AlignedBuf, BackendChoice, Device, DeviceOptions, Directory, IoConfig, open_directory,
};

use crate::alone::alone;
use crate::fork::in_fork;

const PAGE: usize = 4096;

fn expect_refusal<T>(outcome: std::io::Result<T>) {
    let error = outcome.err().expect("the threads are in the parent");
    assert!(error.to_string().contains("was forked"), "{error}");
}

fn refused_in_the_child(directory: &dyn Directory, device: &dyn Device) {
    pollster::block_on(async {
        for _ in 0..3 {
            expect_refusal(device.read_at(0, AlignedBuf::zeroed(PAGE)).await.result);
            expect_refusal(device.write_at(0, AlignedBuf::zeroed(PAGE)).await.result);
            expect_refusal(device.write_at(1 << 30, AlignedBuf::zeroed(PAGE)).await.result);
            expect_refusal(device.sync().await.result);
        }
        for read in device.read_many(vec![(0, AlignedBuf::zeroed(PAGE))]) {
            expect_refusal(read.await.result);
        }
        expect_refusal(device.discard_below(1 << 40).await);
        expect_refusal(device.truncate(0).await);
        expect_refusal(directory.list().await);
        expect_refusal(directory.write_file("manifest", b"text").await);
        expect_refusal(directory.lock("lock").await.map(drop));
    });
}

/// A child of a process with a store hung at the first operation that needed a thread. It had the
/// memory of its parent, and none of its threads.
#[test]
fn operations_in_a_forked_child_are_refused() {
    alone("forked::operations_in_a_forked_child_are_refused", || {
        for backend in [BackendChoice::Auto, BackendChoice::Threads] {
            let place = tempfile::tempdir().unwrap();
            let config = IoConfig { backend, ..IoConfig::default() };
            let directory = open_directory(&place.path().join("store"), &config).unwrap();
            let device = directory.open_device("log", DeviceOptions::default());
            let device = pollster::block_on(device).unwrap();
            pollster::block_on(device.write_at(0, AlignedBuf::zeroed(PAGE))).result.unwrap();

            // Started here, awaited in the child.
            let mut sync = device.sync();
            let mut listing = directory.list();
            let first = listing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            in_fork(|| {
                // It may have ended before the fork.
                let _ = pollster::block_on(&mut sync).result;
                if first.is_pending() {
                    let _ = pollster::block_on(&mut listing);
                }
                refused_in_the_child(&*directory, &*device);
                // Nothing hangs when it is dropped, and the child may open the directory itself.
                drop((Arc::clone(&device), Arc::clone(&directory)));
                let own = open_directory(&place.path().join("own"), &config).unwrap();
                let own = pollster::block_on(own.open_device("log", DeviceOptions::default()));
                let written = own.unwrap().write_at(0, AlignedBuf::zeroed(PAGE));
                pollster::block_on(written).result.unwrap();
            });

            // The parent continues.
            pollster::block_on(sync).result.unwrap();
            assert_eq!(pollster::block_on(listing).unwrap(), ["log.000000"]);
            pollster::block_on(device.write_at(0, AlignedBuf::zeroed(PAGE))).result.unwrap();
        }
    });
}

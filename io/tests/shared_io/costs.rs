//! The costs of a directory, and its end.

use std::slice;
use std::sync::Arc;

use kvick_io::{AlignedBuf, BackendChoice, Device, DeviceOptions};

use crate::process::{await_no_threads, await_sleep_in, descriptors, threads};
use crate::{House, PAGE, on_each_backend};

/// Writes, reads and syncs, so that threads that start late have started.
fn use_all(devices: &[Arc<dyn Device>]) {
    pollster::block_on(async {
        let writes: Vec<_> =
            devices.iter().map(|device| device.write_at(0, AlignedBuf::zeroed(PAGE))).collect();
        for write in writes {
            write.await.result.expect("the device serves");
        }
        for device in devices {
            device.read_at(0, AlignedBuf::zeroed(PAGE)).await.result.expect("the device serves");
            device.sync().await.result.expect("the device serves");
        }
    });
}

#[test]
fn threads_do_not_grow_with_directories() {
    on_each_backend(|house| {
        let devices: Vec<_> = (0..200).map(|index| house.device(index)).collect();
        use_all(&devices);
        match devices[0].geometry().backend {
            "threads" => assert!((1..=3).contains(&threads("kvick-io"))),
            _ => {
                assert_eq!(threads("kvick-uring"), 1);
                assert!(threads("kvick-reads") <= 1);
            }
        }
        assert!((1..=4).contains(&threads("kvick-files")));
    });
}

#[test]
fn a_directory_with_a_lock_and_a_segment_takes_three_descriptors() {
    on_each_backend(|house| {
        let open = |index| {
            let directory = house.directory(index).unwrap();
            let device = directory.open_device("log", DeviceOptions::default());
            let device = pollster::block_on(device).unwrap();
            use_all(slice::from_ref(&device));
            let lock = pollster::block_on(directory.lock("lock")).unwrap();
            (device, lock)
        };
        let first = open(0);
        let before = descriptors();
        let others: Vec<_> = (1..=50).map(open).collect();
        assert_eq!(descriptors() - before, 3 * 50);
        drop(others);
        assert_eq!(descriptors(), before);
        drop(first);
    });
}

/// An idle driver waited in its ring for an eventfd, and so counted as a task that waits for a
/// disk. 16 idle directories looked like 16 blocked tasks, and an idle machine looked stuck in I/O.
#[test]
fn an_idle_driver_waits_for_no_disk() {
    on_each_backend(|house| {
        let device = house.device(0);
        let name = if house.backend == BackendChoice::Uring { "kvick-uring" } else { "kvick-io" };
        await_sleep_in(name, libc::SYS_futex);
        use_all(slice::from_ref(&device));
        await_sleep_in(name, libc::SYS_futex);
    });
}

#[test]
fn a_handle_alone_keeps_the_threads() {
    on_each_backend(|house| {
        let device = house.device(0);
        use_all(slice::from_ref(&device));
        drop(device);
        assert!(threads("kvick-uring") + threads("kvick-io") > 0);
        assert!(threads("kvick-files") > 0);
    });
}

#[test]
fn a_device_alone_keeps_the_threads() {
    on_each_backend(|house| {
        let alone = House::new(house.backend).unwrap();
        let device = alone.device(0);
        drop(alone.io);
        use_all(slice::from_ref(&device));
        let read = device.read_at(0, AlignedBuf::zeroed(PAGE));
        drop(device);
        // Operations in flight are done before the threads end.
        pollster::block_on(read).result.unwrap();
        await_no_threads();
    });
}

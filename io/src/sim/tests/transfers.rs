//! Without faults the disk is an ordinary device and directory, in virtual time.

use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::sim::OperationKind;

#[test]
fn what_is_written_is_read_also_across_segments() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(8, 1));
    write(&disk, &*device, SEGMENT - 1024, page(4, 2));
    let bytes = read(&disk, &*device, SEGMENT - 1024, 2048).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 2));
    assert_eq!(read(&disk, &*device, 4096, 512).unwrap(), [0; 512], "a hole");
    assert_eq!(device.bytes_stored(), SEGMENT + 1024);
    assert_eq!(drive(&disk, directory.list()).unwrap(), ["log.000000", "log.000001"]);
    assert_eq!(device.locate(SEGMENT + 512), ("log.000001".to_owned(), 512));
    let past = read(&disk, &*device, SEGMENT + 1024, 512).unwrap_err();
    assert_eq!(past.kind(), ErrorKind::UnexpectedEof);
    let past = read(&disk, &*device, 4 * SEGMENT, 512).unwrap_err();
    assert_eq!(past.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn discarded_segments_are_gone_and_their_space_is_free() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(48, 1));
    assert_eq!(disk.bytes_used(), 3 * SEGMENT);
    drive(&disk, device.discard_below(2 * SEGMENT + 512)).unwrap();
    assert_eq!(disk.bytes_used(), SEGMENT);
    let gone = read(&disk, &*device, 0, 512).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(read(&disk, &*device, 2 * SEGMENT, 512).unwrap(), [1; 512]);
    assert_eq!(drive(&disk, directory.list()).unwrap(), ["log.000002"]);
}

#[test]
fn operations_end_in_virtual_time_and_not_in_order() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    let mut writes: Vec<_> = (0..16).map(|at| device.write_at(at * 512, page(1, 1))).collect();
    assert_eq!(disk.in_flight(), 16);
    let mut order = Vec::new();
    let mut before = Duration::ZERO;
    while let Some(time) = disk.next_event() {
        assert!(time > before && time <= before + Duration::from_millis(1));
        before = time;
        disk.run_event(time);
        for (index, write) in writes.iter_mut().enumerate() {
            if !order.contains(&index) && poll(write).is_ready() {
                order.push(index);
            }
        }
    }
    assert_eq!(order.len(), 16);
    assert!(!order.is_sorted(), "{order:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let disk = SimDisk::new(seed, SimOptions::default());
        let directory = disk.directory("db");
        let device = open(&disk, &directory);
        write(&disk, &*device, 0, page(3, 1));
        drive(&disk, device.sync()).result.unwrap();
        write(&disk, &*device, 1536, page(5, 2));
        let image = disk.crash(seed);
        let bytes = contents(&image, "log.000000").ok();
        (disk.history(), image.files(), bytes)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}

#[test]
fn files_are_written_renamed_and_removed() {
    let (disk, directory) = disk(SimOptions::default());
    drive(&disk, directory.write_file("a", &[7; 700])).unwrap();
    drive(&disk, directory.write_file("a", b"short")).unwrap();
    drive(&disk, directory.write_file("b", b"")).unwrap();
    assert_eq!(disk.bytes_used(), 512);
    drive(&disk, directory.rename("a", "b")).unwrap();
    assert_eq!(contents(&disk, "b").unwrap(), b"short");
    drive(&disk, directory.remove_file("b")).unwrap();
    assert_eq!(disk.bytes_used(), 0);
    for result in [
        drive(&disk, directory.remove_file("b")),
        drive(&disk, directory.rename("a", "b")),
        drive(&disk, directory.read_file("a")).map(drop),
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
    }
    let outside = drive(&disk, directory.write_file("../a", b"")).unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.count(OperationKind::Create), 3);
    assert_eq!(disk.count(OperationKind::Write), 2);
    let counted: u64 = OperationKind::ALL.map(|kind| disk.count(kind)).iter().sum();
    assert_eq!(counted, disk.operations());
}

#[test]
fn a_lock_is_exclusive_until_dropped() {
    let (disk, directory) = disk(SimOptions::default());
    let lock = drive(&disk, directory.lock("lock")).unwrap();
    let held = drive(&disk, directory.lock("lock")).unwrap_err();
    assert_eq!(held.kind(), ErrorKind::WouldBlock);
    assert!(drive(&disk, disk.directory("other").lock("lock")).is_ok());
    drop(lock);
    assert!(drive(&disk, directory.lock("lock")).is_ok());
    // A result without a waiting caller is dropped during an event.
    let mut locking = directory.lock("lock");
    assert!(poll(&mut locking).is_pending());
    drop(locking);
    while let Some(time) = disk.next_event() {
        disk.run_event(time);
    }
    assert!(drive(&disk, directory.lock("lock")).is_ok());
}

#[test]
fn a_device_is_found_again() {
    let (disk, directory) = disk(SimOptions::default());
    let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
    let absent = drive(&disk, directory.open_device("log", options)).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    write(&disk, &*open(&disk, &directory), SEGMENT, page(1, 9));
    let again = drive(&disk, directory.open_device("log", options)).unwrap();
    assert_eq!(read(&disk, &*again, SEGMENT, 512).unwrap(), [9; 512]);
}

#[test]
fn an_abandoned_operation_takes_place_or_not() {
    let mut written = 0;
    for seed in 0..32 {
        let disk = SimDisk::new(seed, SimOptions::default());
        let directory = disk.directory("db");
        let device = open(&disk, &directory);
        drop(device.write_at(0, page(1, 1)));
        while let Some(time) = disk.next_event() {
            disk.run_event(time);
        }
        written += usize::from(read(&disk, &*device, 0, 512).is_ok());
    }
    assert!((4..28).contains(&written), "{written} of 32");
}

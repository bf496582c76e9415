//! Misuse panics, with the last operations in the message.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Returns the message of the panic.
fn caught<R>(misuse: impl FnOnce() -> R) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(misuse()))).expect_err("panics");
    *panic.downcast::<String>().expect("a message")
}

#[test]
fn misaligned_transfers() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    let message = caught(|| device.write_at(100, page(1, 1)));
    assert!(message.contains("not a multiple of 512"), "{message}");
    assert!(message.contains("Open db/log"), "{message}");
    caught(|| device.read_at(0, AlignedBuf::zeroed(100)));
    caught(|| drive(&disk, device.truncate(100)));
    write(&disk, &*device, 0, page(1, 1));
}

#[test]
fn without_an_audit_they_fail() {
    let (disk, directory) = disk(SimOptions { audit: false, block: 4096, ..SimOptions::default() });
    let device = open(&disk, &directory);
    let refused = drive(&disk, device.write_at(512, page(8, 1)));
    assert_eq!(refused.result.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(refused.buf.expect("comes back").len(), 4096);
    assert_eq!(device.geometry().block, 4096);
}

#[test]
fn writes_that_overlap_in_flight() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    let first = device.write_at(512, page(4, 1));
    let before = device.write_at(0, page(1, 1));
    let after = device.write_at(2560, page(1, 1));
    let message = caught(|| device.write_at(2048, page(1, 2)));
    assert!(message.contains("overlaps operation 1,"), "{message}");
    for writing in [first, before, after] {
        assert!(drive(&disk, writing).result.is_ok());
    }
    write(&disk, &*device, 2048, page(1, 2));
}

#[test]
fn durable_blocks_written_again() {
    let (disk, directory) =
        disk(SimOptions { write_once: vec!["log.".to_owned()], ..SimOptions::default() });
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(2, 1));
    write(&disk, &*device, 512, page(2, 1));
    drive(&disk, device.sync()).result.unwrap();
    write(&disk, &*device, 1536, page(1, 1));
    let message = caught(|| device.write_at(1024, page(2, 2)));
    assert!(message.contains("block 2 of a segment is durable"), "{message}");
    write(&disk, &*device, 1536, page(1, 2));
    for _ in 0..2 {
        drive(&disk, directory.write_file("superblock", b"x")).unwrap();
    }
}

/// Returns a write-once device, durable and then truncated to 1024.
fn truncated() -> (SimDisk, Arc<dyn Directory>, Arc<dyn Device>) {
    let (disk, directory) =
        disk(SimOptions { write_once: vec!["log.".to_owned()], ..SimOptions::default() });
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(36, 1));
    drive(&disk, device.sync()).result.expect("the sync succeeds");
    drive(&disk, device.truncate(1024)).expect("it is cut");
    (disk, directory, device)
}

/// The writes are in the shortened segment, in a removed segment, and beyond its old end.
const TRUNCATED: [(u64, usize); 3] = [(1024, 1), (SEGMENT + 512, 1), (2 * SEGMENT + 1536, 2)];

#[test]
fn truncated_blocks_written_again_before_the_truncation_is_durable() {
    for (offset, blocks) in TRUNCATED {
        let (_disk, _directory, device) = truncated();
        let message = caught(|| device.write_at(offset, page(blocks, 2)));
        assert!(message.contains("of a segment is durable"), "{message}");

        // One sync covers the length, and the other covers the names.
        let (disk, _directory, device) = truncated();
        drive(&disk, device.sync()).result.unwrap();
        match offset < SEGMENT {
            true => write(&disk, &*device, offset, page(blocks, 2)),
            false => drop(caught(|| device.write_at(offset, page(blocks, 2)))),
        }
        let (disk, directory, device) = truncated();
        drive(&disk, directory.sync()).unwrap();
        match offset < SEGMENT {
            true => drop(caught(|| device.write_at(offset, page(blocks, 2)))),
            false => write(&disk, &*device, offset, page(blocks, 2)),
        }
    }
}

#[test]
fn truncated_blocks_may_be_written_again_after_both_syncs() {
    let (disk, directory, device) = truncated();
    drive(&disk, device.sync()).result.unwrap();
    drive(&disk, directory.sync()).unwrap();
    for (offset, blocks) in TRUNCATED {
        write(&disk, &*device, offset, page(blocks, 2));
    }
    caught(|| device.write_at(512, page(1, 2)));
    drive(&disk, device.sync()).result.unwrap();
    for (offset, blocks) in TRUNCATED {
        caught(|| device.write_at(offset, page(blocks, 3)));
    }
}

#[test]
fn truncations_under_a_transfer() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(20, 1));
    let below = device.write_at(512, page(1, 2));
    for at in [1024, SEGMENT] {
        let writing = device.write_at(at, page(1, 2));
        let message = caught(|| drive(&disk, device.truncate(1024)));
        assert!(message.contains("a truncation overlaps operation"), "{message}");
        assert!(drive(&disk, writing).result.is_ok());
    }
    let reading = device.read_at(512, page(2, 0));
    caught(|| drive(&disk, device.truncate(1024)));
    // A read without a waiting caller is harmless, a write is not.
    drop(reading);
    drive(&disk, device.truncate(SEGMENT)).unwrap();
    drop(device.write_at(1024, page(1, 2)));
    caught(|| drive(&disk, device.truncate(1024)));
    assert!(drive(&disk, below).result.is_ok());
}

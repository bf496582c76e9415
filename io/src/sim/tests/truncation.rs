//! Truncations: final once both syncs succeeded; until then any deleted bytes may return.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;
use crate::sim::Survival;

/// Returns a device of three segments full of 1, all durable.
fn durable(seed: u64) -> (SimDisk, Arc<dyn Directory>, Arc<dyn Device>) {
    let disk = SimDisk::new(seed, SimOptions::default());
    let directory = disk.directory("db");
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(48, 1));
    drive(&disk, device.sync()).result.expect("the sync succeeds");
    drive(&disk, directory.sync()).expect("the sync succeeds");
    (disk, directory, device)
}

/// Returns the segments of a disk, with their lengths.
fn segments(disk: &SimDisk) -> Vec<(u64, u64)> {
    let index = |name: &str| name.strip_prefix("db/log.").and_then(|digits| digits.parse().ok());
    disk.files().iter().map(|(name, length)| (index(name).expect("a segment"), *length)).collect()
}

/// Returns the segments that survive each of 300 power cuts.
fn cuts(disk: &SimDisk) -> BTreeSet<Vec<(u64, u64)>> {
    (0..300).map(|seed| segments(&disk.crash(seed))).collect()
}

const WHOLE: [(u64, u64); 3] = [(0, SEGMENT), (1, SEGMENT), (2, SEGMENT)];

#[test]
fn until_it_is_synced_each_file_may_come_back() {
    let (disk, _directory, device) = durable(1);
    drive(&disk, device.truncate(1024)).unwrap();
    assert_eq!(segments(&disk), [(0, 1024)]);
    let mut expected = BTreeSet::new();
    for length in [1024, SEGMENT] {
        for others in [&[][..], &[(1, SEGMENT)], &[(2, SEGMENT)], &[(1, SEGMENT), (2, SEGMENT)]] {
            expected.insert([&[(0, length)], others].concat());
        }
    }
    assert_eq!(cuts(&disk), expected);
    let nothing = disk.crash_with(1, Survival::NOTHING);
    assert_eq!(segments(&nothing), WHOLE);
    for name in ["log.000000", "log.000001", "log.000002"] {
        assert_eq!(contents(&nothing, name).unwrap(), [1; 8192]);
    }
    assert_eq!(segments(&disk.crash_with(1, Survival::EVERYTHING)), [(0, 1024)]);
}

#[test]
fn a_block_that_was_cut_may_come_back_alone() {
    let (disk, _directory, device) = durable(1);
    drive(&disk, device.truncate(1024)).unwrap();
    // The length is old, or the next write makes it old again.
    write(&disk, &*device, SEGMENT - 512, page(1, 2));
    let mut mixed = 0;
    for seed in 0..300 {
        let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
        assert!(bytes[..1024].iter().all(|&byte| byte == 1), "seed {seed}");
        let blocks: BTreeSet<u8> = bytes.chunks(512).skip(2).map(|block| block[0]).collect();
        mixed += usize::from(blocks.contains(&0) && blocks.contains(&1));
    }
    assert!(mixed > 20, "{mixed} of 300");
    drive(&disk, device.sync()).result.unwrap();
    for seed in 0..50 {
        let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
        assert!(bytes[1024..8192 - 512].iter().all(|&byte| byte == 0), "seed {seed}");
    }
}

#[test]
fn each_sync_covers_its_half() {
    let (disk, directory, device) = durable(1);
    drive(&disk, device.truncate(1024)).unwrap();
    drive(&disk, device.sync()).result.unwrap();
    let lowest = |cut: &Vec<(u64, u64)>| cut[0];
    assert_eq!(cuts(&disk).iter().map(lowest).collect::<Vec<_>>(), [(0, 1024); 4]);
    drive(&disk, directory.sync()).unwrap();
    assert_eq!(cuts(&disk), BTreeSet::from([vec![(0, 1024)]]));

    let (disk, directory, device) = durable(1);
    drive(&disk, device.truncate(1024)).unwrap();
    drive(&disk, directory.sync()).unwrap();
    assert_eq!(cuts(&disk), BTreeSet::from([vec![(0, 1024)], vec![(0, SEGMENT)]]));
    drive(&disk, device.sync()).result.unwrap();
    assert_eq!(cuts(&disk), BTreeSet::from([vec![(0, 1024)]]));
}

#[test]
fn after_both_syncs_nothing_comes_back() {
    let (disk, directory, device) = durable(1);
    drive(&disk, device.truncate(1024)).unwrap();
    drive(&disk, device.sync()).result.unwrap();
    drive(&disk, directory.sync()).unwrap();
    write(&disk, &*device, 2048, page(32, 2));
    assert_eq!(read(&disk, &*device, 1024, 1024).unwrap(), [0; 1024], "a gap");
    for seed in 0..200 {
        let image = disk.crash(seed);
        for (name, from) in [("log.000000", 1024), ("log.000001", 0), ("log.000002", 0)] {
            let bytes = contents(&image, name).unwrap_or_default();
            let old = bytes.chunks(512).skip(from / 512).filter(|block| *block == [1; 512]);
            assert_eq!(old.count(), 0, "seed {seed}, {name}");
        }
    }
}

#[test]
fn a_change_while_a_sync_is_in_flight_is_not_covered() {
    for seed in 0..32 {
        let (disk, _directory, device) = durable(seed);
        let syncing = device.sync();
        drive(&disk, device.truncate(1024)).unwrap();
        assert!(drive(&disk, syncing).result.is_ok());
        assert_eq!(segments(&disk.crash_with(1, Survival::NOTHING)), WHOLE);
    }
}

/// A segment was created, removed by a truncation, and created again, before any sync. The sync of
/// the device made the second creation durable. The removal of the first file was still pending. In
/// some power cuts it survived and deleted the durable name.
#[test]
fn a_segment_that_appears_again_is_covered_by_a_sync() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, SEGMENT, page(4, 1));
    drive(&disk, device.truncate(SEGMENT)).unwrap();
    write(&disk, &*device, SEGMENT, page(2, 2));
    drive(&disk, device.sync()).result.unwrap();
    for seed in 0..200 {
        assert_eq!(contents(&disk.crash(seed), "log.000001").unwrap(), [2; 1024], "seed {seed}");
    }
}

#[test]
fn space_is_free_at_once() {
    let (disk, _directory, device) = durable(1);
    assert_eq!(disk.bytes_used(), 3 * SEGMENT);
    for end in [2 * SEGMENT + 512, 2 * SEGMENT, 1024, 0] {
        drive(&disk, device.truncate(end)).unwrap();
        assert_eq!((disk.bytes_used(), device.bytes_stored()), (end, end));
    }
    disk.set_capacity(Some(2048));
    // A gap takes no space.
    write(&disk, &*device, SEGMENT - 1024, page(4, 2));
    assert_eq!(disk.bytes_used(), 2048);
    drive(&disk, device.truncate(SEGMENT - 1536)).unwrap();
    assert_eq!((disk.bytes_used(), device.bytes_stored()), (0, SEGMENT - 1536));
}

#[test]
fn a_truncation_that_fails_leaves_all_or_nothing_of_each_file() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let (disk, directory, device) = durable(seed);
        disk.fail_at(disk.operations(), ErrorKind::BrokenPipe);
        let failed = drive(&disk, device.truncate(1024)).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::BrokenPipe);
        let left = segments(&disk);
        for (index, length) in WHOLE {
            let found = left.iter().find(|(other, _)| *other == index).map(|&(_, length)| length);
            assert!([Some(1024), None, Some(length)].contains(&found));
            let offset = index * SEGMENT + 7168;
            match read(&disk, &*device, offset, 1024) {
                Ok(bytes) => assert!(bytes == [1; 1024] && found == Some(SEGMENT)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                    assert_ne!(found, Some(SEGMENT));
                }
            }
        }
        seen.insert(left);
        drive(&disk, device.truncate(1024)).unwrap();
        drive(&disk, device.sync()).result.unwrap();
        drive(&disk, directory.sync()).unwrap();
        assert_eq!(segments(&disk.crash(seed)), [(0, 1024)]);
        assert_eq!(disk.bytes_used(), 1024);
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn an_abandoned_truncation_takes_place() {
    for seed in 0..32 {
        let (disk, _directory, device) = durable(seed);
        let mut truncating = device.truncate(1024);
        assert!(poll(&mut truncating).is_pending());
        drop(truncating);
        assert_eq!(segments(&disk), WHOLE);
        while let Some(time) = disk.next_event() {
            disk.run_event(time);
        }
        assert_eq!(segments(&disk), [(0, 1024)], "seed {seed}");
    }
}

#[test]
fn after_a_failed_sync_a_truncation_may_be_lost() {
    let mut lost = 0;
    for seed in 0..64 {
        let (disk, directory, device) = durable(seed);
        drive(&disk, device.truncate(1024)).unwrap();
        disk.fail_at(disk.operations(), ErrorKind::Other);
        assert!(drive(&disk, device.sync()).result.is_err());
        assert!(drive(&disk, device.sync()).result.is_err(), "a failure stays");
        drive(&disk, open(&disk, &directory).sync()).result.unwrap();
        drive(&disk, directory.sync()).unwrap();
        let image = disk.crash_with(seed, Survival::EVERYTHING);
        lost += usize::from(segments(&image) != [(0, 1024)]);
        write(&disk, &*device, 1024, page(1, 2));
        drive(&disk, device.truncate(0)).unwrap();
        assert_eq!(disk.bytes_used(), 0);
    }
    assert!((4..60).contains(&lost), "{lost} of 64");
}

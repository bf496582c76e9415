//! Power cuts: durable changes survive, and any of the others may.

use std::collections::BTreeSet;

use super::*;
use crate::sim::Survival;

/// Returns a device whose first block was synced with 1, and then written with 2 and 3.
fn rewritten(options: SimOptions) -> (SimDisk, Arc<dyn Device>) {
    let (disk, directory) = disk(options);
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(1, 1));
    let synced = drive(&disk, device.sync());
    synced.result.expect("the sync succeeds");
    write(&disk, &*device, 0, page(1, 2));
    write(&disk, &*device, 0, page(1, 3));
    (disk, device)
}

/// Returns the names that are durable.
fn names(disk: &SimDisk) -> Vec<String> {
    let image = disk.crash_with(1, Survival::NOTHING);
    image.files().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn what_a_sync_covered_survives_every_cut() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    for round in 1..9_u8 {
        write(&disk, &*device, u64::from(round - 1) * 1024, page(2, round));
        drive(&disk, device.sync()).result.unwrap();
        let unsynced = device.write_at(u64::from(round) * 1024, page(2, 99));
        for seed in 0..50 {
            let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
            for durable in 1..=round {
                let at = usize::from(durable - 1) * 1024;
                assert_eq!(bytes[at..at + 1024], [durable; 1024], "seed {seed}");
            }
        }
        assert!(drive(&disk, unsynced).result.is_ok());
    }
}

#[test]
fn what_a_write_with_its_sync_has_ended_survives_every_cut() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(2, 1));
    let both = device.write_and_sync(1024, page(2, 2)).expect("the disk can do both");
    let synced = drive(&disk, both);
    assert_eq!(synced.into_buf().unwrap()[..], [2; 1024]);
    for seed in 0..50 {
        let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
        assert_eq!(bytes[..1024], [1; 1024], "it was written before, seed {seed}");
        assert_eq!(bytes[1024..2048], [2; 1024], "seed {seed}");
    }
    // The write alone is not the end.
    let (mut both, mut lost) = (device.write_and_sync(2048, page(2, 3)).unwrap(), 0);
    disk.run_event(disk.next_event().expect("the write is in flight"));
    assert!(poll(&mut both).is_pending());
    for seed in 0..50 {
        let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
        lost += u32::from(bytes.len() < 3072 || bytes[2048..3072] != [3; 1024]);
    }
    assert!(lost > 10, "{lost} cuts lost it before its sync");
}

#[test]
fn an_unsynced_block_is_old_any_newer_or_torn() {
    let (disk, _device) = rewritten(SimOptions::default());
    let (mut seen, mut torn) = (BTreeSet::new(), 0);
    for seed in 0..400 {
        let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
        assert!(bytes.iter().all(|byte| (1..=3).contains(byte)), "seed {seed}");
        assert!(bytes.is_sorted() || bytes.iter().rev().is_sorted());
        match bytes.iter().all(|&byte| byte == bytes[0]) {
            true => drop(seen.insert(bytes[0])),
            false => torn += 1,
        }
    }
    assert_eq!(seen, BTreeSet::from([1, 2, 3]));
    assert!(torn > 10, "{torn} torn");
}

#[test]
fn nothing_and_everything() {
    let (disk, device) = rewritten(SimOptions::default());
    let flying = device.write_at(512, page(1, 4));
    let nothing = disk.crash_with(1, Survival::NOTHING);
    assert_eq!(contents(&nothing, "log.000000").unwrap(), [1; 512]);
    let everything = contents(&disk.crash_with(1, Survival::EVERYTHING), "log.000000").unwrap();
    assert_eq!((everything.len(), everything[0], everything[512]), (1024, 3, 4));
    assert_eq!(disk.crash(1).operations(), 0);
    drop(flying);
}

#[test]
fn blocks_survive_alone_or_in_runs_and_gaps_hold_anything() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    drive(&disk, device.sync()).result.unwrap();
    write(&disk, &*device, 0, page(16, 1));
    let (mut lengths, mut patterns, mut garbage) = (BTreeSet::new(), BTreeSet::new(), 0);
    for seed in 0..400 {
        let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
        lengths.insert(bytes.len());
        patterns.insert(bytes.chunks(512).map(|block| block[0]).collect::<Vec<_>>());
        garbage += usize::from(bytes.iter().any(|byte| ![0, 1].contains(byte)));
    }
    assert_eq!(lengths, BTreeSet::from([0, 16 * 512]));
    assert!(patterns.len() > 50, "{} patterns", patterns.len());
    assert!(garbage > 20, "{garbage} with garbage");
}

#[test]
fn a_sync_covers_what_ended_before_it_began() {
    for seed in 0..32 {
        let disk = SimDisk::new(seed, SimOptions::default());
        let directory = disk.directory("db");
        let device = open(&disk, &directory);
        write(&disk, &*device, 0, page(1, 1));
        let syncing = device.sync();
        // These writes may end while the sync is in flight.
        write(&disk, &*device, 512, page(1, 2));
        write(&disk, &*device, 0, page(1, 2));
        assert!(drive(&disk, syncing).result.is_ok());
        let image = disk.crash_with(1, Survival::NOTHING);
        assert_eq!(contents(&image, "log.000000").unwrap(), [1; 512]);
        let image = disk.crash_with(1, Survival::EVERYTHING);
        assert_eq!(contents(&image, "log.000000").unwrap(), [2; 1024]);
    }
}

/// Each of the two names leads to one of the two files, whatever else survives.
#[test]
fn files_that_change_names_do_so_in_one_step() {
    let (disk, directory) = disk(SimOptions::default());
    drive(&disk, directory.write_file("one", b"first")).unwrap();
    drive(&disk, directory.write_file("tmp", b"second")).unwrap();
    drive(&disk, directory.sync()).unwrap();
    drive(&disk, directory.rename("tmp", "other")).unwrap();
    let used = disk.bytes_used();
    drive(&disk, directory.exchange("one", "other")).unwrap();
    assert_eq!(disk.bytes_used(), used, "no space is given away");
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let image = disk.crash(seed);
        let names = ["one", "other", "tmp"].map(|name| contents(&image, name));
        seen.insert(names.map(|name| name.unwrap_or_default()));
    }
    let found = |names: [&[u8]; 3]| seen.contains(&names.map(<[u8]>::to_vec));
    assert!(found([b"first", b"", b"second"]), "{seen:?}");
    assert!(found([b"first", b"second", b""]), "{seen:?}");
    assert!(found([b"second", b"first", b""]), "{seen:?}");
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn names_need_a_sync_of_the_directory() {
    let (disk, directory) = disk(SimOptions::default());
    drive(&disk, directory.write_file("name", b"old")).unwrap();
    drive(&disk, directory.sync()).unwrap();
    drive(&disk, directory.write_file("tmp", b"new")).unwrap();
    drive(&disk, directory.rename("tmp", "name")).unwrap();
    drive(&disk, directory.write_file("other", b"")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let image = disk.crash(seed);
        let name = contents(&image, "name").unwrap();
        assert!(name == b"old" || name == b"new", "seed {seed}: {name:?}");
        seen.insert((name, image.files().len()));
    }
    // The renamed file never has two names; the creation of its old name may survive alone.
    let counts = |bytes: &[u8]| seen.iter().filter(|(name, _)| name == bytes).count();
    assert_eq!((counts(b"old"), counts(b"new")), (3, 2), "{seen:?}");
    drive(&disk, directory.sync()).unwrap();
    for seed in 0..50 {
        let image = disk.crash(seed);
        assert_eq!(contents(&image, "name").unwrap(), b"new");
        assert_eq!(image.files().len(), 2);
    }
}

#[test]
fn a_sync_of_a_device_covers_its_own_segments_only() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    drive(&disk, directory.write_file("a", b"")).unwrap();
    write(&disk, &*device, SEGMENT, page(1, 1));
    drive(&disk, device.sync()).result.unwrap();
    assert_eq!(names(&disk), ["db/log.000000", "db/log.000001"]);
    // A discard, however, is a change of names.
    drive(&disk, device.discard_below(SEGMENT)).unwrap();
    drive(&disk, device.sync()).result.unwrap();
    assert_eq!(names(&disk), ["db/log.000000", "db/log.000001"]);
    drive(&disk, directory.sync()).unwrap();
    assert_eq!(names(&disk), ["db/a", "db/log.000001"]);
}

#[test]
fn after_a_failed_sync_of_names_one_that_succeeds_makes_nothing_durable() {
    let mut lost = 0;
    for seed in 0..32 {
        let disk = SimDisk::new(seed, SimOptions::default());
        let directory = disk.directory("db");
        drive(&disk, directory.write_file("a", b"")).unwrap();
        disk.fail_at(disk.operations(), std::io::ErrorKind::Other);
        assert!(drive(&disk, directory.sync()).is_err());
        assert!(drive(&disk, directory.sync()).is_err(), "a failure stays");
        drive(&disk, disk.directory("db").sync()).unwrap();
        assert_eq!(drive(&disk, directory.list()).unwrap(), ["a"]);
        lost += usize::from(names(&disk).is_empty());
    }
    assert!((4..28).contains(&lost), "{lost} of 32");
}

#[test]
fn a_file_that_is_replaced_in_place_may_be_lost() {
    let (disk, directory) = disk(SimOptions::default());
    drive(&disk, directory.write_file("name", &[1; 1000])).unwrap();
    drive(&disk, directory.sync()).unwrap();
    let mut writing = directory.write_file("name", &[2; 1000]);
    let mut broken = 0;
    while poll(&mut writing).is_pending() {
        for seed in 0..50 {
            let bytes = contents(&disk.crash(seed), "name").unwrap();
            broken += u32::from(bytes != [1; 1000] && bytes != [2; 1000]);
        }
        disk.run_event(disk.next_event().expect("it is written"));
    }
    assert!(broken > 10, "{broken} broken");
    assert_eq!(contents(&disk.crash_with(1, Survival::NOTHING), "name").unwrap(), [2; 1000]);
}

#[test]
fn an_image_can_be_used_and_cut_again() {
    let (first, _device) = rewritten(SimOptions::default());
    let second = first.crash_with(1, Survival::NOTHING);
    let directory = second.directory("db");
    let device = open(&second, &directory);
    write(&second, &*device, 512, page(1, 5));
    drive(&second, device.sync()).result.unwrap();
    let third = second.crash_with(2, Survival::NOTHING);
    let bytes = contents(&third, "log.000000").unwrap();
    assert_eq!((bytes.len(), bytes[0], bytes[512]), (1024, 1, 5));
    assert_eq!(third.bytes_used(), 1024);
    assert_eq!(first.files(), [("db/log.000000".to_owned(), 512)]);
}

#[test]
fn a_disk_that_lies_about_syncs_loses_what_they_covered() {
    let (disk, directory) = disk(SimOptions { ignore_syncs: true, ..SimOptions::default() });
    drive(&disk, directory.write_file("a", b"x")).unwrap();
    drive(&disk, directory.sync()).unwrap();
    assert!(disk.crash_with(1, Survival::NOTHING).files().is_empty());
}

#[test]
fn names_that_change_while_a_sync_is_in_flight_are_not_covered() {
    for seed in 0..32 {
        let disk = SimDisk::new(seed, SimOptions::default());
        let directory = disk.directory("db");
        drive(&disk, directory.write_file("a", b"")).unwrap();
        let mut syncing = directory.sync();
        assert!(poll(&mut syncing).is_pending());
        drive(&disk, directory.rename("a", "b")).unwrap();
        drive(&disk, syncing).unwrap();
        assert_eq!(names(&disk), ["db/a"], "seed {seed}");
    }
}

#[test]
fn blocks_past_the_length_that_survives_are_gone() {
    let (disk, directory) = disk(SimOptions::default());
    drive(&disk, directory.write_file("name", &[1; 1000])).unwrap();
    drive(&disk, directory.sync()).unwrap();
    let mut truncating = directory.write_file("name", &[2; 100]);
    assert!(poll(&mut truncating).is_pending());
    disk.run_event(disk.next_event().expect("a step of the writing"));
    let mut lengths = BTreeSet::new();
    for seed in 0..100 {
        let image = disk.crash(seed);
        let (_, length) = image.files()[0];
        assert!(image.bytes_used() <= length.next_multiple_of(512));
        lengths.insert(length);
    }
    // The file is overwritten in place and then shortened, so it needs no space.
    assert_eq!(lengths, BTreeSet::from([100, 512, 1000]));
}

/// A disk that named blocks of 512 bytes had sectors of 4096. It reads a sector, changes some of it
/// and writes all of it. So a power cut during a small write destroyed durable bytes around it.
#[test]
fn a_cut_write_may_harm_what_is_durable_in_its_physical_block_and_nothing_else() {
    let harmed = |physical_block| {
        let (disk, directory) = disk(SimOptions { physical_block, ..SimOptions::default() });
        let device = open(&disk, &directory);
        assert_eq!(device.geometry().physical_block, physical_block.unwrap_or(512));
        write(&disk, &*device, 0, page(16, 1));
        drive(&disk, device.sync()).result.unwrap();
        write(&disk, &*device, 4096, page(1, 1));
        let mut harmed = BTreeSet::new();
        for seed in 0..200 {
            let bytes = contents(&disk.crash(seed), "log.000000").unwrap();
            let blocks = bytes.chunks(512).enumerate();
            harmed.extend(blocks.filter(|(_, block)| **block != [1; 512]).map(|(at, _)| at));
        }
        harmed
    };
    assert_eq!(harmed(None), BTreeSet::new());
    assert_eq!(harmed(Some(4096)), (8..16).collect());
}

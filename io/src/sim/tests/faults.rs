//! Faults on demand: they come when requested, and follow the fault model.

use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use crate::error::ErrorClass;
use crate::sim::{Fault, FaultRates, OperationKind, Survival};

#[test]
fn the_operation_with_the_number_fails_and_no_other() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    disk.fail_at(disk.operations() + 1, ErrorKind::TimedOut);
    write(&disk, &*device, 0, page(1, 1));
    let failed = drive(&disk, device.write_at(512, page(1, 2)));
    let error = failed.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("db/log.000000 512+512"), "{error}");
    assert_eq!(failed.buf.expect("the buffer comes back")[..], [2; 512]);
    write(&disk, &*device, 512, page(1, 2));
    assert!(disk.history().contains("Write failed: TimedOut"));
}

#[test]
fn every_operation_can_fail() {
    let work = |disk: &SimDisk| -> std::io::Result<()> {
        let directory = disk.directory("db");
        let lock = drive(disk, directory.lock("lock"))?;
        let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
        let device = drive(disk, directory.open_device("log", options))?;
        drive(disk, device.write_at(0, page(40, 1))).result?;
        drive(disk, device.read_at(0, page(1, 0))).result?;
        drive(disk, device.sync()).result?;
        drive(disk, device.truncate(SEGMENT + 512))?;
        drive(disk, device.discard_below(SEGMENT))?;
        drive(disk, directory.write_file("tmp", b"x"))?;
        drive(disk, directory.rename("tmp", "name"))?;
        drive(disk, directory.sync())?;
        drive(disk, directory.read_file("name"))?;
        drive(disk, directory.remove_file("name"))?;
        drive(disk, directory.list())?;
        drop(lock);
        Ok(())
    };
    let sound = disk(SimOptions::default()).0;
    work(&sound).unwrap();
    assert!(OperationKind::ALL.iter().all(|&kind| sound.count(kind) > 0));
    for number in 0..sound.operations() {
        let disk = disk(SimOptions::default()).0;
        disk.fail_at(number, ErrorKind::BrokenPipe);
        assert_eq!(work(&disk).unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(disk.operations(), number + 1);
    }
}

#[test]
fn switches_turn_on_and_off() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(1, 1));
    disk.fail_reads(Some(ErrorKind::BrokenPipe));
    assert_eq!(read(&disk, &*device, 0, 512).unwrap_err().kind(), ErrorKind::BrokenPipe);
    disk.fail_reads(None);
    assert!(read(&disk, &*device, 0, 512).is_ok());

    disk.fail_writes(Some(ErrorKind::StorageFull));
    let full = drive(&disk, device.write_at(512, page(1, 1)));
    assert_eq!(full.result.unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(read(&disk, &*device, 512, 512).is_err(), "nothing written");
    assert!(drive(&disk, directory.write_file("a", b"")).is_err());
    disk.fail_writes(None);
    write(&disk, &*device, 512, page(1, 1));

    disk.fail_syncs(true);
    assert!(drive(&disk, device.sync()).result.is_err());
    assert!(drive(&disk, directory.sync()).is_err());
    disk.heal();
    let directory = disk.directory("db");
    assert!(drive(&disk, directory.sync()).is_ok());
    assert!(drive(&disk, open(&disk, &directory).sync()).result.is_ok());
}

/// A shortage of the write can be waited for. A failed sync cannot, whatever its reason.
#[test]
fn a_write_with_its_sync_tells_which_of_both_failed() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(1, 1));
    let both = |disk: &SimDisk| {
        drive(disk, device.write_and_sync(512, page(1, 2)).expect("the disk can do both"))
    };
    disk.fail_at(disk.operations(), ErrorKind::StorageFull);
    let failed = both(&disk);
    assert_eq!(failed.result.unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(failed.buf.is_some());
    disk.fail_at(disk.operations() + 1, ErrorKind::StorageFull);
    let failed = both(&disk);
    assert_eq!(failed.result.unwrap_err().kind(), ErrorKind::Other);
    assert!(failed.buf.is_some());
    assert!(both(&disk).result.is_err(), "the kernel reports the lost pages once");
}

/// A caller dropped a flush whose sync failed. The next sync, of a checkpoint, succeeded, and a
/// power cut destroyed data of the checkpoint.
#[test]
fn a_failed_sync_fails_later_ones_of_the_same_handle_also_if_nothing_waited() {
    let mut failed = 0;
    for seed in 0..16 {
        let disk = SimDisk::new(seed, SimOptions::default());
        let device = open(&disk, &disk.directory("db"));
        write(&disk, &*device, 0, page(1, 1));
        let first = disk.operations();
        disk.fail_at(first, ErrorKind::StorageFull);
        drop(device.sync());
        while let Some(time) = disk.next_event() {
            disk.run_event(time);
        }
        // An operation without a waiting caller takes place or not.
        let took_place = disk.history().contains(&format!("#{first} Sync failed"));
        failed += u32::from(took_place);
        for _ in 0..2 {
            let later = drive(&disk, device.sync()).result;
            assert_eq!(later.is_err(), took_place, "seed {seed}");
            let class = later.err().map(|error| ErrorClass::of(&error));
            assert!(class.is_none_or(|class| class == ErrorClass::Never), "{class:?}");
        }
    }
    assert!((1..16).contains(&failed), "{failed} of 16");
}

#[test]
fn a_shortage_leaves_everything_as_it_was() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(16, 1));
    let shortage = |disk: &SimDisk| disk.fail_at(disk.operations(), Fault::NoDescriptors);
    let is_shortage = |error: &std::io::Error| ErrorClass::of(error) == ErrorClass::NotNow;
    shortage(&disk);
    let failed = drive(&disk, device.write_at(0, page(16, 2))).result.unwrap_err();
    assert!(is_shortage(&failed), "{failed}");
    assert_eq!(read(&disk, &*device, 0, 16 * 512).unwrap(), [1; 16 * 512]);
    shortage(&disk);
    assert!(is_shortage(&drive(&disk, device.sync()).result.unwrap_err()));
    shortage(&disk);
    assert!(is_shortage(&drive(&disk, directory.sync()).unwrap_err()));
    shortage(&disk);
    assert!(is_shortage(&drive(&disk, device.truncate(512)).unwrap_err()));
    assert_eq!(device.bytes_stored(), 16 * 512);
    drive(&disk, device.sync()).result.unwrap();
    drive(&disk, directory.sync()).unwrap();
    let image = disk.crash_with(1, Survival::NOTHING);
    assert_eq!(contents(&image, "log.000000").unwrap(), [1; 16 * 512]);
}

#[test]
fn at_the_limit_of_descriptors_what_is_open_works_and_nothing_else() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    drive(&disk, directory.write_file("a", b"a")).unwrap();
    disk.fail_opens(Some(Fault::NoDescriptors));
    write(&disk, &*device, 0, page(16, 1));
    drive(&disk, device.sync()).result.unwrap();
    assert_eq!(read(&disk, &*device, 0, 512).unwrap(), [1; 512]);
    let refused = [
        drive(&disk, device.write_at(SEGMENT, page(1, 1))).result.unwrap_err(),
        drive(&disk, directory.write_file("b", b"b")).unwrap_err(),
        drive(&disk, directory.read_file("a")).unwrap_err(),
        drive(&disk, directory.list()).unwrap_err(),
        drive(&disk, directory.lock("lock")).unwrap_err(),
        drive(&disk, directory.open_device("log", DeviceOptions::default())).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(ErrorClass::of(&error), ErrorClass::NotNow, "{error}");
    }
    drive(&disk, directory.rename("a", "c")).unwrap();
    disk.fail_opens(None);
    assert_eq!(drive(&disk, directory.list()).unwrap(), ["c", "log.000000"]);
    write(&disk, &*device, SEGMENT, page(1, 1));
}

#[test]
fn a_medium_that_is_read_only_refuses_changes_and_gives_what_it_has() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(17, 1));
    drive(&disk, directory.write_file("a", b"a")).unwrap();
    disk.set_read_only(true);
    let refused = [
        drive(&disk, device.write_at(0, page(1, 2))).result.unwrap_err(),
        drive(&disk, device.write_at(4 * SEGMENT, page(1, 2))).result.unwrap_err(),
        drive(&disk, device.truncate(512)).unwrap_err(),
        drive(&disk, device.discard_below(SEGMENT)).unwrap_err(),
        drive(&disk, directory.write_file("b", b"b")).unwrap_err(),
        drive(&disk, directory.rename("a", "b")).unwrap_err(),
        drive(&disk, directory.remove_file("a")).unwrap_err(),
        drive(&disk, directory.open_device("b", DeviceOptions::default())).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
    }
    assert_eq!(read(&disk, &*open(&disk, &directory), 0, 512).unwrap(), [1; 512]);
    assert_eq!(drive(&disk, directory.read_file("a")).unwrap(), b"a");
    drive(&disk, device.sync()).result.unwrap();
    drive(&disk, directory.sync()).unwrap();
    drop(drive(&disk, directory.lock("lock")).unwrap());
    assert_eq!(drive(&disk, directory.list()).unwrap(), ["a", "log.000000", "log.000001"]);
    // Nothing to delete is no change.
    drive(&disk, open(&disk, &directory).truncate(1 << 40)).unwrap();
    drive(&disk, open(&disk, &directory).discard_below(0)).unwrap();
    disk.set_read_only(false);
    write(&disk, &*device, SEGMENT, page(1, 2));
}

#[test]
fn a_full_disk_has_no_room_for_whole_files_and_frees_what_is_removed() {
    let (disk, directory) = disk(SimOptions { capacity: Some(1024), ..SimOptions::default() });
    drive(&disk, directory.write_file("a", &[1; 1024])).unwrap();
    let full = drive(&disk, directory.write_file("b", b"b")).unwrap_err();
    assert_eq!(ErrorClass::of(&full), ErrorClass::NoSpace, "{full}");
    drive(&disk, directory.remove_file("a")).unwrap();
    drive(&disk, directory.write_file("b", &[2; 1024])).unwrap();
    assert_eq!(disk.bytes_used(), 1024);
}

#[test]
fn a_full_disk_works_again_once_there_is_space() {
    let (disk, directory) = disk(SimOptions { capacity: Some(1024), ..SimOptions::default() });
    let device = open(&disk, &directory);
    let full = drive(&disk, device.write_at(0, page(3, 1)));
    assert_eq!(full.result.unwrap_err().kind(), ErrorKind::StorageFull);
    write(&disk, &*device, 0, page(2, 1));
    write(&disk, &*device, 0, page(2, 2));
    assert!(drive(&disk, device.write_at(1024, page(1, 1))).result.is_err());
    disk.add_space(512);
    write(&disk, &*device, 1024, page(1, 1));
    disk.set_capacity(None);
    write(&disk, &*device, 1536, page(8, 1));
    assert_eq!(disk.bytes_used(), 11 * 512);
}

#[test]
fn a_stalled_disk_ends_nothing_until_released() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    let mut writing = device.write_at(0, page(1, 1));
    disk.stall();
    assert_eq!(disk.next_event(), None);
    let later = Duration::from_secs(60);
    disk.run_event(later);
    assert!(poll(&mut writing).is_pending());
    disk.release();
    assert_eq!(disk.next_event(), Some(later));
    assert!(drive(&disk, writing).result.is_ok());
}

#[test]
fn faults_by_chance_come_at_their_rate() {
    let (disk, directory) = disk(SimOptions {
        fault_rates: FaultRates { write: 0.25, ..FaultRates::default() },
        ..SimOptions::default()
    });
    let device = open(&disk, &directory);
    let writes = (0..400).map(|_| drive(&disk, device.write_at(0, page(1, 1))));
    let failed = writes.filter(|transfer| transfer.result.is_err()).count();
    assert!((60..140).contains(&failed), "{failed} of 400");
    drive(&disk, device.sync()).result.unwrap();
}

#[test]
fn a_failed_write_changes_some_of_its_blocks() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(16, 1));
    disk.fail_at(disk.operations(), ErrorKind::BrokenPipe);
    assert!(drive(&disk, device.write_at(0, page(16, 2))).result.is_err());
    let bytes = read(&disk, &*device, 0, 16 * 512).unwrap();
    let new = bytes.chunks(512).filter(|block| block[0] == 2).count();
    assert!((1..16).contains(&new), "{new} of 16");
}

#[test]
fn after_a_failed_sync_one_that_succeeds_makes_nothing_durable() {
    let (mut lost, mut hidden) = (0, 0);
    for seed in 0..64 {
        let disk = SimDisk::new(seed, SimOptions::default());
        let directory = disk.directory("db");
        let device = open(&disk, &directory);
        write(&disk, &*device, 0, page(1, 1));
        drive(&disk, device.sync()).result.unwrap();
        write(&disk, &*device, 0, page(1, 2));
        disk.fail_at(disk.operations(), ErrorKind::Other);
        assert!(drive(&disk, device.sync()).result.is_err());
        drive(&disk, open(&disk, &directory).sync()).result.unwrap();
        let shown = read(&disk, &*device, 0, 512).unwrap()[0];
        let image = disk.crash_with(seed, Survival::EVERYTHING);
        let found = contents(&image, "log.000000").unwrap()[0];
        lost += u32::from(found == 1);
        hidden += u32::from(found == 1 && shown == 2);
    }
    assert!(lost > 8 && hidden > 2, "{lost} lost, {hidden} of them shown");
}

#[test]
fn a_byte_rots() {
    let (disk, directory) = disk(SimOptions::default());
    let device = open(&disk, &directory);
    write(&disk, &*device, 0, page(2, 0b11));
    let before = disk.crash_with(1, Survival::EVERYTHING);
    disk.corrupt("db/log.000000", 513, 0b110);
    let bytes = read(&disk, &*device, 0, 1024).unwrap();
    assert_eq!(bytes[512..515], [0b11, 0b101, 0b11]);
    let after = disk.crash_with(1, Survival::EVERYTHING);
    assert_eq!(contents(&after, "log.000000").unwrap(), bytes);
    assert_eq!(contents(&before, "log.000000").unwrap(), [0b11; 1024]);
}

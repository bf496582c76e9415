//! Checks of plain files, names and locks.

use std::io::ErrorKind;

use crate::DeviceOptions;

use super::subject::{REFUSED, SEGMENT, SOUND, Subject};

pub(super) fn files_are_written_listed_renamed_and_removed(subject: Subject) {
    subject.run(async {
        let directory = &subject.directory;
        assert!(directory.list().await.expect(SOUND).is_empty());
        directory.write_file("b", b"first, and longer").await.expect(SOUND);
        directory.write_file("b", b"second").await.expect(SOUND);
        directory.write_file("a", &[]).await.expect(SOUND);
        assert_eq!(directory.read_file("b").await.expect(SOUND), b"second");
        assert_eq!(directory.read_file("a").await.expect(SOUND), b"");
        assert_eq!(directory.file_bytes("b").await.expect(SOUND), 6);
        assert_eq!(directory.file_bytes("a").await.expect(SOUND), 0);
        assert_eq!(directory.list().await.expect(SOUND), ["a", "b"]);

        directory.rename("b", "a").await.expect(SOUND);
        assert_eq!(directory.list().await.expect(SOUND), ["a"]);
        assert_eq!(directory.read_file("a").await.expect(SOUND), b"second");
        directory.sync().await.expect(SOUND);
        directory.remove_file("a").await.expect(SOUND);
        assert!(directory.list().await.expect(SOUND).is_empty());
        assert!(!directory.describe().is_empty());
    });
}

/// A rename frees the space of the replaced file. On a full medium that may be the last space.
pub(super) fn two_files_change_names_in_one_step(subject: Subject) {
    subject.run(async {
        let directory = &subject.directory;
        directory.write_file("a", b"first").await.expect(SOUND);
        directory.write_file("b", b"second").await.expect(SOUND);
        let exchanged = directory.exchange("a", "b").await;
        // A directory need not support the exchange.
        if exchanged.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
            assert_eq!(directory.read_file("a").await.expect(SOUND), b"first");
            assert_eq!(directory.read_file("b").await.expect(SOUND), b"second");
            return;
        }
        exchanged.expect(SOUND);
        assert_eq!(directory.read_file("a").await.expect(SOUND), b"second");
        assert_eq!(directory.read_file("b").await.expect(SOUND), b"first");
        directory.exchange("a", "b").await.expect(SOUND);
        assert_eq!(directory.read_file("a").await.expect(SOUND), b"first");
        for (one, other) in [("a", "x"), ("x", "a")] {
            let error = directory.exchange(one, other).await.expect_err(REFUSED);
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
        assert_eq!(directory.list().await.expect(SOUND), ["a", "b"]);
    });
}

pub(super) fn what_does_not_exist_is_not_found(subject: Subject) {
    subject.run(async {
        let directory = &subject.directory;
        let missing = [
            directory.read_file("x").await.expect_err(REFUSED),
            directory.file_bytes("x").await.expect_err(REFUSED),
            directory.rename("x", "y").await.expect_err(REFUSED),
            directory.remove_file("x").await.expect_err(REFUSED),
        ];
        for error in missing {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains('x'), "the message names the file: {error}");
        }
        let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
        let error = directory.open_device("log", options).await.expect_err(REFUSED);
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

pub(super) fn a_created_device_exists_before_it_is_written(subject: Subject) {
    subject.run(async {
        let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
        drop(subject.directory.open_device("log", options).await.expect(SOUND));
        let options = DeviceOptions { create: false, ..options };
        let device = subject.directory.open_device("log", options).await.expect(SOUND);
        assert_eq!(device.bytes_stored(), 0);
        assert_eq!(device.geometry().segment_bytes, SEGMENT);
    });
}

pub(super) fn a_physical_block_is_made_of_blocks(subject: Subject) {
    subject.run(async {
        let geometry = subject.device().await.geometry();
        let (block, physical) = (geometry.block, geometry.physical_block);
        assert!(block == 512 || block == 4096);
        assert!(physical.is_power_of_two() && (block..=64 << 10).contains(&physical), "{physical}");
    });
}

pub(super) fn devices_do_not_mistake_the_files_of_others_for_their_own(subject: Subject) {
    subject.run(async {
        let directory = &subject.directory;
        directory.write_file("log.7", &[1; 4096]).await.expect(SOUND);
        directory.write_file("log2.000005", &[1; 4096]).await.expect(SOUND);
        directory.write_file("log.000005.tmp", &[1; 4096]).await.expect(SOUND);
        assert_eq!(subject.device().await.bytes_stored(), 0);
    });
}

pub(super) fn names_outside_the_grammar_are_refused(subject: Subject) {
    subject.run(async {
        let directory = &subject.directory;
        for name in ["", ".", "..", "a/b", "../a", "A", "a b", "a\0b", "\u{e9}"] {
            let refused = [
                directory.read_file(name).await.expect_err(REFUSED),
                directory.write_file(name, b"x").await.expect_err(REFUSED),
                directory.rename("a", name).await.expect_err(REFUSED),
                directory.rename(name, "a").await.expect_err(REFUSED),
                directory.exchange("a", name).await.expect_err(REFUSED),
                directory.exchange(name, "a").await.expect_err(REFUSED),
                directory.remove_file(name).await.expect_err(REFUSED),
                directory.lock(name).await.expect_err(REFUSED),
                directory.open_device(name, DeviceOptions::default()).await.expect_err(REFUSED),
            ];
            for error in refused {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error}");
            }
        }
    });
}

pub(super) fn segment_sizes_are_checked(subject: Subject) {
    subject.run(async {
        for segment_bytes in [0, 100, 4095, u64::MAX] {
            let options = DeviceOptions { segment_bytes, create: true };
            let error = subject.directory.open_device("log", options).await.expect_err(REFUSED);
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}

pub(super) fn a_lock_is_held_by_one(subject: Subject) {
    subject.run(async {
        let directory = &subject.directory;
        let held = directory.lock("lock").await.expect(SOUND);
        let other = directory.lock("other").await.expect(SOUND);
        for _ in 0..2 {
            let error = directory.lock("lock").await.expect_err(REFUSED);
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        drop(held);
        drop(directory.lock("lock").await.expect(SOUND));
        drop(directory.lock("lock").await.expect(SOUND));
        drop(other);
    });
}

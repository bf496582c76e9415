//! Plain files, names and locks.

use std::io::ErrorKind;

use kvick_io::DeviceOptions;

use crate::harness::{SEGMENT, on_every_backend};

#[test]
fn files_are_written_listed_renamed_and_removed() {
    on_every_backend(async |backend| {
        let directory = &backend.directory;
        assert!(directory.list().await.unwrap().is_empty());
        directory.write_file("b", b"first, and longer").await.unwrap();
        directory.write_file("b", b"second").await.unwrap();
        directory.write_file("a", &[]).await.unwrap();
        assert_eq!(directory.read_file("b").await.unwrap(), b"second");
        assert_eq!(directory.read_file("a").await.unwrap(), b"");
        assert_eq!(directory.file_bytes("b").await.unwrap(), 6);
        assert_eq!(directory.file_bytes("a").await.unwrap(), 0);
        assert_eq!(directory.list().await.unwrap(), ["a", "b"]);

        directory.rename("b", "a").await.unwrap();
        assert_eq!(directory.list().await.unwrap(), ["a"]);
        assert_eq!(directory.read_file("a").await.unwrap(), b"second");
        directory.sync().await.unwrap();
        directory.remove_file("a").await.unwrap();
        assert!(directory.list().await.unwrap().is_empty());
        assert!(!directory.describe().is_empty());
    });
}

#[test]
fn what_does_not_exist_is_not_found() {
    on_every_backend(async |backend| {
        let directory = &backend.directory;
        let missing = [
            directory.read_file("x").await.unwrap_err(),
            directory.file_bytes("x").await.unwrap_err(),
            directory.rename("x", "y").await.unwrap_err(),
            directory.remove_file("x").await.unwrap_err(),
        ];
        for error in missing {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains('x'), "the message names the file: {error}");
        }
        let options = DeviceOptions { segment_bytes: SEGMENT, create: false };
        let error = directory.open_device("log", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_created_device_exists_before_it_is_written() {
    on_every_backend(async |backend| {
        let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
        drop(backend.directory.open_device("log", options).await.unwrap());
        let options = DeviceOptions { create: false, ..options };
        let device = backend.directory.open_device("log", options).await.unwrap();
        assert_eq!(device.bytes_stored(), 0);
        assert_eq!(device.geometry().segment_bytes, SEGMENT);
    });
}

#[test]
fn a_physical_block_is_made_of_blocks() {
    on_every_backend(async |backend| {
        let geometry = backend.device().await.geometry();
        let (block, physical) = (geometry.block, geometry.physical_block);
        assert!(block == 512 || block == 4096);
        assert!(physical.is_power_of_two() && (block..=64 << 10).contains(&physical), "{physical}");
    });
}

#[test]
fn devices_do_not_mistake_the_files_of_others_for_their_own() {
    on_every_backend(async |backend| {
        let directory = &backend.directory;
        directory.write_file("log.7", &[1; 4096]).await.unwrap();
        directory.write_file("log2.000005", &[1; 4096]).await.unwrap();
        directory.write_file("log.000005.tmp", &[1; 4096]).await.unwrap();
        assert_eq!(backend.device().await.bytes_stored(), 0);
    });
}

#[test]
fn names_outside_the_grammar_are_refused() {
    on_every_backend(async |backend| {
        let directory = &backend.directory;
        for name in ["", ".", "..", "a/b", "../a", "A", "a b", "a\0b", "\u{e9}"] {
            let refused = [
                directory.read_file(name).await.unwrap_err(),
                directory.write_file(name, b"x").await.unwrap_err(),
                directory.rename("a", name).await.unwrap_err(),
                directory.rename(name, "a").await.unwrap_err(),
                directory.remove_file(name).await.unwrap_err(),
                directory.lock(name).await.unwrap_err(),
                directory.open_device(name, DeviceOptions::default()).await.unwrap_err(),
            ];
            for error in refused {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error}");
            }
        }
    });
}

#[test]
fn segment_sizes_are_checked() {
    on_every_backend(async |backend| {
        for segment_bytes in [0, 100, 4095, u64::MAX] {
            let options = DeviceOptions { segment_bytes, create: true };
            let error = backend.directory.open_device("log", options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn a_lock_is_held_by_one() {
    on_every_backend(async |backend| {
        let directory = &backend.directory;
        let held = directory.lock("lock").await.unwrap();
        let other = directory.lock("other").await.unwrap();
        for _ in 0..2 {
            let error = directory.lock("lock").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        drop(held);
        drop(directory.lock("lock").await.unwrap());
        drop(directory.lock("lock").await.unwrap());
        drop(other);
    });
}

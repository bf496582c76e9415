//! Directories of real files that another process or handle changes.

#![cfg(unix)]

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use kvick_io::{
    AlignedBuf, BackendChoice, Device, DeviceOptions, Directory, IoConfig, open_directory,
};
use pollster::block_on;

const SEGMENT: u64 = 64 << 10;
const OPTIONS: DeviceOptions = DeviceOptions { segment_bytes: SEGMENT, create: true };

fn open(path: &Path) -> (Arc<dyn Directory>, Arc<dyn Device>) {
    let config = IoConfig { backend: BackendChoice::Threads, ..IoConfig::default() };
    let directory = open_directory(path, &config).expect("it opens");
    let device = block_on(directory.open_device("log", OPTIONS)).expect("it opens");
    (directory, device)
}

fn filled(byte: u8, bytes: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(bytes);
    buf.fill(byte);
    buf
}

fn names(path: &Path) -> Vec<String> {
    let listed = fs::read_dir(path).expect("it is there");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("listed").file_name();
    let mut names: Vec<_> = listed.map(|entry| name(entry).into_string().expect("ours")).collect();
    names.sort();
    names
}

/// The directory of a running log was renamed, and another log was opened at the old path. Segments
/// and manifests of the first log went there. Both were damaged, after acknowledged commits.
#[test]
fn a_directory_that_is_renamed_stays_the_same() {
    let place = tempfile::tempdir().unwrap();
    let (path, moved) = (place.path().join("store"), place.path().join("moved"));
    let (directory, device) = open(&path);
    fs::rename(&path, &moved).unwrap();
    let (other_directory, other) = open(&path);
    block_on(async {
        device.write_at(0, filled(1, 3 << 16)).await.result.unwrap();
        device.sync().await.result.unwrap();
        directory.write_file("manifest.new", b"first").await.unwrap();
        directory.rename("manifest.new", "manifest").await.unwrap();
        if cfg!(target_os = "linux") {
            directory.write_file("manifest.new", b"second").await.unwrap();
            directory.exchange("manifest.new", "manifest").await.unwrap();
            assert_eq!(directory.read_file("manifest").await.unwrap(), b"second");
            directory.rename("manifest.new", "manifest").await.unwrap();
        }
        directory.sync().await.unwrap();
        other_directory.write_file("manifest", b"second").await.unwrap();
        other.write_at(0, filled(2, 4096)).await.result.unwrap();
        assert_eq!(directory.list().await.unwrap().len(), 4);
        assert_eq!(directory.read_file("manifest").await.unwrap(), b"first");
        assert_eq!(directory.file_bytes("manifest").await.unwrap(), 5);
        device.truncate(2 * SEGMENT).await.unwrap();
        device.discard_below(SEGMENT).await.unwrap();
        drop(directory.lock("lock").await.unwrap());
        directory.remove_file("manifest").await.unwrap();
    });
    assert_eq!(names(&moved), ["lock", "log.000001"]);
    assert_eq!(names(&path), ["log.000000", "manifest"]);
    assert_eq!(fs::read(moved.join("log.000001")).unwrap(), [1; 1 << 16]);
}

/// A write of a dead process created a segment after another process had listed the directory. The
/// log took the segment for its own, and read bytes that it had never written.
#[test]
fn stale_bytes_are_not_taken_for_the_device_s_own() {
    let place = tempfile::tempdir().unwrap();
    let (_directory, device) = open(place.path());
    fs::write(place.path().join("log.000001"), [9; 1 << 16]).unwrap();
    block_on(async {
        device.write_at(0, filled(1, 1 << 16)).await.result.unwrap();
        let past = device.read_at(SEGMENT, AlignedBuf::zeroed(4096)).await.result.unwrap_err();
        assert_eq!(past.kind(), ErrorKind::UnexpectedEof);
        device.write_at(SEGMENT + 8192, filled(1, 4096)).await.result.unwrap();
        let gap = device.read_at(SEGMENT, AlignedBuf::zeroed(8192)).await.into_buf().unwrap();
        assert!(gap.iter().all(|&byte| byte == 0), "the gap is empty");
        assert_eq!(device.bytes_stored(), SEGMENT + 12_288);
    });
}

/// Two writes meet in a segment that neither finds. One of them creates it, and the other must not
/// take the first one's bytes for stale.
#[test]
fn writes_that_meet_in_a_new_segment_are_both_there() {
    let place = tempfile::tempdir().unwrap();
    let (_directory, device) = open(place.path());
    for segment in 1..40 {
        let at = segment * SEGMENT;
        let writes: Vec<_> =
            (0..4).map(|part| device.write_at(at + part * 4096, filled(7, 4096))).collect();
        writes.into_iter().for_each(|write| block_on(write).result.unwrap());
        let all = block_on(device.read_at(at, AlignedBuf::zeroed(4 * 4096))).into_buf().unwrap();
        assert!(all.iter().all(|&byte| byte == 7), "segment {segment}");
    }
}

/// A named pipe had the name `manifest`, and opening the store waited forever for its writer.
#[test]
fn only_regular_files_are_opened_and_nothing_waits() {
    let place = tempfile::tempdir().unwrap();
    let (directory, _device) = open(place.path());
    for name in ["manifest", "log.000001"] {
        let made = std::process::Command::new("mkfifo").arg(place.path().join(name)).status();
        assert!(made.expect("mkfifo is there").success());
    }
    fs::create_dir(place.path().join("manifest.copy")).unwrap();
    block_on(async {
        for name in ["manifest", "manifest.copy"] {
            for error in [
                directory.read_file(name).await.unwrap_err(),
                directory.write_file(name, b"x").await.unwrap_err(),
                directory.lock(name).await.unwrap_err(),
            ] {
                assert!(error.to_string().contains(name), "{error}");
            }
        }
        let refused = directory.open_device("log", OPTIONS).await.unwrap_err();
        assert!(refused.to_string().contains("log.000001"), "{refused}");
    });
}

/// One file of many could not be deleted, and the log forgot the other files too. They stayed until
/// the next opening, which took them for segments of the log again.
#[test]
fn an_undeletable_file_keeps_no_other_file() {
    let place = tempfile::tempdir().unwrap();
    let (_directory, device) = open(place.path());
    block_on(async {
        device.write_at(0, filled(1, 5 << 16)).await.result.unwrap();
        let stubborn = place.path().join("log.000001");
        fs::remove_file(&stubborn).unwrap();
        fs::create_dir(&stubborn).unwrap();
        let refused = device.discard_below(3 * SEGMENT).await.unwrap_err();
        assert!(refused.to_string().contains("log.000001"), "{refused}");
        assert_eq!(names(place.path()), ["log.000001", "log.000003", "log.000004"]);
        assert!(device.discard_below(0).await.is_err(), "it is still there");
        fs::remove_dir(&stubborn).unwrap();
        device.discard_below(4 * SEGMENT).await.unwrap();
        assert_eq!(names(place.path()), ["log.000004"]);
        assert_eq!(device.bytes_stored(), SEGMENT);
    });
}

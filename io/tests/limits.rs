//! Limits that a system sets for a process: of open files, and of the size of a file. They hold for
//! the whole process, so each case runs this test binary again, with the one ignored test below.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::ErrorKind;
use std::process::Command;
use std::sync::Arc;

use kvick_io::{
    AlignedBuf, BackendChoice, Device, DeviceOptions, Directory, ErrorClass, IoConfig,
    open_directory,
};
use pollster::block_on;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

const CASE: &str = "KVICK_TEST_CASE";
const SEGMENT: u64 = 8192;
const OPTIONS: DeviceOptions = DeviceOptions { segment_bytes: SEGMENT, create: true };

fn in_a_child(case: &str) {
    let child = Command::new(std::env::current_exe().expect("a test has a binary"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(CASE, case)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&child.stdout);
    let complained = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{case}: {said}{complained}");
    assert!(said.contains("1 passed"), "the child ran its test: {said}");
}

#[test]
#[ignore = "the other tests run it, in a process of its own"]
fn child() {
    // A plain run of all ignored tests expects nothing.
    match std::env::var(CASE).as_deref() {
        Ok("many segments") => many_segments(),
        Ok("no descriptor") => no_descriptor(),
        Ok("file size") => file_size(),
        other => println!("no case: {other:?}"),
    }
}

fn limit(resource: Resource, to: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(to), maximum }).expect("less is always allowed");
}

fn open(place: &TempDir, backend: BackendChoice) -> (Arc<dyn Directory>, Arc<dyn Device>) {
    let config = IoConfig { backend, ..IoConfig::default() };
    let directory = open_directory(place.path(), &config).expect("it opens");
    let device = block_on(directory.open_device("log", OPTIONS)).expect("it opens");
    (directory, device)
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("there is one").count()
}

fn filled(byte: u8, bytes: u64) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(usize::try_from(bytes).expect("small"));
    buf.fill(byte);
    buf
}

fn byte_of(segment: u64) -> u8 {
    u8::try_from(segment % 251 + 1).expect("small")
}

fn assert_reads(device: &dyn Device, segment: u64) {
    let read = block_on(device.read_at(segment * SEGMENT, AlignedBuf::zeroed(4096)));
    let read = read.into_buf().expect("the segment is there");
    assert!(read.iter().all(|&byte| byte == byte_of(segment)), "segment {segment}");
}

/// Each segment of a log kept a descriptor. A log of 212 files could not be opened under a limit of
/// 128, and a growing store reached the limit.
#[test]
fn a_device_may_have_more_segments_than_the_process_descriptors() {
    in_a_child("many segments");
}

fn many_segments() {
    limit(Resource::Nofile, 128);
    for backend in [BackendChoice::Auto, BackendChoice::Threads] {
        let place = tempfile::tempdir().expect("scratch works");
        let (_directory, device) = open(&place, backend);
        for segment in 0..212 {
            let write = device.write_at(segment * SEGMENT, filled(byte_of(segment), SEGMENT));
            block_on(write).result.expect("there are descriptors");
            if segment % 10 == 9 {
                block_on(device.sync()).result.expect("all of it is durable");
            }
        }
        assert!(descriptors() < 80, "{} are open", descriptors());
        block_on(device.sync()).result.expect("all of it is durable");
        (0..212).for_each(|segment| assert_reads(&*device, segment));
        drop(device);

        let (_directory, device) = open(&place, backend);
        assert!(descriptors() < 80, "{} are open", descriptors());
        assert_eq!(device.bytes_stored(), 212 * SEGMENT);
        block_on(device.sync()).result.expect("segments that were never opened too");
        (0..212).rev().for_each(|segment| assert_reads(&*device, segment));
        // Across more segments than stay open.
        let whole = block_on(device.read_at(0, AlignedBuf::zeroed(100 * 8192))).into_buf();
        let whole = whole.expect("all are there");
        let segments = whole.chunks(8192).zip(0..);
        assert!(segments.into_iter().all(|(part, segment)| part[0] == byte_of(segment)));
        block_on(device.discard_below(50 * SEGMENT)).expect("closed ones too");
        block_on(device.truncate(100 * SEGMENT + 4096)).expect("closed ones too");
        assert_eq!(device.bytes_stored(), 50 * SEGMENT + 4096);
        assert_reads(&*device, 50);
        block_on(device.write_at(100 * SEGMENT + 4096, filled(9, 4096))).result.expect("it grows");
        block_on(device.sync()).result.expect("all of it is durable");
        let past = block_on(device.read_at(101 * SEGMENT, AlignedBuf::zeroed(4096)));
        assert_eq!(past.result.expect_err("cut off").kind(), ErrorKind::UnexpectedEof);
        assert!(descriptors() < 80, "{} are open", descriptors());
    }
}

/// The process had no descriptor left when a log needed its next segment. The log took that for the
/// end, and refused all work after the shortage was over.
#[test]
fn a_segment_that_cannot_be_opened_for_now_is_opened_later() {
    in_a_child("no descriptor");
}

fn no_descriptor() {
    for backend in [BackendChoice::Auto, BackendChoice::Threads] {
        let place = tempfile::tempdir().expect("scratch works");
        let (directory, device) = open(&place, backend);
        block_on(device.write_at(0, filled(1, SEGMENT))).result.expect("it is open");
        block_on(directory.write_file("manifest", b"x")).expect("there are descriptors");
        let usual = getrlimit(Resource::Nofile).current.expect("there is a limit");
        limit(Resource::Nofile, descriptors() as u64 + 20);
        let hog: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let refused = [
            block_on(device.write_at(SEGMENT, filled(2, SEGMENT)))
                .result
                .expect_err("there is a limit"),
            block_on(directory.read_file("manifest")).expect_err("there is a limit"),
            block_on(directory.write_file("manifest", b"y")).expect_err("there is a limit"),
            block_on(directory.list()).expect_err("there is a limit"),
            block_on(directory.lock("lock")).expect_err("there is a limit"),
            block_on(directory.open_device("log", OPTIONS)).expect_err("there is a limit"),
        ];
        block_on(device.sync()).result.expect("it needs none");
        assert_reads(&*device, 0);
        drop(hog);
        limit(Resource::Nofile, usual);
        for error in refused {
            assert_eq!(ErrorClass::of(&error), ErrorClass::NotNow, "{error}");
        }
        block_on(device.write_at(SEGMENT, filled(2, SEGMENT))).result.expect("the burst is over");
        assert_reads(&*device, 1);
    }
}

/// The limit of file size was not a multiple of a block. The kernel shortened a direct write across
/// it to a length that no disk takes. The error did not say that the file was too large.
#[test]
fn an_error_names_the_limit_of_file_size() {
    in_a_child("file size");
}

fn file_size() {
    for backend in [BackendChoice::Auto, BackendChoice::Threads] {
        let place = tempfile::tempdir().expect("scratch works");
        let config = IoConfig { backend, ..IoConfig::default() };
        let directory = open_directory(place.path(), &config).expect("it opens");
        let opened = block_on(directory.open_device("log", DeviceOptions::default()));
        let device = opened.expect("it opens");
        let maximum = getrlimit(Resource::Fsize).maximum;
        limit(Resource::Fsize, 10_000);
        block_on(device.write_at(0, filled(1, 8192))).result.expect("below the limit");
        let error =
            block_on(device.write_at(8192, filled(1, 4096))).result.expect_err("there is a limit");
        setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).expect("as it was");
        assert_eq!(ErrorClass::of(&error), ErrorClass::NoSpace, "{backend:?}: {error}");
        block_on(device.write_at(8192, filled(1, 4096))).result.expect("the limit is gone");
    }
}

//! Directories of logs: in use, of a store, or not writable. Refused directories stay unchanged.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use kvick::config::Backend;
use kvick::io::ReadOnlyDirectory;
use kvick::runtime::block_on;
use kvick::{Error, ErrorKind, FasterKv, FasterLog, Result, log};
use tests::simulated::two_pages;

use super::small;
use crate::places::contents;

fn open(path: &Path) -> Result<FasterLog> {
    block_on(FasterLog::open(path, small()))
}

fn refused(path: &Path) -> Error {
    let error = open(path).expect_err("refused");
    let text = error.to_string();
    assert!(text.contains(path.to_str().expect("ASCII")), "does not say where: {text}");
    error
}

#[test]
fn two_logs_cannot_share_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path()).expect("opens");
    block_on(log.append_durable(b"entry")).expect("durable");
    let before = contents(directory.path());
    let error = refused(directory.path());
    assert_eq!(error.kind(), ErrorKind::InUse);
    assert!(error.to_string().contains("close it there"), "{error}");
    let store: Result<FasterKv<u64, u64>> = block_on(FasterKv::open(directory.path(), two_pages()));
    assert_eq!(store.expect_err("in use").kind(), ErrorKind::InUse);
    assert_eq!(contents(directory.path()), before, "something was touched");
    block_on(log.append_durable(b"another")).expect("durable");
    block_on(log.close()).expect("closes");
}

#[test]
fn a_closed_log_frees_its_directory_even_with_handles() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path()).expect("opens");
    block_on(log.append(b"entry")).expect("appended");
    let (clone, scan, tail) = (log.clone(), log.scan(..), log.follow_from(log::Address::FIRST));
    let (iterator, sink) = (log.iterator("worker").expect("free"), log.sink());
    block_on(log.close()).expect("closes");
    let again = open(directory.path()).expect("free");
    assert_eq!(block_on(again.scan(..).count()), 1);
    block_on(again.close()).expect("closes");
    drop((log, clone, scan, tail, iterator, sink));
}

#[test]
fn a_dropped_log_frees_its_directory_once_its_readers_are_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path()).expect("opens");
    block_on(log.append_durable(b"entry")).expect("durable");
    block_on(log.append(b"not committed")).expect("appended");
    let mut tail = log.follow_from(log::Address::FIRST);
    drop(log);
    let entry = block_on(tail.next()).expect("there").expect("sound");
    assert_eq!(entry.payload[..], *b"entry");
    assert_eq!(refused(directory.path()).kind(), ErrorKind::InUse);
    drop(tail);
    let log = loop {
        match open(directory.path()) {
            Ok(log) => break log,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InUse, "{error}"),
        }
    };
    assert_eq!(block_on(log.scan(..).count()), 1);
    block_on(log.close()).expect("closes");
}

#[test]
fn a_closed_log_is_opened_and_closed_again_without_a_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path()).expect("opens");
    for number in 0..1000_u32 {
        block_on(log.append(&number.to_le_bytes())).expect("appended");
    }
    block_on(log.close()).expect("closes");
    let before = contents(directory.path());
    assert!(before.contains_key("manifest") && before.contains_key("log.000000"));
    let log = open(directory.path()).expect("opens");
    let recovery = log.recovery().expect("recovered");
    assert_eq!((recovery.walked_bytes, recovery.dropped_bytes), (0, 0), "{recovery:?}");
    assert_eq!(block_on(log.scan(..).count()), 1000);
    block_on(log.close()).expect("closes");
    assert_eq!(contents(directory.path()), before);
}

/// The error named only the manifest, and not the directory that was wrong.
#[test]
fn a_log_is_no_store_and_a_store_is_no_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let (log, store) = (directory.path().join("a-log"), directory.path().join("a-store"));
    block_on(open(&log).expect("opens").close()).expect("closes");
    let opened: Result<FasterKv<u64, u64>> = block_on(FasterKv::open(&store, two_pages()));
    block_on(opened.expect("opens").close()).expect("closes");
    let before = (contents(&log), contents(&store));
    let error = open(&store).expect_err("a store");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let text = "manifest is of a store, not of a log; open it as a store";
    assert_eq!(error.to_string(), format!("{}: {text}", store.display()));
    let opened: Result<FasterKv<u64, u64>> = block_on(FasterKv::open(&log, two_pages()));
    let error = opened.expect_err("a log");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let text = "manifest is of a log, not of a store; open it as a log";
    assert_eq!(error.to_string(), format!("{}: {text}", log.display()));
    assert_eq!((contents(&log), contents(&store)), before, "something was touched");
}

#[test]
fn files_without_a_manifest_are_left_as_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("log.000000"), b"another program's").expect("writable");
    assert_eq!(refused(directory.path()).kind(), ErrorKind::NotFound);
    assert_eq!(contents(directory.path())["log.000000"], b"another program's");
    // Files of an interrupted attempt do not stop the next one.
    let directory = tempfile::tempdir().expect("a directory");
    for file in ["manifest.new", "lock", "log.000000"] {
        fs::write(directory.path().join(file), b"").expect("writable");
    }
    block_on(open(directory.path()).expect("opens").close()).expect("closes");
}

#[test]
fn a_file_is_no_directory_and_parents_are_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, b"mine").expect("writable");
    assert_eq!(refused(&path).kind(), ErrorKind::InvalidArgument);
    assert_eq!(fs::read(&path).expect("still there"), b"mine");
    let path = directory.path().join("a/b/c");
    block_on(open(&path).expect("opens").close()).expect("closes");
    assert!(path.join("manifest").is_file());
}

#[test]
fn a_directory_that_is_only_read_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = open(directory.path()).expect("opens");
    block_on(log.append(b"entry")).expect("appended");
    block_on(log.close()).expect("closes");
    let before = contents(directory.path());
    let read_only = Arc::new(ReadOnlyDirectory::open(directory.path()).expect("a directory"));
    let opened = block_on(FasterLog::builder(small()).directory(read_only).open_in_directory());
    let error = opened.expect_err("nothing can be written");
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn a_builder_without_a_directory_says_so() {
    let error = block_on(FasterLog::builder(small()).open_in_directory()).expect_err("where?");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("directory(..)"), "{error}");
}

#[test]
fn a_log_in_memory_leaves_no_files() {
    let directory = tempfile::tempdir().expect("a directory");
    for backend in [Backend::Memory, Backend::Null] {
        let config = small().with_backend(backend);
        let log = block_on(FasterLog::open(directory.path(), config)).expect("opens");
        for _ in 0..1000 {
            block_on(log.append(&[1; 500])).expect("appended");
        }
        block_on(log.close()).expect("closes");
    }
    assert!(contents(directory.path()).is_empty());
}

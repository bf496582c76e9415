//! The next steps that errors name: each is possible, and none loses data that can be kept.

use std::fs;
use std::path::Path;

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{Config, Error, ErrorKind, FasterKv, FasterLog, Result, checkpoint, log, session};
use tempfile::{TempDir, tempdir};
use tests::configs::memory_store;
use tests::simulated::{four_log_pages, two_pages};

type Store = FasterKv<u64, u64>;

fn on_disk() -> Config {
    two_pages().with_backend(Backend::Threads).with_direct(false)
}

fn log_on_disk() -> log::Config {
    four_log_pages().with_backend(Backend::Threads).with_direct(false)
}

fn place() -> TempDir {
    tempdir().expect("a directory")
}

/// Creates a store with this number of checkpoints.
fn make_store(path: &Path, checkpoints: u64) {
    let made: Result<()> = block_on(async {
        let store = Store::open(path, on_disk().with_checkpoint_on_close(false)).await?;
        for number in 0..checkpoints {
            store.upsert(&number, &number).await?;
            store.checkpoint().fold_over().await?;
        }
        store.close().await
    });
    made.expect("a sound store");
}

fn make_log(path: &Path) {
    let made: Result<()> = block_on(async {
        let log = FasterLog::open(path, log_on_disk()).await?;
        log.append(b"entry").await?;
        log.commit().await?;
        log.close().await
    });
    made.expect("a sound log");
}

fn open_store(path: &Path) -> Error {
    block_on(Store::open(path, on_disk())).map(drop).expect_err("refused")
}

fn open_log(path: &Path) -> Error {
    block_on(FasterLog::open(path, log_on_disk())).map(drop).expect_err("refused")
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).expect("it is there");
    bytes.iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55);
    fs::write(file, bytes).expect("it is there");
}

#[track_caller]
fn ends(error: &Error, kind: ErrorKind, end: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().ends_with(end), "{error}");
}

/// The error advised to remove the log.
#[test]
fn a_lost_manifest_is_restored_before_anything_is_removed() {
    let place = place();
    make_store(place.path(), 1);
    let log = place.path().join("of a log");
    make_log(&log);
    for directory in [place.path(), &log] {
        fs::remove_file(directory.join("manifest")).expect("it is there");
        fs::remove_file(directory.join("manifest.copy")).expect("it is there");
    }
    for (directory, error) in [(place.path(), open_store(place.path())), (&log, open_log(&log))] {
        let text = "manifest and manifest.copy are missing, but there are files of a log; restore \
                    one of the two from a backup; only if the data is not needed, open an empty \
                    directory";
        assert_eq!(error.to_string(), format!("{}: {text}", directory.display()));
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

/// The error named a copy that was damaged, too, and no directory.
#[test]
fn a_copy_of_the_manifest_is_named_if_it_is_sound() {
    let place = place();
    let (store, log) = (place.path().join("store"), place.path().join("log"));
    make_store(&store, 1);
    make_log(&log);
    for (directory, open) in [(&store, open_store as fn(&Path) -> Error), (&log, open_log)] {
        let file = directory.join("manifest");
        damage(&file);
        let error = open(directory);
        assert!(error.to_string().starts_with(file.to_str().expect("ASCII")), "{error}");
        let end = "open with `allow_fallback` to use manifest.copy, which is sound, or restore \
                   this file";
        ends(&error, ErrorKind::Corrupt, end);

        damage(&directory.join("manifest.copy"));
        let neither = "neither manifest nor manifest.copy can be read: restore one of the two \
                       from a backup";
        ends(&open(directory), ErrorKind::Corrupt, neither);
        fs::remove_file(&file).expect("it is there");
        ends(&open(directory), ErrorKind::NotFound, neither);
        fs::copy(directory.join("manifest.copy"), &file).expect("copied");
        fs::remove_file(directory.join("manifest.copy")).expect("it is there");
        ends(&open(directory), ErrorKind::Corrupt, "; restore this file from a backup");
    }
}

/// The error named an older checkpoint in a store with one.
#[test]
fn an_older_checkpoint_is_named_if_there_is_one() {
    for (checkpoints, end) in [
        (1, "`kvick::inspect` lists all damage: restore this file from a copy"),
        (2, "or go back to an older checkpoint with `allow_fallback` or by its token"),
    ] {
        let place = place();
        make_store(place.path(), checkpoints);
        let file = place.path().join("log.000000");
        damage(&file);
        let error = open_store(place.path());
        assert!(error.to_string().starts_with(file.to_str().expect("ASCII")), "{error}");
        ends(&error, ErrorKind::Corrupt, end);
    }
    let place = place();
    make_store(place.path(), 1);
    damage(&place.path().join("log.000000"));
    let lenient = on_disk().with_allow_fallback(true);
    let error = block_on(Store::open(place.path(), lenient)).expect_err("no checkpoint is sound");
    let text = "every checkpoint is damaged; `kvick::inspect` lists the damage: restore its files \
                from a copy";
    assert_eq!(error.to_string(), format!("{}: {text}", place.path().display()));
}

#[test]
fn a_path_that_is_no_directory_is_an_argument() {
    let place = place();
    let file = place.path().join("file");
    fs::write(&file, b"not a directory").expect("written");
    let path = file.display();
    let group = block_on(async {
        let group = log::Group::new(log_on_disk()).expect("threads");
        group.open(&file).await.map(drop).expect_err("a file")
    });
    ends(&open_store(&file), ErrorKind::InvalidArgument, &needs_directory(&path, "store"));
    ends(&open_log(&file), ErrorKind::InvalidArgument, &needs_directory(&path, "log"));
    ends(&group, ErrorKind::InvalidArgument, &needs_directory(&path, "log"));
    let empty = Path::new("");
    let end = "the path of the store is empty; name a directory";
    ends(&open_store(empty), ErrorKind::InvalidArgument, end);
    let end = "the path of the log is empty; name a directory";
    ends(&open_log(empty), ErrorKind::InvalidArgument, end);
}

fn needs_directory(path: &impl std::fmt::Display, owner: &str) -> String {
    format!("{path} is a file; a {owner} needs a directory")
}

#[test]
fn a_limit_names_its_setting() -> Result<()> {
    block_on(async {
        let long = vec![7; 8 << 20];
        let store: FasterKv<[u8], [u8]> = memory_store(two_pages());
        let error = store.upsert(&long, b"value").await.expect_err("a long key");
        let pages = "a larger `page_size`, fixed at creation, takes longer";
        ends(&error, ErrorKind::InvalidArgument, &format!("; {pages} keys"));
        let error = store.upsert(b"key", &long).await.expect_err("a long value");
        ends(&error, ErrorKind::InvalidArgument, &format!("; {pages} values"));
        store.close().await?;
        let store: FasterKv<[u8], [u8]> =
            memory_store(two_pages().with_max_value(ByteSize::kib(1)));
        let error = store.upsert(b"key", &long).await.expect_err("a long value");
        ends(&error, ErrorKind::InvalidArgument, "; a larger `max_value` takes longer values");
        store.close().await
    })
}

#[test]
fn what_is_missing_or_in_use_is_named() -> Result<()> {
    block_on(async {
        let store: Store = memory_store(two_pages());
        let id: session::Id = "0123456789abcdef0123456789abcdef".parse()?;
        let error = store.resume_session(id).map(drop).expect_err("no such session");
        ends(&error, ErrorKind::InvalidArgument, "; begin a new session");
        let error = store.delete_checkpoint(checkpoint::Token::new(99)).await.expect_err("none");
        let end = "checkpoint 99: the store keeps no such one; `checkpoints()` lists them";
        ends(&error, ErrorKind::InvalidArgument, end);
        store.close().await?;

        let config = four_log_pages().with_backend(Backend::Memory);
        let log = FasterLog::open("no path", config).await?;
        let iterator = log.iterator("billing")?;
        let error = log.iterator("billing").map(drop).expect_err("in use");
        let end = "iterator \"billing\" is in use; drop it first, or take another name";
        ends(&error, ErrorKind::Busy, end);
        drop(iterator);
        log.complete().await?;
        let error = log.append(b"entry").await.expect_err("completed");
        let end = "the log was completed, for ever, and takes no more entries; append to a new log \
                   in another directory";
        ends(&error, ErrorKind::Completed, end);
        log.close().await
    })
}

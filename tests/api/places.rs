//! Directories: in use, already a store, or not writable. Refused directories stay unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv, FasterLog, Result, log};
use tests::simulated::two_pages;

fn open(path: &Path) -> Result<FasterKv<u64, u64>> {
    block_on(FasterKv::open(path, two_pages()))
}

/// Returns the name and the bytes of each file in a directory.
pub(crate) fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).expect("a directory");
    let files = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("ASCII");
        (name, fs::read(entry.path()).expect("a file"))
    });
    files.collect()
}

fn refused(path: &Path) -> kvick::Error {
    let Err(error) = open(path) else {
        panic!("{} was opened", path.display());
    };
    let text = error.to_string();
    let name = path.to_str().expect("ASCII");
    assert!(text.contains(name), "does not say where: {text}");
    error
}

#[test]
fn two_stores_cannot_share_a_directory() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path())?;
    block_on(store.upsert(&1, &10))?;
    block_on(store.flush())?;
    let before = contents(directory.path());
    assert_eq!(refused(directory.path()).kind(), ErrorKind::InUse);
    assert_eq!(contents(directory.path()), before, "something was touched");
    block_on(store.rmw(&1, |value| value.unwrap_or(0) + 1))?;
    assert_eq!(block_on(store.read(&1))?, Some(11));
    block_on(store.close())
}

#[test]
fn a_closed_store_is_opened_again_with_all_that_it_had() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path())?;
    for key in 0..1000 {
        block_on(store.upsert(&key, &key))?;
    }
    block_on(store.close())?;
    let before = contents(directory.path());
    assert!(before.contains_key("manifest") && before.contains_key("log.000000"), "{before:?}");
    let store = open(directory.path())?;
    assert!(store.recovery().is_some_and(|report| report.rejected.is_empty()));
    for key in 0..1000 {
        assert_eq!(block_on(store.read(&key))?, Some(key));
    }
    // Nothing has changed, so closing writes nothing.
    block_on(store.close())?;
    assert_eq!(contents(directory.path()), before);
    Ok(())
}

#[test]
fn a_store_of_other_types_or_sizes_is_left_as_it_is() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path())?;
    block_on(store.upsert(&1, &10))?;
    block_on(store.close())?;
    let before = contents(directory.path());
    let other: Result<FasterKv<u64, [u8]>> =
        block_on(FasterKv::open(directory.path(), two_pages()));
    let error = other.expect_err("of other types");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("keys u64, values u64"), "{error}");
    let config = two_pages().with_page_size(ByteSize::kib(8)).with_index_buckets(8);
    let other: Result<FasterKv<u64, u64>> = block_on(FasterKv::open(directory.path(), config));
    let error = other.expect_err("of other sizes");
    assert!(error.to_string().contains("created with pages of 4KiB"), "{error}");
    assert_eq!(contents(directory.path()), before, "something was touched");
    Ok(())
}

#[test]
fn segments_without_a_manifest_are_left_as_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("log.000000"), b"another program's").expect("writable");
    assert_eq!(refused(directory.path()).kind(), ErrorKind::NotFound);
    let mut after = contents(directory.path());
    after.remove("lock");
    assert_eq!(after, BTreeMap::from([("log.000000".to_owned(), b"another program's".to_vec())]));
}

/// An opening took each file with a name like `log.` for a file of the log, and reported that
/// `log.000000` was missing. It did not notice other files at all.
#[test]
fn files_of_others_are_left_as_they_are() {
    for name in ["log.txt", "log.0", "notes", "index-1.old"] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(name), b"another program's").expect("writable");
        let error = refused(directory.path());
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        let log = block_on(FasterLog::open(directory.path(), log::Config::small()));
        assert_eq!(log.expect_err("refused").kind(), ErrorKind::AlreadyExists);
        let mut after = contents(directory.path());
        after.remove("lock");
        assert_eq!(after, BTreeMap::from([(name.to_owned(), b"another program's".to_vec())]));
    }
}

/// An opening ignores hidden files and directories, such as the one in the root of a file system.
#[test]
fn directories_and_hidden_files_are_no_matter() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("lost+found")).expect("writable");
    fs::write(directory.path().join(".keep"), b"").expect("writable");
    let store = open(directory.path())?;
    block_on(store.close())
}

/// Files of an interrupted attempt do not stop the next one.
#[test]
fn a_manifest_that_was_not_published_is_no_store() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("manifest.new"), b"half of").expect("writable");
    fs::write(directory.path().join("lock"), b"").expect("writable");
    let store = open(directory.path())?;
    block_on(store.upsert(&1, &10))?;
    block_on(store.close())
}

#[test]
fn a_directory_is_made_with_its_parents() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a/b/c");
    let store = open(&path)?;
    block_on(store.close())?;
    assert!(path.join("manifest").is_file());
    Ok(())
}

#[test]
fn a_file_is_no_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, b"mine").expect("writable");
    assert_eq!(refused(&path).kind(), ErrorKind::InvalidArgument);
    assert_eq!(fs::read(&path).expect("still there"), b"mine");
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("closed");
    fs::create_dir(&path).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).expect("mine");
    if fs::write(path.join("probe"), b"").is_ok() {
        eprintln!("skipped: this user (root?) may write everywhere");
        return;
    }
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(contents(&path).is_empty());
}

#[test]
fn a_closed_or_dropped_store_frees_its_directory() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path())?;
    let (session, other) = (store.session()?, store.clone());
    block_on(store.close())?;
    // The lock is free although handles and sessions still exist.
    block_on(open(directory.path())?.close())?;
    drop((session, other));
    Ok(())
}

#[test]
fn a_store_in_memory_leaves_no_files() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    for backend in [Backend::Memory, Backend::Null] {
        let config = Config::default().with_backend(backend);
        let store: FasterKv<u64, u64> = block_on(FasterKv::open(directory.path(), config))?;
        for key in 0..10_000 {
            block_on(store.upsert(&key, &key))?;
        }
        block_on(store.close())?;
    }
    assert!(contents(directory.path()).is_empty());
    Ok(())
}

/// A caller gave more memory than exists, because of a wrong unit. The store published its sizes
/// before it had the memory. So the directory demanded that much memory in every later opening.
#[test]
fn a_creation_without_memory_leaves_no_files() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    // This is more than a processor can address.
    let too_much = ByteSize::gib(200 << 10);
    let config = Config::default().with_memory(too_much).with_huge_pages(false);
    let opened = block_on(FasterKv::<u64, u64>::open(directory.path(), config));
    let error = opened.map(drop).expect_err("there is not so much memory");
    assert!(error.to_string().contains("memory"), "{error}");
    let left: Vec<String> = contents(directory.path()).into_keys().collect();
    assert!(left.iter().all(|name| name == "lock"), "{left:?}");
    let log = log::Config::default().with_memory(too_much).with_huge_pages(false);
    let opened = block_on(FasterLog::open(directory.path(), log));
    let error = opened.map(drop).expect_err("there is not so much memory");
    assert!(error.to_string().contains("memory"), "{error}");
    let left: Vec<String> = contents(directory.path()).into_keys().collect();
    assert!(left.iter().all(|name| name == "lock"), "{left:?}");
    let store = open(directory.path())?;
    block_on(store.close())
}

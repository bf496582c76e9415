//! Checks that write nothing, and repairs that drop what they say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use kvick::io::ReadOnlyDirectory;
use kvick::runtime::block_on;
use kvick::{
    ByteSize, ErrorKind, FasterLog, LogAddress, LogCheck, LogConfig, check_log, repair_log,
};
use tests::files::Files;
use tests::log_files::{BuiltLog, FoundLog, device_offset, place_of, reopen_log};
use tests::simulated::four_log_pages;

const ENTRIES: u32 = 300;

fn config() -> LogConfig {
    LogConfig::small()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(16))
}

/// A log of numbered entries, some of them larger than a page; gives their places.
async fn fill(path: &Path) -> Vec<LogAddress> {
    let log = FasterLog::open(path, config()).await.expect("opens");
    let mut places = Vec::new();
    for number in 0..ENTRIES {
        let length = if number % 50 == 20 { 9000 } else { 80 };
        let mut entry = vec![7; length];
        entry[..4].copy_from_slice(&number.to_le_bytes());
        places.push(log.append(&entry).await.expect("appended"));
        if number % 20 == 19 {
            log.commit().await.expect("committed");
        }
    }
    log.close().await.expect("closes");
    places
}

async fn check(path: &Path) -> LogCheck {
    let directory = ReadOnlyDirectory::open(path).expect("there");
    check_log(Arc::new(directory)).await.expect("checked")
}

async fn numbers(log: &FasterLog) -> Vec<u32> {
    let number = |entry: kvick::LogEntry| {
        u32::from_le_bytes(entry.payload[..4].try_into().expect("4 bytes"))
    };
    log.scan(..).map_ok(number).try_collect().await.expect("sound")
}

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let listed = fs::read_dir(path).expect("there").map(|file| file.expect("there"));
    let read = listed.map(|file| {
        let name = file.file_name().into_string().expect("text");
        (name, fs::read(file.path()).expect("read"))
    });
    read.collect()
}

/// Writes the contents over the file: damage that no checksum agrees with.
fn damage(path: &Path, file: &str, range: std::ops::Range<usize>) {
    let file = path.join(file);
    let mut bytes = fs::read(&file).expect("there");
    bytes[range].fill(0xa5);
    fs::write(&file, bytes).expect("written");
}

#[test]
fn a_sound_log_is_counted() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        fill(&path).await;
        let before = files(&path);
        let checked = check(&path).await;
        assert!(checked.is_sound() && checked.torn_bytes == 0);
        assert_eq!(checked.entries, u64::from(ENTRIES));
        assert_eq!(checked.entry_bytes, 294 * 80 + 6 * 9000);
        assert_eq!(files(&path), before, "nothing is written");
    });
}

/// Whatever unit is damaged: the check names it, the repair drops what the check says and no more,
/// and what is left is in order and can be appended to.
#[test]
fn what_is_dropped_is_what_was_said() {
    let place = tempfile::tempdir().expect("a directory");
    let source = place.path().join("source");
    block_on(async {
        let places = fill(&source).await;
        let sound = files(&source);
        for (name, bytes) in sound.iter().filter(|(name, _)| name.starts_with("log.")) {
            for unit in (0..bytes.len() / 512).step_by(3) {
                let path = place.path().join(format!("{name}-{unit}"));
                fs::create_dir(&path).expect("made");
                for (name, bytes) in &sound {
                    fs::write(path.join(name), bytes).expect("written");
                }
                damage(&path, name, unit * 512 + 100..unit * 512 + 110);
                repairs(&path, &places, (name, unit)).await;
                fs::remove_dir_all(&path).expect("removed");
            }
        }
    });
}

async fn repairs(path: &Path, places: &[LogAddress], (name, unit): (&str, usize)) {
    let damaged = files(path);
    let checked = check(path).await;
    assert_eq!(files(path), damaged, "a check writes nothing");
    let [lost] = &checked.damage[..] else { panic!("{name}, {unit}: {checked:?}") };
    assert_eq!((&lost.file[..], lost.offset), (name, unit as u64 * 512));
    let is_kept = |place: &LogAddress| !(lost.start..lost.end).contains(place);
    let kept = |place: &(u32, &LogAddress)| is_kept(place.1);
    let expected: Vec<u32> =
        (0..ENTRIES).zip(places).filter(kept).map(|(number, _)| number).collect();
    assert_eq!(checked.entries, expected.len() as u64, "{name}, {unit}: {lost:?}");

    let log = FasterLog::open(path, config()).await.expect("opens");
    let read: Vec<_> = log.scan(..).collect().await;
    let error = read.last().expect("something").as_ref().expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    log.close().await.expect("closes");

    let directory = kvick::io::open_directory(path, &kvick::io::IoConfig::default());
    let directory = directory.expect("opens");
    assert_eq!(repair_log(directory).await.expect("repaired"), checked);
    assert!(check(path).await.is_sound(), "{name}, {unit}");
    let log = FasterLog::open(path, config()).await.expect("opens");
    assert_eq!(numbers(&log).await, expected, "{name}, {unit}");
    log.append_durable(&ENTRIES.to_le_bytes()).await.expect("durable");
    assert_eq!(numbers(&log).await.len(), expected.len() + 1);
    log.close().await.expect("closes");
}

#[test]
fn a_log_whose_end_is_lost_ends_before() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("log");
    block_on(async {
        fill(&path).await;
        let last = files(&path).into_keys().rfind(|name| name.starts_with("log."));
        fs::remove_file(path.join(last.expect("files of a log"))).expect("removed");
        let error = FasterLog::open(&path, config()).await.expect_err("the end is missing");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let directory = kvick::io::open_directory(&path, &kvick::io::IoConfig::default());
        let repaired = repair_log(directory.expect("opens")).await.expect("repaired");
        assert_eq!(repaired.damage.len(), 1);
        let log = FasterLog::open(&path, config()).await.expect("opens");
        let left = numbers(&log).await;
        assert_eq!(left, (0..ENTRIES).take(left.len()).collect::<Vec<_>>());
        assert_eq!(left.len() as u64, repaired.entries);
        log.append_durable(&ENTRIES.to_le_bytes()).await.expect("durable");
        assert_eq!(numbers(&log).await.len(), left.len() + 1);
        log.close().await.expect("closes");
    });
}

/// The first two units of a log were damaged, and the next sound frame was an entry that no commit
/// had. The repair said that the log began there, behind its end: such a manifest contradicts
/// itself, so neither the log nor a check of it could be opened any more.
#[test]
fn whatever_was_damaged_a_repaired_log_opens_and_has_what_is_sound() {
    for built in [BuiltLog::new(1, 0), BuiltLog::new(3, 2), BuiltLog::new(12, 5)] {
        for first in 0..built.end() / 512 {
            for count in [1, 2, 9] {
                let damaged = first * 512..((first + count) * 512).min(built.end());
                block_on(repairs_units(&built, damaged));
            }
        }
    }
}

async fn repairs_units(built: &BuiltLog, damaged: std::ops::Range<u64>) {
    let mut files = built.files.clone();
    for unit in damaged.clone().step_by(512) {
        let (file, within) = place_of(unit);
        files = files.with(&file, |bytes| bytes[within + 100..within + 110].fill(0xa5));
    }
    let directory = Arc::new(files.restore().await);
    repair_log(Arc::clone(&directory) as _).await.expect("repaired");
    let checked = check_log(Arc::clone(&directory) as _).await.expect("a log");
    assert!(checked.is_sound(), "{damaged:?}: {checked:?}");
    let repaired = Files::of(&*directory).await;
    let FoundLog::Opened(_, entries, None) = reopen_log(&repaired, &four_log_pages()) else {
        panic!("{damaged:?} is repaired, and cannot be opened or read");
    };
    // A commit whose record is damaged is lost at the end of a log, with its entries.
    let last = built.last().until.min(checked.commit.until);
    // Whole units: an entry lies in those of its first byte to its last.
    let touched = |(at, bytes): &&(LogAddress, Vec<u8>)| {
        let end = built.entries.iter().map(|entry| entry.0).find(|next| next > at);
        let end = end.unwrap_or(LogAddress::new(at.raw() + bytes.len() as u64 + 8));
        let units = [*at, LogAddress::new(end.raw() - 1)].map(|at| device_offset(at) / 512 * 512);
        units[0] < damaged.end && units[1] >= damaged.start
    };
    // A check goes on where it finds a frame again, at the latest behind the page.
    let is_far = |at: LogAddress| device_offset(at) >= damaged.end.next_multiple_of(4096);
    let is_before = |at: LogAddress| device_offset(at) < damaged.start;
    let sound = built.entries.iter().filter(|entry| entry.0 < last && !touched(entry));
    let sound = sound.filter(|entry| is_far(entry.0) || is_before(entry.0));
    for entry in sound {
        assert!(entries.contains(entry), "{damaged:?}: the entry at {} is gone", entry.0);
    }
    assert!(entries.iter().all(|entry| built.entries.contains(entry)), "{damaged:?}");
    let open = || FasterLog::builder(four_log_pages()).directory(Arc::clone(&directory) as _);
    let log = open().open_in_directory().await.expect("opens");
    log.append_durable(b"later").await.expect("durable");
    log.close().await.expect("closes");
    let log = open().open_in_directory().await.expect("opens again");
    assert_eq!(log.scan(..).count().await, entries.len() + 1, "{damaged:?}");
    log.close().await.expect("closes");
}

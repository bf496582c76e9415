//! Checks, which write nothing, and repairs, which drop exactly the reported entries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use kvick::config::ByteSize;
use kvick::io::{Directory, MemoryDirectory, ReadOnlyDirectory};
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterLog, log};
use tests::files::Files;
use tests::log_files::{BuiltLog, FoundLog, device_offset, place_of, reopen_log};
use tests::log_frames::Framed;
use tests::simulated::four_log_pages;

const ENTRIES: u32 = 300;

fn config() -> log::Config {
    log::Config::small()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(16))
}

/// Creates a log of numbered entries, some of them larger than a page, and returns their addresses.
async fn fill(path: &Path) -> Vec<log::Address> {
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

async fn check(path: &Path) -> log::Check {
    let directory = ReadOnlyDirectory::open(path).expect("there");
    log::check(Arc::new(directory)).await.expect("checked")
}

async fn numbers(log: &FasterLog) -> Vec<u32> {
    let number =
        |entry: log::Entry| u32::from_le_bytes(entry.payload[..4].try_into().expect("4 bytes"));
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

/// Overwrites the range with bytes for which no checksum is right.
fn damage(path: &Path, file: &str, range: Range<usize>) {
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

/// Damages every third unit in turn. The check names the unit, and the repair drops only the
/// reported entries. The rest is in order, and the log accepts new entries.
#[test]
fn a_repair_drops_the_reported_entries_only() {
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

async fn repairs(path: &Path, places: &[log::Address], (name, unit): (&str, usize)) {
    let damaged = files(path);
    let checked = check(path).await;
    assert_eq!(files(path), damaged, "a check writes nothing");
    let [lost] = &checked.damage[..] else { panic!("{name}, {unit}: {checked:?}") };
    assert_eq!((&lost.file[..], lost.offset), (name, unit as u64 * 512));
    let is_kept = |place: &log::Address| !(lost.start..lost.end).contains(place);
    let kept = |place: &(u32, &log::Address)| is_kept(place.1);
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
    assert_eq!(log::repair(directory).await.expect("repaired"), checked);
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
        let repaired = log::repair(directory.expect("opens")).await.expect("repaired");
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

/// A log whose files were damaged in any place opens after a repair, and has its sound entries.
///
/// The first two units of a log were damaged, and the next sound frame was an entry that no commit
/// had. The repair set the begin of the log to that frame, after its end. Such a manifest
/// contradicts itself, so neither the log nor a check could open it any more.
///
/// In another log, two adjacent units were damaged, and the bytes after them were the middle of an
/// entry. The record of a commit lay further on in the same stretch. The search for commits looked
/// only at the starts of units, and missed this record. A repair and an opening took the damage for
/// a torn tail, and cut off two acknowledged commits.
///
/// The expectation comes from a reader of the files that shares no code with the log.
#[test]
fn a_repaired_log_opens_and_has_its_sound_entries() {
    for built in [BuiltLog::new(1, 0), BuiltLog::new(3, 2), BuiltLog::new(12, 5)] {
        let sound = Sound::of(&built);
        let units = built.end() / 512;
        for first in 0..units {
            for count in [1, 2, 9] {
                block_on(repairs_units(&sound, (first..units.min(first + count)).collect()));
            }
            // Two places, with something sound between.
            for apart in [2, 5, 13] {
                let units = [first, (first + apart) % units];
                block_on(repairs_units(&sound, units.into()));
            }
        }
    }
}

/// The content of a log's files before the damage.
struct Sound<'b> {
    built: &'b BuiltLog,
    framed: Vec<Framed>,
}

impl<'b> Sound<'b> {
    fn of(built: &'b BuiltLog) -> Self {
        let framed = built.framed();
        let sound = Self { built, framed };
        assert_eq!(sound.expected(&BTreeSet::new()), (built.last().until, built.committed()));
        sound
    }

    /// Returns the end of the newest readable commit, and all entries before it that touch no
    /// damaged unit.
    ///
    /// A commit after the damage counts only if a later record proves that the log was durable
    /// beyond the previous commit. Without this proof the commit may be a remainder of a power cut,
    /// and an opening cuts it off.
    fn expected(&self, damaged: &BTreeSet<u64>) -> (log::Address, Vec<(log::Address, Vec<u8>)>) {
        let is_sound = |units: &Range<u64>| {
            let units = units.start / 512..units.end.div_ceil(512);
            damaged.range(units).next().is_none()
        };
        let saved = self.built.saved().until;
        let mut until = saved;
        let records = || self.framed.iter().filter_map(|it| Some((it, it.commit.as_ref()?)));
        for (framed, commit) in records().filter(|(framed, _)| framed.start >= saved) {
            let commit = self.built.commits.iter().find(|it| it.number == commit.number);
            let Some(end) = commit.map(|commit| device_offset(commit.until)) else { continue };
            let from = device_offset(until);
            let last_damage = damaged.range(from / 512..end / 512).next_back();
            let is_proven = records().any(|(record, said)| {
                let is_behind = last_damage.is_some_and(|unit| record.units.start > unit * 512);
                is_behind && is_sound(&record.units) && said.durable > until.raw()
            });
            if is_sound(&(framed.units.start..end)) && (last_damage.is_none() || is_proven) {
                until = commit.expect("looked at above").until;
            }
        }
        let entries = self.framed.iter().filter(|it| it.commit.is_none());
        let kept = entries.filter(|it| it.start < until && is_sound(&it.units));
        let kept: BTreeSet<log::Address> = kept.map(|it| it.start).collect();
        let entries = self.built.entries.iter().filter(|(at, _)| kept.contains(at));
        (until, entries.cloned().collect())
    }
}

async fn repairs_units(sound: &Sound<'_>, damaged: BTreeSet<u64>) {
    let mut files = sound.built.files.clone();
    for unit in &damaged {
        let (file, within) = place_of(unit * 512);
        files = files.with(&file, |bytes| bytes[within + 100..within + 110].fill(0xa5));
    }
    let (until, expected) = sound.expected(&damaged);
    match reopen_log(&files, &four_log_pages()) {
        FoundLog::Refused(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{damaged:?}"),
        // An opening cuts off only bytes that a repair also drops.
        FoundLog::Opened(commit, ..) => assert_eq!(commit.until, until, "{damaged:?}"),
    }
    let directory = Arc::new(files.restore().await);
    let repaired = log::repair(Arc::clone(&directory) as _).await.expect("repaired");
    let checked = log::check(Arc::clone(&directory) as _).await.expect("a log");
    assert!(checked.is_sound(), "{damaged:?}: {checked:?}");
    assert_eq!(repaired.commit.until, until, "{damaged:?}: {repaired:?}");
    let FoundLog::Opened(_, entries, None) =
        reopen_log(&Files::of(&*directory).await, &four_log_pages())
    else {
        panic!("{damaged:?} is repaired, and cannot be opened or read");
    };
    let places = |entries: &[(log::Address, Vec<u8>)]| entries.iter().map(|it| it.0).collect();
    let [found, wanted]: [Vec<_>; 2] = [places(&entries), places(&expected)];
    assert_eq!(found, wanted, "{damaged:?}: {repaired:?}");
    assert!(entries == expected && checked.entries == expected.len() as u64, "{damaged:?}");
    let open = || FasterLog::builder(four_log_pages()).directory(Arc::clone(&directory) as _);
    let log = open().open_in_directory().await.expect("opens");
    log.append_durable(b"later").await.expect("durable");
    log.close().await.expect("closes");
    let log = open().open_in_directory().await.expect("opens again");
    assert_eq!(log.scan(..).count().await, entries.len() + 1, "{damaged:?}");
    log.close().await.expect("closes");
}

/// A log ends on a physical block. A repair of a file that had lost bytes of its last block set an
/// end after the end of the file. No opening accepted this log, and a second repair did not help.
#[test]
fn a_log_that_lost_a_part_of_a_physical_block_opens_when_it_is_repaired() {
    block_on(async {
        let place = || Arc::new(MemoryDirectory::with_physical_block(4096));
        let open = |directory: &Arc<MemoryDirectory>| {
            let directory = Arc::clone(directory);
            FasterLog::builder(four_log_pages()).directory(directory as _).open_in_directory()
        };
        let built = place();
        let log = open(&built).await.expect("opens");
        for number in 0..20 {
            log.append(&[number; 800]).await.expect("appended");
            log.commit().await.expect("committed");
        }
        log.close().await.expect("closes");
        let files = Files::of(&*built).await.without("lock");
        let (last, length) = files
            .0
            .iter()
            .rfind(|(name, _)| name.starts_with("log."))
            .map(|(name, bytes)| (name.clone(), bytes.len()))
            .expect("files of a log");
        for left in (0..length).step_by(256) {
            let cut = files.with(&last, |bytes| bytes.truncate(left));
            let directory = place();
            for (name, bytes) in &cut.0 {
                directory.write_file(name, bytes).await.expect("memory");
            }
            let repaired = log::repair(Arc::clone(&directory) as _).await.expect("repaired");
            let log = open(&directory).await.unwrap_or_else(|error| panic!("{left}: {error}"));
            let read: Vec<_> = log.scan(..).try_collect().await.expect("sound");
            assert_eq!(read.len() as u64, repaired.entries, "{left} bytes of {last}");
            log.append_durable(b"later").await.expect("durable");
            log.close().await.expect("closes");
            let log = open(&directory).await.expect("opens again");
            assert_eq!(log.scan(..).count().await as u64, repaired.entries + 1);
            log.close().await.expect("closes");
        }
    });
}

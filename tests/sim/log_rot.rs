//! Every byte of a log, truncated or damaged. A recovery yields a commit, or an error that names
//! the place of the damage. It never drops durable entries silently.

use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::Simulation;
use kvick::{Config, Error, ErrorKind, log};
use tests::files::{Files, open_in};
use tests::log_files::{BuiltLog, FoundLog, device_offset, open_log_in, place_of, reopen_log};
use tests::simulated::four_log_pages;

const UNIT: u64 = 512;

/// Damages the unit at an offset of the device.
fn spoiled(built: &BuiltLog, offset: u64, change: impl FnOnce(&mut [u8])) -> Files {
    let (file, within) = place_of(offset / UNIT * UNIT);
    built.files.with(&file, |bytes| change(&mut bytes[within..within + 512]))
}

/// Checks the recovery of a log with one damaged unit after the commit of the manifest.
fn check_damaged(built: &BuiltLog, offset: u64, damaged: &Files, what: &str) {
    let unit = offset / UNIT * UNIT;
    let what = format!("{what} at {offset}");
    let found = reopen_log(damaged, &four_log_pages());
    let newest = built.newest_below(unit).expect("the commit of the manifest");
    let later = built.commits.iter().filter(|commit| commit.number > newest.number);
    if later.count() < 2 {
        // No later record proves that the commit was durable.
        return built.check(&found, newest, &what);
    }
    let FoundLog::Refused(error) = found else {
        panic!("{what}: {found:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    let (file, within) = place_of(unit);
    let place = format!("{file} at offset {within}");
    assert!(error.to_string().contains(&place), "{what}: {error} does not name {place}");
}

#[test]
fn nothing_is_lost_of_what_is_sound() {
    for built in [BuiltLog::new(50, 12), BuiltLog::new(3, 60)] {
        let found = reopen_log(&built.files, &four_log_pages());
        built.check(&found, built.last(), "untouched");
        assert!(built.end() > device_offset(built.last().until), "nothing after it");
    }
}

#[test]
fn a_log_that_is_cut_anywhere_has_the_newest_commit_that_is_left() {
    let built = BuiltLog::new(10, 7);
    let [saved, last] = [built.saved(), built.last()].map(|commit| device_offset(commit.until));
    let lengths = (saved - 700..last + 600).chain((last..built.end()).step_by(97));
    for length in lengths {
        let found = reopen_log(&built.truncated(length), &four_log_pages());
        if let Some(newest) = built.newest_below(length) {
            built.check(&found, newest, &format!("truncated at {length}"));
            continue;
        }
        let FoundLog::Refused(error) = found else {
            panic!("truncated at {length}: {found:?}");
        };
        let file = place_of(length).0;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(&file), "{error} does not name {file}");
    }
}

#[test]
fn every_byte_after_the_manifest_matters_or_is_reported() {
    let built = BuiltLog::new(10, 7);
    let [saved, last] = [built.saved(), built.last()].map(|commit| device_offset(commit.until));
    for offset in (saved..last + 600).chain((last..built.end()).step_by(97)) {
        let (bit, within) = (1 << (offset % 8), usize::try_from(offset % UNIT).expect("small"));
        let damaged = spoiled(&built, offset, |unit| unit[within] ^= bit);
        check_damaged(&built, offset, &damaged, "a bit");
    }
}

/// In a log of many files the record that proves the damage may be in another file.
#[test]
fn every_unit_after_the_manifest_matters_or_is_reported() {
    let built = BuiltLog::new(3, 60);
    let (saved, end) = (device_offset(built.saved().until), built.end());
    assert!(end > 3 * (16 << 10), "many files");
    for offset in (saved..end).step_by(512) {
        for byte in [0, 8, 250, 503, 504, 511] {
            let damaged = spoiled(&built, offset, |unit| unit[byte] ^= 0x10);
            check_damaged(&built, offset, &damaged, "a bit");
        }
        let damaged = spoiled(&built, offset, |unit| unit.fill(0));
        check_damaged(&built, offset, &damaged, "zeros");
        let damaged = spoiled(&built, offset, |unit| unit[256..].fill(0));
        check_damaged(&built, offset, &damaged, "half of it");
        // The unit is sound and of the same log, but of another place.
        let (file, within) = place_of(saved - UNIT);
        let other = built.files.0[&file][within..within + 512].to_vec();
        let damaged = spoiled(&built, offset, |unit| unit.copy_from_slice(&other));
        check_damaged(&built, offset, &damaged, "another unit");
    }
}

/// A recovery does not read entries that were committed before the manifest. Readers find damage
/// there.
#[test]
fn damage_below_the_manifest_is_found_by_reading() {
    let built = BuiltLog::new(50, 3);
    for offset in (0..device_offset(built.saved().until)).step_by(7) {
        let within = usize::try_from(offset % UNIT).expect("small");
        let damaged = spoiled(&built, offset, |unit| unit[within] ^= 1 << (offset % 8));
        let found = reopen_log(&damaged, &four_log_pages());
        let FoundLog::Opened(commit, entries, Some(error)) = found else {
            panic!("a bit at {offset}: {found:?}");
        };
        assert_eq!((&commit, error.kind()), (built.last(), ErrorKind::Corrupt), "{error}");
        assert!(error.to_string().contains(&place_of(offset).0), "{error}");
        assert!(built.entries.starts_with(&entries), "a bit at {offset}");
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let built = BuiltLog::new(3, 60);
    let last = place_of(device_offset(built.last().until) - 1).0;
    for (file, _) in built.segments().filter(|(file, _)| **file < last) {
        for damaged in [built.files.without(file), built.files.replaced(file, &[])] {
            let FoundLog::Refused(error) = reopen_log(&damaged, &four_log_pages()) else {
                panic!("without {file}");
            };
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(file), "{error} does not name {file}");
        }
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let built = BuiltLog::new(20, 5);
    let strange = built.files.replaced("notes", b"mine").replaced("log.txt", b"mine, too");
    let found = reopen_log(&strange, &four_log_pages());
    built.check(&found, built.last(), "strange files");
}

#[test]
fn a_manifest_that_is_damaged_is_refused_or_its_copy_is_used() {
    let built = BuiltLog::new(20, 5);
    let lenient = four_log_pages().with_allow_fallback(true);
    let refused_as = |kind: ErrorKind, files: &Files, config: &log::Config, what: &str| {
        let FoundLog::Refused(error) = reopen_log(files, config) else {
            panic!("opened with {what}");
        };
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.to_string().contains("manifest"), "{what}: {error}");
    };
    let refused = |files: &Files, config: &log::Config, what: &str| {
        refused_as(ErrorKind::Corrupt, files, config, what);
    };
    for at in 0..built.files.0["manifest"].len() {
        for bit in 0..8 {
            let what = format!("bit {bit} of byte {at} of the manifest");
            let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << bit;
            let damaged = built.files.with("manifest", flip);
            refused(&damaged, &four_log_pages(), &what);
            built.check(&reopen_log(&damaged, &lenient), built.last(), &what);
            refused(&damaged.with("manifest.copy", flip), &lenient, &what);
            let copy = built.files.with("manifest.copy", flip);
            built.check(&reopen_log(&copy, &four_log_pages()), built.last(), &what);
        }
        let short = built.files.with("manifest", |bytes| bytes.truncate(at));
        refused(&short, &four_log_pages(), "a truncated manifest");
    }
    let missing = built.files.without("manifest");
    refused_as(ErrorKind::NotFound, &missing, &four_log_pages(), "no manifest");
    built.check(&reopen_log(&missing, &lenient), built.last(), "no manifest, but its copy");
    let none = missing.without("manifest.copy");
    for config in [four_log_pages(), lenient] {
        let FoundLog::Refused(error) = reopen_log(&none, &config) else {
            panic!("created over a log");
        };
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

/// A log refuses the directory of a store, and a store that of a log. Neither takes it for empty.
#[test]
fn a_store_is_no_log_and_a_log_no_store() {
    let built = BuiltLog::new(20, 5);
    let simulation = Simulation::new(1);
    let handle = simulation.handle();
    simulation.run(async {
        let directory = built.files.restore().await;
        let config = Config::default().with_memory(ByteSize::mib(1)).with_huge_pages(false);
        let opened = open_in::<u64, u64>(&directory, config.clone(), handle.clone()).await;
        assert_is_refusal(&opened.expect_err("a log"));
        assert_eq!(Files::of(&directory).await.without("lock"), built.files);

        let directory = MemoryDirectory::new();
        let store = open_in::<u64, u64>(&directory, config, handle.clone()).await;
        let store = store.expect("created");
        store.upsert(&1, &1).await.expect("in memory");
        store.close().await.expect("closes");
        let before = Files::of(&directory).await;
        let opened = open_log_in(&directory, four_log_pages(), handle).await;
        assert_is_refusal(&opened.expect_err("a store"));
        assert_eq!(Files::of(&directory).await, before);
    });
}

fn assert_is_refusal(error: &Error) {
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Unsupported | ErrorKind::AlreadyExists), "{error}");
}

//! Files that are truncated, missing, too long, or of another place, time or store.

use super::Tally;
use super::built::{Built, KINDS, Newest, build};
use tests::files::{Files, Found, reopen};
use tests::samples::{SampleKey, SampleValue};

const SECTOR: usize = 512;
const PAGE: usize = 4 << 10;

/// Runs `test` on words and on bytes, with each kind of newest checkpoint.
macro_rules! all {
    ($test:ident) => {
        for newest in KINDS {
            $test(&mut Subject::<u64, u64>::new(newest));
            $test(&mut Subject::<[u8], [u8]>::new(newest));
        }
    };
}

/// A store, and the counts of its damages.
struct Subject<K: SampleKey + ?Sized, V: SampleValue + ?Sized> {
    built: Built<V>,
    tally: Tally,
    _key: std::marker::PhantomData<fn(&K)>,
}

impl<K: SampleKey + ?Sized, V: SampleValue + ?Sized> Subject<K, V> {
    fn new(newest: Newest) -> Self {
        let built = build::<K, V>(newest, 1);
        Self { built, tally: Tally::default(), _key: std::marker::PhantomData }
    }

    /// Opens damaged files. Returns whether the damage is reported.
    fn open(&mut self, damaged: &Files) -> bool {
        self.tally.open::<K, V>(&self.built, damaged)
    }

    fn names(&self) -> Vec<String> {
        self.built.files.0.keys().cloned().collect()
    }

    fn files(&self) -> Files {
        self.built.files.clone()
    }

    /// Returns whether the newest checkpoint needs the byte at `at` of a file, or one after it.
    fn needs(&self, name: &str, at: usize) -> bool {
        self.built.vital(name).iter().any(|range| range.end > at)
    }
}

#[test]
fn files_that_are_cut_short() {
    fn shorten<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(subject: &mut Subject<K, V>) {
        for name in subject.names() {
            let files = subject.files();
            for at in (0..files.0[&name].len()).step_by(SECTOR) {
                let is_reported = subject.open(&files.with(&name, |bytes| bytes.truncate(at)));
                assert!(is_reported || !subject.needs(&name, at), "{name} of {at} bytes");
            }
        }
        println!("shortened: {:?}", subject.tally);
    }
    all!(shorten);
}

#[test]
fn files_that_are_gone() {
    fn lose<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(subject: &mut Subject<K, V>) {
        for name in subject.names() {
            let is_reported = subject.open(&subject.files().without(&name));
            assert!(is_reported || !subject.needs(&name, 0), "without {name}");
        }
        println!("gone: {:?}", subject.tally);
    }
    all!(lose);
}

#[test]
fn files_that_have_garbage_at_their_end() {
    fn extend<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(subject: &mut Subject<K, V>) {
        for name in subject.names() {
            for length in [1, SECTOR, PAGE] {
                let garbage = tests::samples::pattern(length as u64, length);
                subject.open(&subject.files().with(&name, |bytes| bytes.extend(garbage)));
            }
        }
        println!("longer: {:?}", subject.tally);
    }
    all!(extend);
}

#[test]
fn files_in_each_others_place() {
    fn exchange<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(subject: &mut Subject<K, V>) {
        let files = subject.files();
        let kind = |name: &String| name.split(['-', '.']).next().map(str::to_owned);
        for one in subject.names() {
            for other in subject.names() {
                let (first, second) = (&files.0[&one], &files.0[&other]);
                if one >= other || kind(&one) != kind(&other) || first == second {
                    continue;
                }
                let exchanged = files.replaced(&one, second).replaced(&other, first);
                let is_reported = subject.open(&exchanged);
                let is_needed = subject.needs(&one, 0) || subject.needs(&other, 0);
                assert!(is_reported || !is_needed, "{one} and {other}");
            }
        }
        println!("exchanged: {:?}", subject.tally);
    }
    all!(exchange);
}

#[test]
fn units_and_pages_in_each_others_place() {
    fn exchange<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(subject: &mut Subject<K, V>) {
        for (name, bytes) in subject.files().0 {
            for size in [SECTOR, PAGE] {
                let whole = bytes.len() / size;
                for number in 0..whole.saturating_sub(1) {
                    let mut changed = bytes.clone();
                    let (front, back) = changed.split_at_mut((number + 1) * size);
                    front[number * size..].swap_with_slice(&mut back[..size]);
                    if changed == bytes {
                        continue;
                    }
                    let place = number * size..(number + 2) * size;
                    let vital = subject.built.vital(&name);
                    let is_reported = subject.open(&subject.files().replaced(&name, &changed));
                    let is_vital = vital
                        .iter()
                        .any(|range| range.start < place.end && place.start < range.end);
                    assert!(is_reported || !is_vital, "{size} bytes at {} of {name}", place.start);
                }
            }
        }
        println!("units and pages: {:?}", subject.tally);
    }
    all!(exchange);
}

#[test]
fn files_of_another_store() {
    fn replace<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(subject: &mut Subject<K, V>) {
        for newest in KINDS {
            let other = build::<K, V>(newest, 2);
            for name in subject.names() {
                let Some(bytes) = other.files.0.get(&name) else { continue };
                let is_reported = subject.open(&subject.files().replaced(&name, bytes));
                assert!(is_reported || !subject.needs(&name, 0), "{name} of another store");
            }
        }
        println!("of another store: {:?}", subject.tally);
    }
    all!(replace);
}

/// An older manifest is valid too. The store then has the whole state of an older checkpoint.
#[test]
fn files_as_they_were_before() {
    fn replace<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(subject: &mut Subject<K, V>) {
        for before in subject.built.before.clone() {
            for (name, bytes) in &before.0 {
                let files = subject.files();
                if files.0.get(name).is_none_or(|now| now == bytes) {
                    continue;
                }
                let is_reported = subject.open(&files.replaced(name, bytes));
                let is_needed = subject.needs(name, bytes.len());
                assert!(is_reported || name == "manifest" || !is_needed, "{name} as it was");
            }
        }
        println!("as before: {:?}", subject.tally);
    }
    all!(replace);
}

/// A snapshot has the pages of memory in a file beside the log, and the log is still empty. Without
/// its manifests such a directory looks like an unfinished creation.
#[test]
fn a_store_without_its_manifests_is_not_taken_for_an_empty_directory() {
    for newest in KINDS {
        let built = build::<u64, u64>(newest, 1);
        for before in &built.before {
            let damaged = before.without("manifest").without("manifest.copy");
            let mut tally = Tally::default();
            assert!(tally.open::<u64, u64>(&built, &damaged));
        }
    }
    // The smallest case is one snapshot without flushed pages.
    let files = only_a_snapshot();
    let expected = tests::files::Contents::<u64>::new();
    let damaged = files.without("manifest").without("manifest.copy");
    let config = super::built::config();
    match reopen::<u64, u64>(&damaged, &config, 1, |_| &expected) {
        Found::Refused(error) => assert!(super::reports_damage(error.kind()), "{error}"),
        Found::Opened(..) => panic!("created over a store: {:?}", files.0.keys()),
    }
}

fn only_a_snapshot() -> Files {
    let simulation = kvick::runtime::Simulation::new(1);
    let handle = simulation.handle();
    simulation.run(async {
        let directory = kvick::io::MemoryDirectory::new();
        let config = super::built::config();
        let store = tests::files::open_in::<u64, u64>(&directory, config, handle);
        let store = store.await.expect("memory");
        store.upsert(&1, &1).await.expect("memory");
        store.checkpoint().snapshot().await.expect("memory");
        Files::of(&directory).await
    })
}

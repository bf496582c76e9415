//! The inspection of a store from outside: its content and its damage.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use kvick::config::{Backend, ByteSize};
use kvick::inspect::{FileRole, Inspection, ManifestCopy};
use kvick::io::{
    BoxFuture, Device, DeviceOptions, Directory, Lock, MemoryDirectory, ReadOnlyDirectory,
};
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Result, checkpoint, inspect};
use tests::crowd::{CROWD, pass_through};

/// The unit of a device, which has one checksum.
const UNIT: u64 = 512;
const UNIT_PAYLOAD: u64 = 504;
const PAGE: u64 = 4 << 10;
const SEGMENT: u64 = 32 << 10;

fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::kib(256))
        .with_page_size(ByteSize::new(PAGE))
        .with_segment_size(ByteSize::new(SEGMENT))
        .with_huge_pages(false)
        .with_checkpoint_on_close(false)
}

async fn open(directory: &MemoryDirectory) -> Result<FasterKv<u64, u64>> {
    FasterKv::builder(config()).directory(Arc::new(directory.clone())).open_in_directory().await
}

async fn look(directory: &MemoryDirectory) -> Inspection {
    inspect(Arc::new(directory.clone())).await.expect("memory can be listed")
}

fn assert_sound(inspection: &Inspection) {
    assert!(inspection.problems.is_empty(), "{inspection}");
    assert!(inspection.checkpoints.iter().all(|checkpoint| checkpoint.is_sound), "{inspection}");
    assert!(inspection.indexes.iter().all(|index| index.is_sound), "{inspection}");
    assert!(!inspection.has_changed && !inspection.from_copy);
    assert!(inspection.to_string().ends_with("no problems"), "{inspection}");
}

fn file<'i>(inspection: &'i Inspection, start: &str) -> &'i str {
    let file = inspection.files.iter().find(|file| file.name.starts_with(start));
    &file.unwrap_or_else(|| panic!("no {start} in {inspection}")).name
}

/// Creates a store with all kinds of files: a snapshot, an incremental checkpoint on top of it, and
/// their parts, deltas and commit points.
async fn with_all_kinds_of_files(directory: &MemoryDirectory) -> Result<FasterKv<u64, u64>> {
    let store = open(directory).await?;
    for key in 0..3000 {
        store.upsert(&key, &key).await?;
    }
    store.flush().await?;
    for key in 3000..8000 {
        store.upsert(&key, &key).await?;
    }
    pass_through(&store, CROWD, 7999).await?;
    store.checkpoint().snapshot().with_index().await?;
    pass_through(&store, 3, 8000).await?;
    for key in 7990..8100 {
        store.upsert(&key, &0).await?;
    }
    store.checkpoint().incremental().await?;
    Ok(store)
}

#[test]
fn a_store_of_every_kind_of_checkpoint_is_sound() -> Result<()> {
    let kinds = [
        checkpoint::Kind::FoldOver,
        checkpoint::Kind::Snapshot,
        checkpoint::Kind::Incremental,
        checkpoint::Kind::IndexOnly,
    ];
    block_on(async {
        for kind in kinds {
            let directory = MemoryDirectory::new();
            let store = open(&directory).await?;
            for key in 0..1000 {
                store.upsert(&key, &key).await?;
            }
            store.checkpoint().snapshot().with_index().await?;
            for key in 990..1100 {
                store.rmw(&key, |value| value.unwrap_or(0) + 1).await?;
            }
            for key in 1050..1060 {
                store.delete(&key).await?;
            }
            let taken = store.checkpoint().kind(kind).await?;
            // The result is the same for an open and for a closed store.
            let inspection = look(&directory).await;
            assert_sound(&inspection);
            store.close().await?;
            assert_eq!(look(&directory).await, inspection);

            let described = inspection.store.as_ref().expect("a manifest");
            assert_eq!(
                (&*described.tables[0].key, described.tables[0].value_width),
                ("u64", Some(8))
            );
            assert_eq!((described.page_bytes, described.segment_bytes), (PAGE, SEGMENT));
            let newest = inspection.checkpoints.last().expect("one was taken");
            let records = newest.records;
            if kind == checkpoint::Kind::IndexOnly {
                assert_eq!((records.values, records.tombstones), (1000, 0), "{inspection}");
                assert_eq!(inspection.indexes.last().map(|index| index.token), Some(taken.token));
            } else {
                assert_eq!((newest.token, newest.kind), (taken.token, taken.kind));
                assert_eq!((records.values, records.tombstones), (1090, 10), "{inspection}");
            }
            assert_eq!((records.invalid, records.pieces, records.unread_bytes), (0, 0, 0));
            let covered = records.record_bytes + records.padding_bytes;
            assert_eq!(records.record_bytes, 24 * (records.values + records.tombstones));
            // The records cover everything but the unused ends of pages.
            let pages = newest.log.end / PAGE;
            assert_eq!(covered, newest.log.end - newest.log.start - pages * PAGE / UNIT * 8);
            // The index also has old entries, if a record was appended because it could not change
            // in place.
            let entries = inspection.indexes.iter().map(|index| index.entries).max();
            assert!(entries >= Some(900), "{inspection}");
        }
        Ok(())
    })
}

#[test]
fn values_in_pieces_and_sessions_are_shown() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let builder = FasterKv::<str, [u8]>::builder(config());
        let store = builder.directory(Arc::new(directory.clone())).open_in_directory().await?;
        let mut session = store.session()?;
        let id = session.id();
        session.upsert("long", &[7; 10_000]).await?;
        session.upsert("short", b"value").await?;
        let token = store.checkpoint().await?.token;
        let inspection = look(&directory).await;
        assert_sound(&inspection);
        let checkpoint = &inspection.checkpoints[0];
        assert_eq!(checkpoint.token, token);
        assert_eq!((checkpoint.records.values, checkpoint.records.in_pieces), (1, 1));
        assert!(checkpoint.records.pieces > 2, "{inspection}");
        assert_eq!(checkpoint.sessions[&id].until, 2);
        assert_eq!(inspection.store.as_ref().expect("one").tables[0].key_width, None);
        drop(session);
        store.close().await
    })
}

/// Flips one byte of each file that a checkpoint needs. The inspection reports the file and the
/// place.
#[test]
fn a_flipped_byte_of_every_file_is_found() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = with_all_kinds_of_files(&directory).await?;
        store.close().await?;
        let sound = look(&directory).await;
        assert_sound(&sound);
        let kinds = ["log.", "index-", "part-", "delta-", "sessions-", "manifest", "manifest.copy"];
        for kind in kinds {
            file(&sound, kind);
        }
        let sessions = sound.checkpoints.iter().map(|checkpoint| checkpoint.sessions.len());
        assert!(sessions.eq([CROWD, CROWD + 3]), "{sound}");
        let flushed = sound.checkpoints.iter().map(|checkpoint| checkpoint.flushed).max();
        let log_end = flushed.map_or(0, |address| address / PAGE * PAGE + in_page(address));
        for file in &sound.files {
            // A part file begins in the middle of its first page of the log.
            let needed = match file.role {
                FileRole::Lock => continue,
                FileRole::LogSegment => 0..log_end,
                FileRole::Part(token) => in_page(part_start(&sound, token))..u64::MAX,
                _ => 0..u64::MAX,
            };
            let digits = file.name.rsplit('.').next().and_then(|digits| digits.parse::<u64>().ok());
            let base = digits.map_or(0, |number| number * SEGMENT);
            for step in 0..40 {
                let at = step * 1013 % file.bytes;
                if !needed.contains(&(base + at)) {
                    continue;
                }
                let contents = directory.read_file(&file.name).await.expect("there");
                let mut damaged = contents.clone();
                damaged[usize::try_from(at).expect("small")] ^= 1 << (step % 8);
                directory.write_file(&file.name, &damaged).await.expect("memory");
                let found = look(&directory).await;
                directory.write_file(&file.name, &contents).await.expect("memory");
                assert_names(&found, file.role, &file.name, at);
            }
        }
        assert_eq!(look(&directory).await, sound);
        Ok(())
    })
}

/// Returns the offset of an address's unit within its page on the device.
fn in_page(address: u64) -> u64 {
    (address % PAGE).div_ceil(UNIT_PAYLOAD) * UNIT
}

fn part_start(inspection: &Inspection, token: checkpoint::Token) -> u64 {
    let parts = inspection.checkpoints.iter().flat_map(|checkpoint| &checkpoint.parts);
    parts.filter(|(writer, _)| *writer == token).map(|(_, range)| range.start).min().expect("named")
}

fn assert_names(found: &Inspection, role: FileRole, file: &str, at: u64) {
    let [problem] = &found.problems[..] else {
        panic!("byte {at} of {file}: {found}");
    };
    assert_eq!(problem.file, file, "byte {at}: {found}");
    let unsound = found.checkpoints.iter().filter(|checkpoint| !checkpoint.is_sound).count();
    match role {
        FileRole::LogSegment | FileRole::Part(_) => {
            assert_eq!(problem.offset / UNIT, at / UNIT, "{found}");
            assert!(unsound > 0 && found.to_string().contains("DAMAGED"), "{found}");
        }
        FileRole::IndexImage(_) | FileRole::Delta(_) | FileRole::Sessions(_) => {
            assert!(problem.offset <= at && unsound > 0, "byte {at}: {found}");
        }
        FileRole::Manifest => {
            assert!(found.from_copy && unsound == 0, "{found}");
            assert_eq!(found.copy, ManifestCopy::Different);
        }
        FileRole::ManifestCopy => assert_eq!((found.copy, unsound), (ManifestCopy::Damaged, 0)),
        other => panic!("{file} is {other:?}, and {found}"),
    }
}

#[test]
fn a_missing_file_and_a_shortened_file_are_found() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        with_all_kinds_of_files(&directory).await?.close().await?;
        let sound = look(&directory).await;
        let has_next = |name: &str| sound.files.iter().any(|file| file.name == name);
        assert!(has_next("log.000001"), "{sound}");
        let starts =
            ["log.000000", "log.000001", "index-", "part-", "delta-", "sessions-", "manifest"];
        for start in starts {
            let name = file(&sound, start);
            let contents = directory.read_file(name).await.expect("there");
            directory.remove_file(name).await.expect("there");
            let found = look(&directory).await;
            let [problem] = &found.problems[..] else { panic!("without {name}: {found}") };
            assert_eq!((&*problem.file, problem.offset), (name, 0), "{found}");
            assert_eq!(problem.message, "the file is missing");

            let half = contents.len() / 1024 * 512;
            directory.write_file(name, &contents[..half]).await.expect("memory");
            let found = look(&directory).await;
            assert!(found.problems.iter().all(|problem| problem.file == name), "{name}: {found}");
            assert!(!found.problems.is_empty(), "{name}");
            directory.write_file(name, &contents).await.expect("memory");
        }
        assert_eq!(look(&directory).await, sound);
        Ok(())
    })
}

#[test]
fn a_directory_without_a_store_has_one_problem() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let empty = look(&directory).await;
        assert_eq!((&empty.store, empty.problems.len()), (&None, 1), "{empty}");
        directory.write_file("notes", b"not of a store").await.expect("memory");
        directory.write_file("log.000000", b"").await.expect("memory");
        let found = look(&directory).await;
        assert_eq!(found.problems[0].file, "manifest");
        let roles: Vec<FileRole> = found.files.iter().map(|file| file.role).collect();
        assert_eq!(roles, [FileRole::LogSegment, FileRole::Foreign]);

        // A store without a checkpoint needs only its manifest.
        let directory = MemoryDirectory::new();
        let store = open(&directory).await?;
        store.upsert(&1, &1).await?;
        let found = look(&directory).await;
        assert_sound(&found);
        assert!(found.checkpoints.is_empty() && found.store.is_some(), "{found}");
        store.close().await
    })
}

#[test]
fn debris_is_distinguished_from_needed_files() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = open(&directory).await?;
        store.upsert(&1, &1).await?;
        store.checkpoint().await?;
        for name in ["part-77.000000", "sessions-78.000000", "manifest.new"] {
            directory.write_file(name, b"left by a crash").await.expect("memory");
        }
        let found = look(&directory).await;
        assert_sound(&found);
        let debris = found.files.iter().filter(|file| file.role == FileRole::Debris);
        let debris: Vec<&str> = debris.map(|file| &*file.name).collect();
        assert_eq!(debris, ["manifest.new", "part-77.000000", "sessions-78.000000"]);
        store.close().await
    })
}

/// Returns the names, the lengths and the times of the last change of all files.
fn seen(path: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let entries = fs::read_dir(path).expect("it is there");
    let seen = entries.map(|entry| {
        let entry = entry.expect("it is there");
        let found = entry.metadata().expect("it is there");
        let name = entry.file_name().into_string().expect("ASCII");
        (name, (found.len(), found.modified().expect("this system has it")))
    });
    seen.collect()
}

#[test]
fn nothing_changes_on_disk() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let config = config().with_backend(Backend::Threads);
        let store: FasterKv<u64, u64> = FasterKv::open(place.path(), config).await?;
        for key in 0..5000 {
            store.upsert(&key, &key).await?;
        }
        store.checkpoint().snapshot().with_index().await?;
        store.upsert(&1, &2).await?;
        store.checkpoint().incremental().await?;
        for is_open in [true, false] {
            if !is_open {
                store.close().await?;
            }
            let before = seen(place.path());
            let directory = ReadOnlyDirectory::open(place.path()).expect("it is there");
            let inspection = inspect(Arc::new(directory)).await?;
            assert_sound(&inspection);
            assert_eq!(inspection.checkpoints.len(), 2);
            let lengths = inspection.files.iter().map(|file| (file.name.clone(), file.bytes));
            let expected = before.iter().map(|(name, (bytes, _))| (name.clone(), *bytes));
            assert!(lengths.eq(expected), "{inspection}");
            assert_eq!(seen(place.path()), before);
        }
        let path = place.path().to_owned();
        let directory = ReadOnlyDirectory::open(&path).expect("it is there");
        drop(place);
        // A directory is a descriptor: this one is empty now, regardless of the file at its path.
        let inspection = inspect(Arc::new(directory)).await?;
        assert!(inspection.files.is_empty() && !inspection.problems.is_empty(), "{inspection}");
        Ok(())
    })
}

/// A directory whose store takes checkpoints while its files are listed, `times` times.
#[derive(Debug)]
struct Busy {
    inner: MemoryDirectory,
    store: FasterKv<u64, u64>,
    times: AtomicUsize,
}

impl Directory for Busy {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        self.inner.open_device(name, options)
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async {
            let left = |times: usize| times.checked_sub(1);
            if self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
                // Two checkpoints are kept, so these replace both checkpoints that the manifest
                // named before.
                for _ in 0..2 {
                    self.store.upsert(&1, &1).await.expect("memory");
                    self.store.checkpoint().with_index().await.expect("memory");
                }
            }
            self.inner.list().await
        })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        self.inner.read_file(name)
    }

    fn write_file(&self, name: &str, _bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        panic!("writing {name}")
    }

    fn rename(&self, from: &str, _to: &str) -> BoxFuture<'_, io::Result<()>> {
        panic!("renaming {from}")
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        panic!("removing {name}")
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        panic!("there is nothing to sync")
    }

    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
        panic!("locking {name}")
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[test]
fn a_store_that_goes_on_is_looked_at_again() -> Result<()> {
    block_on(async {
        for times in 0..4 {
            let inner = MemoryDirectory::new();
            let store = open(&inner).await?;
            store.upsert(&1, &1).await?;
            store.checkpoint().with_index().await?;
            let busy = Busy { inner, store: store.clone(), times: AtomicUsize::new(times) };
            let found = inspect(Arc::new(busy)).await?;
            if times < 2 {
                assert_sound(&found);
            } else {
                // The inspection tries twice, and then reports the changes.
                assert!(found.has_changed && !found.problems.is_empty(), "{found}");
                assert!(found.to_string().contains("changed meanwhile"), "{found}");
            }
            store.close().await?;
        }
        Ok(())
    })
}

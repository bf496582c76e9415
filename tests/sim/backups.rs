//! Backups of a store that goes on, on disks that fail and lose power.
//!
//! A backup holds a prefix of each session that is no shorter than at its begin. The store may
//! write, compact and take checkpoints meanwhile, of which it keeps one. A directory in which a
//! backup has not ended is no store.

use std::cell::Cell;
use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kvick::config::{ByteSize, DurableBy};
use kvick::io::sim::Random;
use kvick::io::{BoxFuture, Device, DeviceOptions, Directory};
use kvick::runtime::Handle;
use kvick::{Config, ErrorKind, FasterKv, Result, backup, checkpoint};
use tests::journal::{ALL_KINDS, Journal, Record};
use tests::polling::AtMost;
use tests::simulated::{Site, World, seeds, two_pages};

use super::control::{Lie, lying};

const JOURNALS: u64 = 3;
const COPY: &str = "copy";

type Store = FasterKv<u64, u64>;

fn config(site: &Site) -> Config {
    site.small_config().with_checkpoint_on_close(false).with_keep_checkpoints(1)
}

/// A directory that takes long to open each file.
#[derive(Debug)]
struct Slow {
    inner: Arc<dyn Directory>,
    handle: Handle,
}

impl Directory for Slow {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.handle.sleep(Duration::from_millis(50)).await;
            self.inner.open_device(&name, options).await
        })
    }

    kvick::io::forward_directory!();
}

impl Slow {
    fn on(site: &Site, path: &str) -> Arc<Self> {
        Arc::new(Self { inner: site.disk.directory(path), handle: site.handle.clone() })
    }
}

fn backup<'s>(site: &Site, store: &'s Store) -> backup::Request<'s> {
    store.backup_to_directory(site.disk.directory(COPY))
}

async fn open_copy(site: &Site) -> Result<Store> {
    let config = config(site).with_page_size(None);
    FasterKv::builder(config)
        .runtime(site.handle.clone())
        .directory(site.disk.directory(COPY))
        .seed(site.seed)
        .open_in_directory()
        .await
}

/// Lets all journals work until `is_over`, while checkpoints and compaction go on.
async fn work(store: &Store, journals: &mut [Journal], random: &mut Random, is_over: &Cell<bool>) {
    while !is_over.get() {
        for journal in &mut *journals {
            for _ in 0..random.below(30) {
                journal.step().await.expect("a sound disk");
            }
        }
        match random.below(4) {
            0 => {
                let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                store.checkpoint().kind(kind).await.expect("a sound disk");
            }
            1 => drop(store.compact().await.expect("a sound disk")),
            2 => store.flush_and_evict().await.expect("a sound disk"),
            _ => {}
        }
    }
}

fn lengths(journals: &[Journal]) -> Vec<u64> {
    journals.iter().map(|journal| journal.session().serial()).collect()
}

/// Checks that the copy holds a prefix of each session, of at least these lengths.
async fn check(store: &Store, records: &[Record], least: &[u64]) {
    for (record, least) in records.iter().zip(least) {
        let until = record.check(store).await;
        assert!(until >= *least, "{until} of at least {least}");
    }
}

/// The log is compacted, and several checkpoints replace each other, while the backup waits for
/// files to be opened. The write-ahead log keeps what the backup lacks.
#[test]
fn what_is_pinned_stays_until_it_is_copied() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let config = two_pages()
                .with_segment_size(ByteSize::kib(8))
                .with_checkpoint_on_close(false)
                .with_durability(DurableBy::Wal)
                .with_wal_memory(ByteSize::kib(256))
                .with_keep_checkpoints(1);
            let builder = FasterKv::<u64, u64>::builder(config).runtime(site.handle.clone());
            let builder = builder.wal_directory(site.disk.directory("wal"));
            let store = builder.directory(Slow::on(&site, "db")).seed(seed).open_in_directory();
            let store = store.await.expect("a sound disk");
            let (mut random, mut journals) =
                (site.random(7), Journal::several(&store, &site, JOURNALS));
            for _ in 0..300 {
                for journal in &mut journals {
                    journal.step().await.expect("a sound disk");
                }
            }
            let (is_over, least) = (Cell::new(false), lengths(&journals));
            let copying = async {
                let request = store.backup_to_directory(Slow::on(&site, COPY));
                let backup = request.await.expect("a sound disk");
                drop(store.changes(&backup).expect("no change after it has gone"));
                is_over.set(true);
            };
            let working = work(&store, &mut journals, &mut random, &is_over);
            futures::join!(copying, working);
            let newest = store.checkpoints().last().expect("kept").token;
            let records: Vec<Record> = journals.into_iter().map(Journal::end).collect();
            let copy = open_copy(&site).await.expect("a backup opens");
            check(&copy, &records, &least).await;
            let chosen = copy.recovery().and_then(|report| report.chosen).expect("it has one");
            assert!(chosen < newest, "the store has replaced {chosen} meanwhile");
            copy.close().await.expect("closes");
            store.close().await.expect("closes");
        });
    });
}

/// Compaction makes no space while a backup pins the files of the log. It took round after round,
/// each with a checkpoint, and a cache dropped all that it had.
#[test]
fn compaction_rests_while_the_log_is_pinned() {
    for is_cache in [false, true] {
        let world = World::new(5);
        let site = world.site.clone();
        world.simulation.run(async {
            let config = if is_cache { Config::cache() } else { two_pages() };
            let config = config
                .with_memory(ByteSize::kib(64))
                .with_page_size(ByteSize::kib(4))
                .with_segment_size(ByteSize::kib(8))
                .with_huge_pages(false)
                .with_disk(ByteSize::kib(512))
                .with_checkpoint_on_close(false);
            let store = site.open::<u64, u64>(config).await;
            for key in 0..8000 {
                store.upsert(&key, &key).await.expect("there is room");
            }
            store.flush_and_evict().await.expect("a sound disk");
            let (is_over, slow) = (Cell::new(false), Slow::on(&site, COPY));
            let copying = async {
                store.backup_to_directory(slow).await.expect("a sound disk");
                is_over.set(true);
            };
            let writing = async {
                let mut key = 0_u64;
                while !is_over.get() {
                    // A full budget refuses writers while the backup lasts.
                    drop(store.upsert(&(key % 8000), &key).await);
                    key += 1;
                    site.handle.sleep(Duration::from_micros(10)).await;
                }
            };
            let before = store.stats().space.rounds;
            futures::join!(copying, writing);
            let space = store.stats().space;
            assert!(space.rounds - before <= 4, "{} before: {space:?}", before);
            // Afterwards writers have room again.
            for key in 0..8000 {
                store.upsert(&key, &key).await.expect("there is room");
            }
            store.close().await.expect("closes");
        });
    }
}

#[test]
fn a_backup_has_a_prefix_of_each_session() {
    seeds(60, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let (records, least) = world.simulation.run(async {
            let store = site.open::<u64, u64>(config(&site)).await;
            let (mut random, mut journals) =
                (site.random(7), Journal::several(&store, &site, JOURNALS));
            for _ in 0..random.below(600) {
                for journal in &mut journals {
                    journal.step().await.expect("a sound disk");
                }
            }
            let (is_over, least) = (Cell::new(false), lengths(&journals));
            let copying = async {
                let taken = backup(&site, &store).await.expect("a sound disk");
                is_over.set(true);
                taken
            };
            let working = work(&store, &mut journals, &mut random, &is_over);
            let (taken, ()) = futures::join!(copying, working);
            assert!(taken.bytes > 0 && taken.took > Duration::ZERO, "{taken:?}");
            (journals.into_iter().map(Journal::end).collect::<Vec<_>>(), least)
        });
        // The backup is durable.
        let world = World::on(seed, world.site.disk.crash(seed));
        let site = world.site.clone();
        world.simulation.run(async {
            let inspection = kvick::inspect(site.disk.directory(COPY)).await.expect("listed");
            assert!(inspection.problems.is_empty(), "{inspection}");
            let copy = open_copy(&site).await.expect("a backup opens");
            check(&copy, &records, &least).await;
            copy.upsert(&1, &1).await.expect("a store like any other");
            copy.close().await.expect("closes");
            // The store itself is as it was.
            let store = site.open::<u64, u64>(config(&site)).await;
            check(&store, &records, &least).await;
            store.close().await.expect("closes");
        });
    });
}

/// Power is cut after each number of polls. Either there is no backup, or all of it. The next one
/// to the same directory succeeds.
#[test]
fn power_may_be_cut_at_every_step() {
    seeds(4, |seed| {
        let mut is_done = false;
        for polls in 0.. {
            if is_done {
                break;
            }
            let world = World::new(seed);
            let site = world.site.clone();
            let (records, least, ended) = world.simulation.run(async {
                let store = site.open::<u64, u64>(config(&site)).await;
                let mut journals = Journal::several(&store, &site, JOURNALS);
                for _ in 0..200 {
                    for journal in &mut journals {
                        journal.step().await.expect("a sound disk");
                    }
                }
                store.checkpoint().await.expect("a sound disk");
                let least = lengths(&journals);
                let copying = AtMost::new(polls, backup(&site, &store).into_future()).await;
                let records: Vec<Record> = journals.into_iter().map(Journal::end).collect();
                (records, least, copying.is_some_and(|taken| taken.is_ok()))
            });
            is_done = ended;
            let world = World::on(seed, world.site.disk.crash(seed ^ u64::from(polls)));
            let site = world.site.clone();
            world.simulation.run(async {
                let has_manifest = site
                    .disk
                    .files()
                    .iter()
                    .any(|(name, _)| name.starts_with(COPY) && name.ends_with("manifest"));
                assert!(has_manifest || !ended, "a backup that was reported is there");
                let store = site.open::<u64, u64>(config(&site)).await;
                check(&store, &records, &least).await;
                if has_manifest {
                    let copy = open_copy(&site).await.expect("complete");
                    check(&copy, &records, &least).await;
                    copy.close().await.expect("closes");
                } else {
                    refuses_unfinished(&site).await;
                    backup(&site, &store).await.expect("it begins anew");
                    let copy = open_copy(&site).await.expect("complete");
                    check(&copy, &records, &least).await;
                    copy.close().await.expect("closes");
                }
                store.close().await.expect("closes");
            });
        }
    });
}

/// No store opens where a backup is unfinished, unless nothing of it is there.
async fn refuses_unfinished(site: &Site) {
    let names = site.disk.directory(COPY).list().await.expect("a sound disk");
    if names.iter().any(|name| name.starts_with("backup")) {
        let error = open_copy(site).await.expect_err("it has no manifest");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    } else {
        assert!(names.iter().all(|name| name == "lock"), "{names:?}");
    }
}

/// Files of a checkpoint that only a backup needs go with the backup, whether it ends or is
/// dropped.
#[test]
fn a_backup_that_is_over_pins_nothing() {
    seeds(3, |seed| {
        for polls in [1, 3, 8, 20, 1000] {
            let world = World::new(seed);
            let site = world.site.clone();
            world.simulation.run(async {
                let store = site.open::<u64, u64>(config(&site)).await;
                for round in 0..3 {
                    for key in 0..2000 {
                        store.upsert(&key, &round).await.expect("a sound disk");
                    }
                }
                let copying = backup(&site, &store).into_future();
                drop(AtMost::new(polls, copying).await);
                store.compact().await.expect("a sound disk");
                store.checkpoint().fold_over().await.expect("a sound disk");
                let last = store.checkpoint().fold_over().await.expect("a sound disk").token;
                let space = store.stats().space;
                assert_eq!(space.pinned_bytes, 0, "{space:?}");
                let needed = store.files_of(last).await.expect("kept");
                let needed: Vec<&str> = needed.iter().map(|file| &*file.name).collect();
                for name in site.disk.directory("db").list().await.expect("a sound disk") {
                    let is_beside = ["part-", "delta-", "sessions-"];
                    if is_beside.iter().any(|kind| name.starts_with(kind)) {
                        assert!(needed.contains(&&*name), "{name} is not of {needed:?}");
                    }
                }
                store.close().await.expect("closes");
            });
        }
    });
}

/// Any operation of the disk may fail. A backup that fails leaves no manifest, and the store goes
/// on, unless a failed sync of its own has poisoned it. It can still be copied then.
#[test]
fn a_fault_ends_the_backup_or_nothing() {
    seeds(60, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let store = site.open::<u64, u64>(config(&site)).await;
            for key in 0..1000 {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            let kept = store.checkpoint().await.expect("a sound disk").token;
            let mut random = site.random(9);
            let at = site.disk.operations() + 1 + random.below(60);
            site.disk.fail_at(at, io::ErrorKind::Other);
            let taken = backup(&site, &store).await;
            site.disk.heal();
            if let Err(error) = &taken {
                let names = site.disk.directory(COPY).list().await.expect("a sound disk");
                assert!(!names.iter().any(|name| name == "manifest"), "{names:?}: {error}");
            }
            let is_poisoned = store.health().cause.is_some();
            if taken.is_err() {
                let of = backup(&site, &store).of(is_poisoned.then_some(kept));
                of.await.expect("a sound disk");
            }
            let copy = open_copy(&site).await.expect("complete");
            for key in 0..1000 {
                assert_eq!(copy.read(&key).await.expect("sound"), Some(key));
            }
            copy.close().await.expect("closes");
        });
    });
}

async fn one_checkpoint(site: &Site) -> (Store, checkpoint::Token) {
    let store = site.open::<u64, u64>(two_pages().with_checkpoint_on_close(false)).await;
    for key in 0..2000 {
        store.upsert(&key, &key).await.expect("a sound disk");
    }
    let kept = store.checkpoint().fold_over().await.expect("a sound disk").token;
    (store, kept)
}

/// The disk has what was written, and does not give it now: no file needs to be restored.
#[test]
fn a_read_that_fails_is_no_damage() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let (store, kept) = one_checkpoint(&site).await;
        site.disk.fail_reads(Some(io::ErrorKind::Other));
        let error = backup(&site, &store).of(kept).await.expect_err("reads fail");
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        site.disk.heal();
        backup(&site, &store).of(kept).await.expect("a sound disk");
        store.close().await.expect("closes");
    });
}

/// What is synced is trusted, unless the copy is to be read back.
#[test]
fn a_target_that_loses_bytes_is_found_by_reading_back() {
    for lie in [Lie::WritesNothing, Lie::WritesElsewhere] {
        let world = World::new(2);
        let site = world.site.clone();
        world.simulation.run(async {
            let (store, kept) = one_checkpoint(&site).await;
            let target = |name| lying(site.disk.directory(name), lie);
            let taken = store.backup_to_directory(target("trusted")).of(kept).await;
            assert!(taken.is_ok(), "{taken:?}");
            let request = store.backup_to_directory(target(COPY)).of(kept).read_back(true);
            let error = request.await.expect_err("the bytes are not there");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{lie:?}: {error}");
            let sound = store.backup_to_directory(site.disk.directory("sound"));
            sound.of(kept).read_back(true).await.expect("a sound disk");
            store.close().await.expect("closes");
        });
    }
}

/// A file of the log that has rotted is found on its way, and the copy is given up.
#[test]
fn damage_is_not_passed_on() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let (store, kept) = one_checkpoint(&site).await;
            let needed = store.files_of(kept).await.expect("kept");
            let log = needed.iter().find(|file| file.name.starts_with("log")).expect("a file");
            let offset = site.random(5).below(log.bytes);
            site.disk.corrupt(&format!("db/{}", log.name), offset, 1);
            let error = backup(&site, &store).of(kept).await.expect_err("it rots");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(&log.name), "{error}");
            let names = site.disk.directory(COPY).list().await.expect("a sound disk");
            assert_eq!(names, ["lock"], "{error}");
        });
    });
}

//! Opening a store while one of its file operations fails, the caller drops it, or the power fails.
//! Opening returns an error or a store, and its remains do not stop the next attempt.

use std::io;
use std::time::Duration;

use futures::TryStreamExt;
use kvick::io::sim::{SimDisk, SimOptions, Survival};
use kvick::stats::Condition;
use kvick::{ErrorKind, FasterKv, Result, log};
use tests::files::Files;
use tests::polling::AtMost;
use tests::simulated::{Site, World, four_log_pages, seeds, two_pages};

/// A number of operations, or polls, that exceeds those of an opening.
const ATTEMPTS: u32 = 60;

/// Opens the store again on the same disk, which is now sound.
async fn open_again(site: &Site) -> Result<FasterKv<u64, u64>> {
    // A dropped store ends in the background, and frees its directory then.
    site.handle.sleep(Duration::from_secs(1)).await;
    site.try_open(two_pages()).await
}

/// Checks that a store can be opened in the directory and used.
async fn assert_usable(site: &Site, what: &str) {
    let store = open_again(site).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    store.upsert(&1, &10).await.expect("a sound disk");
    assert_eq!(store.read(&1).await.expect("a sound disk"), Some(10));
    store.close().await.expect("closes");
}

#[test]
fn any_operation_may_fail() {
    seeds(3, |seed| {
        for number in 0..ATTEMPTS {
            let world = World::new(seed);
            let site = world.site.clone();
            let opened = world.simulation.run(async {
                site.disk.fail_at(number.into(), io::ErrorKind::PermissionDenied);
                let opened = site.try_open::<u64, u64>(two_pages()).await;
                site.disk.heal();
                let opened = match opened {
                    Ok(store) => {
                        store.close().await.expect("closes");
                        true
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                        false
                    }
                };
                assert_usable(&site, &format!("a failure of operation {number}")).await;
                opened
            });
            if opened {
                return;
            }
        }
        panic!("never opened");
    });
}

/// The test above, with failures that certainly published nothing. A store that was not created
/// leaves no file except the lock.
#[test]
fn a_creation_for_which_there_is_no_space_leaves_nothing() {
    let mut refused = 0;
    for number in 0..ATTEMPTS {
        let world = World::new(1);
        let site = world.site.clone();
        let files = world.simulation.run(async {
            site.disk.fail_at(number.into(), io::ErrorKind::StorageFull);
            let opened = site.try_open::<u64, u64>(two_pages()).await;
            site.disk.heal();
            let is_open = opened.is_ok();
            drop(opened);
            let files = site.disk.directory("db").list().await.expect("a sound disk");
            (!is_open).then_some(files)
        });
        let Some(files) = files else { continue };
        refused += 1;
        let is_published = files.iter().any(|file| file == "manifest");
        let is_left = files.iter().any(|file| file != "lock");
        // A rename that reports a failure may have taken place.
        let is_unknown = files.iter().any(|file| file == "manifest.new");
        assert!(is_published || is_unknown || !is_left, "operation {number} left {files:?}");
    }
    assert!(refused > 2, "{refused} attempts failed");
}

#[test]
fn opening_may_be_given_up() {
    seeds(3, |seed| {
        for polls in 1..ATTEMPTS {
            let world = World::new(seed);
            let site = world.site.clone();
            let opened = world.simulation.run(async {
                let opening = site.try_open::<u64, u64>(two_pages());
                let opened = AtMost::new(polls, opening).await;
                let opened = opened.map(|opened| opened.expect("a sound disk"));
                let is_open = opened.is_some();
                drop(opened);
                assert_usable(&site, &format!("giving up after {polls} polls")).await;
                is_open
            });
            if opened {
                return;
            }
        }
        panic!("never opened");
    });
}

#[test]
fn the_power_may_fail() {
    seeds(30, |seed| {
        for polls in 1..ATTEMPTS {
            let world = World::new(seed);
            let site = world.site.clone();
            let (image, opened) = world.simulation.run(async {
                let opening = site.try_open::<u64, u64>(two_pages());
                let opened = AtMost::new(polls, opening).await;
                (site.disk.crash(seed + u64::from(polls)), opened.is_some())
            });
            restart(seed, image, polls);
            if opened {
                return;
            }
        }
        panic!("never opened");
    });
}

/// Opens the store in another process, on the files that the power failure left.
fn restart(seed: u64, image: SimDisk, polls: u32) {
    let world = World::on(seed, image);
    let site = world.site.clone();
    world.simulation.run(async {
        assert_usable(&site, &format!("a power failure after {polls} polls")).await;
    });
}

/// A store that no task uses takes no steps.
#[test]
fn an_idle_store_takes_no_steps() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let store = world.simulation.run(async move {
            let store = site.open::<u64, u64>(site.small_config()).await;
            for key in 0..1000 {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            store.flush().await.expect("a sound disk");
            site.handle.sleep(Duration::from_secs(1)).await;
            store
        });
        let before = world.simulation.steps();
        let handle = world.site.handle.clone();
        let hour = async move { handle.sleep(Duration::from_secs(3600)).await };
        world.simulation.run(hour);
        let steps = world.simulation.steps() - before;
        assert!(steps < 5, "{steps} steps in an hour");
        world.simulation.run(async { store.close().await }).expect("closes");
    });
}

/// A log in units of 512 bytes moved to a disk with blocks of 4 KiB. Only opening refused it: a
/// check and a repair failed at some read in the middle.
#[test]
fn larger_blocks_than_units_are_said_before_anything_is_read() {
    let small = World::new(1);
    let site = small.site.clone();
    let moved = small.simulation.run(async {
        site.open::<u64, u64>(two_pages()).await.close().await.expect("closes");
        let log = site.open_log(four_log_pages()).await;
        log.append_durable(b"one").await.expect("durable");
        log.close().await.expect("closes");
        let store = Files::of(&*site.disk.directory("db")).await;
        [store, Files::of(&*site.disk.directory("log")).await]
    });
    let large = World::with(1, SimOptions { block: 4096, ..SimOptions::default() });
    let site = large.site.clone();
    large.simulation.run(async {
        for (files, path) in moved.iter().zip(["db", "log"]) {
            for (name, bytes) in files.0.iter().filter(|(name, _)| *name != "lock") {
                let directory = site.disk.directory(path);
                directory.write_file(name, bytes).await.expect("written");
            }
        }
        let log = || site.disk.directory("log");
        let errors = [
            site.try_open::<u64, u64>(two_pages()).await.map(drop).expect_err("a store"),
            site.try_open_log(four_log_pages()).await.map(drop).expect_err("a log"),
            log::Follower::open_in(log(), site.handle.clone())
                .await
                .map(drop)
                .expect_err("followed"),
            log::check(log()).await.expect_err("checked"),
            log::repair(log()).await.expect_err("repaired"),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("open it without direct I/O"), "{error}");
        }
    });
}

/// A store or log that was not closed cannot open on a read-only file system, since opening
/// truncates its tail. The error was the one of the system: it gave neither the reason nor a
/// remedy.
#[test]
fn an_unclosed_store_explains_itself_on_a_read_only_disk() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(four_log_pages()).await;
            log.append_durable(b"one").await.expect("durable");
            for _ in 0..12 {
                log.append(&[1; 4000]).await.expect("appended");
            }
            let store = site.open::<u64, u64>(two_pages()).await;
            store.upsert(&1, &1).await.expect("a sound disk");
            store.checkpoint().await.expect("a sound disk");
            store.upsert(&2, &1).await.expect("a sound disk");
            store.flush().await.expect("a sound disk");
        });
        let after = World::on(seed, site.disk.crash_with(seed, Survival::EVERYTHING));
        let site = after.site.clone();
        after.simulation.run(async {
            site.disk.set_read_only(true);
            let errors = [
                site.try_open::<u64, u64>(two_pages()).await.map(drop).expect_err("a store"),
                site.try_open_log(four_log_pages()).await.map(drop).expect_err("a log"),
            ];
            for error in errors {
                assert!(error.to_string().contains("open it where it can be written"), "{error}");
            }
            let checked = log::check(site.disk.directory("log")).await.expect("can be read");
            assert_eq!(checked.entries, 1);
        });
    });
}

/// A closed store or log opened on a read-only file system and reported no restriction. It took
/// writes, and the first checkpoint or commit poisoned it: "close it and open it again".
#[test]
fn a_closed_store_can_be_read_on_a_read_only_disk() {
    seeds(5, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(four_log_pages()).await;
            log.append(b"one").await.expect("a sound disk");
            log.close().await.expect("a sound disk");
            let store = site.open::<u64, u64>(two_pages()).await;
            for key in 0..2_000 {
                store.upsert(&key, &key).await.expect("a sound disk");
            }
            store.close().await.expect("a sound disk");
            site.disk.set_read_only(true);
            let store = site.open::<u64, u64>(two_pages()).await;
            let log = site.open_log(four_log_pages()).await;
            for key in 0..2_000 {
                assert_eq!(store.read(&key).await.expect("it can be read"), Some(key));
            }
            let entries: Vec<_> = log.scan(..).try_collect().await.expect("it can be read");
            assert_eq!(entries.len(), 1);
            let health = [store.health(), log.health()];
            assert!(health.iter().all(|health| health.condition == Condition::ReadOnly));
            let mut session = store.session().expect("it can be read");
            let refused = [
                store.upsert(&1, &2).await.expect_err("an upsert"),
                store.rmw(&1, |old| old.unwrap_or(0)).await.expect_err("an rmw"),
                session.delete(&1).await.expect_err("a delete"),
                store.checkpoint().await.map(drop).expect_err("a checkpoint"),
                store.flush().await.expect_err("a flush"),
                log.append(b"two").await.map(drop).expect_err("an append"),
                log.commit().await.map(drop).expect_err("a commit"),
                log.truncate_until(log.tail_address()).await.expect_err("a truncation"),
            ];
            for error in refused {
                assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
                assert!(error.to_string().contains("mount it for writing"), "{error}");
            }
            drop(session);
            store.close().await.expect("nothing to write");
            log.close().await.expect("nothing to write");
            site.disk.set_read_only(false);
            let store = site.open::<u64, u64>(two_pages()).await;
            store.upsert(&1, &2).await.expect("it can be written again");
            store.close().await.expect("a sound disk");
        });
    });
}

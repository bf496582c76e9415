//! A full disk under a log: waiting tasks get an error, readers continue, and all tasks work when
//! there is space again.

use std::time::Duration;

use futures::{SinkExt, TryStreamExt};
use kvick::{ErrorKind, FasterLog};
use tests::simulated::{Site, World, four_log_pages, seeds};

use crate::log_allowed_errors::AllowedErrors;
use crate::log_work::{Ending, Job};

#[test]
fn a_full_disk_stops_a_log_until_there_is_space() {
    let full = std::cell::Cell::new(0);
    seeds(300, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        full.set(
            full.get()
                + world.simulation.run(async {
                    let log = site.open_log(site.small_log_config()).await;
                    let allowed_errors = AllowedErrors::faulty();
                    let job = Job::new(site.clone(), log.clone(), allowed_errors.clone());
                    let space = 2048 + site.random(5).below(40_000);
                    site.disk.set_capacity(Some(space));
                    job.work(Ending::Open, false).await;
                    assert_eq!(allowed_errors.cause(), None, "a full disk poisons nothing");
                    site.disk.set_capacity(None);
                    let (begun, end) = (site.handle.now(), log.tail_address());
                    let commit = loop {
                        match log.commit().await {
                            Ok(commit) => break commit,
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}")
                            }
                        }
                        let waited = site.handle.now() - begun;
                        assert!(waited < Duration::from_secs(2), "still full after {waited:?}");
                        site.handle.sleep(Duration::from_millis(50)).await;
                    };
                    // All appended entries are durable, including those that met the full disk.
                    assert!(commit.until >= end);
                    let again = job.again(AllowedErrors::default());
                    again.work(Ending::Closed, false).await;
                    let (ledger, known) = (job.ledger.lock().clone(), job.known.lock().clone());
                    let log = site.open_log(site.small_log_config()).await;
                    ledger.verify(&log, &known).await;
                    log.close().await.expect("a sound disk");
                    allowed_errors.full()
                }),
        );
    });
    println!("{} errors for a full disk", full.get());
    assert!(full.get() > 0, "there was always space");
}

/// A log filled its disk, and every truncation returned `Ok` and freed nothing. The record of a
/// commit and the manifest needed a block first, also after a restart. The test uses the log as a
/// ring, on a disk with space for a few of its files.
#[test]
fn a_truncation_frees_space_on_a_full_disk() {
    let freed = std::cell::Cell::new([0_u64; 3]);
    seeds(60, |seed| {
        let mut ring = Ring { written: 0, committed: 0, begin: 0 };
        let mut disk = None;
        for life in 0..5_u64 {
            let world = match disk.take() {
                Some(disk) => World::on(seed + life, disk),
                None => World::new(seed),
            };
            let site = world.site.clone();
            if life == 0 {
                site.disk.set_capacity(Some(70_000 + site.random(7).below(60_000)));
            }
            let how = usize::try_from(site.random(8).below(3)).expect("small");
            let times = world.simulation.run(async {
                let log = site.open_log(four_log_pages()).await;
                ring.check(&log).await;
                let times = ring.fill(&site, &log).await;
                match how {
                    0 => ring.close(&log).await,
                    // The log ends as in a crash, and releases the directory.
                    1 => drop(log),
                    _ => std::mem::forget(log),
                }
                times
            });
            let mut count = freed.get();
            count[how] += times;
            freed.set(count);
            let next = seed * 10 + life;
            disk = Some(site.disk.crash(next));
        }
    });
    println!("{:?} truncations of full disks", freed.get());
    assert!(freed.get().iter().all(|count| *count > 100), "the disk was never full");
}

/// A log whose entries are their numbers, in order.
struct Ring {
    written: u64,
    /// The number of acknowledged entries.
    committed: u64,
    /// The number of entries that were certainly truncated.
    begin: u64,
}

impl Ring {
    /// Appends for a while, and truncates the committed entries when there is no space. Returns the
    /// number of truncations.
    async fn fill(&mut self, site: &Site, log: &FasterLog) -> u64 {
        let (mut random, mut truncations) = (site.random(9), 0);
        let target = self.written + 400;
        let begun = site.handle.now();
        while self.written < target {
            assert!(site.handle.now() - begun < Duration::from_secs(100), "the disk stays full");
            let mut entry = vec![7; usize::try_from(200 + random.below(1500)).expect("small")];
            entry[..8].copy_from_slice(&self.written.to_le_bytes());
            let done = match log.append(&entry).await {
                Ok(_) => {
                    self.written += 1;
                    let written = self.written;
                    let is_asked = random.chance(0.1) || written > self.committed + 10;
                    let commit = if is_asked { log.commit().await.map(Some) } else { Ok(None) };
                    commit.map(|commit| {
                        if commit.is_some() {
                            self.committed = self.committed.max(written);
                        }
                    })
                }
                Err(error) => Err(error),
            };
            let Err(error) = done else { continue };
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            truncations += 1;
            log.truncate_until(log.committed_until()).await.expect("needs no space");
            drop(log.commit().start().expect("made when there is space"));
            site.handle.sleep(Duration::from_millis(20)).await;
        }
        truncations
    }

    /// Checks that all acknowledged entries are there in order, except truncated ones.
    async fn check(&mut self, log: &FasterLog) {
        let number = |entry: kvick::log::Entry| {
            u64::from_le_bytes(entry.payload[..8].try_into().expect("8 bytes"))
        };
        let numbers = log.scan(..).map_ok(number).try_collect::<Vec<_>>().await.expect("sound");
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
            assert!(*first >= self.begin && *last + 1 >= self.committed, "{numbers:?}");
            self.begin = *first;
            self.written = last + 1;
        } else {
            self.written = self.committed.max(self.written);
        }
        self.committed = self.written;
    }

    async fn close(&mut self, log: &FasterLog) {
        if let Err(error) = log.close().await {
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        } else {
            self.committed = self.written;
        }
    }
}

/// A sink forgot that its flush had failed for lack of space. The next flush returned at once, and
/// a crash lost the entry that it had acknowledged.
#[test]
fn a_flush_that_failed_is_done_again() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(four_log_pages()).await;
            log.append_durable(b"first").await.expect("a sound disk");
            let mut sink = log.sink();
            site.disk.set_capacity(Some(site.disk.bytes_used()));
            // More than the page has left: the rest of it is prepared.
            for _ in 0..6 {
                sink.feed(vec![9; 700].into()).await.expect("memory has room");
            }
            for _ in 0..2 {
                let error = sink.flush().await.expect_err("the disk is full");
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            }
            let error = sink.close().await.expect_err("the disk is full");
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            site.disk.set_capacity(None);
            site.handle.sleep(Duration::from_secs(5)).await;
            sink.flush().await.expect("there is space");
            assert_eq!(log.committed_until(), log.tail_address());
            drop(sink);
            log.close().await.expect("closes");
        });
    });
}

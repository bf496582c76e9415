//! Power cuts at any I/O of logs at work, also during recovery and in the life after it. Every
//! acknowledged entry is recovered, in order and without gaps, and no truncated entry returns.
//!
//! `IMAGES=1000000` sets the number of verified images in all tests together. `SEED` replays one
//! history with all its images.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kvick::io::sim::{Random, SimDisk, SimOptions};
use kvick::runtime::Simulation;
use kvick::{ErrorKind, FasterLog, log};
use tests::crash::{Image, Shared, Snapshots, next_life};
use tests::log_model::{LogAcknowledged, LogLedger};
use tests::simulated::{Site, seeds_until};

use crate::log_allowed_errors::AllowedErrors;
use crate::log_work::{Ending, Job};

/// The number of images of each of the three tests.
const IMAGES: u64 = 20_000;

#[test]
fn logs_of_small_units() {
    crashes(512, None);
}

/// Disks of 512-byte sectors in physical blocks of 4 KiB tear at the block. A durable commit was
/// lost with the sectors of the next one, which the log was writing beside it.
#[test]
fn logs_of_small_units_in_large_physical_blocks() {
    crashes(512, Some(4096));
}

#[test]
fn logs_of_large_units() {
    crashes(4096, None);
}

fn crashes(block: u32, physical_block: Option<u32>) {
    let wanted = std::env::var("IMAGES")
        .map_or(IMAGES, |images| images.parse::<u64>().expect("IMAGES is a number").div_ceil(3));
    let verified = AtomicU64::new(0);
    let is_enough = |_seed| verified.load(Ordering::Relaxed) >= wanted;
    seeds_until(is_enough, |seed| {
        let options = SimOptions { block, physical_block, ..SimOptions::default() };
        verified.fetch_add(history(seed, options), Ordering::Relaxed);
    });
    println!("{} crash images verified", verified.load(Ordering::Relaxed));
}

/// The negative control: these checks must fail on a disk that syncs nothing and reports success.
#[test]
fn a_disk_that_ignores_syncs_is_caught() {
    let lying = SimOptions { ignore_syncs: true, ..SimOptions::default() };
    let caught = (0..10).filter(|seed| {
        let history = || history(*seed, lying.clone());
        catch_unwind(AssertUnwindSafe(history)).is_err()
    });
    assert_eq!(caught.count(), 10);
}

/// Runs one history and verifies all its images. Returns their number.
fn history(seed: u64, options: SimOptions) -> u64 {
    let mut random = Random::new(seed ^ 0x1095);
    let options = SimOptions {
        latency: Duration::from_micros(1)..=Duration::from_micros([20, 200, 2000][random.index(3)]),
        write_once: vec!["log.".to_owned()],
        ..options
    };
    let disk = SimDisk::new(seed, options);
    let run = Run {
        seed,
        disk,
        known: LogAcknowledged::default(),
        ledger: LogLedger::default(),
        depth: 0,
    };
    run.explore(&mut random)
}

/// One life of a log, and the state in which it begins.
struct Run {
    seed: u64,
    disk: SimDisk,
    known: LogAcknowledged,
    ledger: LogLedger,
    depth: u32,
}

impl Run {
    /// Opens and verifies the log, perhaps works on it, and explores the images taken meanwhile.
    /// Returns the number of verified images.
    fn explore(self, random: &mut Random) -> u64 {
        let (works, chance) = next_life(self.depth, random);
        let known = Shared::new(self.known.clone());
        let snapshots = Snapshots::new(self.disk.clone(), known.clone(), chance, random.fork());
        let snapshots = Arc::new(snapshots);
        let simulation = Simulation::new(self.seed);
        simulation.add_source(snapshots.clone());
        let life =
            self.seed.wrapping_add(u64::from(self.depth) << 32).wrapping_add(random.below(99));
        let site = Site { handle: simulation.handle(), disk: self.disk.clone(), seed: life };
        let mut lives = vec![Shared::new(self.ledger.clone())];
        simulation.run(async {
            let config = Site { seed: self.seed, ..site.clone() }.small_log_config();
            let mut rounds = match (works, self.depth) {
                (false, _) => 0,
                (true, 0) => 1 + random.below(3),
                (true, _) => 1,
            };
            loop {
                let log = open(&site, &config).await;
                let ledger = lives.last().expect("one").lock().clone();
                let before = known.lock().clone();
                let (kept, kept_known) = ledger.verify(&log, &before).await;
                if rounds == 0 || kept.is_completed() {
                    break;
                }
                rounds -= 1;
                // From here on no entry of an earlier life may be missing.
                let ledger = Shared::new(kept);
                lives.push(ledger.clone());
                *known.lock() = kept_known;
                let ending = match rounds {
                    0 => [Ending::Open, Ending::Closed][random.index(2)],
                    _ => [Ending::Dropped, Ending::Closed][random.index(2)],
                };
                // Another seed makes the writers write other entries.
                let site = Site { seed: life.wrapping_add(1000 * rounds), ..site.clone() };
                let job = Job::new(site, log, AllowedErrors::default());
                let job = Job { ledger, known: known.clone(), ..job };
                job.work(ending, random.chance(0.1)).await;
                if ending == Ending::Open {
                    break;
                }
            }
        });
        drop(simulation);
        let mut verified = u64::from(self.depth > 0);
        for Image { disk, acknowledged } in snapshots.take() {
            let life = usize::try_from(acknowledged.life - self.known.life).expect("few");
            let ledger = lives[life].lock().clone();
            let depth = self.depth + 1;
            let run = Self { seed: self.seed, disk, known: acknowledged, ledger, depth };
            verified += run.explore(random);
        }
        verified
    }
}

/// Opens a log as soon as the log before has released the directory.
async fn open(site: &Site, config: &log::Config) -> FasterLog {
    loop {
        match site.try_open_log(config.clone()).await {
            Ok(log) => return log,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InUse, "{error}"),
        }
    }
}

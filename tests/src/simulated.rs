//! A store on the simulated executor and disk, under a seed.
//!
//! `SEED=7` replays one run, and `SEED=0..10000` makes many. Without it a test makes its usual
//! number of runs. A failed run prints the command that replays it.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::io::sim::{Random, SimDisk, SimOptions};
use kvick::runtime::{Handle, Simulation};
use kvick::{Config, FasterKv, FasterLog, Key, Value, log};

/// Runs `test` with the seeds below `usual`, or with the seeds that the environment names.
pub fn seeds<F: Fn(u64)>(usual: u64, test: F) {
    seeds_until(|seed| seed >= usual, test);
}

/// Runs `test` with one seed after the other until `is_enough`, or with the seeds that the
/// environment names.
pub fn seeds_until<F: Fn(u64)>(is_enough: impl Fn(u64) -> bool, test: F) {
    let chosen = match std::env::var("SEED") {
        Ok(text) if !text.is_empty() => parse(&text),
        _ => 0..u64::MAX,
    };
    let is_usual = chosen.end == u64::MAX;
    for seed in chosen.take_while(|seed| !is_usual || !is_enough(*seed)) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) else {
            continue;
        };
        let name = replay_name::<F>();
        eprintln!("\nseed {seed} failed; to replay it:");
        eprintln!("SEED={seed} cargo test -p tests --test sim -- {name}\n");
        resume_unwind(panic);
    }
}

/// Runs `life` in a new world of the seed for each number of polls, until it returns true: the
/// operation that it drops after so many polls has finished by itself.
///
/// # Panics
/// If no number suffices.
pub fn after_each_number_of_polls(
    seed: u64,
    numbers: impl IntoIterator<Item = u32>,
    life: impl AsyncFn(&Site, u32) -> bool,
) {
    for polls in numbers {
        let world = World::new(seed);
        let site = world.site.clone();
        if world.simulation.run(life(&site, polls)) {
            return;
        }
    }
    panic!("the operation did not finish by itself");
}

fn parse(text: &str) -> Range<u64> {
    let number = |text: &str| text.trim().parse().expect("SEED is a number, or a range");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(text)..number(text) + 1,
    }
}

/// Returns the filter that runs the calling test alone. A test has a thread with its name, unless
/// the runner has only one thread. Then the type `sim::faults::a_test::{{closure}}` has the name.
fn replay_name<F>() -> String {
    let thread = std::thread::current();
    if let Some(name) = thread.name().filter(|name| *name != "main") {
        return name.to_owned();
    }
    let path = std::any::type_name::<F>();
    let path = path.split_once("::").map_or(path, |(_, within)| within);
    let path = path.split_once("::{{closure}}").map_or(path, |(test, _)| test);
    path.to_owned()
}

/// One seeded run: an executor, a disk, and the site of the store on it.
#[derive(Debug)]
pub struct World {
    /// The executor that polls the tasks.
    pub simulation: Simulation,
    /// The site at which the test opens stores.
    pub site: Site,
}

/// The site at which a test opens stores. The tasks of a run share it.
#[derive(Clone, Debug)]
pub struct Site {
    /// The simulated executor.
    pub handle: Handle,
    /// The simulated disk.
    pub disk: SimDisk,
    /// The seed of the run.
    pub seed: u64,
}

impl World {
    /// Creates a run on a disk that is slow and disorderly, but sound.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, SimOptions::default())
    }

    /// Creates a run on a disk with these options. No such disk lets a log overwrite durable bytes.
    pub fn with(seed: u64, options: SimOptions) -> Self {
        let options = SimOptions { write_once: vec!["log.".to_owned()], ..options };
        Self::on(seed, SimDisk::new(seed, options))
    }

    /// Creates a run on an existing disk.
    pub fn on(seed: u64, disk: SimDisk) -> Self {
        let simulation = Simulation::new(seed);
        simulation.add_source(Arc::new(disk.clone()));
        let handle = simulation.handle();
        let site = Site { handle, disk, seed };
        Self { simulation, site }
    }
}

impl Site {
    /// Opens a store in the directory `db`, with its write-ahead log in `wal` if it has one.
    ///
    /// # Errors
    /// As [`kvick::Builder::open_in_directory`].
    pub async fn try_open<K, V>(&self, config: Config) -> kvick::Result<FasterKv<K, V>>
    where
        K: Key + ?Sized,
        V: Value + ?Sized,
    {
        FasterKv::builder(config)
            .runtime(self.handle.clone())
            .directory(self.disk.directory("db"))
            .wal_directory(self.disk.directory("wal"))
            .seed(self.seed)
            .open_in_directory()
            .await
    }

    /// Opens a store on a disk that has no faults meanwhile.
    pub async fn open<K, V>(&self, config: Config) -> FasterKv<K, V>
    where
        K: Key + ?Sized,
        V: Value + ?Sized,
    {
        self.try_open(config).await.expect("the store opens")
    }

    /// Opens a log in the directory `log`.
    ///
    /// # Errors
    /// As [`kvick::log::Builder::open_in_directory`].
    pub async fn try_open_log(&self, config: log::Config) -> kvick::Result<FasterLog> {
        FasterLog::builder(config)
            .runtime(self.handle.clone())
            .directory(self.disk.directory("log"))
            .seed(self.seed)
            .open_in_directory()
            .await
    }

    /// Opens a log on a disk that has no faults meanwhile.
    pub async fn open_log(&self, config: log::Config) -> FasterLog {
        self.try_open_log(config).await.expect("the log opens")
    }

    /// Returns a small configuration of a log, with a random commit policy.
    pub fn small_log_config(&self) -> log::Config {
        let mut random = self.random(2);
        let config = if random.chance(0.3) {
            four_log_pages().with_memory(ByteSize::kib(64)).with_page_size(ByteSize::kib(8))
        } else {
            four_log_pages()
        };
        let in_flight = 1 + random.below(4);
        let config = config.with_commits_in_flight(u32::try_from(in_flight).expect("small"));
        match random.below(4) {
            0 => config.with_commit_every(Duration::from_micros(500 + random.below(3000))),
            1 => config.with_commit_bytes(ByteSize::new(500 + random.below(3000))),
            _ => config,
        }
    }

    /// Returns a random generator for `purpose`.
    pub fn random(&self, purpose: u64) -> Random {
        Random::new(self.seed.rotate_left(17) ^ purpose.wrapping_mul(0x9e37_79b9))
    }

    /// Returns one of the small configurations.
    pub fn small_config(&self) -> Config {
        let configs = small_configs();
        let which = self.random(1).index(configs.len());
        configs[which].clone()
    }
}

/// Returns configurations with few frames, small files, and few buckets or an index that grows.
pub fn small_configs() -> Vec<Config> {
    let small = Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(32))
        .with_huge_pages(false);
    vec![
        two_pages(),
        // One bucket or few have all keys. These hardly share chains: see `sharing.rs`.
        small.clone().with_index_buckets(1),
        // The index grows from one bucket.
        small.clone().with_index_min(ByteSize::new(128)).with_mutable_fraction(0.0),
        small
            .with_page_size(ByteSize::kib(16))
            .with_segment_size(ByteSize::kib(64))
            .with_index_buckets(2),
    ]
}

/// Returns a configuration of the smallest hybrid log: two frames of 4 KiB.
pub fn two_pages() -> Config {
    Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        // The index takes the rest of the memory, which would otherwise be pages.
        .with_index_buckets(370)
        .with_segment_size(ByteSize::kib(16))
        .with_huge_pages(false)
}

/// Returns a configuration of the smallest FasterLog: four frames of 4 KiB.
pub fn four_log_pages() -> log::Config {
    log::Config::default()
        .with_memory(ByteSize::kib(24))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(16))
        .with_huge_pages(false)
}

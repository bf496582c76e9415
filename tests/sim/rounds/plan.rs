//! The plan of a run: the store, its keys, and the faults.

use kvick::Config;
use kvick::config::ByteSize;
use kvick::io::sim::Random;
use tests::sharing::{KEYS_OF_CHAIN, chains};
use tests::simulated::Site;

use super::stops::Faults;
use super::writers::{LONGEST, Writer};

/// The plan of a run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) faults: Faults,
    pub(super) lives: u64,
    /// The compactions by hand in a life.
    pub(super) compactions: u64,
    /// The steps of each writer in a life.
    pub(super) steps: u64,
    /// The share of changes of few keys.
    hot: f64,
    keys: Vec<u64>,
}

/// The number of writers.
const WRITERS: usize = 3;
/// The first of the keys that are alone in their chains.
const ALONE: u64 = 1 << 40;

/// Returns a small log in which keys share chains.
fn config(random: &mut Random) -> Config {
    let memory = ByteSize::kib(64 << random.below(4));
    let config = Config::default()
        .with_memory(memory)
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(8 << random.below(3)))
        .with_keep_checkpoints(1 + u32::try_from(random.below(2)).expect("small"))
        .with_huge_pages(false);
    let config = if random.chance(0.8) { config.with_mutable_fraction(0.0) } else { config };
    // A large index leaves few pages to the log.
    let index = ByteSize::new(memory.bytes() / 8 * 5);
    if random.chance(0.6) { config.with_index_min(index) } else { config }
}

impl Plan {
    /// Returns a plan with compactions by hand that stop.
    pub(super) fn of_stops(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5709);
        let keys = keys(&mut random);
        let faults = Faults { reads: true, full: random.chance(0.3) };
        let disk = random.chance(0.3).then(|| budget(&keys, &mut random));
        let config = config(&mut random).with_disk(disk);
        let hot = [0.0, 0.5, 0.8, 0.9][random.index(4)];
        Self { config, faults, lives: 2, compactions: 16, steps: 600, hot, keys }
    }

    /// Returns a plan with a small budget.
    pub(super) fn of_budgets(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xb0d9);
        let keys = keys(&mut random);
        let faults = Faults { reads: random.chance(0.3), full: false };
        let disk = budget(&keys, &mut random);
        let config = config(&mut random).with_disk(disk);
        let (compactions, hot) = (random.below(2) * 3, random.below(10) as f64 / 10.0);
        Self { config, faults, lives: 2, compactions, steps: 1000, hot, keys }
    }

    /// Returns the writers, each with keys of its own.
    pub(super) fn writers(&self, site: &Site) -> Vec<Writer> {
        let of = |number| self.keys.iter().skip(number).step_by(WRITERS).copied().collect();
        let random = |number| site.random(10 + number as u64);
        let new = |number| Writer::new(of(number), self.hot, random(number));
        (0..WRITERS).map(new).collect()
    }
}

/// Returns keys in a random order. Some of them are alone in their chains.
fn keys(random: &mut Random) -> Vec<u64> {
    let shared = chains();
    let first = random.index(shared.len() / 2);
    let end = first + 4 + random.index(shared.len() - first - 3);
    let mut keys: Vec<u64> = shared[first..end].iter().flatten().copied().collect();
    let alone = random.index(KEYS_OF_CHAIN * 12);
    keys.extend((0..alone).map(|number| ALONE + number as u64));
    for end in (1..keys.len()).rev() {
        keys.swap(end, random.index(end + 1));
    }
    keys
}

/// Returns whether other keys are in the chain of a key.
pub(super) fn is_shared(key: u64) -> bool {
    key < ALONE
}

/// Returns a budget that is two to four times as large as what the keys take.
fn budget(keys: &[u64], random: &mut Random) -> ByteSize {
    let live = keys.len() as u64 * (LONGEST / 2 + 40);
    ByteSize::new(live * (20 + random.below(20)) / 10 + (128 << 10))
}

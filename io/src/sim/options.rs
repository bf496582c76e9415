//! What a simulated disk is told: its size, its speed, its faults, and what survives a power cut.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::sim::Random;

/// How a [`SimDisk`](crate::sim::SimDisk) is made. The default has no faults and no limit.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Virtual time that one operation takes, drawn uniformly, each on its own: operations end in
    /// random order. Default: 10 microseconds to 1 millisecond.
    pub latency: RangeInclusive<Duration>,
    /// Unit of alignment, and of persistence: 512 or 4096 bytes. Default: 512.
    pub block: u32,
    /// What the medium writes at once, in bytes: a power of two, at least `block`. If larger, a
    /// power cut may take blocks with it that were durable, beside a block being written. Default:
    /// the block.
    pub physical_block: Option<u32>,
    /// Bytes that fit; more fail with `StorageFull`. Default: no limit.
    pub capacity: Option<u64>,
    /// How often operations fail by chance. Default: never.
    pub fault_rates: FaultRates,
    /// Panic on misuse: misaligned transfers, writes that overlap while in flight, and truncations
    /// under a transfer. Off, misaligned transfers fail with `InvalidInput` as on other devices.
    /// Default: on.
    pub audit: bool,
    /// Panic when a write through a device covers a block that a sync made durable, for the files
    /// whose name begins with one of these. A truncation ends that once it is durable itself.
    /// Default: none.
    pub write_once: Vec<String>,
    /// Syncs report success and do nothing: a disk that lies. For showing that a test would
    /// notice. Default: off.
    pub ignore_syncs: bool,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(10)..=Duration::from_millis(1),
            block: 512,
            physical_block: None,
            capacity: None,
            fault_rates: FaultRates::default(),
            audit: true,
            write_once: Vec::new(),
            ignore_syncs: false,
        }
    }
}

impl SimOptions {
    pub(super) fn check(&self) {
        assert!(self.block == 512 || self.block == 4096, "a block is 512 or 4096 bytes");
        let physical = self.physical_block.unwrap_or(self.block);
        let sound = physical.is_power_of_two() && (self.block..=64 << 10).contains(&physical);
        assert!(sound, "a physical block is a power of two, at least a block");
        assert!(!self.latency.is_empty(), "the range of latencies is empty");
    }

    pub(super) fn is_write_once(&self, file: &str) -> bool {
        self.write_once.iter().any(|prefix| file.starts_with(prefix.as_str()))
    }
}

/// Probability, per operation, of failing with an error of kind `Other`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Reads of devices and of files.
    pub read: f64,
    /// Writes of devices and of files.
    pub write: f64,
    /// Syncs of devices, of files and of the directory.
    pub sync: f64,
    /// Everything else: open, list, create, rename, remove, discard, truncate, lock.
    pub name: f64,
}

/// What a power cut leaves of that which no sync covered: each a probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Survival {
    /// A block, or a length, has a newer value than the durable one.
    pub writes: f64,
    /// A creation, rename or removal took place.
    pub names: f64,
    /// A block that has a newer value has any of them, not the newest.
    pub stale: f64,
    /// A block that has a newer value has it in part; of a physical block that holds one and
    /// others, nothing is left.
    pub torn: f64,
    /// A block that was never durable holds garbage in place of zeros.
    pub garbage: f64,
}

impl Survival {
    /// Exactly what was made durable.
    pub const NOTHING: Self = Self { writes: 0.0, names: 0.0, stale: 0.0, torn: 0.0, garbage: 0.0 };

    /// Everything, the latest of it: a crash of the process rather than of the machine. Writes in
    /// flight count as done.
    pub const EVERYTHING: Self = Self { writes: 1.0, names: 1.0, ..Self::NOTHING };

    /// One of the mixtures worth trying: from all to nothing, data without names, names without
    /// data, with and without stale or torn blocks and garbage.
    pub fn draw(random: &mut Random) -> Self {
        let mut one_of = |choices: &[f64]| choices[random.index(choices.len())];
        Self {
            writes: one_of(&[0.0, 0.1, 0.5, 0.9, 1.0]),
            names: one_of(&[0.0, 0.1, 0.5, 0.9, 1.0]),
            stale: one_of(&[0.0, 0.0, 0.3]),
            torn: one_of(&[0.0, 0.1, 0.5]),
            garbage: one_of(&[0.0, 0.0, 0.5, 1.0]),
        }
    }
}

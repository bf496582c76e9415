//! The settings of a simulated disk: size, speed, faults, and survival of a power cut.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::sim::Random;

/// The settings of a [`SimDisk`](crate::sim::SimDisk). The default has no faults and no limit.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// The virtual time of one operation, drawn uniformly for each, so that operations end in
    /// random order. Default: 10 microseconds to 1 millisecond.
    pub latency: RangeInclusive<Duration>,
    /// The unit of alignment, and of persistence: 512 or 4096 bytes. Default: 512.
    pub block: u32,
    /// The unit that the medium writes at once, in bytes: a power of two, at least `block`. If
    /// larger, a power cut may destroy durable blocks next to a block that is being written.
    /// Default: the block.
    pub physical_block: Option<u32>,
    /// The capacity in bytes. Writes beyond it fail with `StorageFull`. Default: no limit.
    pub capacity: Option<u64>,
    /// The rates of operations that fail by chance. Default: never.
    pub fault_rates: FaultRates,
    /// Whether misuse panics: misaligned transfers, writes that overlap while in flight, and
    /// truncations under a transfer. If off, misaligned transfers fail with `InvalidInput` as on
    /// other devices. Default: on.
    pub audit: bool,
    /// The prefixes of file names for which a write through a device panics if it covers a synced
    /// block. A durable truncation makes its blocks writable again. Default: none.
    pub write_once: Vec<String>,
    /// Whether syncs report success and do nothing, as on a disk that lies. Use it to show that a
    /// test detects this. Default: off.
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
        assert!(
            self.block == 512 || self.block == 4096,
            "the block is wrong; choose 512 or 4096 bytes"
        );
        let physical = self.physical_block.unwrap_or(self.block);
        let sound = physical.is_power_of_two() && (self.block..=64 << 10).contains(&physical);
        assert!(sound, "a physical block is a power of two, at least a block");
        assert!(!self.latency.is_empty(), "the range of latencies is empty");
    }

    pub(super) fn is_write_once(&self, file: &str) -> bool {
        self.write_once.iter().any(|prefix| file.starts_with(prefix.as_str()))
    }
}

/// The probabilities, per operation, of failing with an error of kind `Other`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Reads of devices and of files.
    pub read: f64,
    /// Writes of devices and of files.
    pub write: f64,
    /// Syncs of devices, of files and of the directory.
    pub sync: f64,
    /// Every other operation: open, list, create, rename, remove, discard, truncate, lock.
    pub name: f64,
}

/// The survival of changes that no sync covered. Each field is a probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Survival {
    /// A block, or a length, has a newer value than the durable value.
    pub writes: f64,
    /// A creation, rename or removal took place.
    pub names: f64,
    /// A block with a newer value has any of its versions, not the newest.
    pub stale: f64,
    /// A block with a newer value is torn: only some of its bytes are new. A physical block with
    /// such a block and other blocks is lost.
    pub torn: f64,
    /// A block that was never durable has garbage instead of zeros.
    pub garbage: f64,
}

impl Survival {
    /// Only durable changes survive.
    pub const NOTHING: Self = Self { writes: 0.0, names: 0.0, stale: 0.0, torn: 0.0, garbage: 0.0 };

    /// All changes survive in their latest version, as in a crash of the process, not the machine.
    /// Writes in flight count as done.
    pub const EVERYTHING: Self = Self { writes: 1.0, names: 1.0, ..Self::NOTHING };

    /// Draws one of the useful mixtures: from all to nothing, data without names, names without
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

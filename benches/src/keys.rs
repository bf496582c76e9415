//! Key streams, drawn before the clock starts.
//!
//! A record has an *index*, which is its position in load order, and a *key*, which is an odd
//! multiple of the index. This is a bijection on 64 bits. It costs one multiplication in the timed
//! loop, and no two keys are near each other. A step packs an operation and an index into one word,
//! so that a worker reads eight sequential bytes for each operation.
//!
//! Zipfian streams are scrambled as YCSB scrambles them: the rank is hashed into the index space.
//! Hot records are therefore spread over the log, not side by side at its beginning.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution as _, Zipf};
use serde::Serialize;

use crate::workload::Workload;

/// The exponent of YCSB.
pub const ZIPF_EXPONENT: f64 = 0.99;

/// The maximum number of steps; more steps repeat them. Their 128 MiB are far larger than any
/// cache.
const STEPS_MAX: u64 = 16 << 20;

/// The minimum number of steps. Fewer steps would repeat within milliseconds.
const STEPS_MIN: u64 = 1 << 20;

/// The distribution of popularity over the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Scrambled Zipf, exponent 0.99.
    Zipfian,
    /// Equal popularity of all records.
    Uniform,
}

/// One operation of the mix on one record, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(u64);

impl Step {
    const OTHER: u64 = 1 << 63;

    fn new(target: u64, other: bool) -> Self {
        debug_assert!(target < Self::OTHER, "an index needs less than 63 bits");
        Self(target | if other { Self::OTHER } else { 0 })
    }

    /// Returns whether this is the second operation of the mix, and not a read.
    #[inline]
    pub fn is_other(self) -> bool {
        self.0 & Self::OTHER != 0
    }

    /// Returns the index of the record. For mixes by recency it is the distance from the newest
    /// record.
    #[inline]
    pub fn target(self) -> u64 {
        self.0 & !Self::OTHER
    }
}

/// Returns the key of the record with this index.
#[inline]
pub fn key_of(index: u64) -> u64 {
    index.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Draws the steps of a run. Workers start at different steps, and continue at the first after the
/// last.
pub fn draw_steps(
    workload: Workload,
    distribution: Distribution,
    records: u64,
    seed: u64,
) -> Vec<Step> {
    assert!(records > 0, "a stream needs a record to name");
    let mut random = SmallRng::seed_from_u64(seed);
    let zipf = Zipf::new(as_float(records), ZIPF_EXPONENT).expect("records >= 1, exponent > 0");
    let reads = workload.read_percent();
    (0..records.clamp(STEPS_MIN, STEPS_MAX))
        .map(|_| {
            let other = random.random_range(0..100) >= reads;
            let target = match distribution {
                Distribution::Uniform => random.random_range(0..records),
                Distribution::Zipfian => {
                    let rank = as_index(zipf.sample(&mut random)) - 1;
                    if workload.by_recency() { rank } else { scramble(rank) % records }
                }
            };
            Step::new(target, other)
        })
        .collect()
}

/// Spreads ranks over 64 bits. Several ranks may get the same record, as in YCSB.
fn scramble(rank: u64) -> u64 {
    let mut mixed = rank.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn as_float(records: u64) -> f64 {
    records as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a rank is a whole number below the records")]
fn as_index(rank: f64) -> u64 {
    rank as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_mix_and_stay_in_range() {
        for distribution in [Distribution::Uniform, Distribution::Zipfian] {
            let steps = draw_steps(Workload::B, distribution, 1000, 7);
            let others = steps.iter().filter(|step| step.is_other()).count();
            let share = others as f64 / steps.len() as f64;
            assert!((0.045..0.055).contains(&share), "{share}");
            assert!(steps.iter().all(|step| step.target() < 1000));
        }
    }

    #[test]
    fn the_most_popular_key_of_a_zipfian_stream_has_its_share() {
        let steps = draw_steps(Workload::C, Distribution::Zipfian, 1_000_000, 7);
        let hottest = scramble(0) % 1_000_000;
        let hits = steps.iter().filter(|step| step.target() == hottest).count();
        // 1 / H(10^6, 0.99) = 0.0650
        let share = hits as f64 / steps.len() as f64;
        assert!((0.062..0.070).contains(&share), "{share}");
    }

    #[test]
    fn one_seed_draws_one_stream() {
        let draw = |seed| draw_steps(Workload::A, Distribution::Zipfian, 10_000, seed);
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}

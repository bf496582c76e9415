//! Two runs, compared at the same numbers of keys.
//!
//! Each second of a run is compared with the other run over the same keys. The time that the other
//! run took for them is interpolated within its slots. Its latencies are those of all slots that
//! have some of the keys.

use serde::Serialize;

use super::frontier::Direction;
use super::phase::{Phase, Slot, join};
use super::slots::SLOW;
use crate::timeline::median;

/// One phase of a run, compared with the same phase of another run, the base.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Whether keys came or went.
    pub direction: Direction,
    /// The compared seconds.
    pub seconds: Vec<Second>,
    /// The 99.9th percentile of the phase over that of the base.
    pub p999_ratio: f64,
    /// The longest operation of the phase less that of the base, microseconds.
    pub worst_added_microseconds: f64,
    /// The number of slow operations of the phase, and of the base.
    pub slow: [u64; 2],
}

/// One second of a run, compared with the base over the same keys.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Second {
    /// The number of keys at its start.
    pub keys: u64,
    /// Operations per second over those of the base.
    pub throughput_ratio: f64,
    /// The 99.9th percentile over that of the base.
    pub p999_ratio: f64,
    /// The longest operation less that of the base, microseconds.
    pub worst_added_microseconds: f64,
}

impl Comparison {
    /// Compares a phase with a base. `None` if one of them has no operation.
    pub fn new(phase: &Phase, base: &Phase) -> Option<Self> {
        let [whole, whole_base] = [phase.whole()?, base.whole()?];
        let seconds = phase.in_seconds();
        let compare = |slot: &Slot| second(phase.keys_after(slot.changed_before), slot, base);
        Some(Self {
            direction: phase.direction,
            seconds: seconds.iter().filter_map(compare).collect(),
            p999_ratio: p999_ratio(&whole, &whole_base),
            worst_added_microseconds: worst_added(&whole, &whole_base),
            slow: [whole.tally.slow, whole_base.tally.slow],
        })
    }

    /// Returns the minimum and the median of a figure of the seconds, and its maximum.
    pub fn range(&self, figure: fn(&Second) -> f64) -> Option<[f64; 3]> {
        let figures: Vec<f64> = self.seconds.iter().map(figure).collect();
        let [least, most] = [f64::min, f64::max].map(|end| figures.iter().copied().reduce(end));
        Some([least?, median(figures)?, most?])
    }

    /// Returns the number of seconds to whose longest operation the run added more than the limit.
    pub fn seconds_beyond_limit(&self) -> usize {
        let limit = SLOW.as_secs_f64() * 1e6;
        self.seconds.iter().filter(|second| second.worst_added_microseconds > limit).count()
    }
}

fn second(keys: u64, slot: &Slot, base: &Phase) -> Option<Second> {
    let [from, until] = [slot.changed_before, slot.changed_after()];
    let took = time_of(base, until)? - time_of(base, from)?;
    let of_keys = |other: &&Slot| other.changed_before < until && other.changed_after() > from;
    let other = join(base.slots.iter().filter(of_keys))?;
    Some(Second {
        keys,
        throughput_ratio: took / slot.seconds(),
        p999_ratio: p999_ratio(slot, &other),
        worst_added_microseconds: worst_added(slot, &other),
    })
}

/// Returns the time at which a phase had changed so many keys, in seconds.
fn time_of(phase: &Phase, changed: u64) -> Option<f64> {
    let place = phase.slots.partition_point(|slot| slot.changed_after() < changed);
    let slot = phase.slots.get(place)?;
    let share =
        (changed - slot.changed_before.min(changed)) as f64 / slot.tally.changed.max(1) as f64;
    Some(slot.from + share * slot.seconds())
}

fn p999_ratio(slot: &Slot, base: &Slot) -> f64 {
    slot.tally.microseconds(0.999) / base.tally.microseconds(0.999).max(0.001)
}

fn worst_added(slot: &Slot, base: &Slot) -> f64 {
    slot.tally.microseconds(1.0) - base.tally.microseconds(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::phase::tests::phase;
    use super::*;

    fn is_near(found: f64, wanted: f64) -> bool {
        (found / wanted - 1.0).abs() < 0.02
    }

    #[test]
    fn seconds_are_compared_over_the_same_keys() {
        // The base makes 100 changes in each slot, the run 50 and then 100.
        let base = phase(Direction::Grow, 100, &[(200, 1000); 6]);
        let mut slots = [(100, 2000); 8];
        slots[4..].fill((200, 1000));
        slots[6].1 = 250_000;
        let run = phase(Direction::Grow, 100, &slots);
        let found = Comparison::new(&run, &base).unwrap();
        let keys: Vec<u64> = found.seconds.iter().map(|second| second.keys).collect();
        assert_eq!(keys, [100, 300]);
        let ratios: Vec<f64> = found.seconds.iter().map(|second| second.throughput_ratio).collect();
        assert!(is_near(ratios[0], 0.5) && is_near(ratios[1], 1.0), "{ratios:?}");
        assert!(is_near(found.seconds[0].p999_ratio, 2.0), "{found:?}");
        assert!(is_near(found.seconds[1].worst_added_microseconds, 249.0), "{found:?}");
        assert_eq!((found.slow, found.seconds_beyond_limit()), ([200, 0], 1));
        let [least, middle, most] = found.range(|second| second.throughput_ratio).unwrap();
        assert!(is_near(least, 0.5) && is_near(middle, 1.0) && is_near(most, 1.0));
    }

    #[test]
    fn times_are_interpolated_within_slots() {
        let base = phase(Direction::Shrink, 1000, &[(200, 1000), (400, 1000)]);
        for (changed, wanted) in [(50, 0.125), (100, 0.25), (200, 0.375), (300, 0.5)] {
            assert!(is_near(time_of(&base, changed).unwrap(), wanted), "{changed}");
        }
        assert_eq!(time_of(&base, 301), None);
    }

    #[test]
    fn a_run_compared_with_itself_is_equal() {
        let run = phase(Direction::Shrink, 1000, &[(200, 1000), (100, 5000), (50, 1000), (90, 9)]);
        let found = Comparison::new(&run, &run).unwrap();
        let Second { keys, throughput_ratio, p999_ratio, worst_added_microseconds } =
            found.seconds[0];
        assert_eq!(keys, 1000);
        assert!(is_near(throughput_ratio, 1.0) && is_near(p999_ratio, 1.0));
        assert!(worst_added_microseconds.abs() < 1e-9);
    }
}

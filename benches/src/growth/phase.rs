//! A growth or a shrink: its slots, each with its operations and a sample of the store.

use std::borrow::Borrow;
use std::time::Duration;

use super::frontier::Direction;
use super::sample::{Sample, nearest};
use super::slots::Tally;

/// One slot of a phase, or several in a row.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The start, in seconds since the start of the run.
    pub from: f64,
    /// The end, in seconds since the start of the run.
    pub until: f64,
    /// The number of keys that were inserted or deleted in the phase before this slot.
    pub changed_before: u64,
    /// The operations.
    pub tally: Tally,
    /// The sample nearest to the end.
    pub sample: Sample,
}

impl Slot {
    /// Returns the length in seconds.
    pub fn seconds(&self) -> f64 {
        self.until - self.from
    }

    /// Returns the operations per second.
    pub fn rate(&self) -> f64 {
        self.tally.operations() as f64 / self.seconds()
    }

    /// Returns the number of changed keys at the end.
    pub fn changed_after(&self) -> u64 {
        self.changed_before + self.tally.changed
    }

    /// Adds the slot that follows.
    pub fn add(&mut self, next: &Self) {
        self.until = next.until;
        self.tally.add(&next.tally);
        self.sample = next.sample;
    }
}

/// A growth or a shrink.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Whether keys came or went.
    pub direction: Direction,
    /// The number of keys at the start.
    pub keys: u64,
    /// The slots, in order.
    pub slots: Vec<Slot>,
    /// The index after the phase, when its size no longer changed.
    pub rest: Sample,
}

/// The times of a phase.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The start, since the start of the run.
    pub began: Duration,
    /// The time of the last operation, since the start of the phase.
    pub took: Duration,
    /// The length of a slot.
    pub slot: Duration,
}

impl Phase {
    /// Creates a phase from its slots, and from samples in the order of their times. The last slot
    /// ends with the phase.
    pub fn new(
        (direction, keys): (Direction, u64),
        times: Times,
        tallies: Vec<Tally>,
        samples: &[Sample],
    ) -> Self {
        let mut changed_before = 0;
        let mut slots = Vec::new();
        for (number, tally) in (0..).zip(tallies) {
            let from = times.began + times.slot * number;
            let until = times.began + (times.slot * (number + 1)).min(times.took);
            let sample = nearest(samples, until).unwrap_or_default();
            let changed = tally.changed;
            let [from, until] = [from, until].map(|time| time.as_secs_f64());
            slots.push(Slot { from, until, changed_before, tally, sample });
            changed_before += changed;
        }
        // An operation that ends with a slot begins a slot of no length.
        slots.retain(|slot| slot.until > slot.from);
        let rest = slots.last().map(|slot| slot.sample).unwrap_or_default();
        let mut phase = Self { direction, keys, slots, rest };
        let samples = phase.slots.iter().map(|slot| phase.with_keys(slot.sample));
        let samples: Vec<Sample> = samples.collect();
        phase.slots.iter_mut().zip(samples).for_each(|(slot, sample)| slot.sample = sample);
        phase.with_rest(rest)
    }

    /// Returns the phase with a sample of the index at rest.
    #[must_use]
    pub fn with_rest(self, rest: Sample) -> Self {
        Self { rest: self.with_keys(rest), ..self }
    }

    /// Returns the sample with the number of keys at its time.
    fn with_keys(&self, sample: Sample) -> Sample {
        let at = sample.at.as_secs_f64();
        let place = self.slots.partition_point(|slot| slot.until < at);
        let changed = match self.slots.get(place) {
            Some(slot) => {
                let share = ((at - slot.from) / slot.seconds()).clamp(0.0, 1.0);
                slot.changed_before + part(slot.tally.changed, share)
            }
            None => self.slots.last().map_or(0, Slot::changed_after),
        };
        Sample { keys: self.keys_after(changed), ..sample }
    }

    /// Returns the number of keys after so many changes.
    pub fn keys_after(&self, changed: u64) -> u64 {
        match self.direction {
            Direction::Grow => self.keys + changed,
            Direction::Shrink => self.keys.saturating_sub(changed),
        }
    }

    /// Returns the whole phase as one slot. `None` if there was no operation.
    pub fn whole(&self) -> Option<Slot> {
        join(&self.slots)
    }

    /// Returns the phase in whole seconds, without the incomplete second at its end.
    pub fn in_seconds(&self) -> Vec<Slot> {
        let mut seconds: Vec<Slot> = Vec::new();
        let mut open: Option<Slot> = None;
        for slot in &self.slots {
            match &mut open {
                Some(open) => open.add(slot),
                None => open = Some(slot.clone()),
            }
            // Slots of a tenth of a second do not add up to a second exactly.
            if open.as_ref().is_some_and(|open| open.seconds() > 0.999) {
                seconds.extend(open.take());
            }
        }
        seconds
    }
}

/// Returns slots in a row as one slot.
pub fn join<S: Borrow<Slot>>(slots: impl IntoIterator<Item = S>) -> Option<Slot> {
    let mut slots = slots.into_iter();
    let mut joined = slots.next()?.borrow().clone();
    slots.for_each(|slot| joined.add(slot.borrow()));
    Some(joined)
}

#[expect(clippy::cast_possible_truncation, reason = "a part of a count is a count")]
fn part(count: u64, share: f64) -> u64 {
    (count as f64 * share) as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Creates a tally of operations with one latency. Half of them change a key.
    pub(crate) fn tally(operations: u64, nanoseconds: u64) -> Tally {
        let mut tally = Tally::new();
        (0..operations).for_each(|_| tally.record(nanoseconds));
        tally.changed = operations / 2;
        tally
    }

    /// Creates a phase with slots of 250 ms, from the operations of each and their latency in
    /// nanoseconds. The index has 11 bytes a key.
    pub(crate) fn phase(direction: Direction, keys: u64, slots: &[(u64, u64)]) -> Phase {
        let slot = Duration::from_millis(250);
        let took = slot * u32::try_from(slots.len()).unwrap();
        let times = Times { began: Duration::ZERO, took, slot };
        let tallies = slots.iter().map(|(count, latency)| tally(*count, *latency)).collect();
        let mut phase = Phase::new((direction, keys), times, tallies, &[]);
        let after: Vec<u64> = phase.slots.iter().map(Slot::changed_after).collect();
        for (place, changed) in after.into_iter().enumerate() {
            let entries = phase.keys_after(changed);
            let buckets = entries / 12;
            phase.slots[place].sample = Sample {
                buckets,
                keys: entries,
                entries,
                index_bytes: 11 * entries,
                ..Sample::default()
            };
        }
        phase
    }

    #[test]
    fn slots_have_the_nearest_sample_and_the_last_ends_with_the_phase() {
        let sample =
            |at, entries| Sample { at: Duration::from_millis(at), entries, ..Sample::default() };
        let times = Times {
            began: Duration::from_millis(1000),
            took: Duration::from_millis(250),
            slot: Duration::from_millis(100),
        };
        let samples = [sample(0, 1), sample(1090, 2), sample(1210, 3), sample(1260, 4)];
        let tallies = vec![tally(100, 5), tally(60, 5), tally(20, 5), tally(2, 5)];
        let phase = Phase::new((Direction::Shrink, 500), times, tallies, &samples);
        let seen: Vec<_> = phase
            .slots
            .iter()
            .map(|slot| (slot.sample.entries, slot.changed_before, slot.changed_after()))
            .collect();
        assert_eq!(seen, [(2, 0, 50), (3, 50, 80), (4, 80, 90)]);
        // At 90 % of the first slot, at 20 % of the last, and after the end.
        let keys: Vec<u64> = phase.slots.iter().map(|slot| slot.sample.keys).collect();
        assert_eq!(keys, [455, 418, 410]);
        assert_eq!(phase.clone().with_rest(samples[0]).rest.keys, 500);
        let last = phase.slots.last().unwrap();
        assert!((last.seconds() - 0.05).abs() < 1e-9 && (last.rate() - 400.0).abs() < 1e-6);
        assert_eq!(phase.keys_after(90), 410);
    }

    #[test]
    fn seconds_are_sums_of_slots_without_the_rest() {
        let slots: Vec<(u64, u64)> = (1..=10).map(|number| (2 * number, 10 * number)).collect();
        let seconds = phase(Direction::Grow, 100, &slots).in_seconds();
        let seen: Vec<_> = seconds
            .iter()
            .map(|slot| (slot.tally.operations(), slot.changed_before, slot.tally.worst))
            .collect();
        assert_eq!(seen, [(20, 0, 40), (52, 10, 80)]);
        assert!((seconds[1].until - 2.0).abs() < 1e-9);
    }
}

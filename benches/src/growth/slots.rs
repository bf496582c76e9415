//! The operations of a phase by time: a tally for each slot of equal length.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::Stopwatch;

/// The largest latency of a histogram: ten seconds. A longer operation counts as this there.
const MAX_NANOSECONDS: u64 = 10_000_000_000;

/// The digits of a latency. Two make a histogram so small that each slot can have its own.
const DIGITS: u8 = 2;

/// An operation that takes longer than this is slow: the limit of what growth may add.
pub const SLOW: Duration = Duration::from_micros(100);

/// The operations of one slot.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The latencies in nanoseconds.
    pub latencies: Histogram<u64>,
    /// The longest latency in nanoseconds, exactly.
    pub worst: u64,
    /// The number of slow operations.
    pub slow: u64,
    /// The number of keys that were inserted or deleted.
    pub changed: u64,
}

impl Tally {
    /// Creates a tally without operations.
    pub fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, MAX_NANOSECONDS, DIGITS);
        let latencies = latencies.expect("bounds are in order");
        Self { latencies, worst: 0, slow: 0, changed: 0 }
    }

    /// Counts one operation.
    #[inline]
    pub fn record(&mut self, nanoseconds: u64) {
        self.latencies.saturating_record(nanoseconds);
        self.worst = self.worst.max(nanoseconds);
        self.slow += u64::from(u128::from(nanoseconds) > SLOW.as_nanos());
    }

    /// Adds the operations of another tally.
    pub fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("all tallies use the same bounds");
        self.worst = self.worst.max(other.worst);
        self.slow += other.slow;
        self.changed += other.changed;
    }

    /// Returns the number of operations.
    pub fn operations(&self) -> u64 {
        self.latencies.len()
    }

    /// Returns the latency of this quantile, in microseconds. The last of all is exact.
    pub fn microseconds(&self, quantile: f64) -> f64 {
        let worst = self.worst as f64 / 1e3;
        if quantile >= 1.0 {
            return worst;
        }
        (self.latencies.value_at_quantile(quantile) as f64 / 1e3).min(worst)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// The operations of one task, counted as they end.
#[derive(Debug)]
pub struct Recorder {
    watch: Stopwatch,
    slot: u64,
    /// The number of the slot, and its end in nanoseconds.
    current: (u64, u64),
    /// The end of the last operation, in nanoseconds.
    last: u64,
    tally: Tally,
    finished: Vec<(u64, Tally)>,
}

impl Recorder {
    /// Creates a recorder with slots of this length, which count from the start of `watch`.
    pub fn new(watch: Stopwatch, slot: Duration) -> Self {
        let slot = u64::try_from(slot.as_nanos()).expect("a slot is short");
        let (tally, finished) = (Tally::new(), Vec::new());
        Self { watch, slot, current: (0, slot), last: watch.nanoseconds(), tally, finished }
    }

    /// Counts an operation that ends now. The number of keys that it changed is `changed`.
    #[inline]
    pub fn record(&mut self, changed: u64) {
        let now = self.watch.nanoseconds();
        if self.record_at(now, changed) {
            // The time of the new slot belongs to no operation.
            self.resume();
        }
    }

    /// Counts an operation that ends `now`. Returns whether it begins a slot.
    #[inline]
    fn record_at(&mut self, now: u64, changed: u64) -> bool {
        let is_later = now >= self.current.1;
        if is_later {
            self.roll(now);
        }
        self.tally.record(now - self.last);
        self.tally.changed += changed;
        self.last = now;
        is_later
    }

    /// Begins the next operation now, so that the time since the last one does not count.
    pub fn resume(&mut self) {
        self.last = self.watch.nanoseconds();
    }

    /// Returns the slots with their numbers, and the time of the last operation.
    pub fn finish(mut self) -> (Vec<(u64, Tally)>, Duration) {
        self.finished.push((self.current.0, self.tally));
        (self.finished, Duration::from_nanos(self.last))
    }

    /// Begins the slot of `now`.
    #[cold]
    fn roll(&mut self, now: u64) {
        let tally = std::mem::take(&mut self.tally);
        self.finished.push((self.current.0, tally));
        let number = now / self.slot;
        self.current = (number, (number + 1) * self.slot);
    }
}

/// Adds the slots of all tasks. A slot without operations has an empty tally.
pub fn merge(tasks: impl IntoIterator<Item = Vec<(u64, Tally)>>) -> Vec<Tally> {
    let mut slots: Vec<Tally> = Vec::new();
    for (number, tally) in tasks.into_iter().flatten() {
        let place = usize::try_from(number).expect("slots are counted in usize");
        if place >= slots.len() {
            slots.resize_with(place + 1, Tally::new);
        }
        slots[place].add(&tally);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(latencies: &[u64]) -> Tally {
        let mut tally = Tally::new();
        for latency in latencies {
            tally.record(*latency);
            tally.changed += 1;
        }
        tally
    }

    #[test]
    fn slots_of_tasks_add_up_and_gaps_are_empty() {
        let slots = merge([
            vec![(0, tally(&[100, 200])), (2, tally(&[150_000]))],
            vec![(0, tally(&[300])), (2, tally(&[100_000]))],
        ]);
        let operations: Vec<u64> = slots.iter().map(Tally::operations).collect();
        assert_eq!(operations, [3, 0, 2]);
        assert_eq!(slots.iter().map(|slot| slot.changed).collect::<Vec<_>>(), [3, 0, 2]);
        assert_eq!(slots.iter().map(|slot| slot.slow).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!((slots[0].worst, slots[1].worst, slots[2].worst), (300, 0, 150_000));
    }

    #[test]
    fn an_operation_counts_in_the_slot_of_its_end() {
        let mut recorder = Recorder::new(Stopwatch::start(), Duration::from_nanos(1000));
        recorder.last = 0;
        let begun: Vec<bool> =
            [400, 999, 1000, 5300].map(|end| recorder.record_at(end, 1)).to_vec();
        assert_eq!(begun, [false, false, true, true]);
        let (slots, ended) = recorder.finish();
        let seen: Vec<_> =
            slots.iter().map(|(number, it)| (*number, it.changed, it.worst)).collect();
        assert_eq!(seen, [(0, 2, 599), (1, 1, 1), (5, 1, 4300)]);
        assert_eq!(ended, Duration::from_nanos(5300));
    }

    #[test]
    fn quantiles_are_in_microseconds_and_the_worst_is_exact() {
        let latencies: Vec<u64> = (1..=1000).map(|number| number * 1000).collect();
        let tally = tally(&latencies);
        for (quantile, wanted) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = tally.microseconds(quantile);
            assert!((found / wanted - 1.0).abs() < 0.02, "{quantile}: {found}");
        }
        assert!(tally.microseconds(0.9999) <= 1000.0);
    }
}

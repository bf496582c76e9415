//! A phase by its number of keys: one row for each doubling.

use serde::Serialize;

use super::phase::{Phase, Slot, join};
use super::sample::Sample;

/// The number of keys from which the bytes of the index for each key are judged.
const JUDGED_KEYS: u64 = 1_000_000;

/// The figures of slots in a row.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Length in seconds.
    pub seconds: f64,
    /// The number of operations.
    pub operations: u64,
    /// Operations per second.
    pub operations_per_second: f64,
    /// Median latency, microseconds.
    pub p50_microseconds: f64,
    /// 99th percentile, microseconds.
    pub p99_microseconds: f64,
    /// 99.9th percentile, microseconds.
    pub p999_microseconds: f64,
    /// The longest operation, microseconds.
    pub worst_microseconds: f64,
    /// The number of operations that took more than 100 microseconds.
    pub slow: u64,
}

impl Figures {
    /// Creates the figures of a slot, or of several joined slots.
    pub fn new(slot: &Slot) -> Self {
        let at = |quantile| slot.tally.microseconds(quantile);
        Self {
            seconds: slot.seconds(),
            operations: slot.tally.operations(),
            operations_per_second: slot.rate(),
            p50_microseconds: at(0.5),
            p99_microseconds: at(0.99),
            p999_microseconds: at(0.999),
            worst_microseconds: at(1.0),
            slow: slot.tally.slow,
        }
    }
}

/// The slots between two numbers of keys, the second at most twice the first.
#[derive(Clone, Debug, Serialize)]
pub struct Doubling {
    /// The lower number of keys, and the higher.
    pub keys: [u64; 2],
    /// The figures of the operations.
    pub figures: Figures,
    /// Bytes of the index for each key: the minimum and the maximum of all samples.
    pub bytes_per_key: [f64; 2],
    /// Buckets of the index at the last sample.
    pub buckets: u64,
}

/// Returns the doublings of `least` keys in the order of time. A slot belongs to the doubling in
/// which its middle is. A doubling that is shorter than a slot may have none.
pub fn doublings(phase: &Phase, least: u64) -> Vec<Doubling> {
    let number = |slot: &Slot| {
        let middle = phase.keys_after(slot.changed_before + slot.tally.changed / 2);
        (middle / least).max(1).ilog2()
    };
    let rows = phase.slots.chunk_by(|slot, next| number(slot) == number(next));
    let most = phase.slots.iter().map(|slot| phase.keys_after(slot.changed_after())).max();
    let most = most.unwrap_or(0).max(phase.keys);
    rows.filter_map(|slots| {
        let whole = join(slots)?;
        let low = least << number(&slots[0]);
        Some(Doubling {
            keys: [low, (2 * low).min(most)],
            figures: Figures::new(&whole),
            bytes_per_key: bytes_per_key(slots.iter().map(|slot| slot.sample))?,
            buckets: whole.sample.buckets,
        })
    })
    .collect()
}

/// The figures of a whole phase.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The figures of the operations.
    pub figures: Figures,
    /// Bytes of the index for each key while there were a million keys or more: the minimum and the
    /// maximum of all samples.
    pub bytes_per_key: Option<[f64; 2]>,
    /// The largest share of the index beyond its buckets.
    pub most_extra_share: f64,
    /// Entries of the index at the end.
    pub entries: u64,
    /// Seconds from the end until the size of the index no longer changed.
    pub seconds_to_rest: f64,
    /// Bytes of the index for each key then.
    pub bytes_per_key_at_rest: f64,
    /// The largest number of resident bytes of the process, beyond those before the store.
    pub most_resident_bytes: u64,
    /// The largest number of bytes of the index and of the log in memory.
    pub most_store_bytes: u64,
}

impl Summary {
    /// Creates the figures of a phase. `None` if there was no operation.
    pub fn new(phase: &Phase) -> Option<Self> {
        let whole = phase.whole()?;
        let samples = || phase.slots.iter().map(|slot| slot.sample);
        let judged = samples().filter(|sample| sample.keys >= JUDGED_KEYS);
        let most =
            |bytes: fn(&Sample) -> u64| samples().map(|sample| bytes(&sample)).max().unwrap_or(0);
        Some(Self {
            figures: Figures::new(&whole),
            bytes_per_key: bytes_per_key(judged),
            most_extra_share: samples().map(|sample| sample.extra_share()).fold(0.0, f64::max),
            entries: whole.sample.entries,
            seconds_to_rest: (phase.rest.at.as_secs_f64() - whole.until).max(0.0),
            bytes_per_key_at_rest: phase.rest.bytes_per_key(),
            most_resident_bytes: most(|sample| sample.resident_bytes),
            most_store_bytes: most(|sample| sample.index_bytes + sample.log_bytes),
        })
    }
}

/// Returns the minimum and the maximum of the bytes for each key.
fn bytes_per_key(mut samples: impl Iterator<Item = Sample>) -> Option<[f64; 2]> {
    let first = samples.next()?.bytes_per_key();
    Some(samples.fold([first; 2], |[least, most], sample| {
        let bytes = sample.bytes_per_key();
        [least.min(bytes), most.max(bytes)]
    }))
}

#[cfg(test)]
mod tests {
    use super::super::frontier::Direction;
    use super::super::phase::tests::phase;
    use super::*;

    #[test]
    fn rows_double_and_turn_around_in_a_shrink() {
        let slots = [(100, 7), (100, 7), (100, 9), (100, 7), (100, 7), (100, 8), (100, 7)];
        let keys = |phase: &Phase| -> Vec<[u64; 2]> {
            doublings(phase, 100).iter().map(|row| row.keys).collect()
        };
        let grown = phase(Direction::Grow, 100, &slots);
        assert_eq!(keys(&grown), [[100, 200], [200, 400], [400, 450]]);
        assert_eq!(
            keys(&phase(Direction::Shrink, 450, &slots)),
            [[400, 450], [200, 400], [100, 200]]
        );
        let rows = doublings(&grown, 100);
        let operations: Vec<u64> = rows.iter().map(|row| row.figures.operations).collect();
        assert_eq!(operations, [200, 400, 100]);
        assert!((rows[1].figures.worst_microseconds - 0.009).abs() < 1e-9);
        assert!(rows.iter().flat_map(|row| row.bytes_per_key).all(|bytes| bytes == 11.0));
        assert_eq!(rows[2].buckets, 450 / 12);
    }

    #[test]
    fn bytes_per_key_are_judged_above_a_million_keys() {
        let mut phase =
            phase(Direction::Grow, 900_000, &[(100_000, 5), (100_000, 5), (100_000, 5)]);
        phase.slots[0].sample.index_bytes *= 5;
        phase.slots[2].sample.index_bytes += 1_050_000;
        phase.rest = phase.slots[1].sample;
        phase.rest.at = std::time::Duration::from_secs(2);
        let summary = Summary::new(&phase).unwrap();
        assert_eq!((summary.bytes_per_key_at_rest, summary.seconds_to_rest), (11.0, 1.25));
        assert_eq!(summary.bytes_per_key, Some([11.0, 12.0]));
        assert_eq!((summary.entries, summary.figures.operations), (1_050_000, 300_000));
    }
}

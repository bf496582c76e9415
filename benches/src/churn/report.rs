//! The slots as a table and as JSON, and whether their figures are bounded.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::run::{Options, Outcome, Slot};
use crate::report::mebibytes;

/// The factor by which the index may exceed its maximum in the first tenth of the keys. Deleted
/// entries leave the index some time later, so its size varies.
const INDEX_LIMIT: f64 = 2.0;

/// The same for the time of an operation. It leaves room for the noise of the machine.
const TIME_LIMIT: f64 = 1.5;

/// The results of one invocation of `kvbench churn`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The number of different keys.
    pub keys: u64,
    /// The number of keys that were there at once.
    pub live: u64,
    /// Memory of the store.
    pub memory_bytes: u64,
    /// The slots, in order.
    pub slots: Vec<Slot>,
    /// The number of the last keys that were missing or wrong.
    pub unsound: u64,
    /// The number of deleted keys that were there.
    pub undeleted: u64,
    /// The number of deleted keys that only the device can show.
    pub undecided: u64,
    /// Bytes of the index.
    pub index: Bound,
    /// Mean nanoseconds of an operation.
    pub time: Bound,
}

/// The maxima of a figure: in the first tenth of the slots, and in all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// The maximum of the first tenth.
    pub first_tenth: f64,
    /// The maximum of all slots.
    pub all: f64,
    /// The limit of their ratio.
    pub limit: f64,
}

impl Bound {
    fn new(slots: &[Slot], limit: f64, figure: fn(&Slot) -> f64) -> Self {
        let most = |slots: &[Slot]| slots.iter().map(figure).fold(0.0, f64::max);
        let tenth = (slots.len() / 10).max(1).min(slots.len());
        Self { first_tenth: most(&slots[..tenth]), all: most(slots), limit }
    }

    /// Returns the maximum of all slots over that of the first tenth.
    pub fn ratio(&self) -> f64 {
        self.all / self.first_tenth
    }

    /// Returns whether the ratio is within the limit.
    pub fn holds(&self) -> bool {
        self.ratio() <= self.limit
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds() { "bounded" } else { "NOT bounded" };
        write!(formatter, "{word} ({:.2}x, limit {:.2}x)", self.ratio(), self.limit)
    }
}

impl Report {
    /// Creates the report of a run.
    pub fn new(options: &Options, outcome: &Outcome) -> Self {
        let slots = outcome.slots.clone();
        Self {
            keys: options.keys,
            live: options.live,
            memory_bytes: options.memory.bytes(),
            unsound: outcome.unsound,
            undeleted: outcome.undeleted,
            undecided: outcome.undecided,
            index: Bound::new(&slots, INDEX_LIMIT, |slot| slot.index_bytes as f64),
            time: Bound::new(&slots, TIME_LIMIT, |slot| slot.nanoseconds_per_operation),
            slots,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, live, unsound, undeleted, undecided, .. } = self;
        let memory = mebibytes(self.memory_bytes);
        writeln!(formatter, "{keys} different keys, {live} at once, 8 + 8 B in {memory:.0} MiB")?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.add_row(["k keys", "ns/op", "index KiB", "buckets", "entries", "resident MiB"]);
        table.add_rows(self.slots.iter().map(row));
        writeln!(formatter, "{table}")?;
        writeln!(
            formatter,
            "{unsound} live keys unsound, {undeleted} deleted keys there, {undecided} undecided"
        )?;
        write!(
            formatter,
            "maxima against the first tenth: index {}, time of an operation {}",
            self.index, self.time
        )
    }
}

fn row(slot: &Slot) -> [String; 6] {
    [
        (slot.keys / 1000).to_string(),
        format!("{:.0}", slot.nanoseconds_per_operation),
        format!("{:.1}", slot.index_bytes as f64 / 1024.0),
        slot.buckets.to_string(),
        slot.entries.to_string(),
        format!("{:.1}", mebibytes(slot.resident_bytes)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    fn bound(figures: &[u32]) -> Bound {
        let slot = |figure: &u32| Slot {
            nanoseconds_per_operation: f64::from(*figure),
            ..Slot::default()
        };
        let slots: Vec<Slot> = figures.iter().map(slot).collect();
        Bound::new(&slots, 1.5, |slot| slot.nanoseconds_per_operation)
    }

    #[test]
    fn a_figure_is_bounded_by_the_first_tenth() {
        let mut figures = [10; 20];
        figures[1] = 20;
        figures[7] = 30;
        assert_eq!(bound(&figures), Bound { first_tenth: 20.0, all: 30.0, limit: 1.5 });
        assert_eq!(bound(&figures).to_string(), "bounded (1.50x, limit 1.50x)");
        figures[19] = 31;
        assert_eq!(bound(&figures).to_string(), "NOT bounded (1.55x, limit 1.50x)");
    }

    #[test]
    fn the_last_line_has_both_bounds() {
        let slot =
            |index_bytes| Slot { index_bytes, nanoseconds_per_operation: 100.0, ..Slot::default() };
        let mut slots = vec![slot(1000); 9];
        slots.push(slot(3000));
        let outcome = Outcome { slots, unsound: 0, undeleted: 0, undecided: 0 };
        let options = Options {
            keys: 1000,
            live: 10,
            memory: kvick::config::ByteSize::mib(1),
            index_min: kvick::config::ByteSize::kib(4),
            slots: 10,
            backend: kvick::config::Backend::Null,
            output: Output { path: ".".into(), json: None },
        };
        let report = Report::new(&options, &outcome).to_string();
        let last = report.lines().last().unwrap();
        assert!(last.contains("index NOT bounded (3.00x"), "{last}");
        assert!(last.contains("operation bounded (1.00x"), "{last}");
    }
}

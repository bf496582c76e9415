//! The results as tables and as JSON.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::comparison::{Comparison, Second};
use super::doublings::{Doubling, Figures, Summary, doublings};
use super::frontier::Direction;
use super::options::{IndexKind, Options};
use super::phase::{Phase, Slot};
use super::run::Run;
use crate::report::{mebibytes, rate};

/// The results of one invocation of `kvbench grow`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The settings, as a line of text.
    pub setup: String,
    /// The runs, in their order.
    pub runs: Vec<RunRow>,
    /// The runs after the first, each compared with the first: growth and shrink.
    pub comparisons: Vec<Vec<Comparison>>,
}

/// The results of one run.
#[derive(Debug, Serialize)]
pub struct RunRow {
    /// The size of the index.
    pub index: IndexKind,
    /// Seconds of the loading.
    pub load_seconds: f64,
    /// The number of records that were read and verified.
    pub reads: u64,
    /// The number of records that were missing.
    pub missing: u64,
    /// The number of values that did not belong to their key.
    pub wrong: u64,
    /// The number of deleted keys that were there after the shrink.
    pub undeleted: u64,
    /// The number of operations that found a record on the device.
    pub on_device: u64,
    /// The number of times that a task waited for another task. A wait counts as no operation.
    pub waits: u64,
    /// The growth, then the shrink.
    pub phases: Vec<PhaseRow>,
}

/// The results of one phase.
#[derive(Debug, Serialize)]
pub struct PhaseRow {
    /// Whether keys came or went.
    pub direction: Direction,
    /// The figures of the phase.
    pub summary: Option<Summary>,
    /// The figures of each doubling of keys.
    pub doublings: Vec<Doubling>,
    /// The slots.
    pub slots: Vec<SlotRow>,
}

/// One slot.
#[derive(Debug, Serialize)]
pub struct SlotRow {
    /// The end of the slot, in seconds from the start of the run.
    pub until_seconds: f64,
    /// The number of keys at the end.
    pub keys: u64,
    /// The figures of the operations.
    pub figures: Figures,
    /// Buckets of the index.
    pub index_buckets: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the index for each key.
    pub bytes_per_key: f64,
    /// Entries of the index. Some keys share an entry.
    pub entries: u64,
    /// Resident bytes of the process beyond those before the store was opened.
    pub resident_bytes: u64,
}

impl Report {
    /// Creates the report of some runs. The first run is the base of the comparisons.
    pub fn new(options: &Options, runs: &[Run]) -> Self {
        let Options { from, to, threads, memory, runtime, backend, slot, .. } = options;
        let least = options.least();
        let setup = format!(
            "{from} to {to} keys and back, 8 + 8 B in {memory}, {runtime:?} with {threads} \
             task(s), backend {backend:?}, index_min {least}, slots of {slot} ms"
        );
        let compare = |run: &Run| {
            let pairs = run.phases.iter().zip(&runs[0].phases);
            pairs.filter_map(|(phase, base)| Comparison::new(phase, base)).collect()
        };
        Self {
            setup,
            runs: runs.iter().map(|run| RunRow::new(run, *from)).collect(),
            comparisons: runs.iter().skip(1).map(compare).collect(),
        }
    }
}

impl RunRow {
    fn new(run: &Run, from: u64) -> Self {
        Self {
            index: run.index,
            load_seconds: run.load_seconds,
            reads: run.checks.reads,
            missing: run.checks.missing,
            wrong: run.checks.wrong,
            undeleted: run.undeleted,
            on_device: run.on_device,
            waits: run.checks.waits,
            phases: run.phases.iter().map(|phase| PhaseRow::new(phase, from)).collect(),
        }
    }
}

impl PhaseRow {
    fn new(phase: &Phase, from: u64) -> Self {
        Self {
            direction: phase.direction,
            summary: Summary::new(phase),
            doublings: doublings(phase, from),
            slots: phase.slots.iter().map(|slot| SlotRow::new(phase, slot)).collect(),
        }
    }
}

impl SlotRow {
    fn new(phase: &Phase, slot: &Slot) -> Self {
        Self {
            until_seconds: slot.until,
            keys: phase.keys_after(slot.changed_after()),
            figures: Figures::new(slot),
            index_buckets: slot.sample.buckets,
            index_bytes: slot.sample.index_bytes,
            bytes_per_key: slot.sample.bytes_per_key(),
            entries: slot.sample.entries,
            resident_bytes: slot.sample.resident_bytes,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.setup)?;
        for run in &self.runs {
            write!(formatter, "\n{run}")?;
        }
        for (run, phases) in self.runs.iter().skip(1).zip(&self.comparisons) {
            let index = run.index.name();
            let base = self.runs[0].index.name();
            writeln!(formatter, "\nindex {index}, compared with index {base} at the same keys")?;
            writeln!(formatter, "{}", table(&COMPARED, phases.iter().map(compared)))?;
        }
        Ok(())
    }
}

impl fmt::Display for RunRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reads, missing, wrong, undeleted, on_device, waits, .. } = self;
        writeln!(formatter, "index {}, loaded in {:.1} s", self.index.name(), self.load_seconds)?;
        let doublings = self.phases.iter().flat_map(|phase| {
            phase.doublings.iter().map(|doubling| row(phase.direction, doubling))
        });
        writeln!(formatter, "{}", table(&DOUBLINGS, doublings))?;
        for phase in &self.phases {
            if let Some(summary) = &phase.summary {
                writeln!(formatter, "{}: {summary}", phase.direction.name())?;
            }
        }
        writeln!(
            formatter,
            "{reads} reads verified, {missing} missing, {wrong} wrong, {undeleted} undeleted; \
             {on_device} on the device; {waits} waits of tasks"
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { p999_microseconds, worst_microseconds, slow, .. } = self.figures;
        write!(
            formatter,
            "{}, p99.9 {p999_microseconds:.1} us, worst {worst_microseconds:.0} us, {slow} above \
             100 us",
            rate(self.figures.operations_per_second),
        )?;
        if let Some([least, most]) = self.bytes_per_key {
            write!(formatter, "; index {least:.2} to {most:.2} B/key above 1 M keys")?;
        }
        write!(
            formatter,
            ", {:.2} at rest after {:.2} s, overflow <= {:.2} %; {} entries at the end; \
             resident <= {:.0} MiB for {:.0} MiB of index and log",
            self.bytes_per_key_at_rest,
            self.seconds_to_rest,
            self.most_extra_share * 100.0,
            self.entries,
            mebibytes(self.most_resident_bytes),
            mebibytes(self.most_store_bytes),
        )
    }
}

const DOUBLINGS: [&str; 11] = [
    "", "k keys", "s", "M op/s", "p50 us", "p99", "p99.9", "worst", "> 100 us", "B/key", "buckets",
];

fn row(direction: Direction, doubling: &Doubling) -> Vec<String> {
    let Doubling { keys, figures, bytes_per_key: [least, most], buckets } = doubling;
    let [from, until] = keys.map(|keys| keys / 1000);
    let span = match direction {
        Direction::Grow => format!("{from} to {until}"),
        Direction::Shrink => format!("{until} to {from}"),
    };
    vec![
        direction.name().to_owned(),
        span,
        format!("{:.1}", figures.seconds),
        format!("{:.2}", figures.operations_per_second / 1e6),
        format!("{:.2}", figures.p50_microseconds),
        format!("{:.2}", figures.p99_microseconds),
        format!("{:.1}", figures.p999_microseconds),
        format!("{:.0}", figures.worst_microseconds),
        figures.slow.to_string(),
        format!("{least:.2} to {most:.2}"),
        buckets.to_string(),
    ]
}

const COMPARED: [&str; 8] = [
    "",
    "seconds",
    "throughput, least",
    "median",
    "p99.9, whole",
    "seconds: median, most",
    "worst added us (seconds above 100)",
    "slow, base",
];

fn compared(comparison: &Comparison) -> Vec<String> {
    let [least, middle, _] = comparison.range(|it| it.throughput_ratio).unwrap_or_default();
    let p999: fn(&Second) -> f64 = |it| it.p999_ratio;
    let [_, p999_middle, p999_most] = comparison.range(p999).unwrap_or_default();
    let [slow, slow_base] = comparison.slow;
    vec![
        comparison.direction.name().to_owned(),
        comparison.seconds.len().to_string(),
        format!("{least:.2}x"),
        format!("{middle:.2}x"),
        format!("{:.2}x", comparison.p999_ratio),
        format!("{p999_middle:.2}x, {p999_most:.2}x"),
        format!(
            "{:+.0} ({})",
            comparison.worst_added_microseconds,
            comparison.seconds_beyond_limit()
        ),
        format!("{slow}, {slow_base}"),
    ]
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.add_row(head);
    table.add_rows(rows);
    table
}

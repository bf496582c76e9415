//! The runs of a contest as a table, as JSON and as panels of a diagram.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use plotters::style::{BLUE, RGBColor, full_palette};
use serde::Serialize;

use super::contest::{Options, Run};
use crate::panels::{Line, Panel, Scale};
use crate::report::rate;
use crate::space::{self, Cost};
use crate::timeline::{self, Point};

/// The results of one invocation of `kvbench overwrite`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The number of records.
    pub records: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// The number of updates over the number of records.
    pub times: f64,
    /// Memory of the store.
    pub memory_bytes: u64,
    /// Bytes of the live records.
    pub live_bytes: u64,
    /// The runs; the first is without compaction.
    pub runs: Vec<Row>,
}

/// The results of one run.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The budget of the disk over the live bytes; `None` without compaction.
    pub budget: Option<f64>,
    /// The cost.
    pub cost: Cost,
    /// Throughput over that of the first run.
    pub throughput_ratio: f64,
    /// 99.9th percentile over that of the first run.
    pub p999_ratio: f64,
    /// Rounds of compaction.
    pub compactions: u64,
    /// Bytes that compaction copied, over the bytes of all appended records.
    pub copied_share: f64,
    /// Bytes of all files over the live bytes, after a compaction by hand.
    pub compacted_over_live: f64,
    /// Throughput over time.
    pub timeline: Vec<Point>,
    /// The space over time.
    pub space: Vec<space::Point>,
}

impl Report {
    /// Creates the report of some runs.
    pub fn new(options: &Options, runs: &[Run]) -> Self {
        let rows = runs.iter().map(|run| Row::new(run, &runs[0].cost));
        Self {
            records: options.records,
            value_bytes: options.value,
            times: options.times,
            memory_bytes: options.memory.bytes(),
            live_bytes: runs[0].compacted.live_bytes,
            runs: rows.collect(),
        }
    }

    /// Returns the title.
    pub fn title(&self) -> String {
        let Self { records, value_bytes, times, .. } = self;
        let (live, memory) = (megabytes(self.live_bytes), megabytes(self.memory_bytes));
        format!(
            "{times} uniform updates of each of {records} records of 8 + {value_bytes} B, \
             {live:.0} MB live, memory {memory:.0} MB"
        )
    }
}

impl Row {
    fn new(run: &Run, first: &Cost) -> Self {
        let Run { budget, outcome, cost, compaction, compacted } = run;
        let appended = (outcome.results.operations as f64) * record_bytes(run);
        Self {
            budget: *budget,
            cost: *cost,
            throughput_ratio: cost.operations_per_second / first.operations_per_second,
            p999_ratio: cost.p999_microseconds / first.p999_microseconds,
            compactions: compaction.rounds,
            copied_share: compaction.copied_bytes as f64 / appended,
            compacted_over_live: compacted.ratio(),
            timeline: outcome.timeline.points().to_vec(),
            space: outcome.space.clone(),
        }
    }

    fn cells(&self) -> [String; 10] {
        let Self { cost, .. } = self;
        [
            name(self.budget),
            rate(cost.operations_per_second),
            format!("{:.2}x", self.throughput_ratio),
            format!("{:.1} ({:.2}x)", cost.p999_microseconds, self.p999_ratio),
            cost.worst_second.map_or_else(String::new, rate),
            format!("{:.2}x", cost.disk_over_live),
            format!("{:.2}x", cost.disk_over_live_max),
            format!("{:.2}", cost.written_per_user_byte.unwrap_or_default()),
            format!("{} ({:.2})", self.compactions, self.copied_share),
            format!("{:.2}x", self.compacted_over_live),
        ]
    }
}

/// Returns the mean bytes of a record.
fn record_bytes(run: &Run) -> f64 {
    let before = run.outcome.before.operations.upserts.max(1);
    run.compacted.live_bytes as f64 / before as f64
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.title())?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.add_row([
            "disk",
            "updates",
            "ratio",
            "p99.9 us",
            "worst second",
            "on disk",
            "at most",
            "written",
            "rounds (copied)",
            "compacted",
        ]);
        table.add_rows(self.runs.iter().map(Row::cells));
        writeln!(formatter, "{table}")?;
        write!(
            formatter,
            "disk: the budget over live bytes; on disk, at most, compacted: all files over live \
             bytes; written: to the device for each byte of keys and values; copied: over appended"
        )
    }
}

/// Returns the runs as panels of a diagram: throughput, and space over live bytes.
pub fn panels(runs: &[Run]) -> [Panel<'static>; 2] {
    const COLORS: [RGBColor; 5] = [
        BLUE,
        full_palette::ORANGE_800,
        full_palette::GREEN_800,
        full_palette::PURPLE_600,
        full_palette::GREY_600,
    ];
    let named = || runs.iter().zip(COLORS.into_iter().cycle());
    let rates = named().map(|(run, color)| run.outcome.timeline.line(name(run.budget), color));
    let ratios = named().map(|(run, color)| {
        let points = run.outcome.space.iter().map(|point| (point.seconds, point.space.ratio()));
        Line { name: name(run.budget), color, width: 2, points: points.collect(), mark: None }
    });
    let space = Panel {
        title: "All files over live records",
        unit: "ratio",
        scale: Scale::Linear,
        lines: ratios.collect(),
        shaded: Vec::new(),
    };
    [timeline::panel_of(rates.collect()), space]
}

fn name(budget: Option<f64>) -> String {
    budget.map_or_else(|| "without".to_owned(), |budget| format!("{budget}x"))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

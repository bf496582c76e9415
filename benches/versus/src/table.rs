//! Medians of slices, as a table and as JSON.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde::Serialize;

use crate::slices::{Slice, median};

/// The figures of one contestant in one contest.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The contest: mix, distribution, concurrency.
    pub contest: String,
    /// The name of the contestant.
    pub contestant: String,
    /// Operations per second, median of slices.
    pub operations_per_second: f64,
    /// Lowest and highest slice.
    pub range: (f64, f64),
    /// Processor microseconds per operation, median of slices.
    pub processor_microseconds: f64,
    /// Device reads per second, median of slices.
    pub device_reads_per_second: f64,
    /// Median of the latencies; zero if none was timed.
    pub p50_microseconds: f64,
    /// 99th percentile of the latencies; zero if none was timed.
    pub p99_microseconds: f64,
    /// The number of records that were missing.
    pub missing: u64,
    /// The number of values that did not belong to their key.
    pub wrong: u64,
}

impl Row {
    /// Sums up the slices of one contestant.
    pub fn new(contest: &str, contestant: String, slices: &[Slice]) -> Self {
        let of = |figure: fn(&Slice) -> f64| median(slices.iter().map(figure).collect());
        let rates = slices.iter().map(Slice::rate);
        let mut latency = slices[0].seen.latency.clone();
        for slice in &slices[1..] {
            latency.add(&slice.seen.latency).expect("bounds are the same");
        }
        Self {
            contest: contest.to_owned(),
            contestant,
            operations_per_second: of(Slice::rate),
            range: (rates.clone().fold(f64::MAX, f64::min), rates.fold(0.0, f64::max)),
            processor_microseconds: of(|slice| {
                slice.processor_seconds * 1e6 / slice.seen.operations.max(1) as f64
            }),
            device_reads_per_second: of(|slice| slice.device_reads as f64 / slice.seconds),
            p50_microseconds: latency.value_at_quantile(0.5) as f64 / 1e3,
            p99_microseconds: latency.value_at_quantile(0.99) as f64 / 1e3,
            missing: slices.iter().map(|slice| slice.seen.missing).sum(),
            wrong: slices.iter().map(|slice| slice.seen.wrong).sum(),
        }
    }
}

/// A column of ratios: a heading, and the contestants whose fastest counts as 1.
pub type Baseline<'a> = (&'a str, &'a dyn Fn(&str) -> bool);

/// Prints one contest.
pub fn print(contest: &str, rows: &[Row], baselines: &[Baseline<'_>]) {
    let best: Vec<f64> = baselines.iter().map(|(_, counts)| best_of(rows, counts)).collect();
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let mut header = vec![contest, "op/s", "slices"];
    header.extend(baselines.iter().map(|(heading, _)| *heading));
    header.extend(["CPU us/op", "dev reads/s", "p50 us", "p99 us", "missing", "wrong"]);
    table.set_header(header);
    for row in rows {
        let mut cells = vec![
            row.contestant.clone(),
            rate(row.operations_per_second),
            format!("{} .. {}", rate(row.range.0), rate(row.range.1)),
        ];
        cells.extend(best.iter().map(|best| format!("{:.2}", row.operations_per_second / best)));
        cells.extend([
            format!("{:.3}", row.processor_microseconds),
            rate(row.device_reads_per_second),
            format!("{:.1}", row.p50_microseconds),
            format!("{:.1}", row.p99_microseconds),
            row.missing.to_string(),
            row.wrong.to_string(),
        ]);
        table.add_row(cells);
    }
    println!("{table}\n");
}

/// Returns the operations per second of the fastest contestant that counts; NaN if none does.
pub fn best_of(rows: &[Row], counts: impl Fn(&str) -> bool) -> f64 {
    let rates =
        rows.iter().filter(|row| counts(&row.contestant)).map(|row| row.operations_per_second);
    rates.fold(f64::NAN, f64::max)
}

/// Returns a rate for a table.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e6 => format!("{:.2} M", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

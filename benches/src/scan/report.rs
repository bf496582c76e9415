//! The measurements as a table and as JSON.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::options::Options;
use super::pass::Pass;
use super::run::{Beside, Cold, Outcome};
use crate::report::{mebibytes, rate};
use crate::timeline::median;

/// The results of one invocation of `kvbench scan`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The number of records.
    pub records: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Memory of the store that has all records in memory.
    pub memory_bytes: u64,
    /// Memory of the store whose records are on the device.
    pub cold_memory_bytes: u64,
    /// All measurements.
    pub outcome: Outcome,
}

impl Report {
    /// Creates the report of some measurements.
    pub fn new(options: &Options, outcome: Outcome) -> Self {
        Self {
            records: options.records,
            value_bytes: options.value,
            memory_bytes: options.memory.bytes(),
            cold_memory_bytes: options.cold_memory().bytes(),
            outcome,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, value_bytes, outcome, .. } = self;
        let [memory, cold] = [self.memory_bytes, self.cold_memory_bytes].map(mebibytes);
        writeln!(
            formatter,
            "scans of {records} records of 8 + {value_bytes} B, {memory:.0} MiB of memory, cold \
             {cold:.0} MiB"
        )?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.add_row(["", "records", "ns/record*", "MB/s of log", "against", "ratio", "ratios"]);
        for (form, passes) in &outcome.in_memory {
            let name = format!("in memory, {}", form.name());
            table.add_row(row(&name, passes, |pass| *pass, (String::new(), &[])));
        }
        let ratios: Vec<f64> = outcome.beside.iter().map(Beside::ratio).collect();
        let alone = format!("writer {} alone", rate(middle(&outcome.beside, |it| it.alone)));
        table.add_row(row("beside a writer", &outcome.beside, |it| it.scan, (alone, &ratios)));
        let ratios: Vec<f64> =
            outcome.cold.iter().map(|it| it.read_megabytes() / it.plain_megabytes()).collect();
        let plain = format!("read {:.0} MB/s", middle(&outcome.cold, Cold::plain_megabytes));
        table.add_row(row("cold", &outcome.cold, |it| it.scan, (plain, &ratios)));
        writeln!(formatter, "{table}")?;
        let read = middle(&outcome.cold, |it| it.scan.read_bytes as f64 / it.scan.log_bytes as f64);
        write!(
            formatter,
            "* processor time of the process\ncold: {:.0} % of the log were read; all: {} values \
             wrong, {}",
            read * 100.0,
            outcome.wrong,
            if outcome.is_sound() { "each key once" } else { "KEYS MISSING OR TWICE" }
        )
    }
}

fn row<T>(
    name: &str,
    runs: &[T],
    pass: fn(&T) -> Pass,
    (against, ratios): (String, &[f64]),
) -> [String; 7] {
    let texts: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    let ratio = median(ratios.to_vec());
    [
        name.to_owned(),
        rate(middle(runs, |run| pass(run).rate())),
        format!("{:.0}", middle(runs, |run| pass(run).processor_nanoseconds())),
        format!("{:.0}", middle(runs, |run| pass(run).megabytes())),
        against,
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
        texts.join(" "),
    ]
}

fn middle<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(runs.iter().map(figure).collect()).unwrap_or_default()
}

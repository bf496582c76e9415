//! The results as a table.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::figures::Figures;
use super::options::Baseline;
use super::report::{Report, Setup};
use crate::report::{mebibytes, rate};

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.setup)?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        let rows = self.rows().into_iter().chain(self.reader_rows()).chain(self.scan_rows());
        for (name, figure) in rows.chain(self.ratio_rows()).chain([self.verified_row()]) {
            table.add_row([name, figure]);
        }
        write!(formatter, "{table}")
    }
}

type Row = (String, String);

fn row(name: &str, figure: impl Into<String>) -> Row {
    (name.to_owned(), figure.into())
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let middle = self.middle_run();
        let millions = |run: &Figures| run.appends_per_second / 1e6;
        let appends = self.middle(millions);
        let [bytes, durable] = [
            self.middle(|run| run.bytes_per_second),
            self.middle(|run| run.durable_bytes_per_second),
        ]
        .map(mebibytes_per_second);
        let commits = rate(self.middle(|run| run.commits_per_second));
        let resident = mebibytes(middle.resident_bytes);
        let [frames, buffers] = middle.log_bytes.map(mebibytes);
        let what = if self.setup.commit == "each" { "append_durable us" } else { "append us" };
        vec![
            row("appends", format!("{appends:.4} M/s{}", self.spread(millions, 4))),
            row("bytes", format!("{bytes}, {durable} until durable")),
            row(what, middle.latency.to_string()),
            row("  measured on", middle.latency.basis()),
            row("commits", commits),
            row("written", format!("{:.3} B per byte of entries", middle.written_per_byte)),
            row("processor us/op", middle.processor.to_string()),
            row("resident", format!("{resident:.1} MiB")),
            row("log's own count", format!("pages {frames:.1} MiB, buffers {buffers:.1} MiB")),
        ]
    }

    fn reader_rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for reader in 0..self.setup.readers {
            let entries = rate(self.middle(|run| run.readers[reader].entries_per_second));
            let ratio = |run: &Figures| run.readers[reader].ratio;
            let (middle, spread) = (self.middle(ratio), self.spread(ratio, 2));
            let late = self.middle(|run| run.readers[reader].catch_up_milliseconds);
            let figure = format!("{entries}, {middle:.2} of appends{spread}, {late:.1} ms late");
            rows.push(row(&format!("reader {reader}"), figure));
        }
        if self.setup.readers > 0 {
            let [middle, most] = [0, 1].map(|place| self.middle(|run| run.lag[place] as f64));
            rows.push(row("lag", format!("median {middle:.0}, at most {most:.0} entries")));
        }
        rows
    }

    fn scan_rows(&self) -> Vec<Row> {
        let Some(scan) = &self.middle_run().scan else {
            return Vec::new();
        };
        let (entries, bytes) =
            (rate(scan.entries_per_second), mebibytes_per_second(scan.bytes_per_second));
        let opened = scan.open_milliseconds;
        vec![
            row("scan", format!("{entries}, {bytes} of log, opened in {opened:.1} ms")),
            row("  processor us/op", scan.processor.to_string()),
        ]
    }

    fn ratio_rows(&self) -> Vec<Row> {
        let against = self.middle_run().ratios.iter().enumerate();
        let rows = against.map(|(place, ratio)| {
            let name = format!("{} {}", subject(ratio.against), name(ratio.against));
            let baseline = self.middle(|run| run.ratios[place].baseline);
            let baseline = match ratio.against {
                Baseline::Lone | Baseline::Memcpy => rate(baseline),
                Baseline::Write | Baseline::Read => mebibytes_per_second(baseline),
            };
            let of = |run: &Figures| run.ratios[place].ratio();
            (name, format!("{:.2}{}, of {baseline}", self.middle(of), self.spread(of, 2)))
        });
        rows.collect()
    }

    fn verified_row(&self) -> Row {
        let sum = |figure: fn(&Figures) -> u64| self.runs.iter().map(figure).sum::<u64>();
        let [verified, wrong] = [sum(|run| run.verified), sum(|run| run.wrong)];
        let [misplaced, missing] = [sum(|run| run.misplaced), sum(|run| run.missing)];
        let figure =
            format!("{verified} entries, {wrong} wrong, {misplaced} misplaced, {missing} missing");
        row("verified", figure)
    }

    /// Returns the figure of every repetition, if there are several.
    fn spread(&self, figure: impl Fn(&Figures) -> f64, places: usize) -> String {
        if self.runs.len() < 2 {
            return String::new();
        }
        let each: Vec<String> =
            self.runs.iter().map(|run| format!("{:.places$}", figure(run))).collect();
        format!(" ({})", each.join(" "))
    }
}

fn subject(against: Baseline) -> &'static str {
    match against {
        Baseline::Lone | Baseline::Memcpy => "appends",
        Baseline::Write => "bytes until durable",
        Baseline::Read => "scan",
    }
}

fn name(against: Baseline) -> &'static str {
    match against {
        Baseline::Lone => "/ one task alone",
        Baseline::Memcpy => "/ copies",
        Baseline::Write => "/ plain write",
        Baseline::Read => "/ plain read",
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry_bytes, runtime, threads, tasks, batch, backend, seconds, .. } = self;
        let Self { commit, commits_in_flight, readers, .. } = self;
        let memory = mebibytes(self.memory_bytes);
        write!(
            formatter,
            "Log of {entry_bytes} B in {memory} MiB: {runtime:?} with {threads} thread(s) and \
             {tasks} task(s), batch {batch}, backend {backend}, commit {commit} with \
             {commits_in_flight} in flight, {seconds} s"
        )?;
        if *readers > 0 {
            write!(formatter, ", {readers} reader(s) of {:?}", self.reads)?;
        }
        Ok(())
    }
}

fn mebibytes_per_second(bytes_per_second: f64) -> String {
    format!("{:.1} MiB/s", bytes_per_second / f64::from(1 << 20))
}

//! The results as a table.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::{Latency, Processor, Report, Setup, StoreCounts};

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.setup)?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        for (name, figure) in self.rows() {
            table.add_row([name.to_owned(), figure]);
        }
        writeln!(formatter, "{table}")?;
        if let Some(checkpoints) = &self.checkpoints {
            writeln!(formatter, "{checkpoints}")?;
        }
        write!(formatter, "{}", self.cost)
    }
}

impl Report {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let Self { verified, missing, wrong, .. } = self;
        let records = self.setup.records;
        let resident = mebibytes(self.resident_bytes);
        let configured = mebibytes(self.setup.memory_bytes);
        let mut rows = vec![
            ("loaded", format!("{records} records in {:.1} s", self.load_seconds)),
            ("throughput", rate(self.operations_per_second)),
            ("operations", self.operations.to_string()),
            ("latency us", self.latency.to_string()),
            ("  measured on", self.latency.basis()),
            ("processor us/op", self.processor.to_string()),
        ];
        rows.extend(self.store.rows());
        rows.extend([
            ("resident", format!("{resident:.1} MiB of store, {configured:.1} MiB configured")),
            ("verified", format!("{verified} values, {missing} missing, {wrong} wrong")),
        ]);
        rows
    }
}

impl Latency {
    /// Describes which calls were timed.
    pub(crate) fn basis(&self) -> String {
        let Self { samples, operations_per_call, sampled_one_in, .. } = self;
        format!("{samples} calls of {operations_per_call} operation(s), 1 call in {sampled_one_in}")
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_microseconds: p50, p99_microseconds: p99, .. } = self;
        let Self { p999_microseconds: p999, max_microseconds: max, .. } = self;
        write!(formatter, "p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.0}")
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user_microseconds: user, system_microseconds: system, cores } = self;
        write!(formatter, "{user:.3} user + {system:.3} system, {cores:.2} cores busy")
    }
}

impl StoreCounts {
    fn rows(&self) -> [(&'static str, String); 5] {
        let reads = rate(self.device_reads_per_second);
        let read_bytes = self.bytes_per_device_read;
        let write_megabytes = self.device_write_bytes_per_second / 1e6;
        let index = mebibytes(self.index_bytes);
        let frames = mebibytes(self.frame_bytes);
        let buffers = mebibytes(self.buffer_bytes);
        let memory =
            format!("index {index:.1} MiB, frames {frames:.1} MiB, buffers {buffers:.1} MiB");
        let hits = self.hits.iter().filter(|(_, count)| *count > 0);
        let hits: Vec<String> = hits.map(|(region, count)| format!("{region} {count}")).collect();
        let Self { suspensions, appends, .. } = self;
        [
            ("device reads", format!("{reads} of {read_bytes:.0} B")),
            ("device writes", format!("{write_megabytes:.1} MB/s")),
            ("hits", hits.join(", ")),
            ("waits", format!("{suspensions} suspensions, {appends} appends")),
            ("store's own count", memory),
        ]
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "YCSB {:?}, {:?}: {} records of 8 + {} B, {:?} with {} thread(s) and {} task(s), \
             batch {}, backend {}, {} s",
            self.workload,
            self.distribution,
            self.records,
            self.value_bytes,
            self.runtime,
            self.threads,
            self.tasks,
            self.batch,
            self.backend,
            self.seconds
        )?;
        if let Some(disk) = self.disk_bytes {
            write!(formatter, ", {:.0} MiB of disk", mebibytes(disk))?;
        }
        match &self.checkpoints {
            Some(plan) => write!(formatter, ", checkpoints: {plan}"),
            None => Ok(()),
        }
    }
}

pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e6 => format!("{:.2} M/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{rate:.0}/s"),
    }
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

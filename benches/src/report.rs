//! What a run measured, as a table for people and as JSON for scripts.

use std::fmt;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::keys::Distribution;
use crate::options::Options;
use crate::run::Outcome;
use crate::runtimes::RuntimeKind;
use crate::timeline::Point;
use crate::workload::Workload;

/// Everything one invocation of `kvbench` has to say.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub setup: Setup,
    /// Seconds that loading took.
    pub load_seconds: f64,
    /// Operations finished.
    pub operations: u64,
    /// Operations per second over the whole run.
    pub operations_per_second: f64,
    /// Sampled latencies.
    pub latency: Latency,
    /// Processor time per operation.
    pub processor: Processor,
    /// What the store counted during the run.
    pub store: StoreCounts,
    /// Resident bytes beyond those of the process before the store was opened.
    pub resident_bytes: u64,
    /// Records read and verified.
    pub verified: u64,
    /// Records that should be there and were not.
    pub missing: u64,
    /// Values that did not belong to their key.
    pub wrong: u64,
    /// Throughput over time.
    pub timeline: Vec<Point>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub struct Setup {
    workload: Workload,
    distribution: Distribution,
    records: u64,
    value_bytes: usize,
    memory_bytes: u64,
    runtime: RuntimeKind,
    backend: String,
    threads: usize,
    tasks: usize,
    batch: usize,
    seconds: f64,
    seed: u64,
}

/// Latency of the sampled calls.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Calls timed.
    pub samples: u64,
    /// One call in this many was timed.
    pub sampled_one_in: usize,
    /// Operations of one call.
    pub operations_per_call: usize,
    /// Half of the calls took no longer, microseconds.
    pub p50_microseconds: f64,
    /// 99 of 100 calls took no longer, microseconds.
    pub p99_microseconds: f64,
    /// 999 of 1000 calls took no longer, microseconds.
    pub p999_microseconds: f64,
    /// The longest call, microseconds.
    pub max_microseconds: f64,
}

/// Processor time of the whole process per operation.
#[derive(Debug, Serialize)]
pub struct Processor {
    /// User mode, microseconds per operation.
    pub user_microseconds: f64,
    /// Kernel, microseconds per operation.
    pub system_microseconds: f64,
    /// Processors kept busy on average.
    pub cores: f64,
}

/// Counters of the store, as differences over the run.
#[derive(Debug, Serialize)]
pub struct StoreCounts {
    /// Device reads per second.
    pub device_reads_per_second: f64,
    /// Mean bytes of a device read.
    pub bytes_per_device_read: f64,
    /// Bytes written to the device per second.
    pub device_write_bytes_per_second: f64,
    /// Times an operation had to wait.
    pub suspensions: u64,
    /// Records appended to the log: writes that were not in place.
    pub appends: u64,
    /// Records found, by the region of the log they were in.
    pub hits: Vec<(&'static str, u64)>,
    /// Memory of the index at the end.
    pub index_bytes: u64,
    /// Memory of the log's frames at the end.
    pub frame_bytes: u64,
    /// Memory of the device buffers at the end.
    pub buffer_bytes: u64,
}

impl Report {
    /// Puts the figures of a run together.
    pub fn new(options: &Options, load_seconds: f64, outcome: &Outcome, resident: u64) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let operations = outcome.findings.operations;
        let per_operation =
            |time: std::time::Duration| time.as_secs_f64() * 1e6 / (operations.max(1) as f64);
        Self {
            setup: Setup::new(options),
            load_seconds,
            operations,
            operations_per_second: operations as f64 / seconds,
            latency: Latency::new(options, outcome),
            processor: Processor {
                user_microseconds: per_operation(outcome.processor.user),
                system_microseconds: per_operation(outcome.processor.system),
                cores: outcome.processor.total().as_secs_f64() / seconds,
            },
            store: StoreCounts::new(outcome),
            resident_bytes: resident,
            verified: outcome.findings.reads - outcome.findings.missing - outcome.findings.wrong,
            missing: outcome.findings.missing,
            wrong: outcome.findings.wrong,
            timeline: outcome.timeline.points().to_vec(),
        }
    }

    /// Whether every record was found and every value was its key's.
    pub fn is_sound(&self) -> bool {
        self.missing == 0 && self.wrong == 0
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let Latency {
            p50_microseconds: p50,
            p99_microseconds: p99,
            ..
        } = self.latency;
        let Latency {
            p999_microseconds: p999,
            max_microseconds: max,
            ..
        } = self.latency;
        let hits = self.store.hits.iter().filter(|(_, count)| *count > 0);
        let hits: Vec<String> = hits
            .map(|(region, count)| format!("{region} {count}"))
            .collect();
        vec![
            (
                "loaded",
                format!(
                    "{} records in {:.1} s",
                    self.setup.records, self.load_seconds
                ),
            ),
            ("throughput", rate(self.operations_per_second)),
            ("operations", self.operations.to_string()),
            (
                "latency us",
                format!("p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.0}"),
            ),
            (
                "  measured on",
                format!(
                    "{} calls of {} operation(s), 1 call in {}",
                    self.latency.samples,
                    self.latency.operations_per_call,
                    self.latency.sampled_one_in
                ),
            ),
            (
                "processor us/op",
                format!(
                    "{:.3} user + {:.3} system, {:.2} cores busy",
                    self.processor.user_microseconds,
                    self.processor.system_microseconds,
                    self.processor.cores
                ),
            ),
            (
                "device reads",
                format!(
                    "{} of {:.0} B",
                    rate(self.store.device_reads_per_second),
                    self.store.bytes_per_device_read
                ),
            ),
            (
                "device writes",
                format!("{:.1} MB/s", self.store.device_write_bytes_per_second / 1e6),
            ),
            ("hits", hits.join(", ")),
            (
                "waits",
                format!(
                    "{} suspensions, {} appends",
                    self.store.suspensions, self.store.appends
                ),
            ),
            (
                "store's own count",
                format!(
                    "index {:.1} MiB, frames {:.1} MiB, buffers {:.1} MiB",
                    mebibytes(self.store.index_bytes),
                    mebibytes(self.store.frame_bytes),
                    mebibytes(self.store.buffer_bytes)
                ),
            ),
            (
                "resident",
                format!(
                    "{:.1} MiB of store, {:.1} MiB configured",
                    mebibytes(self.resident_bytes),
                    mebibytes(self.setup.memory_bytes)
                ),
            ),
            (
                "verified",
                format!(
                    "{} values, {} missing, {} wrong",
                    self.verified, self.missing, self.wrong
                ),
            ),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.setup)?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        for (name, figure) in self.rows() {
            table.add_row([name.to_owned(), figure]);
        }
        if let Some(names) = table.column_mut(0) {
            names.set_cell_alignment(CellAlignment::Left);
        }
        write!(formatter, "{table}")
    }
}

impl Setup {
    fn new(options: &Options) -> Self {
        Self {
            workload: options.workload,
            distribution: options.distribution,
            records: options.records,
            value_bytes: options.value,
            memory_bytes: options.memory.bytes(),
            runtime: options.runtime,
            backend: format!("{:?}", options.backend).to_lowercase(),
            threads: options.threads,
            tasks: options.tasks,
            batch: options.batch,
            seconds: options.seconds,
            seed: options.seed,
        }
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
        )
    }
}

impl Latency {
    fn new(options: &Options, outcome: &Outcome) -> Self {
        let histogram = &outcome.findings.latency;
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            samples: histogram.len(),
            sampled_one_in: if options.batch > 1 {
                1
            } else {
                options.sample_every()
            },
            operations_per_call: options.batch,
            p50_microseconds: at(0.5),
            p99_microseconds: at(0.99),
            p999_microseconds: at(0.999),
            max_microseconds: histogram.max() as f64 / 1e3,
        }
    }
}

impl StoreCounts {
    fn new(outcome: &Outcome) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let (before, after) = (&outcome.before, &outcome.after);
        let reads = after.device.reads - before.device.reads;
        let read_bytes = after.device.read_bytes - before.device.read_bytes;
        let write_bytes = after.device.write_bytes - before.device.write_bytes;
        Self {
            device_reads_per_second: reads as f64 / seconds,
            bytes_per_device_read: read_bytes as f64 / reads.max(1) as f64,
            device_write_bytes_per_second: write_bytes as f64 / seconds,
            suspensions: after.suspensions - before.suspensions,
            appends: after.appends - before.appends,
            hits: vec![
                ("mutable", after.hits.mutable - before.hits.mutable),
                ("read-only", after.hits.read_only - before.hits.read_only),
                ("on device", after.hits.on_device - before.hits.on_device),
                ("absent", after.hits.absent - before.hits.absent),
            ],
            index_bytes: after.memory.index,
            frame_bytes: after.memory.frames,
            buffer_bytes: after.memory.buffers,
        }
    }
}

fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e6 => format!("{:.2} M/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{rate:.0}/s"),
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

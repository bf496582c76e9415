//! The results of a run, as a table and as JSON.

mod checkpoints;
mod table;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::checkpoints::Plan;
use crate::keys::Distribution;
use crate::options::Options;
use crate::process::ProcessorTime;
use crate::run::Outcome;
use crate::runtimes::RuntimeKind;
use crate::space::{self, Cost};
use crate::timeline::Point;
use crate::workload::Workload;

pub use checkpoints::{CheckpointRow, Checkpoints};
pub(crate) use table::{mebibytes, rate};

/// The results of one invocation of `kvbench`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The settings.
    pub setup: Setup,
    /// Seconds of the loading.
    pub load_seconds: f64,
    /// The number of finished operations.
    pub operations: u64,
    /// Operations per second over the whole run.
    pub operations_per_second: f64,
    /// Sampled latencies.
    pub latency: Latency,
    /// Processor time per operation.
    pub processor: Processor,
    /// Counters of the store during the run.
    pub store: StoreCounts,
    /// Resident bytes beyond the bytes before the store was opened.
    pub resident_bytes: u64,
    /// The number of records that were read and verified.
    pub verified: u64,
    /// The number of records that were missing.
    pub missing: u64,
    /// The number of values that did not belong to their key.
    pub wrong: u64,
    /// Checkpoints and their costs, if the run had any.
    pub checkpoints: Option<Checkpoints>,
    /// The cost of the run in a line.
    pub cost: Cost,
    /// Throughput over time.
    pub timeline: Vec<Point>,
    /// The space over time.
    pub space: Vec<space::Point>,
}

/// The settings of a report.
#[derive(Debug, Serialize)]
pub struct Setup {
    workload: Workload,
    distribution: Distribution,
    records: u64,
    value_bytes: usize,
    memory_bytes: u64,
    disk_bytes: Option<u64>,
    runtime: RuntimeKind,
    backend: String,
    threads: usize,
    tasks: usize,
    batch: usize,
    seconds: f64,
    seed: u64,
    checkpoints: Option<Plan>,
}

/// Latency of the sampled calls.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// The number of timed calls.
    pub samples: u64,
    /// The number of calls of which one was timed.
    pub sampled_one_in: usize,
    /// The number of operations of one call.
    pub operations_per_call: usize,
    /// Median, microseconds.
    pub p50_microseconds: f64,
    /// 99th percentile, microseconds.
    pub p99_microseconds: f64,
    /// 99.9th percentile, microseconds.
    pub p999_microseconds: f64,
    /// Maximum, microseconds.
    pub max_microseconds: f64,
}

/// Processor time of the whole process per operation.
#[derive(Clone, Debug, Serialize)]
pub struct Processor {
    /// User time, microseconds per operation.
    pub user_microseconds: f64,
    /// Kernel time, microseconds per operation.
    pub system_microseconds: f64,
    /// Average number of busy processors.
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
    /// The number of times that an operation had to wait.
    pub suspensions: u64,
    /// The number of records appended to the log, by writes that were not in place.
    pub appends: u64,
    /// The number of records found in each region of the log.
    pub hits: Vec<(&'static str, u64)>,
    /// Memory of the index at the end.
    pub index_bytes: u64,
    /// Memory of the page frames of the log at the end.
    pub frame_bytes: u64,
    /// Memory of the device buffers at the end.
    pub buffer_bytes: u64,
}

impl Report {
    /// Collects the figures of a run.
    pub fn new(options: &Options, load_seconds: f64, outcome: &Outcome, resident: u64) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let operations = outcome.results.operations;
        Self {
            setup: Setup::new(options),
            load_seconds,
            operations,
            operations_per_second: operations as f64 / seconds,
            latency: Latency::new(&outcome.results.latency.all(), options.calls()),
            cost: Cost::new(outcome, options.value),
            processor: Processor::new(outcome.processor, operations, outcome.elapsed),
            store: StoreCounts::new(outcome),
            resident_bytes: resident,
            verified: outcome.results.reads - outcome.results.missing - outcome.results.wrong,
            missing: outcome.results.missing,
            wrong: outcome.results.wrong,
            checkpoints: options.checkpoints().map(|_| Checkpoints::new(options, outcome)),
            timeline: outcome.timeline.points().to_vec(),
            space: outcome.space.clone(),
        }
    }

    /// Returns whether every record was found, with a value of its own key.
    pub fn is_sound(&self) -> bool {
        self.missing == 0 && self.wrong == 0
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
            disk_bytes: options.disk.map(|disk| disk.bytes()),
            runtime: options.runtime,
            backend: format!("{:?}", options.backend).to_lowercase(),
            threads: options.threads,
            tasks: options.tasks,
            batch: options.batch,
            seconds: options.seconds,
            seed: options.seed,
            checkpoints: options.checkpoints(),
        }
    }
}

impl Latency {
    /// Creates the latency of calls. The numbers are `sampled_one_in` and `operations_per_call`.
    pub fn new(
        histogram: &Histogram<u64>,
        [sampled_one_in, operations_per_call]: [usize; 2],
    ) -> Self {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            samples: histogram.len(),
            sampled_one_in,
            operations_per_call,
            p50_microseconds: at(0.5),
            p99_microseconds: at(0.99),
            p999_microseconds: at(0.999),
            max_microseconds: histogram.max() as f64 / 1e3,
        }
    }
}

impl Processor {
    /// Creates the processor time of this many operations within `elapsed`.
    pub fn new(time: ProcessorTime, operations: u64, elapsed: Duration) -> Self {
        let per_operation = |time: Duration| time.as_secs_f64() * 1e6 / operations.max(1) as f64;
        Self {
            user_microseconds: per_operation(time.user),
            system_microseconds: per_operation(time.system),
            cores: time.total().as_secs_f64() / elapsed.as_secs_f64(),
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

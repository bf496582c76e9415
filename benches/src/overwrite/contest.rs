//! Uniform updates of a multiple of the data, without compaction and with budgets of the disk.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use kvick::FasterKv;
use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::stats::SpaceStats;

use super::compact;
use crate::load::{Load, load};
use crate::options::{self, Updates};
use crate::output::Output;
use crate::payload::Payload;
use crate::run::{self, End, Terms, prepare};
use crate::space::{Cost, Sampler, Space};

/// Overwrites all data several times in uniform order: without compaction, and within budgets of
/// the disk.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Number of records to load.
    #[arg(long, default_value_t = 2_000_000)]
    pub records: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    pub value: usize,
    /// Number of updates over the number of records.
    #[arg(long, default_value_t = 3.0)]
    pub times: f64,
    /// Budgets of the disk over the bytes of the live records, one run each.
    #[arg(long, value_delimiter = ',', default_value = "3,4,6")]
    pub disk: Vec<f64>,
    /// Memory of the store, with a unit.
    #[arg(long, default_value = "64MiB")]
    pub memory: ByteSize,
    /// Number of threads, with one task each.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// The backend that moves bytes to and from the device: auto, uring, threads.
    #[arg(long, default_value = "auto")]
    pub backend: Backend,
    /// The place of the store and the file of the results.
    #[command(flatten)]
    pub output: Output,
    /// File for a diagram of throughput and space over time, as SVG.
    #[arg(long)]
    pub svg: Option<PathBuf>,
}

impl Options {
    /// Returns the reason for which the options are refused.
    ///
    /// # Errors
    ///
    /// The error is the reason.
    pub fn check(&self) -> Result<(), String> {
        let is_positive = |figure: f64| figure > 0.0 && figure.is_finite();
        if self.records == 0 || self.threads == 0 || self.value < 8 {
            return Err("one record, one thread and values of 8 bytes, at least".to_owned());
        }
        if !is_positive(self.times) || !self.disk.iter().all(|disk| is_positive(*disk)) {
            return Err("`--times` and `--disk` are positive".to_owned());
        }
        Ok(())
    }

    /// Returns the options of one run.
    fn of_run(&self, disk: Option<ByteSize>) -> options::Options {
        let Self { records, value, memory, threads, backend, .. } = *self;
        let updates = Updates { records, value, memory, disk, threads, backend };
        options::Options::of_updates(updates, &self.output)
    }
}

/// The measurements of one run.
#[derive(Debug)]
pub struct Run {
    /// The budget over the live bytes; `None` without compaction.
    pub budget: Option<f64>,
    /// The updates.
    pub outcome: run::Outcome,
    /// Their cost.
    pub cost: Cost,
    /// The compaction during the load and the updates.
    pub compaction: SpaceStats,
    /// The space after a compaction by hand, at the end.
    pub compacted: Space,
}

/// Runs without compaction, then with each budget.
///
/// # Errors
///
/// Returns the first error of a store.
pub fn run(options: &Options) -> Result<Vec<Run>, Box<dyn Error>> {
    let run = if options.value == 8 { run_once::<u64> } else { run_once::<[u8]> };
    let without = run(options, None)?;
    let live = without.compacted.live_bytes;
    let mut runs = vec![without];
    for budget in &options.disk {
        runs.push(run(options, Some((*budget, live)))?);
    }
    Ok(runs)
}

/// Runs on a fresh store, with a budget over the live bytes.
fn run_once<V: Payload + ?Sized>(
    options: &Options,
    budget: Option<(f64, u64)>,
) -> Result<Run, Box<dyn Error>> {
    let disk = budget.map(|(budget, live)| ByteSize::new(bytes(budget * live as f64)));
    let of_run = options.of_run(disk);
    let directory = options.output.scratch("kvbench")?;
    let store: FasterKv<u64, V> = block_on(FasterKv::open(directory.path(), of_run.config()))?;
    let executor = of_run.executor();
    load(&store, executor, Load { records: options.records, value_bytes: options.value })?;
    let sampler = Sampler::new(&store, directory.path(), false);
    let end = End::Operations(bytes(options.times * options.records as f64));
    let terms = Terms { executor, end, checkpoints: None };
    let outcome = run::run(&store, Arc::new(prepare(&of_run)), terms, directory.path())?;
    let compaction = store.stats().space;
    block_on(compact(&store))?;
    let compacted = sampler.sample();
    block_on(store.close())?;
    let cost = Cost::new(&outcome, options.value);
    Ok(Run { budget: budget.map(|(budget, _)| budget), outcome, cost, compaction, compacted })
}

#[expect(clippy::cast_possible_truncation, reason = "it is a whole number of bytes or operations")]
fn bytes(figure: f64) -> u64 {
    figure.round() as u64
}

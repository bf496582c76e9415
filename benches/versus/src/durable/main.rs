//! Durable writes: each upsert of 64 tasks survives a power cut before its task goes on.
//!
//! ```text
//! just durableversus --path /var/tmp
//! ```
//!
//! kvick has its write-ahead log, and acknowledges durable writes; the rivals have a thread for
//! each task. `engines.rs` has their settings. A raw writer with a lone `fdatasync` for each write
//! tells the speed of the device. All run in turn, on one device.

mod engines;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::keys::{Distribution, draw_steps};
use benches::workload::Workload;
use clap::Parser;
use tokio::runtime::Runtime;
use versus::slices::{Arm, Walk, interleave};
use versus::table::{Row, print};

use crate::engines::{Engine, Ours, rivals};

#[derive(Debug, Parser)]
#[command(about = "kvick beside redb, fjall and RocksDB, each write durable")]
struct Options {
    /// Number of keys.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value: usize,
    /// Numbers of concurrent writers.
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    tasks: Vec<usize>,
    /// Number of slices of each contestant in each contest.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 1000)]
    slice_milliseconds: u64,
    /// Text in the names of the contestants that run.
    #[arg(long)]
    only: Option<String>,
    /// Directory for the stores. The program makes a fresh directory within it and removes it.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// File for the rows, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let directory = options.path.join(format!("versus-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = contests(&options, &directory);
    fs::remove_dir_all(&directory)?;
    outcome
}

fn contests(options: &Options, directory: &Path) -> Result<(), Box<dyn Error>> {
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let (runtime, bytes) = (Runtime::new()?, options.value);
    let steps = draw_steps(Workload::C, Distribution::Uniform, options.records, 1);
    let steps: &'static [_] = Box::leak(steps.into());
    let ours = Ours::open(&directory.join("kvick"))?;
    let mut engines: Vec<(&str, Box<dyn Engine>)> = Vec::new();
    for (name, open) in rivals() {
        if wanted(name) {
            engines.push((name, open(&directory.join(name))?));
        }
    }
    let mut rows = Vec::new();
    for &tasks in &options.tasks {
        let contest = format!("durable upserts, {tasks} at a time");
        let walks = |slice: usize| -> Vec<Walk> {
            (0..tasks).map(|number| Walk::new(steps, slice, number, tasks)).collect()
        };
        let mut arms = Vec::new();
        if wanted("kvick") {
            let run = |slice, duration| ours.run(&runtime, walks(slice), bytes, duration);
            arms.push(Arm::new("kvick", run));
        }
        for (name, engine) in &engines {
            let run = |slice, duration| engines::run(&**engine, walks(slice), bytes, duration);
            arms.push(Arm::new(*name, run));
        }
        let duration = Duration::from_millis(options.slice_milliseconds);
        let taken = interleave(arms, options.rounds, duration);
        let of_contest: Vec<Row> =
            taken.into_iter().map(|(name, slices)| Row::new(&contest, name, &slices)).collect();
        let is_rival = |name: &str| !["kvick", "raw"].contains(&name);
        print(&contest, &of_contest, &[("x rival", &is_rival)]);
        rows.extend(of_contest);
    }
    ours.close()?;
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

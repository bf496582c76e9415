//! YCSB on kvick, and stores that grow, shrink, are scanned or overwritten, from the command line.
//!
//! ```text
//! cargo run --release -p benches --bin kvbench -- --workload b --records 10000000 --batch 32
//! cargo run --release -p benches --bin kvbench -- --workload c --value 100 --records 4000000 \
//!     --memory 128MiB --tasks 64 --distribution uniform --path target --svg reads.svg
//! cargo run --release -p benches --bin kvbench -- --workload a --threads 2 --seconds 30 \
//!     --checkpoint-every 3 --checkpoint-kind snapshot --path target --svg dip.svg
//! cargo run --release -p benches --bin kvbench -- grow --from 1000000 --to 100000000 \
//!     --compare --noise --path target --json growth.json --svg growth.svg
//! cargo run --release -p benches --bin kvbench -- churn --keys 50000000 --path target
//! cargo run --release -p benches --bin kvbench -- scan --value 100 --path target
//! cargo run --release -p benches --bin kvbench -- overwrite --path target --svg overwrite.svg
//! cargo run --release -p benches --bin kvbench -- rounds --path target
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use benches::load::{Load, load};
use benches::options::Options;
use benches::output::write;
use benches::payload::Payload;
use benches::process::resident_bytes;
use benches::report::Report;
use benches::run::{End, Terms, prepare, run};
use benches::scratch::Scratch;
use benches::{churn, growth, overwrite, panels, scan, space};
use clap::{Parser, Subcommand};
use kvick::FasterKv;

/// Benchmarks of kvick. Without a subcommand: loads records, runs a YCSB mix for some seconds, and
/// verifies every value that it reads.
#[derive(Parser)]
#[command(name = "kvbench", version, args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    ycsb: Options,
}

#[derive(Subcommand)]
enum Mode {
    Grow(growth::options::Options),
    Churn(churn::run::Options),
    Scan(scan::options::Options),
    Overwrite(overwrite::contest::Options),
    Rounds(overwrite::rounds::Options),
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let command = Command::parse();
    let is_sound = match command.mode {
        Some(Mode::Grow(options)) => grow(&checked(options.check(), options))?,
        Some(Mode::Churn(options)) => churn(&checked(options.check(), options))?,
        Some(Mode::Scan(options)) => scan(&checked(options.check(), options))?,
        Some(Mode::Overwrite(options)) => overwrite(&checked(options.check(), options))?,
        Some(Mode::Rounds(options)) => rounds(&checked(options.check(), options))?,
        None => ycsb(&checked(command.ycsb.check(), command.ycsb.with_tasks()))?,
    };
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the options. Ends the process with the reason if they are refused.
fn checked<T>(check: Result<(), String>, options: T) -> T {
    if let Err(reason) = check {
        eprintln!("kvbench: {reason}");
        std::process::exit(2);
    }
    options
}

/// Runs once for each index, and reports. Returns `false` if a record was missing or wrong.
fn grow(options: &growth::options::Options) -> Result<bool, Box<dyn Error>> {
    let mut runs = Vec::new();
    for index in options.runs() {
        let directory = options.output.scratch("kvbench")?;
        runs.push(growth::run::run(options, index, directory.path())?);
    }
    let report = growth::report::Report::new(options, &runs);
    println!("{report}");
    options.output.write_json(&report)?;
    if let Some(file) = &options.svg {
        write(file, &growth::diagram::draw(&report.setup, &growth::diagram::curves(&runs))?)?;
    }
    Ok(runs.iter().all(growth::run::Run::is_sound))
}

/// Runs and reports. Returns `false` if a key was missing, wrong or not deleted.
fn churn(options: &churn::run::Options) -> Result<bool, Box<dyn Error>> {
    let directory = options.output.scratch("kvbench")?;
    let outcome = churn::run::run(options, directory.path())?;
    let report = churn::report::Report::new(options, &outcome);
    println!("{report}");
    options.output.write_json(&report)?;
    Ok(outcome.is_sound())
}

/// Runs and reports. Returns `false` if a scan has shown wrong records.
fn scan(options: &scan::options::Options) -> Result<bool, Box<dyn Error>> {
    let directory = options.output.scratch("kvbench")?;
    let run = if options.value == 8 { scan::run::run::<u64> } else { scan::run::run::<[u8]> };
    let report = scan::report::Report::new(options, run(options, directory.path())?);
    println!("{report}");
    options.output.write_json(&report)?;
    Ok(report.outcome.is_sound())
}

/// Runs once for each budget, and reports.
fn overwrite(options: &overwrite::contest::Options) -> Result<bool, Box<dyn Error>> {
    let runs = overwrite::contest::run(options)?;
    let report = overwrite::report::Report::new(options, &runs);
    println!("{report}");
    options.output.write_json(&report)?;
    if let Some(file) = &options.svg {
        let panels = overwrite::report::panels(&runs);
        write(file, &panels::draw(&report.title(), (1100, 640), &panels)?)?;
    }
    Ok(true)
}

/// Runs and reports. Returns `false` if a key was missing, wrong or not deleted.
fn rounds(options: &overwrite::rounds::Options) -> Result<bool, Box<dyn Error>> {
    let directory = options.output.scratch("kvbench")?;
    let report = overwrite::rounds::run(options, directory.path())?;
    println!("{report}");
    options.output.write_json(&report)?;
    Ok(report.is_sound())
}

fn ycsb(options: &Options) -> Result<bool, Box<dyn Error>> {
    let directory = options.output.scratch("kvbench")?;
    if options.value == 8 {
        bench::<u64>(options, &directory)
    } else {
        bench::<[u8]>(options, &directory)
    }
}

/// Loads, runs and reports. Returns `false` if a record was missing or wrong.
fn bench<V: Payload + ?Sized>(
    options: &Options,
    directory: &Scratch,
) -> Result<bool, Box<dyn Error>> {
    let shared = Arc::new(prepare(options));
    let resident_before = resident_bytes();
    let store: FasterKv<u64, V> =
        kvick::runtime::block_on(FasterKv::open(directory.path(), options.config()))?;
    let what = Load { records: options.records, value_bytes: options.value };
    let load_time = load(&store, options.executor(), what)?;
    let terms = Terms {
        executor: options.executor(),
        end: End::Time(Duration::from_secs_f64(options.seconds)),
        checkpoints: options.checkpoints(),
    };
    let outcome = run(&store, shared, terms, directory.path())?;
    let resident = resident_bytes().saturating_sub(resident_before);
    let report = Report::new(options, load_time.as_secs_f64(), &outcome, resident);
    println!("{report}");
    options.output.write_json(&report)?;
    if let Some(file) = &options.svg {
        let spans = outcome.checkpoint_spans();
        let panels = [outcome.timeline.panel(&spans), space::panel(&outcome.space)];
        write(file, &panels::draw(&report.setup.to_string(), (960, 640), &panels)?)?;
    }
    kvick::runtime::block_on(store.close())?;
    Ok(report.is_sound())
}

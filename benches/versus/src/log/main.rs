//! Logs: kvick, oxifaster, okaywal, and plain writes and syncs.
//!
//! ```text
//! cd benches/versus
//! cargo run --release --no-default-features --features log --bin log -- --path /var/tmp
//! ```
//!
//! In a durable contest each caller appends one entry, or a batch, and waits until it would survive
//! a power cut. The other contests do not wait. The callers are threads; for kvick also tokio tasks
//! on `--threads` threads. At the end the program opens the log of kvick again and checks every
//! entry. A contestant without such an operation is left out of the contest.

mod ours;
mod raw;
mod rivals;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::scratch::Scratch;
use clap::Parser;
use kvick::runtime::block_on;
use tokio::runtime::{Builder, Runtime};
use versus::slices::{Arm, interleave};
use versus::table::{Row, print};

use crate::ours::Ours;
use crate::raw::Raw;
use crate::rivals::{Okay, Oxi, Rival};

#[derive(Debug, Parser)]
#[command(about = "kvick beside other logs")]
struct Options {
    /// Bytes of an entry.
    #[arg(long, value_delimiter = ',', default_value = "64")]
    entry: Vec<usize>,
    /// Numbers of concurrent callers.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    callers: Vec<usize>,
    /// Numbers of entries of one call.
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    batch: Vec<usize>,
    /// Number of tokio threads for the tasks of kvick.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Number of slices of each contestant in each contest.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 500)]
    slice_milliseconds: u64,
    /// Text in the names of the contestants that run.
    #[arg(long)]
    only: Option<String>,
    /// Directory for the logs. The program makes a fresh directory within it and removes it.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// File for the rows, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The operation of every contestant.
#[derive(Clone, Copy, Debug)]
pub struct Contest {
    /// The number of concurrent callers.
    pub callers: usize,
    /// The number of entries of one call.
    pub batch: usize,
    /// Bytes of an entry.
    pub entry_bytes: usize,
    /// Whether a call waits until its entries are durable.
    pub durable: bool,
}

impl Contest {
    fn name(&self) -> String {
        let Self { callers, batch, entry_bytes, durable } = self;
        let durable = if *durable { "durable" } else { "not waited for" };
        format!("{entry_bytes} B in batches of {batch}, {durable}, {callers} caller(s)")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let runtime = Builder::new_multi_thread().worker_threads(options.threads).build()?;
    let mut rows = Vec::new();
    for contest in contests(&options) {
        // Every contest has fresh logs, so that no log holds much of the disk for long.
        let directory = Scratch::new(&options.path, "versus-log")?;
        rows.extend(hold(&options, contest, directory.path(), &runtime)?);
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn contests(options: &Options) -> Vec<Contest> {
    let mut contests = Vec::new();
    for durable in [true, false] {
        for &entry_bytes in &options.entry {
            for &batch in &options.batch {
                for &callers in &options.callers {
                    // A contest without waits needs no more callers than there are processors.
                    if durable || callers <= 2 {
                        contests.push(Contest { callers, batch, entry_bytes, durable });
                    }
                }
            }
        }
    }
    contests
}

fn hold(
    options: &Options,
    contest: Contest,
    directory: &Path,
    runtime: &Runtime,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut ours = block_on(Ours::open(&directory.join("kvick"), contest))?;
    let rivals = rivals(directory, contest)?;
    let mut arms = Vec::new();
    {
        let on_tokio =
            ours.arm(move |callers, duration| ours::on_tokio(runtime, callers, duration));
        arms.push(Arm::new("kvick, tokio", on_tokio));
    }
    for (name, rival) in &rivals {
        let rival = rival.as_ref();
        let run = move |_, duration| rivals::run(rival, contest, duration);
        arms.push(Arm::new(*name, run));
    }
    if let Some(only) = &options.only {
        arms.retain(|arm| arm.name().contains(only.as_str()));
    }
    let duration = Duration::from_millis(options.slice_milliseconds);
    let name = contest.name();
    let mut rows: Vec<Row> = interleave(arms, options.rounds, duration)
        .into_iter()
        .map(|(contestant, slices)| Row::new(&name, contestant, &slices))
        .collect();
    let (missing, wrong) = block_on(ours.verify())?;
    for row in rows.iter_mut().filter(|row| row.contestant.starts_with("kvick")) {
        (row.missing, row.wrong) = (missing, wrong);
    }
    print(&name, &rows, &[("x rival", &is_rival), ("x raw", &is_raw)]);
    Ok(rows)
}

type Named = (&'static str, Box<dyn Rival>);

fn rivals(directory: &Path, contest: Contest) -> Result<Vec<Named>, Box<dyn Error>> {
    let mut rivals: Vec<Named> = vec![
        ("oxifaster", Box::new(Oxi::open(&directory.join("oxifaster"))?)),
        ("raw, buffered", Box::new(Raw::new(&directory.join("buffered"), false)?)),
    ];
    if contest.durable {
        rivals.push(("okaywal", Box::new(Okay::open(&directory.join("okaywal"))?)));
        rivals.push(("raw, direct", Box::new(Raw::new(&directory.join("direct"), true)?)));
    }
    Ok(rivals)
}

fn is_rival(contestant: &str) -> bool {
    ["oxifaster", "okaywal"].contains(&contestant)
}

fn is_raw(contestant: &str) -> bool {
    contestant.starts_with("raw")
}

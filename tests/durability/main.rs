//! Durability on a real kernel: power cuts and kills at random moments, again and again.
//!
//! A *worker* process opens a store, works on it in several sessions and takes checkpoints of all
//! kinds. It acknowledges each returned checkpoint through a pipe. After a while the *parent* notes
//! the acknowledged checkpoints, stops the file system like a power cut, kills the worker, and
//! mounts the rest. A *verifier*, a fresh process, opens the store and compares all of it with the
//! operations up to the commit points. No acknowledged operation may be missing.
//!
//! With `--what wal` the store has a write-ahead log, and the worker acknowledges durable writes,
//! too. With `--what log` the worker uses a log, and acknowledges entries, commits, truncations and
//! places of an iterator (`log/mod.rs`).
//!
//! Such a cut loses the page cache and the uncommitted journal, that is data, lengths and names. It
//! does not lose writes in the cache of a disk, which the simulation covers.

mod campaign;
mod child;
mod content;
mod job;
mod log;
mod plan;
mod shutdown;
mod site;
mod slow;
mod tally;
mod verify;
mod worker;

use campaign::Campaign;
use clap::{Args, Parser, Subcommand};
use job::Product;
use kvick::config::Backend;
use site::{FileSystem, Site};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Kills stores or logs in the middle of their work, and checks their promises.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Cuts the power of a file system of its own. Needs root and loop devices, or is skipped.
    PowerCut {
        #[arg(long, value_delimiter = ',', default_value = "ext4,xfs")]
        file_systems: Vec<FileSystem>,
        /// Claims durability for data that has none. The program fails unless it sees losses.
        #[arg(long)]
        lie: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Kills only the process.
    Kill {
        #[command(flatten)]
        common: Common,
    },
    /// Runs the process that the parent kills. The commands above start it.
    Worker { job: String },
    /// Runs the process that checks the rest. The commands above start it.
    Verify { job: String },
}

#[derive(Debug, Args)]
struct Common {
    #[arg(long, default_value = "store")]
    what: Product,
    /// Sets the number of cycles for each file system and backend.
    #[arg(long, default_value_t = 100)]
    cycles: u64,
    #[arg(long, value_delimiter = ',', default_value = "uring,threads")]
    backends: Vec<Backend>,
    /// Sets the seed of all random choices. The timing is not reproducible.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Slows the device of the workers. Each write, read, sync and change of a directory takes 2 ms
    /// longer, and transfers share 16 MiB per second. So an end finds operations in flight.
    #[arg(long)]
    throttle: bool,
    /// Sets the directory for stores, by default the one for temporary files.
    #[arg(long)]
    base: Option<PathBuf>,
    /// Sets the directory for a copy of the files of a failing cycle.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> io::Result<ExitCode> {
    let is_good = match Options::parse().what {
        What::PowerCut { file_systems, lie, common } => {
            power_cuts(&file_systems, lie, &common).await?
        }
        What::Kill { common } => campaigns(&common, None, false).await?,
        What::Worker { job } => {
            worker::run(serde_json::from_str(&job)?).await;
            // The parent ends this process.
            std::future::pending().await
        }
        What::Verify { job } => {
            verify::run(serde_json::from_str(&job)?).await;
            true
        }
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn power_cuts(file_systems: &[FileSystem], lie: bool, common: &Common) -> io::Result<bool> {
    let mut all_good = true;
    for file_system in file_systems {
        match Site::new(&common.base(), Some(*file_system)).and_then(|site| site.cut()) {
            Ok(()) => all_good &= campaigns(common, Some(*file_system), lie).await?,
            Err(error) => println!("{file_system}: skipped: {error}"),
        }
    }
    Ok(all_good)
}

/// Runs a campaign for each backend. Returns whether all succeeded.
async fn campaigns(
    common: &Common,
    file_system: Option<FileSystem>,
    lie: bool,
) -> io::Result<bool> {
    if let Some(keep) = &common.keep {
        std::fs::create_dir_all(keep)?;
    }
    let mut all_good = true;
    for backend in &common.backends {
        let campaign = Campaign {
            what: common.what,
            base: common.base(),
            file_system,
            backend: *backend,
            cycles: common.cycles,
            seed: common.seed,
            lie,
            throttle: common.throttle,
            keep: common.keep.clone(),
        };
        let tally = campaign.run().await?;
        println!("{campaign}: {tally}");
        all_good &= if lie { tally.has_losses() } else { tally.is_clean() };
    }
    Ok(all_good)
}

impl Common {
    fn base(&self) -> PathBuf {
        self.base.clone().unwrap_or_else(std::env::temp_dir)
    }
}

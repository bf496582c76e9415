//! Durability on a real kernel: power cuts and kills at random moments, again and again.
//!
//! A *worker* process opens a store, works on it in several sessions and takes checkpoints of all
//! kinds; each that returns is acknowledged through a pipe. After a while the *parent* notes what
//! was acknowledged, stops the file system as a power cut would, kills the worker, and mounts what
//! is left. A *verifier*, a fresh process, opens the store and compares all of it with what its
//! sessions did up to their commit points. Nothing that was acknowledged may be missing.
//!
//! With `--what log` it is a log that is worked on, and what is acknowledged are entries, commits,
//! truncations, places of an iterator (`log/mod.rs`).
//!
//! What is lost in such a cut: the page cache and the journal that was not committed; so data,
//! lengths, names. What is not: writes that a disk would lose out of its own cache. Those are what
//! the simulation is for.

mod campaign;
mod child;
mod content;
mod ground;
mod log;
mod plan;
mod scene;
mod shutdown;
mod slow;
mod tally;
mod verify;
mod worker;

use campaign::Campaign;
use clap::{Args, Parser, Subcommand};
use ground::{FileSystem, Ground};
use kvick::config::Backend;
use scene::Product;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Kills stores or logs in the middle of their work, and looks whether they keep their promises.
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
        /// Claims durability for what has none: losses must be seen, or this fails.
        #[arg(long)]
        lie: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Kills the process alone.
    Kill {
        #[command(flatten)]
        common: Common,
    },
    /// The process that is killed. Started by the above.
    Worker { scene: String },
    /// The process that looks at what is left. Started by the above.
    Verify { scene: String },
}

#[derive(Debug, Args)]
struct Common {
    #[arg(long, default_value = "store")]
    what: Product,
    /// For each file system and backend.
    #[arg(long, default_value_t = 100)]
    cycles: u64,
    #[arg(long, value_delimiter = ',', default_value = "uring,threads")]
    backends: Vec<Backend>,
    /// What is drawn, except for what the timing decides.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Workers have a slow device: each write, read, sync and change of a directory takes 2 ms
    /// longer, and transfers share 16 MiB per second. So an end finds operations in flight.
    #[arg(long)]
    throttle: bool,
    /// Where stores are put; by default the directory for temporary files.
    #[arg(long)]
    base: Option<PathBuf>,
    /// Where to put a copy of what a failing cycle left.
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
        What::Worker { scene } => {
            worker::run(serde_json::from_str(&scene)?).await;
            // The end comes from outside.
            std::future::pending().await
        }
        What::Verify { scene } => {
            verify::run(serde_json::from_str(&scene)?).await;
            true
        }
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn power_cuts(file_systems: &[FileSystem], lie: bool, common: &Common) -> io::Result<bool> {
    let mut all_good = true;
    for file_system in file_systems {
        match Ground::new(&common.base(), Some(*file_system)).and_then(|ground| ground.cut()) {
            Ok(()) => all_good &= campaigns(common, Some(*file_system), lie).await?,
            Err(error) => println!("{file_system}: skipped: {error}"),
        }
    }
    Ok(all_good)
}

/// One for each backend; whether all went as it must.
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

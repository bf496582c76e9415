//! The checked command line of `logbench`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use kvick::config::{Backend, ByteSize};
use kvick::log;
use serde::Serialize;

use super::entries::SMALLEST;
use crate::output::Output;
use crate::runtimes::{Executor, RuntimeKind};

/// The number of appends of which one is timed, if appends do not wait for the device. It is a
/// prime, because tasks yield after a power of two of appends, and the samples must meet these
/// yields in proportion.
const SAMPLE_EVERY: usize = 31;

/// FasterLog under load: tasks append for some seconds, readers follow, and the program verifies
/// every entry.
#[derive(Clone, Debug, Parser)]
#[command(name = "logbench", version)]
pub struct Options {
    /// Bytes of an entry.
    #[arg(long, default_value_t = 64)]
    pub entry: usize,
    /// Memory of the log, with a unit: 64MiB, 1GiB.
    #[arg(long, default_value = "64MiB")]
    pub memory: ByteSize,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Number of tasks that append; the number of threads by default.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub tasks: usize,
    /// Entries of a call; above 1 the program uses `append_many`.
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Seconds of a timed run.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// The runtime that polls the tasks.
    #[arg(long, value_enum, default_value_t = RuntimeKind::Tokio)]
    pub runtime: RuntimeKind,
    /// The backend that moves bytes to and from the device: auto, uring, threads, glommio, memory,
    /// null.
    #[arg(long, default_value = "auto")]
    pub backend: Backend,
    /// The place of the log and the file of the results.
    #[command(flatten)]
    pub output: Output,
    /// File for a diagram of appends over time, as SVG.
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// When entries become durable. `none` is at the end, and with `each` every call waits for it.
    /// `every=5ms` and `bytes=1MiB` are settings of the log, and no call waits.
    #[arg(long, default_value = "none")]
    pub commit: CommitPolicy,
    /// Maximum number of concurrent commits.
    #[arg(long, default_value_t = 1)]
    pub in_flight: u32,
    /// Number of tasks that read from the begin and follow the log.
    #[arg(long, default_value_t = 0)]
    pub readers: usize,
    /// Entries for these readers: only committed ones, or uncommitted ones too.
    #[arg(long, value_enum, default_value_t = Reads::Committed)]
    pub read: Reads,
    /// Scan after the run: cold reads the log after it was opened again.
    #[arg(long, value_enum)]
    pub scan: Option<ScanKind>,
    /// Baselines to measure in the same repetitions, for ratios.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub against: Vec<Baseline>,
    /// Number of repetitions; the table has medians.
    #[arg(long, default_value_t = 1)]
    pub runs: usize,
    /// Opens this many logs of `--memory` each and lets them idle, instead of a run.
    #[arg(long, value_name = "LOGS")]
    pub idle: Option<usize>,
}

/// The time at which entries become durable.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitPolicy {
    /// At the end of the run.
    None,
    /// With every call, which waits for it.
    Each,
    /// Regularly, by a setting of the log.
    Regularly {
        /// The text on the command line.
        name: String,
        /// The line of the configuration.
        setting: String,
    },
}

impl FromStr for CommitPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let setting = match text.split_once('=') {
            None if text == "none" => return Ok(Self::None),
            None if text == "each" => return Ok(Self::Each),
            Some(("every", time)) => format!("commit_every = '{time}'"),
            Some(("bytes", bytes)) => format!("commit_bytes = '{bytes}'"),
            _ => return Err("none, each, every=5ms or bytes=1MiB".to_owned()),
        };
        log::Config::from_toml(&setting).map_err(|error| error.to_string())?;
        Ok(Self::Regularly { name: text.to_owned(), setting })
    }
}

impl fmt::Display for CommitPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Each => "each",
            Self::Regularly { name, .. } => name,
        })
    }
}

/// The entries that concurrent readers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Entries that are durable.
    Committed,
    /// All entries.
    Uncommitted,
}

/// The scan after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScanKind {
    /// All entries, from the device, after the log was opened again.
    Cold,
}

/// The baseline of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The same run with one task on one thread, and without readers.
    Lone,
    /// One thread that copies the same entries through a buffer as large as the memory of the log.
    Memcpy,
    /// A plain sequential write of as many bytes as were appended.
    Write,
    /// A plain sequential read of as many bytes as the scan has read.
    Read,
}

impl Options {
    /// Reads the command line. Ends the process with a message if it is wrong.
    pub fn from_command_line() -> Self {
        let mut options = Self::parse();
        if options.tasks == 0 {
            options.tasks = options.threads;
        }
        if let Err(reason) = options.check() {
            eprintln!("logbench: {reason}");
            std::process::exit(2);
        }
        options
    }

    /// Returns the configuration of the log.
    pub fn config(&self) -> log::Config {
        let config = match &self.commit {
            CommitPolicy::Regularly { setting, .. } => {
                log::Config::from_toml(setting).expect("it was read before")
            }
            CommitPolicy::None | CommitPolicy::Each => log::Config::default(),
        };
        config
            .with_memory(self.memory)
            .with_backend(self.backend)
            .with_commits_in_flight(self.in_flight)
    }

    /// Returns the runtime and its threads.
    pub fn executor(&self) -> Executor {
        Executor { kind: self.runtime, threads: self.threads }
    }

    /// Returns the options of the same run with one task on one thread, and without readers.
    #[must_use]
    pub fn lone(&self) -> Self {
        Self { threads: 1, tasks: 1, readers: 0, scan: None, ..self.clone() }
    }

    /// Returns the number of calls of which one is timed. Batches and durable calls are always
    /// timed.
    pub fn sample_every(&self) -> usize {
        let is_long = self.commit == CommitPolicy::Each || self.batch > 1;
        if is_long { 1 } else { SAMPLE_EVERY }
    }

    /// Returns whether the run is compared with this baseline.
    pub fn is_against(&self, baseline: Baseline) -> bool {
        self.against.contains(&baseline)
    }

    fn check(&self) -> Result<(), String> {
        let refuse = |reason: &str| Err(reason.to_owned());
        if self.threads == 0 || self.batch == 0 || self.runs == 0 || self.idle == Some(0) {
            return refuse("threads, batch, runs and idle logs are at least 1");
        }
        if self.entry < SMALLEST || self.tasks >= 1 << 16 {
            return refuse("entries need at least 8 bytes, and at most 65535 tasks can append");
        }
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            return refuse("the run needs a positive number of seconds");
        }
        let is_read = self.readers > 0 || self.scan.is_some();
        if is_read && self.backend == Backend::Null {
            return refuse("`--backend null` keeps no entries to verify; use another backend");
        }
        if self.scan.is_some() && self.backend == Backend::Memory {
            return refuse("`--backend memory` keeps no files to open again; use another backend");
        }
        let is_committed = self.readers > 0 && self.read == Reads::Committed;
        if is_committed && self.commit == CommitPolicy::None {
            return refuse("readers of committed entries need commits: --commit every=5ms");
        }
        if self.is_against(Baseline::Read) && self.scan.is_none() {
            return refuse("a plain read is compared with a scan; add `--scan cold`");
        }
        if self.runtime == RuntimeKind::Glommio && !cfg!(feature = "glommio") {
            return refuse("build with `--features glommio` for this runtime");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_written_alike() {
        for text in ["none", "each", "every=5ms", "bytes=1MiB"] {
            assert_eq!(text.parse::<CommitPolicy>().expect("sound").to_string(), text);
        }
        for text in ["", "every", "every=5", "bytes=ms", "each=1ms"] {
            assert!(text.parse::<CommitPolicy>().is_err(), "{text}");
        }
    }
}

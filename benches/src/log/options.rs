//! What the command line of `logbench` says, checked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use kvick::config::{Backend, ByteSize};
use kvick::log;
use serde::Serialize;

use super::entries::SMALLEST;
use crate::runtimes::{Crew, RuntimeKind};

/// One append in this many is timed when none waits for the device. A prime: tasks yield after a
/// power of two of appends, and a sample must meet that neither always nor never.
const SAMPLE_EVERY: usize = 31;

/// FasterLog under load: tasks append for some seconds, readers follow, every entry is verified.
#[derive(Clone, Debug, Parser)]
#[command(name = "logbench", version)]
pub struct Options {
    /// Bytes of an entry.
    #[arg(long, default_value_t = 64)]
    pub entry: usize,
    /// Memory of the log, with unit: 64MiB, 1GiB.
    #[arg(long, default_value = "64MiB")]
    pub memory: ByteSize,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Tasks that append; as many as threads unless said otherwise.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub tasks: usize,
    /// Entries per call: above 1 `append_many` is used.
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
    /// Directory for the log; a fresh one within it is made and removed again.
    #[arg(long, default_value = ".")]
    pub path: PathBuf,
    /// Writes the results here, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Draws appends over time here, as SVG.
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// When entries become durable: none; each, where every call waits for it; every=5ms or
    /// bytes=1MiB, where none waits.
    #[arg(long, default_value = "none")]
    pub commit: CommitPolicy,
    /// Commits that may be on their way to the device at once.
    #[arg(long, default_value_t = 2)]
    pub in_flight: u32,
    /// Tasks that read from the beginning on and follow.
    #[arg(long, default_value_t = 0)]
    pub readers: usize,
    /// What they read: committed entries, or uncommitted ones too.
    #[arg(long, value_enum, default_value_t = Reads::Committed)]
    pub read: Reads,
    /// After the run: cold is a scan of the log, opened again.
    #[arg(long, value_enum)]
    pub scan: Option<ScanKind>,
    /// What else to measure in the same repetitions, for ratios.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub against: Vec<Baseline>,
    /// Repetitions; the table has medians.
    #[arg(long, default_value_t = 1)]
    pub runs: usize,
    /// Instead of all this: opens so many logs of `--memory` each, and lets them idle.
    #[arg(long, value_name = "LOGS")]
    pub idle: Option<usize>,
}

/// When entries become durable.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitPolicy {
    /// In the end.
    None,
    /// Every call waits until its entries are.
    Each,
    /// Settings of the log see to it, as one line of its configuration says.
    Regularly {
        /// As on the command line.
        name: String,
        /// The line.
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

/// What readers beside the appenders read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Entries that are durable.
    Committed,
    /// All entries.
    Uncommitted,
}

/// What is read after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScanKind {
    /// Everything, from the device, after the log was opened again.
    Cold,
}

/// What a run is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The same with one task on one thread and no readers.
    Lone,
    /// One thread that copies the same entries through a buffer as large as the log's memory.
    Memcpy,
    /// A plain sequential write of as many bytes as were appended.
    Write,
    /// A plain sequential read of as many bytes as the scan has read.
    Read,
}

impl Options {
    /// Reads the command line; ends the process with a message when it makes no sense.
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

    /// The log's configuration.
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

    /// The runtime.
    pub fn crew(&self) -> Crew {
        Crew { kind: self.runtime, threads: self.threads }
    }

    /// The same run by one task on one thread, with no task beside it.
    #[must_use]
    pub fn lone(&self) -> Self {
        Self { threads: 1, tasks: 1, readers: 0, scan: None, ..self.clone() }
    }

    /// How often a call is timed: always if it may wait for the device or is a batch.
    pub fn sample_every(&self) -> usize {
        let is_long = self.commit == CommitPolicy::Each || self.batch > 1;
        if is_long { 1 } else { SAMPLE_EVERY }
    }

    /// Whether the run is compared with this.
    pub fn is_against(&self, baseline: Baseline) -> bool {
        self.against.contains(&baseline)
    }

    fn check(&self) -> Result<(), String> {
        let refuse = |reason: &str| Err(reason.to_owned());
        if self.threads == 0 || self.batch == 0 || self.runs == 0 || self.idle == Some(0) {
            return refuse("threads, batch, runs and idle logs are at least 1");
        }
        if self.entry < SMALLEST || self.tasks >= 1 << 16 {
            return refuse("a verifiable entry has at least 8 bytes, and one of 65535 appenders");
        }
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            return refuse("the run needs a positive number of seconds");
        }
        let is_read = self.readers > 0 || self.scan.is_some();
        if is_read && self.backend == Backend::Null {
            return refuse("a log that forgets has nothing to verify");
        }
        if self.scan.is_some() && self.backend == Backend::Memory {
            return refuse("a log in memory cannot be opened again");
        }
        let is_committed = self.readers > 0 && self.read == Reads::Committed;
        if is_committed && self.commit == CommitPolicy::None {
            return refuse("readers of committed entries need commits: --commit every=5ms");
        }
        if self.is_against(Baseline::Read) && self.scan.is_none() {
            return refuse("a scan is what is compared with a plain read: --scan cold");
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

//! The command line of `kvbench grow`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kvick::Config;
use kvick::config::{Backend, ByteSize};
use serde::Serialize;

use crate::output::Output;
use crate::runtimes::{Executor, RuntimeKind};

/// The keys of a bucket of an index of fixed size.
const KEYS_PER_BUCKET: u64 = 12;

/// Bytes of the minimum of an index that follows, for each key at the start. An index has more
/// bytes a key, so it is above the minimum then.
const LEAST_BYTES_PER_KEY: u64 = 10;

/// The size of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum IndexKind {
    /// The index grows and shrinks with the keys.
    Following,
    /// The index always has the buckets for all keys.
    Fixed,
}

impl IndexKind {
    /// Returns the name of the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::Fixed => "fixed",
        }
    }
}

/// Inserts keys, then deletes them, and measures each operation and the index.
///
/// One operation on a random key that is there follows each insert or delete: a read or an update,
/// with equal probability. Keys and values have 8 bytes. The log stays in memory.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Number of keys at the start and at the end.
    #[arg(long, default_value_t = 1_000_000)]
    pub from: u64,
    /// Number of keys at the peak.
    #[arg(long, default_value_t = 100_000_000)]
    pub to: u64,
    /// Number of tasks, each on its own thread.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Memory of the store, with a unit. It has to hold the index and all records, 24 bytes each.
    #[arg(long, default_value = "8GiB")]
    pub memory: ByteSize,
    /// The size of the index.
    #[arg(long, value_enum, default_value_t = IndexKind::Following, conflicts_with = "compare")]
    pub index: IndexKind,
    /// Minimum bytes of an index that follows, with a unit; 10 bytes a key of `--from` by default.
    #[arg(long)]
    pub index_min: Option<ByteSize>,
    /// Runs with an index of fixed size, then with an index that follows, and prints the ratios.
    #[arg(long)]
    pub compare: bool,
    /// Also runs with an index of fixed size once more: its ratios show the noise of the machine.
    #[arg(long, requires = "compare")]
    pub noise: bool,
    /// Milliseconds of a slot of the timeline.
    #[arg(long, default_value_t = 100, value_name = "MILLISECONDS")]
    pub slot: u64,
    /// The runtime that polls the tasks.
    #[arg(long, value_enum, default_value_t = RuntimeKind::Builtin)]
    pub runtime: RuntimeKind,
    /// The backend of the store. The default keeps no log pages that leave memory.
    #[arg(long, default_value = "null")]
    pub backend: Backend,
    /// The place of the store and the file of the results.
    #[command(flatten)]
    pub output: Output,
    /// File for a diagram of the runs over time, as SVG.
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
        if self.from == 0 || self.to <= self.from {
            return Err("`--from` is at least 1 and less than `--to`".to_owned());
        }
        if self.threads == 0 || self.slot == 0 {
            return Err("`--threads` and `--slot` are at least 1".to_owned());
        }
        if self.runtime == RuntimeKind::Glommio && !cfg!(feature = "glommio") {
            return Err("build with `--features glommio` for this runtime".to_owned());
        }
        Ok(())
    }

    /// Returns the configuration of a store with this kind of index.
    pub fn config(&self, index: IndexKind) -> Config {
        let mut config = Config::default().with_memory(self.memory).with_backend(self.backend);
        match index {
            IndexKind::Following => config.index_min = Some(self.least()),
            IndexKind::Fixed => config.index_buckets = Some(self.to.div_ceil(KEYS_PER_BUCKET)),
        }
        // The benchmark removes the files right after the store is closed.
        config.checkpoint_on_close = false;
        config
    }

    /// Returns the minimum bytes of an index that follows.
    pub fn least(&self) -> ByteSize {
        let bytes = (self.from * LEAST_BYTES_PER_KEY).max(4096);
        self.index_min.unwrap_or(ByteSize::new(bytes))
    }

    /// Returns the runtime and its threads.
    pub fn executor(&self) -> Executor {
        Executor { kind: self.runtime, threads: self.threads }
    }

    /// Returns the length of a slot.
    pub fn slot(&self) -> Duration {
        Duration::from_millis(self.slot)
    }

    /// Returns the indexes of the runs, in their order.
    pub fn runs(&self) -> Vec<IndexKind> {
        match (self.compare, self.noise) {
            (false, _) => vec![self.index],
            (true, false) => vec![IndexKind::Fixed, IndexKind::Following],
            (true, true) => vec![IndexKind::Fixed, IndexKind::Following, IndexKind::Fixed],
        }
    }
}

//! What the command line of `kvbench` says, checked.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use kvick::Config;
use kvick::config::{Backend, ByteSize};

use crate::checkpoints::{Kind, Plan};
use crate::keys::Distribution;
use crate::runtimes::{Crew, RuntimeKind};
use crate::workload::Workload;

/// One step in this many is timed while the records fit into memory. A prime: sessions yield after
/// a power of two of operations, and a sample must meet that neither always nor never.
const SAMPLE_EVERY_IN_MEMORY: usize = 31;

/// Bytes of a record besides its value: header and key, and the length of a value that has one.
const RECORD_OVERHEAD: u64 = 24;

/// YCSB on kvick: loads records, runs a mix for some seconds, verifies every value it reads.
#[derive(Clone, Debug, Parser)]
#[command(name = "kvbench", version)]
pub struct Options {
    /// The mix: a, b, c, d or f.
    #[arg(long, default_value = "b")]
    pub workload: Workload,
    /// Records to load.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Bytes of a value; 8 makes it a `FasterKv<u64, u64>`, any other a `FasterKv<u64, [u8]>`.
    #[arg(long, default_value_t = 8)]
    pub value: usize,
    /// Memory of the store, with unit: 64MiB, 1GiB.
    #[arg(long, default_value = "1GiB")]
    pub memory: ByteSize,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Tasks, each with a session; as many as threads unless said otherwise.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub tasks: usize,
    /// Operations per call: above 1 the `*_many` operations are used.
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// How popularity is spread over the records.
    #[arg(long, value_enum, default_value_t = Distribution::Zipfian)]
    pub distribution: Distribution,
    /// Seconds of the timed run.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// The runtime that polls the tasks.
    #[arg(long, value_enum, default_value_t = RuntimeKind::Tokio)]
    pub runtime: RuntimeKind,
    /// The backend that moves bytes to and from the device: auto, uring, threads, glommio, memory.
    #[arg(long, default_value = "auto")]
    pub backend: Backend,
    /// Directory for the store; a fresh one within it is made and removed again.
    #[arg(long, default_value = ".")]
    pub path: PathBuf,
    /// Writes the results here, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Draws throughput over time here, as SVG.
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Seed of the key stream.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Tells the store how many keys to expect; without it the index is sized by the store.
    #[arg(long)]
    pub expected_keys: Option<u64>,
    /// Takes a checkpoint this many seconds after the start, and after each one.
    #[arg(long, value_name = "SECONDS")]
    pub checkpoint_every: Option<f64>,
    /// How checkpoints are taken.
    #[arg(long, value_enum, default_value_t = Kind::FoldOver)]
    pub checkpoint_kind: Kind,
    /// Whether checkpoints have an image of the index: on or off.
    #[arg(long, value_parser = BoolishValueParser::new(), action = ArgAction::Set,
        default_value = "on")]
    pub checkpoint_index: bool,
}

impl Options {
    /// Reads the command line; ends the process with a message when it makes no sense.
    pub fn from_command_line() -> Self {
        let mut options = Self::parse();
        if options.tasks == 0 {
            options.tasks = options.threads;
        }
        if let Err(reason) = options.check() {
            eprintln!("kvbench: {reason}");
            std::process::exit(2);
        }
        options
    }

    /// The store's configuration.
    pub fn config(&self) -> Config {
        let mut config = Config::default().with_memory(self.memory).with_backend(self.backend);
        config.expected_keys = self.expected_keys;
        // The files are removed right after.
        config.checkpoint_on_close = false;
        config
    }

    /// The runtime.
    pub fn crew(&self) -> Crew {
        Crew { kind: self.runtime, threads: self.threads }
    }

    /// The checkpoints of the run.
    pub fn checkpoints(&self) -> Option<Plan> {
        self.checkpoint_every.map(|every_seconds| Plan {
            every_seconds,
            kind: self.checkpoint_kind,
            with_index: self.checkpoint_index,
        })
    }

    /// Bytes of log the loaded records take, about.
    pub fn data_bytes(&self) -> u64 {
        self.records * (self.value as u64).next_multiple_of(8) + self.records * RECORD_OVERHEAD
    }

    /// How often a step is timed: always once the device is involved, else now and then.
    pub fn sample_every(&self) -> usize {
        if self.data_bytes() > self.memory.bytes() { 1 } else { SAMPLE_EVERY_IN_MEMORY }
    }

    /// `[one call in so many is timed, operations of a call]`.
    pub fn calls(&self) -> [usize; 2] {
        [if self.batch > 1 { 1 } else { self.sample_every() }, self.batch]
    }

    fn check(&self) -> Result<(), String> {
        if self.records == 0 || self.threads == 0 || self.batch == 0 {
            return Err("records, threads and batch are at least 1".to_owned());
        }
        if self.value < 8 {
            return Err("a verifiable value has at least 8 bytes".to_owned());
        }
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            return Err("the run needs a positive number of seconds".to_owned());
        }
        if self.checkpoint_every.is_some_and(|every| !(every > 0.0 && every.is_finite())) {
            return Err("checkpoints need a positive number of seconds between them".to_owned());
        }
        if self.backend == Backend::Null {
            return Err("a store that forgets has nothing to verify".to_owned());
        }
        if self.runtime == RuntimeKind::Glommio && !cfg!(feature = "glommio") {
            return Err("build with `--features glommio` for this runtime".to_owned());
        }
        Ok(())
    }
}

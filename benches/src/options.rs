//! The checked command line of `kvbench` without a subcommand.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use kvick::Config;
use kvick::config::{Backend, ByteSize, DurableBy};

use crate::checkpoints::{Kind, Plan};
use crate::keys::Distribution;
use crate::output::Output;
use crate::runtimes::{Executor, RuntimeKind};
use crate::workload::Workload;

/// The number of steps of which one is timed, if the records fit into memory. It is a prime,
/// because sessions yield after a power of two of operations, and the samples must meet these
/// yields in proportion.
const SAMPLE_EVERY_IN_MEMORY: usize = 31;

/// Bytes of a record besides its value: the header, the key, and the length of a value that has
/// one.
const RECORD_OVERHEAD: u64 = 24;

/// YCSB on kvick: loads records, runs a mix for some seconds, and verifies every value that it
/// reads.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The mix: a, b, c, d or f of YCSB, or u: updates only.
    #[arg(long, default_value = "b")]
    pub workload: Workload,
    /// Number of records to load.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Bytes of a value. 8 selects a `FasterKv<u64, u64>`, any other number a `FasterKv<u64,
    /// [u8]>`.
    #[arg(long, default_value_t = 8)]
    pub value: usize,
    /// Memory of the store, with a unit: 64MiB, 1GiB.
    #[arg(long, default_value = "1GiB")]
    pub memory: ByteSize,
    /// Part of the memory for the read cache, with a unit; an eighth by default.
    #[arg(long)]
    pub read_cache: Option<ByteSize>,
    /// Space that the log should take on the device, with a unit: the store compacts by itself.
    #[arg(long)]
    pub disk: Option<ByteSize>,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Number of tasks, each with a session; the number of threads by default.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub tasks: usize,
    /// Operations of a call; above 1 the program uses the `*_many` operations.
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Distribution of popularity over the records.
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
    /// The place of the store and the file of the results.
    #[command(flatten)]
    pub output: Output,
    /// File for a diagram of throughput and space over time, as SVG.
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Seed of the key stream.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Expected number of keys. Without it the store chooses the size of its index.
    #[arg(long)]
    pub expected_keys: Option<u64>,
    /// Whether the store has a write-ahead log: checkpoint or wal.
    #[arg(long, value_enum, default_value_t = Durability::Checkpoint)]
    pub durability: Durability,
    /// When a write is done: in memory, or durable by the write-ahead log.
    #[arg(long, value_enum, default_value_t = Acknowledge::Memory)]
    pub acknowledge: Acknowledge,
    /// Seconds from the start, or the end of a checkpoint, to the next checkpoint.
    #[arg(long, value_name = "SECONDS")]
    pub checkpoint_every: Option<f64>,
    /// Kind of the checkpoints.
    #[arg(long, value_enum, default_value_t = Kind::Auto)]
    pub checkpoint_kind: Kind,
    /// Whether checkpoints have an image of the index: on or off.
    #[arg(long, value_parser = BoolishValueParser::new(), action = ArgAction::Set,
        default_value = "on")]
    pub checkpoint_index: bool,
}

/// The cause that makes operations durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// Checkpoints.
    Checkpoint,
    /// A write-ahead log, too.
    Wal,
}

/// The moment at which a write is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acknowledge {
    /// It is in memory.
    Memory,
    /// It survives a power cut.
    Durable,
}

/// Uniform updates by other subcommands.
#[derive(Clone, Copy, Debug)]
pub struct Updates {
    /// Number of records.
    pub records: u64,
    /// Bytes of a value.
    pub value: usize,
    /// Memory of the store.
    pub memory: ByteSize,
    /// Space that the log should take on the device.
    pub disk: Option<ByteSize>,
    /// Number of threads, with one task each.
    pub threads: usize,
    /// The backend of the store.
    pub backend: Backend,
}

impl Options {
    /// Returns the options of uniform updates, one by one, without a time.
    pub fn of_updates(updates: Updates, output: &Output) -> Self {
        let Updates { records, value, memory, disk, threads, backend } = updates;
        Self {
            workload: Workload::U,
            records,
            value,
            memory,
            read_cache: None,
            disk,
            threads,
            tasks: threads,
            batch: 1,
            distribution: Distribution::Uniform,
            seconds: 0.0,
            runtime: RuntimeKind::Builtin,
            backend,
            output: output.clone(),
            svg: None,
            seed: 1,
            expected_keys: Some(records),
            durability: Durability::Checkpoint,
            acknowledge: Acknowledge::Memory,
            checkpoint_every: None,
            checkpoint_kind: Kind::FoldOver,
            checkpoint_index: true,
        }
    }

    /// Returns the options with the default number of tasks.
    #[must_use]
    pub fn with_tasks(mut self) -> Self {
        if self.tasks == 0 {
            self.tasks = self.threads;
        }
        self
    }

    /// Returns the configuration of the store.
    pub fn config(&self) -> Config {
        let mut config = Config::default().with_memory(self.memory).with_backend(self.backend);
        config.expected_keys = self.expected_keys;
        config.read_cache = self.read_cache;
        config.disk = self.disk;
        config.durability = match self.durability {
            Durability::Checkpoint => DurableBy::Checkpoint,
            Durability::Wal => DurableBy::Wal,
        };
        // The benchmark removes the files right after the store is closed.
        config.checkpoint_on_close = false;
        config
    }

    /// Returns whether a write is done when it is durable.
    pub fn is_durable(&self) -> bool {
        self.acknowledge == Acknowledge::Durable
    }

    /// Returns the runtime and its threads.
    pub fn executor(&self) -> Executor {
        Executor { kind: self.runtime, threads: self.threads }
    }

    /// Returns the checkpoints of the run.
    pub fn checkpoints(&self) -> Option<Plan> {
        self.checkpoint_every.map(|every_seconds| Plan {
            every_seconds,
            kind: self.checkpoint_kind,
            with_index: self.checkpoint_index,
        })
    }

    /// Returns about how many bytes of log the loaded records take.
    pub fn data_bytes(&self) -> u64 {
        self.records * (self.value as u64).next_multiple_of(8) + self.records * RECORD_OVERHEAD
    }

    /// Returns the number of steps of which one is timed. It is 1 if reads need the device.
    pub fn sample_every(&self) -> usize {
        if self.data_bytes() > self.memory.bytes() { 1 } else { SAMPLE_EVERY_IN_MEMORY }
    }

    /// Returns the number of calls of which one is timed, and the operations of a call.
    pub fn calls(&self) -> [usize; 2] {
        [if self.batch > 1 { 1 } else { self.sample_every() }, self.batch]
    }

    /// Returns the reason for which the options are refused.
    ///
    /// # Errors
    ///
    /// The error is the reason.
    pub fn check(&self) -> Result<(), String> {
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
        if self.is_durable() && self.durability == Durability::Checkpoint {
            return Err("`--acknowledge durable` needs `--durability wal`".to_owned());
        }
        if self.backend == Backend::Null {
            return Err(
                "`--backend null` keeps no values to verify; use another backend".to_owned()
            );
        }
        if self.runtime == RuntimeKind::Glommio && !cfg!(feature = "glommio") {
            return Err("build with `--features glommio` for this runtime".to_owned());
        }
        Ok(())
    }
}

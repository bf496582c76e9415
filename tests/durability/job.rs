//! The messages between the processes, as lines of JSON.

use crate::log::{Found, LogLine};
use crate::plan::Plan;
use crate::slow::{self, IO_THREADS};
use kvick::config::{Backend, ByteSize, DurableBy};
use kvick::io::sim::Random;
use kvick::session::CommitPoint;
use kvick::{Config, ErrorKind, FasterKv, session};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// The product under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Product {
    Store,
    /// A store with a write-ahead log, some of whose sessions wait for durable writes.
    Wal,
    Log,
}

/// One life of a store or a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) what: Product,
    pub(crate) path: PathBuf,
    pub(crate) backend: Backend,
    /// Whether values are byte strings instead of integers.
    pub(crate) bytes: bool,
    /// The seed of the store, for its settings and its operations.
    pub(crate) seed: u64,
    /// The number of earlier openings.
    pub(crate) life: u64,
    /// Whether the worker claims more durability for checkpoints or entries than they have.
    pub(crate) lie: bool,
    /// Whether the worker has a slow device.
    pub(crate) throttle: bool,
    /// The numbers of all sessions that ever existed.
    pub(crate) names: BTreeMap<session::Id, u32>,
    /// The numbers that a crash has excluded from a batch. Workers skip them, since plans perform
    /// operations in the order of their numbers.
    pub(crate) void: BTreeMap<session::Id, BTreeSet<u64>>,
}

/// A message of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    Opened,
    /// A session begins, and has done nothing.
    Session {
        id: session::Id,
        number: u32,
    },
    /// A checkpoint has returned.
    Checkpoint {
        token: u64,
        points: Points,
    },
    /// Writes of a session have returned, and are durable up to this point.
    Durable {
        id: session::Id,
        point: CommitPoint,
    },
    /// A message about a log.
    Log(LogLine),
    Failed(String),
}

impl Line {
    pub(crate) fn is_opened(&self) -> bool {
        matches!(self, Self::Opened)
    }

    /// Returns whether the message promises durability.
    pub(crate) fn is_promise(&self) -> bool {
        match self {
            Self::Checkpoint { .. } | Self::Durable { .. } => true,
            Self::Log(line) => line.is_promise(),
            Self::Opened | Self::Session { .. } | Self::Failed(_) => false,
        }
    }
}

/// The findings of a verifier.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Verdict {
    Opened {
        /// The recovered checkpoint; 0 without one.
        token: u64,
        points: Points,
        /// The first few faults.
        wrong: Vec<String>,
    },
    Log(Found),
    Refused {
        in_use: bool,
        error: String,
    },
}

impl Verdict {
    pub(crate) fn refused(error: &kvick::Error) -> Self {
        let kind = error.kind();
        Self::Refused { in_use: kind == ErrorKind::InUse, error: format!("{kind:?}: {error}") }
    }
}

/// The failure of a worker.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The commit points of sessions.
pub(crate) type Points = BTreeMap<session::Id, CommitPoint>;

/// Runs a function with the value type of the store.
macro_rules! with_value_type {
    ($job:expr, $run:ident) => {
        if $job.bytes { $run::<[u8]>($job).await } else { $run::<u64>($job).await }
    };
}

pub(crate) use with_value_type;

impl Job {
    pub(crate) async fn open<V: kvick::Value + ?Sized>(&self) -> kvick::Result<FasterKv<u64, V>> {
        FasterKv::open(&self.path, self.config()).await
    }

    /// Opens the store for a worker.
    pub(crate) async fn open_for_work<V: kvick::Value + ?Sized>(
        &self,
    ) -> Result<FasterKv<u64, V>, Failure> {
        let config = self.config();
        if self.throttle {
            let [directory, wal] = [self.path.clone(), self.path.join("wal")];
            let builder = FasterKv::builder(config.clone()).directory(slow::directory(
                self,
                &directory,
                config.direct,
            )?);
            let builder = match self.what {
                Product::Wal => builder.wal_directory(slow::directory(self, &wal, config.direct)?),
                _ => builder,
            };
            return Ok(builder.open_in_directory().await?);
        }
        self.open().await.map_err(Into::into)
    }

    /// Continues from the recovered points.
    pub(crate) fn void(&mut self, points: &Points) {
        for (id, point) in points {
            let void = self.void.entry(*id).or_default();
            // A session repeats an operation after its commit point as planned.
            void.retain(|serial| *serial <= point.until);
            void.extend(point.excluded.iter());
        }
    }

    pub(crate) fn plan(&self, session: u32) -> Plan {
        Plan { seed: self.seed, session }
    }

    /// Returns the settings, so small that most of the store is on the device. Some vary from life
    /// to life.
    fn config(&self) -> Config {
        let mut store = Random::new(self.seed);
        let mut life = Random::new(self.seed ^ self.life << 32);
        let (page, memory) = *pick(&mut store, &[(4, 256), (4, 512), (16, 1024)]);
        let segment = *pick(&mut store, &[64, 1024]);
        let buckets = *pick(&mut store, &[64, 257]);
        let config = match self.what {
            Product::Wal => Config::default()
                .with_durability(DurableBy::Wal)
                .with_wal_memory(ByteSize::kib(256))
                .with_wal_size(ByteSize::kib(*pick(&mut life, &[64, 1024, 16 << 10])))
                .with_commit_every(*pick(&mut life, &[None, Some(Duration::from_millis(5))])),
            _ => Config::default(),
        };
        config
            .with_backend(self.backend)
            .with_page_size(ByteSize::kib(page))
            .with_segment_size(ByteSize::kib(segment))
            .with_index_buckets(buckets)
            .with_memory(ByteSize::kib(memory * *pick(&mut life, &[1, 1, 2, 4])))
            .with_mutable_fraction(*pick(&mut life, &[0.9, 0.5]))
            .with_keep_checkpoints(*pick(&mut life, &[1, 2, 3]))
            // Bytes that bypass the page cache survive most cuts, even if they are not durable.
            .with_direct(life.chance(0.75) && !self.lie)
            .with_io_threads(IO_THREADS)
            .with_huge_pages(false)
            .with_checkpoint_on_close(false)
    }
}

pub(crate) fn pick<'a, T>(random: &mut Random, choices: &'a [T]) -> &'a T {
    &choices[random.index(choices.len())]
}

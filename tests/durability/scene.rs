//! What the processes tell each other: lines of JSON.

use crate::log::{Found, LogLine};
use crate::plan::Plan;
use crate::slow::{self, IO_THREADS};
use kvick::config::{Backend, ByteSize};
use kvick::io::sim::Random;
use kvick::session::CommitPoint;
use kvick::{Config, ErrorKind, FasterKv, session};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Product {
    Store,
    Log,
}

/// A store or a log, and one life of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scene {
    pub(crate) what: Product,
    pub(crate) path: PathBuf,
    pub(crate) backend: Backend,
    /// Values are byte strings, not integers.
    pub(crate) bytes: bool,
    /// Of the store: what it is like, and what is done to it.
    pub(crate) seed: u64,
    /// How many times it was opened before.
    pub(crate) life: u64,
    /// Checkpoints, or entries, are less durable than is claimed.
    pub(crate) lie: bool,
    /// The worker has a slow device.
    pub(crate) throttle: bool,
    /// The number of each session that ever was.
    pub(crate) names: BTreeMap<session::Id, u32>,
    /// Numbers that a crash has excluded from a batch. Workers make nothing of them, since in plans
    /// operations are done in the order of their numbers.
    pub(crate) void: BTreeMap<session::Id, BTreeSet<u64>>,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    Opened,
    /// Said before the session does anything.
    Session {
        id: session::Id,
        number: u32,
    },
    /// A checkpoint has returned.
    Checkpoint {
        token: u64,
        points: Points,
    },
    /// Of a log.
    Log(LogLine),
    Failed(String),
}

impl Line {
    pub(crate) fn is_opened(&self) -> bool {
        matches!(self, Self::Opened)
    }

    /// It promises that something is durable.
    pub(crate) fn is_promise(&self) -> bool {
        match self {
            Self::Checkpoint { .. } => true,
            Self::Log(line) => line.is_promise(),
            Self::Opened | Self::Session { .. } | Self::Failed(_) => false,
        }
    }
}

/// What a fresh process found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Verdict {
    Opened {
        /// The checkpoint that was recovered; 0 is none.
        token: u64,
        points: Points,
        /// What should not be so; the first few.
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

/// Commit points of sessions.
pub(crate) type Points = BTreeMap<session::Id, CommitPoint>;

/// The value types of a store.
macro_rules! with_value_type {
    ($scene:expr, $run:ident) => {
        if $scene.bytes { $run::<[u8]>($scene).await } else { $run::<u64>($scene).await }
    };
}

pub(crate) use with_value_type;

impl Scene {
    pub(crate) async fn open<V: kvick::Value + ?Sized>(&self) -> kvick::Result<FasterKv<u64, V>> {
        FasterKv::open(&self.path, self.config()).await
    }

    /// Opens the store for a worker.
    pub(crate) async fn open_for_work<V: kvick::Value + ?Sized>(
        &self,
    ) -> Result<FasterKv<u64, V>, Failure> {
        let config = self.config();
        if self.throttle {
            let directory = slow::directory(self, config.direct)?;
            return Ok(FasterKv::builder(config).directory(directory).open_in_directory().await?);
        }
        self.open().await.map_err(Into::into)
    }

    /// Goes on from what was recovered.
    pub(crate) fn void(&mut self, points: &Points) {
        for (id, point) in points {
            let void = self.void.entry(*id).or_default();
            // What is done anew is done as planned.
            void.retain(|serial| *serial <= point.until);
            void.extend(point.excluded.iter());
        }
    }

    pub(crate) fn plan(&self, session: u32) -> Plan {
        Plan { seed: self.seed, session }
    }

    /// Small, so that most of the store is on the device. What may change does from life to life.
    fn config(&self) -> Config {
        let mut store = Random::new(self.seed);
        let mut life = Random::new(self.seed ^ self.life << 32);
        let (page, memory) = *pick(&mut store, &[(4, 256), (4, 512), (16, 1024)]);
        let segment = *pick(&mut store, &[64, 1024]);
        let buckets = *pick(&mut store, &[64, 257]);
        Config::default()
            .with_backend(self.backend)
            .with_page_size(ByteSize::kib(page))
            .with_segment_size(ByteSize::kib(segment))
            .with_index_buckets(buckets)
            .with_memory(ByteSize::kib(memory * *pick(&mut life, &[1, 1, 2, 4])))
            .with_mutable_fraction(*pick(&mut life, &[0.9, 0.5]))
            .with_keep_checkpoints(*pick(&mut life, &[1, 2, 3]))
            // What is written past the page cache survives most cuts, durable or not.
            .with_direct(life.chance(0.75) && !self.lie)
            .with_io_threads(IO_THREADS)
            .with_huge_pages(false)
            .with_checkpoint_on_close(false)
    }
}

pub(crate) fn pick<'a, T>(random: &mut Random, choices: &'a [T]) -> &'a T {
    &choices[random.index(choices.len())]
}

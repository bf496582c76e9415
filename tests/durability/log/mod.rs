//! The same test for logs: tasks append, one commits, and one reads with an iterator and truncates.
//!
//! An entry has the bytes of a *word*. The word names its task, its life and its number among the
//! entries of the task in that life. So a scan shows which entries exist. The reported addresses
//! show which must exist: all below the end of the newest commit, except truncated ones. Since
//! every life numbers from 1, no check needs to know the entries of earlier lives.

pub(crate) mod promises;
pub(crate) mod verify;
pub(crate) mod worker;

use crate::job::{Failure, Job, pick};
use crate::slow::{self, IO_THREADS};
use kvick::config::ByteSize;
use kvick::io::sim::Random;
use kvick::{FasterLog, log};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A message of the worker about a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LogLine {
    /// Entries were appended, with this word and the following ones. Some are reported again when
    /// they are `durable`.
    Appended { word: u64, addresses: Vec<u64>, durable: bool },
    /// A commit has returned.
    Committed { number: u64, until: u64 },
    /// A mark is about to move.
    Moving(Mark, u64),
    /// A mark has moved, and its new place is durable.
    Moved(Mark, u64),
    /// The entries from an address on are about to be truncated.
    Voiding { from: u64 },
    /// The truncation is durable. It reaches at least up to one address, and at most up to another.
    Voided { from: u64, least: u64, most: u64 },
}

/// A mark of a log that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Mark {
    Begin,
    /// The place of the iterator.
    Place,
    /// The cookie of the newest commit, which is a number here.
    Cookie,
}

/// The contents of a log that the verifier found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The number of the newest commit.
    number: u64,
    until: u64,
    marks: Vec<(Mark, u64)>,
    /// The addresses and words, in order.
    entries: Vec<(u64, u64)>,
    /// The first few faults.
    wrong: Vec<String>,
}

impl LogLine {
    /// Returns whether the message promises durability.
    pub(crate) fn is_promise(&self) -> bool {
        self.promised().is_some()
    }

    /// Returns the kind of the promise, and the number of promised things.
    pub(crate) fn promised(&self) -> Option<(&'static str, u64)> {
        let (kind, count) = match self {
            Self::Appended { durable, addresses, .. } => {
                let count = if *durable { addresses.len() as u64 } else { 0 };
                ("entries", count)
            }
            Self::Committed { .. } => ("commits", 1),
            Self::Moved(Mark::Begin, _) => ("truncations", 1),
            Self::Voided { .. } => ("voids", 1),
            Self::Moved(Mark::Place, _) => ("places", 1),
            Self::Moved(Mark::Cookie, _) => ("cookies", 1),
            Self::Moving(..) | Self::Voiding { .. } => ("", 0),
        };
        (count > 0).then_some((kind, count))
    }
}

/// Opens the log of a job for a worker.
async fn open_for_work(job: &Job) -> Result<FasterLog, Failure> {
    let config = config(job);
    if job.throttle {
        let directory = slow::directory(job, &job.path, config.direct)?;
        return Ok(FasterLog::builder(config).directory(directory).open_in_directory().await?);
    }
    open(job).await.map_err(Into::into)
}

/// Opens the log of a job.
async fn open(job: &Job) -> kvick::Result<FasterLog> {
    FasterLog::open(&job.path, config(job)).await
}

/// Returns the settings of the log. They are small, so that files come and go, and some vary from
/// life to life.
fn config(job: &Job) -> log::Config {
    let mut log = Random::new(job.seed);
    let mut life = Random::new(job.seed ^ job.life << 32);
    let page = *pick(&mut log, &[4, 4, 8]);
    let mut config = log::Config::default()
        .with_backend(job.backend)
        .with_page_size(ByteSize::kib(page))
        .with_segment_size(ByteSize::kib(*pick(&mut log, &[8, 64, 256])))
        .with_memory(ByteSize::kib(256))
        .with_commits_in_flight(*pick(&mut life, &[1, 2, 3]))
        .with_direct(life.chance(0.75))
        .with_io_threads(IO_THREADS)
        .with_huge_pages(false);
    if life.chance(0.4) {
        config = config.with_commit_every(Duration::from_micros(200 + life.below(5000)));
    }
    if life.chance(0.2) {
        config = config.with_commit_bytes(ByteSize::kib(*pick(&mut life, &[1, 16])));
    }
    config
}

/// Returns the word before the first word of a task in a life.
fn words_of(task: u64, life: u64) -> u64 {
    task << TASK_SHIFT | life << LIFE_SHIFT
}

/// Splits a word into its task and life, and its number.
fn parts(word: u64) -> (u64, u64) {
    (word >> LIFE_SHIFT << LIFE_SHIFT, word & ((1 << LIFE_SHIFT) - 1))
}

const TASK_SHIFT: u32 = 56;
const LIFE_SHIFT: u32 = 32;
const TASKS: u64 = 3;
const ITERATOR: &str = "reader";

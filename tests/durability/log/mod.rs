//! The same for logs: tasks append, one commits, one reads under a name and truncates.
//!
//! An entry is the bytes of a *word*, which names its task, the life it was appended in and its
//! number among the task's entries of that life. So a scan tells which entries there are, and what
//! was said about addresses tells which there must be: all below the end of the newest commit, but
//! for those that were taken away. Since every life numbers from 1, no check has to know what is
//! left of the lives before.

pub(crate) mod promises;
pub(crate) mod verify;
pub(crate) mod worker;

use crate::scene::{Failure, Scene, pick};
use crate::slow::{self, IO_THREADS};
use kvick::config::ByteSize;
use kvick::io::sim::Random;
use kvick::{FasterLog, log};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a worker says of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum LogLine {
    /// Entries were appended, of this word and those after it.
    /// Whether they are `durable` is said later of some, and never of others.
    Appended { word: u64, addresses: Vec<u64>, durable: bool },
    /// A commit has returned.
    Committed { number: u64, until: u64 },
    /// Said before it is done.
    Moving(Mark, u64),
    /// Said when it is durable.
    Moved(Mark, u64),
    /// Said before the entries from an address on are taken back.
    Voiding { from: u64 },
    /// They are, durably: at least up to one address, at most up to another.
    Voided { from: u64, least: u64, most: u64 },
}

/// What a log keeps that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Mark {
    Begin,
    /// Of the iterator.
    Place,
    /// Cookies are numbers here.
    Cookie,
}

/// What a fresh process found in a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The newest commit.
    number: u64,
    until: u64,
    marks: Vec<(Mark, u64)>,
    /// Addresses and words, in order.
    entries: Vec<(u64, u64)>,
    /// What should not be so; the first few.
    wrong: Vec<String>,
}

impl LogLine {
    /// It promises that something is durable.
    pub(crate) fn is_promise(&self) -> bool {
        self.promised().is_some()
    }

    /// What it promises, and how many of it.
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

/// Opens the log of a scene for a worker.
async fn open_for_work(scene: &Scene) -> Result<FasterLog, Failure> {
    let config = config(scene);
    if scene.throttle {
        let directory = slow::directory(scene, config.direct)?;
        return Ok(FasterLog::builder(config).directory(directory).open_in_directory().await?);
    }
    open(scene).await.map_err(Into::into)
}

/// Opens the log of a scene.
async fn open(scene: &Scene) -> kvick::Result<FasterLog> {
    FasterLog::open(&scene.path, config(scene)).await
}

/// Returns the settings: small, so that files come and go. What may change does from life to
/// life.
fn config(scene: &Scene) -> log::Config {
    let mut log = Random::new(scene.seed);
    let mut life = Random::new(scene.seed ^ scene.life << 32);
    let page = *pick(&mut log, &[4, 4, 8]);
    let mut config = log::Config::default()
        .with_backend(scene.backend)
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

/// The word before the first of a task in a life.
fn words_of(task: u64, life: u64) -> u64 {
    task << TASK_SHIFT | life << LIFE_SHIFT
}

/// What stands for the task and life of a word, and its number there.
fn parts(word: u64) -> (u64, u64) {
    (word >> LIFE_SHIFT << LIFE_SHIFT, word & ((1 << LIFE_SHIFT) - 1))
}

const TASK_SHIFT: u32 = 56;
const LIFE_SHIFT: u32 = 32;
const TASKS: u64 = 3;
const ITERATOR: &str = "reader";

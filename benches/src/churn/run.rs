//! One task that inserts key after key, and deletes the oldest.

use std::error::Error;
use std::path::Path;

use clap::Args;
use kvick::config::{Backend, ByteSize};
use kvick::futures::TryRead;
use kvick::runtime::block_on;
use kvick::stats::Stats;
use kvick::{Config, FasterKv, Result, Session};
use serde::Serialize;

use crate::clock::Stopwatch;
use crate::keys::key_of;
use crate::output::Output;
use crate::payload::Payload as _;
use crate::process::resident_bytes;

/// Bytes of a value.
const VALUE: usize = 8;

/// The number of deleted keys that are looked up at the end.
const VERIFIED: u64 = 10_000;

/// The number of samples of the store in a slot.
const SAMPLES: u64 = 20;

/// Inserts many different keys, and deletes each when some more have come.
///
/// One task inserts a key, then deletes the oldest. Keys and values have 8 bytes. The log leaves
/// memory, to a backend that keeps nothing.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Number of different keys.
    #[arg(long, default_value_t = 50_000_000)]
    pub keys: u64,
    /// Number of keys that are there at once.
    #[arg(long, default_value_t = 1000)]
    pub live: u64,
    /// Memory of the store, with a unit.
    #[arg(long, default_value = "256MiB")]
    pub memory: ByteSize,
    /// Minimum bytes of the index, with a unit.
    #[arg(long, default_value = "16KiB")]
    pub index_min: ByteSize,
    /// Number of slots of as many keys.
    #[arg(long, default_value_t = 20)]
    pub slots: u64,
    /// The backend that moves bytes to and from the device.
    #[arg(long, default_value = "null")]
    pub backend: Backend,
    /// The place of the store and the file of the results.
    #[command(flatten)]
    pub output: Output,
}

impl Options {
    /// Returns the reason for which the options are refused.
    ///
    /// # Errors
    ///
    /// The error is the reason.
    pub fn check(&self) -> std::result::Result<(), String> {
        if self.slots < 10 || self.live == 0 || self.keys < self.slots * self.live {
            return Err("`--slots` is at least 10, and each slot has `--live` keys".to_owned());
        }
        Ok(())
    }
}

/// The operations of one slot, and the maxima of the samples of the store.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Slot {
    /// The number of keys that were inserted until its end.
    pub keys: u64,
    /// Mean time of an operation.
    pub nanoseconds_per_operation: f64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Buckets of the index.
    pub buckets: u64,
    /// Entries of the index.
    pub entries: u64,
    /// Resident bytes of the process beyond those before the store was opened.
    pub resident_bytes: u64,
}

impl Slot {
    fn sample(&mut self, stats: &Stats, resident_bytes: u64) {
        self.index_bytes = self.index_bytes.max(stats.memory.index);
        self.buckets = self.buckets.max(stats.index.buckets);
        self.entries = self.entries.max(stats.index.entries);
        self.resident_bytes = self.resident_bytes.max(resident_bytes);
    }
}

/// The measurements of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The slots, in order.
    pub slots: Vec<Slot>,
    /// The number of the last keys that were missing or wrong.
    pub unsound: u64,
    /// The number of deleted keys that were there.
    pub undeleted: u64,
    /// The number of deleted keys that only the device can show, where the backend keeps nothing.
    pub undecided: u64,
}

impl Outcome {
    /// Returns whether exactly the last keys were there.
    pub fn is_sound(&self) -> bool {
        self.unsound == 0 && self.undeleted == 0
    }
}

/// Runs on a fresh store in the directory `path`.
///
/// # Errors
///
/// Returns the first error of the store.
pub fn run(options: &Options, path: &Path) -> std::result::Result<Outcome, Box<dyn Error>> {
    let before = resident_bytes();
    let mut config = Config::default().with_memory(options.memory).with_backend(options.backend);
    config.index_min = Some(options.index_min);
    config.checkpoint_on_close = false;
    block_on(async {
        let store: FasterKv<u64, u64> = FasterKv::open(path, config).await?;
        let mut session = store.session()?;
        let mut slots = Vec::new();
        let mut done = 0;
        for number in 1..=options.slots {
            let until = options.keys * number / options.slots;
            let mut slot = Slot { keys: until, ..Slot::default() };
            let (mut nanoseconds, mut operations) = (0, 0);
            for piece in 1..=SAMPLES {
                let end = done + (until - done) * piece / SAMPLES;
                let begin = done + (until - done) * (piece - 1) / SAMPLES;
                let watch = Stopwatch::start();
                operations += churn(&mut session, begin..end, options.live).await?;
                nanoseconds += watch.nanoseconds();
                slot.sample(&store.stats(), resident_bytes().saturating_sub(before));
            }
            slot.nanoseconds_per_operation = nanoseconds as f64 / operations as f64;
            done = until;
            slots.push(slot);
        }
        let [unsound, undeleted, undecided] = verify(&mut session, options).await?;
        drop(session);
        store.close().await?;
        Ok(Outcome { slots, unsound, undeleted, undecided })
    })
}

/// Inserts the keys, and deletes each of `live` keys before. Returns the number of operations.
async fn churn(
    session: &mut Session<u64, u64>,
    indexes: std::ops::Range<u64>,
    live: u64,
) -> Result<u64> {
    let mut operations = 0;
    for index in indexes {
        let key = key_of(index);
        let mut value = u64::buffer(VALUE);
        u64::stamp(&mut value, key, 1);
        session.upsert(&key, &value).await?;
        operations += 1;
        if index >= live {
            session.delete(&key_of(index - live)).await?;
            operations += 1;
        }
    }
    Ok(operations)
}

/// Returns how many of the last keys are missing or wrong, how many deleted keys are there, and of
/// how many memory does not show it, since they share an entry with records on the device.
async fn verify(session: &mut Session<u64, u64>, options: &Options) -> Result<[u64; 3]> {
    let deleted = options.keys - options.live;
    let (mut unsound, mut undeleted, mut undecided) = (0, 0, 0);
    for index in deleted..options.keys {
        let key = key_of(index);
        let found = session.read_with(&key, |view| u64::verify_view(&view, key, VALUE)).await?;
        unsound += u64::from(found != Some(true));
    }
    let step = usize::try_from(deleted.div_ceil(VERIFIED)).expect("keys are counted in usize");
    for index in (0..deleted).step_by(step) {
        match session.try_read(&key_of(index)) {
            TryRead::Ready(found) => undeleted += u64::from(found?.is_some()),
            TryRead::Pending(_) => undecided += 1,
        }
    }
    Ok([unsound, undeleted, undecided])
}

//! A checkpoint of an idle store, a backup of it and the recovery from it, compared with plain
//! sequential transfers of as many bytes on the same disk. The module `resized` recovers into other
//! sizes of index.

pub mod resized;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use kvick::checkpoint::Checkpoint;
use kvick::{Config, FasterKv, checkpoint};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::checkpoints::Kind;
use crate::clock::Stopwatch;
use crate::keys::key_of;
use crate::load::{Load, load};
use crate::payload::Payload;
use crate::runtimes::{Executor, RuntimeKind};
use crate::sequential::Plain;

/// The number of records of which one changes before an incremental checkpoint.
const CHANGED_ONE_IN: u64 = 100;

/// The number of records that are read and verified after the recovery.
const VERIFIED: u64 = 10_000;

/// The store, its records, and the checkpoint of a measurement.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Configuration of the store.
    pub config: Config,
    /// The records.
    pub load: Load,
    /// The kind of the checkpoint.
    pub kind: Kind,
    /// Whether the checkpoint has an image of the index.
    pub with_index: bool,
}

/// A number of moved bytes, and the times of the store and of a plain transfer.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// The number of bytes, as the store counts them.
    pub bytes: u64,
    /// Time of the store.
    pub took: Duration,
    /// Time of the plain transfer.
    pub plain: Duration,
}

impl Moved {
    /// Returns the megabytes per second of the store.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.took.as_secs_f64()
    }

    /// Returns the megabytes per second of the plain transfer.
    pub fn plain_rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.plain.as_secs_f64()
    }
}

/// The results of one repetition.
#[derive(Clone, Debug)]
pub struct Results {
    /// The checkpoint, compared with a plain write.
    pub checkpoint: Moved,
    /// Times of the phases of the checkpoint.
    pub times: checkpoint::Times,
    /// A backup of the checkpoint, compared with a plain copy.
    pub backup: Moved,
    /// The opening of the store, compared with a plain read.
    pub recovery: Moved,
    /// The time of recovery within the opening, as the store counts it.
    pub recovered_in: Duration,
    /// Bytes of the snapshot before an incremental checkpoint.
    pub base_bytes: Option<u64>,
    /// The number of changes between the two checkpoints that were not made in place.
    pub copied: u64,
    /// The number of checked records that were missing or wrong after the recovery.
    pub unsound: u64,
}

/// Runs one repetition in the fresh directory `path`, which the caller removes.
///
/// # Errors
///
/// Returns the first error of the store or of the plain transfers.
pub fn measure<V: Payload + ?Sized>(
    subject: &Subject,
    path: &Path,
    seed: u64,
) -> Result<Results, Box<dyn Error>> {
    let store_path = path.join("store");
    let store: FasterKv<u64, V> =
        kvick::runtime::block_on(FasterKv::open(&store_path, subject.config.clone()))?;
    let executor = Executor { kind: RuntimeKind::Builtin, threads: 1 };
    load(&store, executor, subject.load)?;
    let plain = Plain::open(&path.join("plain"))?;
    kvick::runtime::block_on(measure_loaded(subject, (store, &store_path), &plain, seed))
}

async fn measure_loaded<V: Payload + ?Sized>(
    subject: &Subject,
    (store, path): (FasterKv<u64, V>, &Path),
    plain: &Plain,
    seed: u64,
) -> Result<Results, Box<dyn Error>> {
    let (mut base_bytes, mut copied) = (None, 0);
    if subject.kind == Kind::Incremental {
        let base = take(&store, Kind::Snapshot, subject.with_index).await?;
        base_bytes = Some(base.bytes);
        let appends = store.stats().appends;
        change(&store, subject.load, seed).await?;
        copied = store.stats().appends - appends;
    }
    let started = Stopwatch::start();
    let taken = take(&store, subject.kind, subject.with_index).await?;
    let took = started.elapsed();
    let checkpoint = Moved { bytes: taken.bytes, took, plain: plain.write(taken.bytes).await? };
    let started = Stopwatch::start();
    let copied_to = path.with_file_name("copy");
    let bytes = store.backup(copied_to).of(taken.token).await?.bytes;
    let took = started.elapsed();
    let backup = Moved { bytes, took, plain: plain.copy(bytes).await? };
    store.close().await?;
    drop(store);

    let started = Stopwatch::start();
    let store: FasterKv<u64, V> = FasterKv::open(path, subject.config.clone()).await?;
    let took = started.elapsed();
    let report = store.recovery().ok_or("the store was not found again")?;
    let recovered_in = report.took;
    let bytes = report.replayed_bytes + report.image_bytes;
    plain.write(bytes).await?;
    let recovery = Moved { bytes, took, plain: plain.read(bytes).await? };
    let unsound = verify(&store, subject.load).await?;
    store.close().await?;
    let times = taken.times;
    Ok(Results { checkpoint, times, backup, recovery, recovered_in, base_bytes, copied, unsound })
}

async fn take<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    kind: Kind,
    with_index: bool,
) -> kvick::Result<Checkpoint> {
    let request = store.checkpoint().kind(kind.into());
    if with_index { request.with_index().await } else { request.without_index().await }
}

/// Updates pseudo-random records.
async fn change<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    load: Load,
    seed: u64,
) -> kvick::Result<()> {
    let mut session = store.session()?;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut buffer = V::buffer(load.value_bytes);
    for _ in 0..load.records.div_ceil(CHANGED_ONE_IN) {
        let key = key_of(random.random_range(0..load.records));
        V::stamp(&mut buffer, key, 1);
        session.upsert(&key, std::borrow::Borrow::borrow(&buffer)).await?;
    }
    Ok(())
}

/// Returns how many of the checked records are missing or wrong.
async fn verify<V: Payload + ?Sized>(store: &FasterKv<u64, V>, load: Load) -> kvick::Result<u64> {
    let mut session = store.session()?;
    let step = load.records.div_ceil(VERIFIED);
    let mut unsound = 0;
    for index in (0..load.records.div_ceil(step)).map(|number| number * step) {
        let key = key_of(index);
        let is_sound = |view: V::View<'_>| V::verify_view(&view, key, load.value_bytes);
        let found = session.read_with(&key, is_sound).await?;
        unsound += u64::from(found != Some(true));
    }
    Ok(unsound)
}

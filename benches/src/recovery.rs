//! A checkpoint of a store at rest, and the recovery from it, next to plain sequential transfers of
//! as many bytes to and from the same disk.

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
use crate::runtimes::{Crew, RuntimeKind};
use crate::sequential::Plain;

/// One record in this many changes before an incremental checkpoint.
const CHANGED_ONE_IN: u64 = 100;

/// Records read and verified after the recovery.
const VERIFIED: u64 = 10_000;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Configuration of the store.
    pub config: Config,
    /// What is loaded.
    pub load: Load,
    /// How the checkpoint is taken.
    pub kind: Kind,
    /// Whether it has an image of the index.
    pub with_index: bool,
}

/// Bytes that were moved, and how long that and a plain transfer took.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Bytes, as the store counts them.
    pub bytes: u64,
    /// Time of the store.
    pub took: Duration,
    /// Time of the plain transfer.
    pub plain: Duration,
}

impl Moved {
    /// Megabytes per second of the store.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.took.as_secs_f64()
    }

    /// Megabytes per second of the plain transfer.
    pub fn plain_rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.plain.as_secs_f64()
    }
}

/// What one repetition measured.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The checkpoint, against a plain write.
    pub checkpoint: Moved,
    /// Times of its phases.
    pub times: checkpoint::Times,
    /// Opening the store again, against a plain read.
    pub recovery: Moved,
    /// What of that the store counts as recovery.
    pub recovered_in: Duration,
    /// Bytes of the snapshot that an incremental checkpoint went on from.
    pub base_bytes: Option<u64>,
    /// Changes between the two that were not made in place.
    pub copied: u64,
    /// Records that were missing or wrong after the recovery, of those looked at.
    pub unsound: u64,
}

/// One repetition, in a fresh directory `path` that the caller removes.
///
/// # Errors
///
/// The first error of the store or of the plain transfers.
pub fn measure<V: Payload + ?Sized>(
    subject: &Subject,
    path: &Path,
    seed: u64,
) -> Result<Findings, Box<dyn Error>> {
    let store_path = path.join("store");
    let store: FasterKv<u64, V> =
        kvick::runtime::block_on(FasterKv::open(&store_path, subject.config.clone()))?;
    let crew = Crew { kind: RuntimeKind::Builtin, threads: 1 };
    load(&store, crew, subject.load)?;
    let plain = Plain::open(&path.join("plain"))?;
    kvick::runtime::block_on(measure_loaded(subject, (store, &store_path), &plain, seed))
}

async fn measure_loaded<V: Payload + ?Sized>(
    subject: &Subject,
    (store, path): (FasterKv<u64, V>, &Path),
    plain: &Plain,
    seed: u64,
) -> Result<Findings, Box<dyn Error>> {
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
    store.close().await?;
    drop(store);

    let started = Stopwatch::start();
    let store: FasterKv<u64, V> = FasterKv::open(path, subject.config.clone()).await?;
    let took = started.elapsed();
    let report = store.recovery().ok_or("the store was not found again")?;
    let recovered_in = report.took;
    let bytes = report.replayed_bytes + report.image_bytes;
    if bytes > taken.bytes {
        plain.write(bytes).await?;
    }
    let recovery = Moved { bytes, took, plain: plain.read(bytes).await? };
    let unsound = verify(&store, subject.load).await?;
    store.close().await?;
    let times = taken.times;
    Ok(Findings { checkpoint, times, recovery, recovered_in, base_bytes, copied, unsound })
}

async fn take<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    kind: Kind,
    with_index: bool,
) -> kvick::Result<Checkpoint> {
    let request = store.checkpoint().kind(kind.into());
    if with_index { request.with_index().await } else { request.without_index().await }
}

/// Updates some records at random.
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

/// How many of some records are missing or wrong.
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

//! The measurements: in memory, beside a writer, and from the device.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kvick::runtime::{Handle, block_on};
use kvick::{FasterKv, checkpoint};
use serde::Serialize;

use super::options::Options;
use super::pass::{self, Form, Pass, scan};
use crate::clock::{self, Stopwatch};
use crate::load::{Load, load};
use crate::payload::Payload;
use crate::run::{End, Terms, prepare};
use crate::runtimes::{Executor, RuntimeKind};
use crate::sequential::Plain;
use crate::worker::SharedRun;

/// The time for which the writer is alone before a scan, at least.
const ALONE: Duration = Duration::from_secs(1);

/// The name of the device of the log.
const LOG: &str = "log";

/// All measurements.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Scans in memory by form, with their repetitions.
    pub in_memory: Vec<(Form, Vec<Pass>)>,
    /// The repetitions of a scan beside a writer.
    pub beside: Vec<Beside>,
    /// The repetitions of a scan from the device.
    pub cold: Vec<Cold>,
    /// The number of values that did not belong to their key.
    pub wrong: u64,
}

/// A scan beside a writer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Beside {
    /// Updates per second of the writer alone, right before the scan.
    pub alone: f64,
    /// Updates per second of the writer during the scan.
    pub during: f64,
    /// The scan.
    pub scan: Pass,
}

impl Beside {
    /// Returns the rate of the writer during the scan over that of the writer alone.
    pub fn ratio(&self) -> f64 {
        self.during / self.alone
    }
}

/// A scan from the device, and a plain read of the same files right before it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cold {
    /// The scan.
    pub scan: Pass,
    /// Bytes of the plain read.
    pub plain_bytes: u64,
    /// Time of the plain read.
    pub plain_seconds: f64,
}

impl Cold {
    /// Returns the megabytes per second of the plain read.
    pub fn plain_megabytes(&self) -> f64 {
        self.plain_bytes as f64 / 1e6 / self.plain_seconds
    }

    /// Returns the megabytes per second that the scan has read from the device.
    pub fn read_megabytes(&self) -> f64 {
        self.scan.read_bytes as f64 / 1e6 / self.scan.seconds
    }
}

impl Outcome {
    /// Returns whether each scan has shown each key once, with its value.
    pub fn is_sound(&self) -> bool {
        let in_memory = self.in_memory.iter().flat_map(|(_, passes)| passes);
        let beside = self.beside.iter().map(|beside| &beside.scan);
        let cold = self.cold.iter().map(|cold| &cold.scan);
        let mut all = in_memory.chain(beside).chain(cold);
        self.wrong == 0 && all.all(|pass| pass.is_sound)
    }
}

/// Runs all measurements in the fresh directory `path`.
///
/// # Errors
///
/// Returns the first error of the store or of the plain reads.
pub fn run<V: Payload + ?Sized>(options: &Options, path: &Path) -> Result<Outcome, Box<dyn Error>> {
    let mut outcome = Outcome::default();
    let config = options.config(options.memory);
    let store: FasterKv<u64, V> = block_on(FasterKv::open(path, config))?;
    let executor = Executor { kind: RuntimeKind::Builtin, threads: 1 };
    load(&store, executor, Load { records: options.records, value_bytes: options.value })?;
    let request = store.checkpoint().kind(checkpoint::Kind::FoldOver);
    block_on(async { request.await })?;
    outcome.wrong = block_on(pass::wrong(&store, options.value))?;
    for form in Form::ALL {
        let passes = (0..options.runs).map(|_| block_on(scan(&store, form, options.records)));
        outcome.in_memory.push((form, passes.collect::<kvick::Result<_>>()?));
    }
    outcome.beside = beside(&store, options, path)?;
    block_on(store.close())?;
    for _ in 0..options.runs {
        outcome.cold.push(block_on(cold::<V>(options, path))?);
    }
    Ok(outcome)
}

/// Runs a writer, and scans beside it from time to time.
fn beside<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    options: &Options,
    path: &Path,
) -> Result<Vec<Beside>, Box<dyn Error>> {
    let shared = Arc::new(prepare(&options.of_writer()));
    let writer = {
        let (store, shared, path) = (store.clone(), Arc::clone(&shared), path.to_owned());
        let executor = options.of_writer().executor();
        let terms = Terms { executor, end: End::Flag, checkpoints: None };
        let write = move || crate::run::run(&store, shared, terms, &path).map(drop);
        clock::spawn("writer".to_owned(), write)
    };
    let scans = (0..options.runs).map(|_| block_on(beside_once(store, options, &shared)));
    let scans = scans.collect::<Result<_, _>>();
    shared.stopped.store(true, Ordering::Relaxed);
    writer.join().expect("the writer does not panic")?;
    scans
}

async fn beside_once<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    options: &Options,
    shared: &SharedRun,
) -> Result<Beside, Box<dyn Error>> {
    let rate = |updates: u64, time: Duration| updates as f64 / time.as_secs_f64();
    let runtime = Handle::background()?;
    let (started, before) = (Stopwatch::start(), shared.total());
    runtime.sleep(ALONE).await;
    let (between, alone) = (shared.total(), started.elapsed());
    let started = Stopwatch::start();
    let scan = scan(store, Form::View, options.records).await?;
    let (after, during) = (shared.total(), started.elapsed());
    Ok(Beside { alone: rate(between - before, alone), during: rate(after - between, during), scan })
}

/// Reads the files of the log, then opens the store with little memory and scans it.
async fn cold<V: Payload + ?Sized>(options: &Options, path: &Path) -> Result<Cold, Box<dyn Error>> {
    let config = options.config(options.cold_memory());
    let plain = Plain::open(path)?;
    let (plain_bytes, plain_time) = plain.read_all(LOG, config.segment_size.bytes()).await?;
    drop(plain);
    let store: FasterKv<u64, V> = FasterKv::open(path, config).await?;
    let scan = scan(&store, Form::View, options.records).await?;
    store.close().await?;
    Ok(Cold { scan, plain_bytes, plain_seconds: plain_time.as_secs_f64() })
}

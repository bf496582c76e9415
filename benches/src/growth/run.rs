//! One run: a load, a growth and a shrink, with a thread that samples the store.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kvick::runtime::Handle;
use kvick::{FasterKv, Result};

use super::frontier::{Direction, Frontier};
use super::options::{IndexKind, Options};
use super::phase::{Phase, Times};
use super::sample::Sample;
use super::slots::{Recorder, Tally, merge};
use super::worker::{Checks, VALUE, Worker};
use crate::clock::Stopwatch;
use crate::keys::key_of;
use crate::load::{Load, load};
use crate::payload::Payload as _;
use crate::process::resident_bytes;
use crate::run::{Bar, Beside};
use crate::runtimes::Executor;

/// The number of keys that are verified after the shrink, and of deleted keys.
const VERIFIED: u64 = 10_000;

/// The time for which the size of an index at rest does not change, and the time between looks.
const REST: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(10);

/// The measurements of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The size of the index.
    pub index: IndexKind,
    /// Seconds of the loading.
    pub load_seconds: f64,
    /// The growth, then the shrink.
    pub phases: [Phase; 2],
    /// The records that the reads found. It includes the check after the shrink.
    pub checks: Checks,
    /// The number of deleted keys that were there after the shrink.
    pub undeleted: u64,
    /// The number of operations that found a record on the device.
    pub on_device: u64,
}

impl Run {
    /// Returns whether every record was found, with a value of its own key, and no deleted key.
    pub fn is_sound(&self) -> bool {
        self.checks.missing == 0 && self.checks.wrong == 0 && self.undeleted == 0
    }
}

/// Runs on a fresh store in the directory `path`.
///
/// # Errors
///
/// Returns the first error of the store.
pub fn run(options: &Options, index: IndexKind, path: &Path) -> Result<Run, Box<dyn Error>> {
    let resident_before = resident_bytes();
    let store: FasterKv<u64, u64> =
        kvick::runtime::block_on(FasterKv::open(path, options.config(index)))?;
    let executor = options.executor();
    let what = Load { records: options.from, value_bytes: VALUE };
    let load_seconds = load(&store, executor, what)?.as_secs_f64();
    let sampler = Sampler {
        store: store.clone(),
        watch: Stopwatch::start(),
        resident_before,
        samples: Arc::default(),
    };
    let on_device = store.stats().hits.on_device;
    let beside = sampler.start(options);
    let terms = Terms { executor, slot: options.slot(), keys: [options.from, options.to] };
    let grown = terms.phase(Direction::Grow, &sampler);
    let shrunk = grown.and_then(|grown| Ok([grown, terms.phase(Direction::Shrink, &sampler)?]));
    beside.stop();
    let [grown, shrunk] = shrunk?;
    let on_device = store.stats().hits.on_device - on_device;
    let samples = sampler.samples.lock().unwrap_or_else(PoisonError::into_inner);
    let mut checks = grown.checks;
    checks.add(&shrunk.checks);
    let phases = [grown, shrunk].map(|phase| phase.of(&samples));
    let (last, undeleted) = kvick::runtime::block_on(verify(&store, terms.keys))?;
    checks.add(&last);
    kvick::runtime::block_on(store.close())?;
    Ok(Run { index, load_seconds, phases, checks, undeleted, on_device })
}

/// The conditions of the phases.
#[derive(Clone, Copy)]
struct Terms {
    executor: Executor,
    slot: Duration,
    /// The numbers of keys at the start and at the peak.
    keys: [u64; 2],
}

/// The measurements of a phase, before its slots have samples.
struct Measured {
    what: (Direction, u64),
    times: Times,
    slots: Vec<Tally>,
    rest: Sample,
    checks: Checks,
}

impl Measured {
    fn of(self, samples: &[Sample]) -> Phase {
        Phase::new(self.what, self.times, self.slots, samples).with_rest(self.rest)
    }
}

impl Terms {
    fn phase(self, direction: Direction, sampler: &Sampler) -> Result<Measured> {
        let [from, to] = self.keys;
        let frontier = Arc::new(Frontier::new(direction, from..to, self.executor.threads));
        let began = sampler.watch.elapsed();
        sampler.sample();
        let watch = Stopwatch::start();
        let store = sampler.store.clone();
        let task = move |number| {
            let (store, frontier) = (store.clone(), Arc::clone(&frontier));
            async move {
                let session = store.session()?;
                let recorder = Recorder::new(watch, self.slot);
                Worker::new(frontier, number, recorder).run(session).await
            }
        };
        let results = self.executor.run(self.executor.threads, task);
        sampler.sample();
        let rest = kvick::runtime::block_on(sampler.rest())?;
        let (mut checks, mut took, mut slots) = (Checks::default(), Duration::ZERO, Vec::new());
        for result in results {
            let (recorder, seen) = result?;
            let (finished, ended) = recorder.finish();
            checks.add(&seen);
            took = took.max(ended);
            slots.push(finished);
        }
        let keys = if direction == Direction::Grow { from } else { to };
        let times = Times { began, took, slot: self.slot };
        Ok(Measured { what: (direction, keys), times, slots: merge(slots), rest, checks })
    }
}

/// Samples the store, in the order of time.
#[derive(Clone)]
struct Sampler {
    store: FasterKv<u64, u64>,
    watch: Stopwatch,
    resident_before: u64,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Sampler {
    fn sample(&self) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push(self.now());
    }

    fn now(&self) -> Sample {
        let resident = resident_bytes().saturating_sub(self.resident_before);
        Sample::new(self.watch.elapsed(), &self.store.stats(), resident)
    }

    /// Waits until the index has had the same size for some time. Returns a sample from the start
    /// of this time.
    async fn rest(&self) -> Result<Sample> {
        let handle = Handle::background().expect("the system grants a benchmark thread");
        let mut rest = self.now();
        loop {
            handle.sleep(PAUSE).await;
            let now = self.now();
            if now.index_bytes != rest.index_bytes {
                rest = now;
            } else if now.at - rest.at > REST {
                return Ok(rest);
            }
        }
    }

    /// Starts a thread that samples the store once a slot, and shows the progress.
    fn start(&self, options: &Options) -> Beside {
        let sampler = self.clone();
        let bar = Bar::records("keys", options.to);
        Beside::start("sampler", options.slot(), move |_| {
            sampler.sample();
            bar.set(sampler.store.stats().index.entries);
        })
    }
}

/// Returns the found records among keys that are there, and the number of deleted keys that are
/// there too.
async fn verify(store: &FasterKv<u64, u64>, [from, to]: [u64; 2]) -> Result<(Checks, u64)> {
    let mut session = store.session()?;
    let (mut checks, mut undeleted) = (Checks::default(), 0);
    let there = (0..from).step_by(stride(from));
    let deleted = (from..to).step_by(stride(to - from));
    for index in there.chain(deleted) {
        let key = key_of(index);
        let found = session.read_with(&key, |view| u64::verify_view(&view, key, VALUE)).await?;
        if index < from {
            checks.saw(found);
        } else {
            undeleted += u64::from(found.is_some());
        }
    }
    Ok((checks, undeleted))
}

/// Returns the distance between keys of which about [`VERIFIED`] are verified.
fn stride(keys: u64) -> usize {
    usize::try_from(keys.div_ceil(VERIFIED)).expect("keys are counted in usize")
}

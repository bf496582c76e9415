//! One timed run: workers and tails on a runtime, and another thread that keeps the time.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hdrhistogram::Histogram;
use kvick::runtime::block_on;
use kvick::{FasterLog, Result, log};

use super::options::Options;
use super::shared::SharedRun;
use super::tail::{Tail, follow};
use super::worker::Worker;
use crate::clock::Stopwatch;
use crate::latency::Latencies;
use crate::process::{ProcessorTime, resident_bytes};
use crate::run::{Bar, Beside};
use crate::timeline::Timeline;

/// The time between two points of the timeline.
const INTERVAL: Duration = Duration::from_millis(50);

/// The measurements of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The number of entries that each worker has appended.
    pub appended: Vec<u64>,
    /// Nanoseconds of the timed calls.
    pub latency: Histogram<u64>,
    /// The time from the first append to the last.
    pub elapsed: Duration,
    /// The time from the first append until all entries were durable.
    pub until_durable: Duration,
    /// Processor time of the whole process, until all entries were durable and read.
    pub processor: ProcessorTime,
    /// The real time of `processor`.
    pub all: Duration,
    /// Resident bytes beyond the bytes before the log was opened.
    pub resident: u64,
    /// The number of commits during the run.
    pub commits: u64,
    /// The statistics of the log at the end.
    pub stats: log::Stats,
    /// The results of the readers.
    pub tails: Vec<Tail>,
    /// The number of entries that each reader had read when the appending tasks stopped.
    pub read_by_then: Vec<u64>,
    /// The lag of the slowest reader in entries: the median, and the maximum.
    pub lag: [u64; 2],
    /// The number of appends in each interval.
    pub timeline: Timeline,
}

/// The results of one task.
enum Seen {
    Worker { latency: Histogram<u64>, ended: Duration, last: Option<Last> },
    Tail(Tail),
}

/// The progress of the readers at the end of the last worker, and the time of its last commit.
struct Last {
    read_by_then: Vec<u64>,
    until_durable: Duration,
}

/// The position of one task in a run.
struct Place {
    number: usize,
    shared: Arc<SharedRun>,
    started: Stopwatch,
}

/// Runs on a fresh log in `path`, and closes it.
///
/// # Errors
///
/// Returns the first error of a task. The other tasks run to the end of the time even so.
pub fn run(options: &Options, path: &Path) -> Result<Outcome> {
    let shared = Arc::new(SharedRun::new(options));
    let resident_before = resident_bytes();
    let log = block_on(FasterLog::open(path, options.config()))?;
    let commits_before = log.last_commit().number;
    let watch = Watch::default();
    let processor_before = ProcessorTime::now();
    let started = Stopwatch::start();
    let timekeeper = keep_time(&shared, &watch, Duration::from_secs_f64(options.seconds));
    let task = {
        let (log, shared) = (log.clone(), Arc::clone(&shared));
        move |number| {
            let place = Place { number, shared: Arc::clone(&shared), started };
            place.take(log.clone())
        }
    };
    let results = options.executor().run(options.tasks + options.readers, task);
    let all = started.elapsed();
    let processor = ProcessorTime::now().since(&processor_before);
    timekeeper.stop();
    let mut outcome = Outcome {
        appended: shared.by_worker(),
        latency: Latencies::new().quiet,
        elapsed: Duration::ZERO,
        until_durable: Duration::ZERO,
        processor,
        all,
        resident: watch.resident.load(Ordering::Relaxed).saturating_sub(resident_before),
        commits: log.last_commit().number - commits_before,
        stats: log.stats(),
        tails: Vec::new(),
        read_by_then: Vec::new(),
        lag: watch.lag(),
        timeline: watch.timeline(),
    };
    for seen in results {
        outcome.add(seen?);
    }
    block_on(log.close())?;
    Ok(outcome)
}

impl Outcome {
    fn add(&mut self, seen: Seen) {
        match seen {
            Seen::Tail(tail) => self.tails.push(tail),
            Seen::Worker { latency, ended, last } => {
                self.latency.add(&latency).expect("all workers use the same bounds");
                self.elapsed = self.elapsed.max(ended);
                if let Some(last) = last {
                    (self.read_by_then, self.until_durable) =
                        (last.read_by_then, last.until_durable);
                }
            }
        }
    }

    /// Returns the number of appended entries.
    pub fn total(&self) -> u64 {
        self.appended.iter().sum()
    }
}

impl Place {
    async fn take(self, log: FasterLog) -> Result<Seen> {
        let Self { number, shared, started } = self;
        if let Some(reader) = number.checked_sub(shared.appended.len()) {
            return follow(&log, shared, reader, started).await.map(Seen::Tail);
        }
        let run = Worker::new(Arc::clone(&shared), number).run(&log).await;
        let ended = started.elapsed();
        // Readers wait for the end of the log, even after an error of a worker.
        let mut last = None;
        if shared.workers_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let read_by_then =
                shared.read.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            log.complete().await?;
            last = Some(Last { read_by_then, until_durable: started.elapsed() });
        }
        Ok(Seen::Worker { latency: run?, ended, last })
    }
}

/// The measurements of the timekeeping thread.
#[derive(Clone, Default)]
struct Watch {
    timeline: Arc<Mutex<Timeline>>,
    lags: Arc<Mutex<Vec<u64>>>,
    resident: Arc<AtomicU64>,
}

impl Watch {
    fn timeline(&self) -> Timeline {
        std::mem::take(&mut *self.timeline.lock().expect("the timekeeper does not panic"))
    }

    fn lag(&self) -> [u64; 2] {
        let mut lags = self.lags.lock().expect("the timekeeper does not panic");
        lags.sort_unstable();
        let middle = lags.get(lags.len() / 2).copied().unwrap_or(0);
        [middle, lags.last().copied().unwrap_or(0)]
    }
}

fn keep_time(shared: &Arc<SharedRun>, watch: &Watch, duration: Duration) -> Beside {
    let started = Stopwatch::start();
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let bar = Bar::time("run", milliseconds);
    let (shared, watch) = (Arc::clone(shared), watch.clone());
    Beside::start("timekeeper", INTERVAL.min(duration), move |_| {
        if shared.is_stopped() {
            // The tasks still commit and read the rest.
            return;
        }
        let elapsed = started.elapsed();
        let mut points = watch.timeline.lock().expect("nothing panics under it");
        points.push(elapsed, shared.total());
        watch.lags.lock().expect("nothing panics under it").push(shared.lag());
        watch.resident.store(resident_bytes(), Ordering::Relaxed);
        bar.set(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).min(milliseconds));
        if elapsed >= duration {
            shared.stopped.store(true, Ordering::Relaxed);
        }
    })
}

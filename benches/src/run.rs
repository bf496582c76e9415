//! The timed run: workers on a runtime, and another thread that keeps the time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kvick::stats::Stats;
use kvick::{FasterKv, Result};

use crate::checkpoints::{Plan, Span, Taken, Watch, take_regularly};
use crate::clock::{self, Stopwatch};
use crate::keys::draw_steps;
use crate::options::Options;
use crate::payload::Payload;
use crate::process::ProcessorTime;
use crate::runtimes::Executor;
use crate::space::{self, Sampler};
use crate::timeline::Timeline;
use crate::worker::{Results, SharedRun, Worker};
use crate::workload::Operation;

/// The time between two points of the timeline.
const INTERVAL: Duration = Duration::from_millis(100);

/// The time between two points during checkpoints, because a checkpoint may last for only a few of
/// them; and in a run that ends after a number of operations.
const FINE_INTERVAL: Duration = Duration::from_millis(20);

/// The measurements of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The results of all workers together.
    pub results: Results,
    /// Real time from the first operation to the last.
    pub elapsed: Duration,
    /// Processor time of the whole process during the run.
    pub processor: ProcessorTime,
    /// Counters of the store before the run.
    pub before: Stats,
    /// Counters of the store after the run.
    pub after: Stats,
    /// The number of operations in each interval.
    pub timeline: Timeline,
    /// The space of the store at the end of each interval.
    pub space: Vec<space::Point>,
    /// The checkpoints, in order.
    pub checkpoints: Vec<Taken>,
}

impl Outcome {
    /// Returns the time spans of the checkpoints.
    pub fn checkpoint_spans(&self) -> Vec<Span> {
        self.checkpoints.iter().map(|taken| taken.span).collect()
    }
}

/// Draws the steps of a run.
pub fn prepare(options: &Options) -> SharedRun {
    let steps = draw_steps(options.workload, options.distribution, options.records, options.seed);
    SharedRun {
        steps,
        workload: options.workload,
        records: options.records,
        value_bytes: options.value,
        batch: options.batch,
        is_durable: options.is_durable(),
        sample_every: options.sample_every(),
        stopped: AtomicBool::new(false),
        finished: (0..options.tasks).map(|_| AtomicU64::new(0).into()).collect(),
        watch: Watch::default().into(),
    }
}

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// After this time.
    Time(Duration),
    /// After this number of operations of all workers together, or a few more.
    Operations(u64),
    /// When the flag of the run is set.
    Flag,
}

/// The conditions of a run: its executor, its end, and its checkpoints.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The executor of the workers and of the task that takes checkpoints.
    pub executor: Executor,
    /// The end of the run.
    pub end: End,
    /// The checkpoints during the run.
    pub checkpoints: Option<Plan>,
}

/// The result of one task of a run: of a worker, or of the task that takes checkpoints.
#[derive(Default)]
struct Seen {
    results: Results,
    /// The time when the worker ended.
    ended: Duration,
    checkpoints: Vec<Taken>,
}

/// The course of a run over time.
#[derive(Default)]
struct Course {
    timeline: Timeline,
    space: Vec<space::Point>,
}

/// Runs the workers on a loaded store in `directory`.
///
/// # Errors
///
/// Returns the first error of a task. The other tasks run to the end of the time even so.
pub fn run<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    shared: Arc<SharedRun>,
    terms: Terms,
    directory: &Path,
) -> Result<Outcome> {
    let before = store.stats();
    let workers = shared.finished.len();
    let course = Arc::new(Mutex::new(Course::default()));
    let is_growing = shared.workload.other() == Operation::Insert;
    let sampler = Sampler::new(store, directory, is_growing);
    let processor_before = ProcessorTime::now();
    let started = Stopwatch::start();
    let timekeeper = keep_time(Arc::clone(&shared), (Arc::clone(&course), sampler), terms);
    let task = {
        let (store, shared) = (store.clone(), Arc::clone(&shared));
        move |number| {
            let place = Place { number, shared: Arc::clone(&shared), terms, started };
            place.take(store.clone())
        }
    };
    let results = terms.executor.run(workers + usize::from(terms.checkpoints.is_some()), task);
    let processor = ProcessorTime::now().since(&processor_before);
    timekeeper.stop();
    let mut all = Seen::default();
    for result in results {
        let seen = result?;
        all.results.add(&seen.results);
        all.ended = all.ended.max(seen.ended);
        all.checkpoints.extend(seen.checkpoints);
    }
    let Course { timeline, space } =
        std::mem::take(&mut *course.lock().expect("the timekeeper does not panic"));
    let Seen { results, ended: elapsed, checkpoints } = all;
    let after = store.stats();
    Ok(Outcome { results, elapsed, processor, before, after, timeline, space, checkpoints })
}

/// The position of one task in a run.
struct Place {
    number: usize,
    shared: Arc<SharedRun>,
    terms: Terms,
    started: Stopwatch,
}

impl Place {
    /// Runs a worker. The task after the last worker takes the checkpoints.
    async fn take<V: Payload + ?Sized>(self, store: FasterKv<u64, V>) -> Result<Seen> {
        let Self { number, shared, terms, started } = self;
        if let Some(plan) = terms.checkpoints.filter(|_| number == shared.finished.len()) {
            let taken =
                take_regularly(store, plan, &shared.watch, &shared.stopped, started).await?;
            return Ok(Seen { checkpoints: taken, ..Seen::default() });
        }
        let session = store.session()?;
        let results = Worker::new(shared, number).run(session).await?;
        Ok(Seen { results, ended: started.elapsed(), checkpoints: Vec::new() })
    }
}

fn keep_time<V: Payload + ?Sized>(
    shared: Arc<SharedRun>,
    (course, sampler): (Arc<Mutex<Course>>, Sampler<V>),
    terms: Terms,
) -> Beside {
    let started = Stopwatch::start();
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (bar, interval) = match terms.end {
        End::Time(time) => (Bar::time("run", milliseconds(time)), INTERVAL.min(time)),
        End::Operations(operations) => (Bar::records("run", operations), FINE_INTERVAL),
        End::Flag => (Bar::time("run", 0), INTERVAL),
    };
    let interval = if terms.checkpoints.is_some() { FINE_INTERVAL } else { interval };
    Beside::start("timekeeper", interval, move |_| {
        if shared.stopped.load(Ordering::Relaxed) {
            // The run may still wait for a checkpoint.
            return;
        }
        let (elapsed, total) = (started.elapsed(), shared.total());
        let mut course = course.lock().expect("the timekeeper does not panic");
        course.timeline.push(elapsed, total);
        course.space.push(sampler.point(elapsed));
        let is_over = match terms.end {
            End::Time(time) => {
                bar.set(milliseconds(elapsed.min(time)));
                elapsed >= time
            }
            End::Operations(operations) => {
                bar.set(total.min(operations));
                total >= operations
            }
            End::Flag => false,
        };
        if is_over {
            shared.stopped.store(true, Ordering::Relaxed);
        }
    })
}

/// A thread that does something small at regular intervals beside the measured threads.
#[derive(Debug)]
pub struct Beside {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Beside {
    /// Starts a thread that calls `tick` every `interval` until [`stop`](Self::stop).
    pub fn start(
        name: &str,
        interval: Duration,
        mut tick: impl FnMut(u64) + Send + 'static,
    ) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = clock::spawn(name.to_owned(), move || {
            for number in 1.. {
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                tick(number);
            }
        });
        Self { stop, thread }
    }

    /// Ends the thread.
    ///
    /// # Panics
    ///
    /// Panics if `tick` has panicked.
    pub fn stop(self) {
        drop(self.stop);
        self.thread.join().expect("a tick does not panic");
    }
}

/// A progress bar on the terminal. It shows nothing if the output is no terminal.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Creates a bar that counts records.
    pub fn records(name: &'static str, records: u64) -> Self {
        Self::new(name, records, "{prefix:>5} {bar:40} {human_pos}/{human_len} records {per_sec}")
    }

    /// Creates a bar that counts milliseconds.
    pub fn time(name: &'static str, milliseconds: u64) -> Self {
        Self::new(name, milliseconds, "{prefix:>5} {bar:40} {elapsed}")
    }

    /// Moves the bar.
    pub fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    fn new(name: &'static str, length: u64, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        Self(ProgressBar::new(length).with_style(style).with_prefix(name))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

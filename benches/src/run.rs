//! The timed run: lanes on a runtime, and beside them one thread that keeps the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kvick::{FasterKv, Result, Stats};

use crate::clock::{self, Stopwatch};
use crate::keys::draw_steps;
use crate::lane::{Course, Findings, Lane};
use crate::options::Options;
use crate::payload::Payload;
use crate::process::ProcessorTime;
use crate::runtimes::Crew;
use crate::timeline::Timeline;

/// Time between two points of the timeline.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a run measured.
#[derive(Debug)]
pub struct Outcome {
    /// What the lanes saw, together.
    pub findings: Findings,
    /// Real time from the first operation to the last.
    pub elapsed: Duration,
    /// Processor time of the whole process during the run.
    pub processor: ProcessorTime,
    /// Counters of the store before the run.
    pub before: Stats,
    /// Counters of the store after the run.
    pub after: Stats,
    /// Operations per interval.
    pub timeline: Timeline,
}

/// Draws the steps of a run.
pub fn prepare(options: &Options) -> Course {
    let steps = draw_steps(options.workload, options.distribution, options.records, options.seed);
    Course {
        steps,
        workload: options.workload,
        records: options.records,
        value_bytes: options.value,
        batch: options.batch,
        sample_every: options.sample_every(),
        stopped: AtomicBool::new(false),
        finished: (0..options.tasks).map(|_| AtomicU64::new(0).into()).collect(),
    }
}

/// Runs the course on a loaded store for `duration`.
///
/// # Errors
///
/// The first error a lane met; the other lanes run to the end of the time all the same.
pub fn run<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    course: Arc<Course>,
    crew: Crew,
    duration: Duration,
) -> Result<Outcome> {
    let before = store.stats();
    let tasks = course.finished.len();
    let timeline = Arc::new(Mutex::new(Timeline::new()));
    let processor_before = ProcessorTime::now();
    let started = Stopwatch::start();
    let timekeeper = keep_time(Arc::clone(&course), Arc::clone(&timeline), duration);
    let lanes = {
        let store = store.clone();
        let course = Arc::clone(&course);
        move |number| one_lane(store.clone(), Lane::new(Arc::clone(&course), number))
    };
    let results = crew.run(tasks, lanes);
    let elapsed = started.elapsed();
    let processor = ProcessorTime::now().since(&processor_before);
    timekeeper.stop();
    let mut findings = Findings::new();
    for result in results {
        findings.add(&result?);
    }
    let timeline = std::mem::take(&mut *timeline.lock().expect("the timekeeper does not panic"));
    Ok(Outcome { findings, elapsed, processor, before, after: store.stats(), timeline })
}

async fn one_lane<V: Payload + ?Sized>(store: FasterKv<u64, V>, lane: Lane) -> Result<Findings> {
    let session = store.session()?;
    lane.run(session).await
}

fn keep_time(course: Arc<Course>, timeline: Arc<Mutex<Timeline>>, duration: Duration) -> Beside {
    let started = Stopwatch::start();
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let bar = Bar::time("run", milliseconds);
    Beside::start("timekeeper", INTERVAL.min(duration), move |_| {
        let elapsed = started.elapsed();
        let mut points = timeline.lock().expect("the timekeeper does not panic");
        points.push(elapsed, course.total());
        bar.set(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).min(milliseconds));
        if elapsed >= duration {
            course.stopped.store(true, Ordering::Relaxed);
        }
    })
}

/// A thread that does something small at regular intervals beside the measured ones.
#[derive(Debug)]
pub struct Beside {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Beside {
    /// Calls `tick` every `interval` until stopped.
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
    /// When `tick` has panicked.
    pub fn stop(self) {
        drop(self.stop);
        self.thread.join().expect("a tick does not panic");
    }
}

/// A progress bar on the terminal; nothing when the output is not one.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar that counts records.
    pub fn records(name: &'static str, records: u64) -> Self {
        Self::new(name, records, "{prefix:>5} {bar:40} {human_pos}/{human_len} records {per_sec}")
    }

    /// A bar that counts milliseconds.
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

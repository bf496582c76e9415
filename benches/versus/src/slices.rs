//! Short timed slices, in turn.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use benches::clock::Stopwatch;
use benches::keys::Step;
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

/// The number of steps between two checks of the stop flag.
pub const STRETCH: usize = 32;

/// Set when the running slice is over. One slice runs at a time in a process.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// The distance between the first steps of two slices.
const STRIDE: usize = 7_368_787;

/// The state of one worker in a slice: its position in the steps, and its results.
#[derive(Clone, Debug)]
pub struct Walk {
    steps: &'static [Step],
    cursor: usize,
    /// The number of finished operations.
    pub operations: u64,
    /// The number of records that were missing.
    pub missing: u64,
    /// The number of values that did not belong to their key.
    pub wrong: u64,
    /// Nanoseconds of each timed operation; empty if none was timed.
    pub latency: Histogram<u64>,
}

impl Walk {
    /// Creates worker `number` of `workers` in slice `slice`.
    pub fn new(steps: &'static [Step], slice: usize, number: usize, workers: usize) -> Self {
        let spread = steps.len() / workers * number;
        let cursor = (slice.wrapping_mul(STRIDE) + spread) % (steps.len() - STRETCH);
        Self { steps, cursor, operations: 0, missing: 0, wrong: 0, latency: latency() }
    }

    /// Creates a worker without steps, which only counts.
    pub fn free() -> Self {
        Self { steps: &[], cursor: 0, operations: 0, missing: 0, wrong: 0, latency: latency() }
    }

    /// Counts `count` operations and returns true. Returns false, and counts none, if the slice is
    /// over.
    pub fn goes_on(&mut self, count: usize) -> bool {
        let goes_on = !STOPPED.load(Ordering::Relaxed);
        self.operations += if goes_on { count as u64 } else { 0 };
        goes_on
    }

    /// Returns the next steps, all of which the caller must take; none if the slice is over.
    pub fn stretch(&mut self) -> Option<&'static [Step]> {
        self.take(STRETCH)
    }

    /// Returns the next `count` steps; none if the slice is over.
    pub fn take(&mut self, count: usize) -> Option<&'static [Step]> {
        if STOPPED.load(Ordering::Relaxed) {
            return None;
        }
        if self.cursor + count > self.steps.len() {
            self.cursor = 0;
        }
        let stretch = &self.steps[self.cursor..self.cursor + count];
        self.cursor += count;
        self.operations += count as u64;
        Some(stretch)
    }

    /// Counts a read whose value was missing or wrong.
    pub fn saw(&mut self, found: Option<bool>) {
        match found {
            Some(true) => {}
            Some(false) => self.wrong += 1,
            None => self.missing += 1,
        }
    }

    /// Records the time of one operation.
    pub fn timed(&mut self, started: &Stopwatch) {
        self.latency.saturating_record(started.nanoseconds());
    }

    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.missing += other.missing;
        self.wrong += other.wrong;
        self.latency.add(&other.latency).expect("bounds are the same");
    }
}

fn latency() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("bounds are valid")
}

/// The measurements of one slice.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The results of all workers.
    pub seen: Walk,
    /// Real time in seconds.
    pub seconds: f64,
    /// Processor time of the whole process in seconds.
    pub processor_seconds: f64,
    /// The number of reads that reached the devices of the whole machine.
    pub device_reads: u64,
}

impl Slice {
    /// Returns the operations per second.
    pub fn rate(&self) -> f64 {
        self.seen.operations as f64 / self.seconds
    }
}

/// Runs `body` on as many threads as there are walks until `duration` is over.
pub fn on_threads(walks: Vec<Walk>, duration: Duration, body: impl Fn(&mut Walk) + Sync) -> Slice {
    let barrier = Barrier::new(walks.len() + 1);
    let (barrier, body) = (&barrier, &body);
    thread::scope(|scope| {
        let threads: Vec<_> = walks
            .into_iter()
            .map(|mut walk| {
                scope.spawn(move || {
                    barrier.wait();
                    body(&mut walk);
                    walk
                })
            })
            .collect();
        timed(
            duration,
            || barrier.wait(),
            |_| threads.into_iter().map(|thread| thread.join().expect("no panics")).collect(),
        )
    })
}

/// Runs one slice. `begin` starts the workers, and `end` waits for them once the time is over.
pub fn timed<B>(
    duration: Duration,
    begin: impl FnOnce() -> B,
    end: impl FnOnce(B) -> Vec<Walk>,
) -> Slice {
    STOPPED.store(false, Ordering::Relaxed);
    let device_before = device_reads();
    let processor_before = processor_seconds();
    let started = Stopwatch::start();
    let begun = begin();
    pause(duration);
    STOPPED.store(true, Ordering::Relaxed);
    let walks = end(begun);
    let seconds = started.elapsed().as_secs_f64();
    let processor_seconds = processor_seconds() - processor_before;
    let device_reads = device_reads() - device_before;
    let mut walks = walks.into_iter();
    let mut seen = walks.next().expect("a slice has a worker");
    walks.for_each(|walk| seen.add(&walk));
    Slice { seen, seconds, processor_seconds, device_reads }
}

/// A contestant: a name, and a function for a slice with a number and a length.
pub struct Arm<'a> {
    name: String,
    run: Box<dyn FnMut(usize, Duration) -> Slice + 'a>,
}

impl std::fmt::Debug for Arm<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Arm").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Arm<'a> {
    /// Creates a contestant.
    pub fn new(name: impl Into<String>, run: impl FnMut(usize, Duration) -> Slice + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    /// Returns the name in the table.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Runs all arms in turn for `rounds` rounds; each round begins with another arm.
pub fn interleave(
    mut arms: Vec<Arm<'_>>,
    rounds: usize,
    duration: Duration,
) -> Vec<(String, Vec<Slice>)> {
    let mut taken: Vec<Vec<Slice>> = arms.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..arms.len() {
            let arm = (turn + round) % arms.len();
            taken[arm].push((arms[arm].run)(round, duration));
        }
    }
    arms.into_iter().map(|arm| arm.name).zip(taken).collect()
}

/// Returns the median of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    assert!(!figures.is_empty(), "no slice, no median");
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a slice lasts a real time")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Returns the reads of all whole block devices. No other process should use them.
fn device_reads() -> u64 {
    let Ok(devices) = std::fs::read_dir("/sys/block") else {
        return 0;
    };
    devices
        .flatten()
        .filter_map(|device| std::fs::read_to_string(device.path().join("stat")).ok())
        .filter_map(|stat| stat.split_ascii_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

//! The work of each arm, its duration, and a table of medians.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The size of one read, in bytes: a sector.
pub(crate) const READ: usize = 512;

/// The work of each arm: random reads of a file, for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// The offsets of random sectors.
#[derive(Debug)]
pub(crate) struct Offsets {
    state: u64,
    sectors: u64,
}

impl Offsets {
    pub(crate) fn new(job: &Job, seed: usize) -> Self {
        let state = 0x9e37_79b9_7f4a_7c15 ^ (seed as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95);
        Self { state, sectors: job.bytes / READ as u64 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        // Xorshift: sufficient to spread reads over a disk.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % self.sectors * READ as u64
    }
}

/// The wall clock and processor time of the process since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    processor: Duration,
}

/// The results of one run of one arm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    reads: u64,
    wall: Duration,
    processor: Duration,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), processor: processor_time() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn stop(&self, reads: u64) -> Figures {
        let processor = processor_time() - self.processor;
        Figures { reads, wall: self.elapsed(), processor }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("the clock counts up from zero")
}

impl Figures {
    fn reads_per_second(&self) -> f64 {
        self.reads as f64 / self.wall.as_secs_f64()
    }

    fn processor_us_per_read(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.reads as f64
    }
}

/// All runs, by depth and arm.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    depth: usize,
    arm: String,
    runs: Vec<Figures>,
}

impl Table {
    pub(crate) fn add(&mut self, depth: usize, arm: &str, figures: Figures) {
        match self.rows.iter_mut().find(|row| row.depth == depth && row.arm == arm) {
            Some(row) => row.runs.push(figures),
            None => self.rows.push(Row { depth, arm: arm.to_owned(), runs: vec![figures] }),
        }
    }

    pub(crate) fn print(&mut self) {
        self.rows.sort_by_key(|row| row.depth);
        println!(
            "depth  arm                     reads/s     low -   high  of bare  wall us  CPU us"
        );
        for row in &self.rows {
            let rates = sorted(row.runs.iter().map(Figures::reads_per_second));
            let processor = sorted(row.runs.iter().map(Figures::processor_us_per_read));
            println!(
                "{:5}  {:22} {:8.0}  {:6.0} - {:6.0}   {:6.2}  {:7.1}  {:6.1}",
                row.depth,
                row.arm,
                median(&rates),
                rates[0],
                rates[rates.len() - 1],
                self.share_of_bare(row),
                1e6 / median(&rates),
                median(&processor),
            );
        }
    }

    /// Returns the median over the rounds of the rate relative to the bare ring in the same round.
    fn share_of_bare(&self, row: &Row) -> f64 {
        let bare = self
            .rows
            .iter()
            .find(|other| other.depth == row.depth && other.arm == BARE)
            .expect("every depth has a bare ring");
        let shares = row
            .runs
            .iter()
            .zip(&bare.runs)
            .map(|(figures, bare)| figures.reads_per_second() / bare.reads_per_second());
        median(&sorted(shares))
    }
}

/// The arm that the others are compared with.
pub(crate) const BARE: &str = "io_uring, bare";

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

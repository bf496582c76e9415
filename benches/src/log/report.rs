//! The results of all repetitions as JSON; `table.rs` has them as a table.

use serde::Serialize;

use super::figures::Figures;
use super::options::{Options, Reads, ScanKind};
use crate::runtimes::RuntimeKind;
use crate::timeline::{Point, Timeline, median};

/// The results of one invocation of `logbench`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The settings.
    pub setup: Setup,
    /// The figures of each repetition.
    pub runs: Vec<Figures>,
    /// Appends over time in the last repetition.
    pub timeline: Vec<Point>,
}

/// The settings of a report.
#[derive(Debug, Serialize)]
pub struct Setup {
    pub(super) entry_bytes: usize,
    pub(super) memory_bytes: u64,
    pub(super) runtime: RuntimeKind,
    pub(super) backend: String,
    pub(super) threads: usize,
    pub(super) tasks: usize,
    pub(super) batch: usize,
    pub(super) seconds: f64,
    pub(super) commit: String,
    pub(super) commits_in_flight: u32,
    pub(super) readers: usize,
    pub(super) reads: Reads,
    pub(super) scan: Option<ScanKind>,
}

impl Report {
    /// Collects the repetitions.
    pub fn new(options: &Options, runs: Vec<Figures>, timeline: &Timeline) -> Self {
        Self { setup: Setup::new(options), runs, timeline: timeline.points().to_vec() }
    }

    /// Returns the median of a figure.
    pub fn middle(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.runs.iter().map(figure).collect()).unwrap_or_default()
    }

    /// Returns the repetition whose rate is the median.
    pub fn middle_run(&self) -> &Figures {
        let mut runs: Vec<&Figures> = self.runs.iter().collect();
        runs.sort_by(|one, other| one.appends_per_second.total_cmp(&other.appends_per_second));
        runs[runs.len() / 2]
    }

    /// Returns whether every entry was found, and no entry was wrong.
    pub fn is_sound(&self) -> bool {
        self.runs.iter().all(Figures::is_sound)
    }
}

impl Setup {
    fn new(options: &Options) -> Self {
        Self {
            entry_bytes: options.entry,
            memory_bytes: options.memory.bytes(),
            runtime: options.runtime,
            backend: options.backend.to_string(),
            threads: options.threads,
            tasks: options.tasks,
            batch: options.batch,
            seconds: options.seconds,
            commit: options.commit.to_string(),
            commits_in_flight: options.in_flight,
            readers: options.readers,
            reads: options.read,
            scan: options.scan,
        }
    }
}

//! What the repetitions measured, for scripts; `table.rs` has it for people.

use serde::Serialize;

use super::figures::Figures;
use super::options::{Options, Reads, ScanKind};
use crate::runtimes::RuntimeKind;
use crate::timeline::{Point, Timeline, median};

/// Everything one invocation of `logbench` has to say.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub setup: Setup,
    /// Each repetition.
    pub runs: Vec<Figures>,
    /// Appends over time in the last one.
    pub timeline: Vec<Point>,
}

/// What was asked for.
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
    /// Puts the repetitions together.
    pub fn new(options: &Options, runs: Vec<Figures>, timeline: &Timeline) -> Self {
        Self { setup: Setup::new(options), runs, timeline: timeline.points().to_vec() }
    }

    /// The median of a figure.
    pub fn middle(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.runs.iter().map(figure).collect()).unwrap_or_default()
    }

    /// The repetition whose rate is the median.
    pub fn middle_run(&self) -> &Figures {
        let mut runs: Vec<&Figures> = self.runs.iter().collect();
        runs.sort_by(|one, other| one.appends_per_second.total_cmp(&other.appends_per_second));
        runs[runs.len() / 2]
    }

    /// Whether everything that was read was right, and nothing missing.
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

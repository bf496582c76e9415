//! The figures of one run.

use std::time::Duration;

use serde::Serialize;

use super::entries::Checks;
use super::options::{Baseline, Options};
use super::run::Outcome;
use super::scan::ColdScan;
use super::tail::Tail;
use crate::report::{Latency, Processor};

/// The figures of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The number of appended entries.
    pub appended: u64,
    /// The number of appended entries per second.
    pub appends_per_second: f64,
    /// Bytes of appended entries per second.
    pub bytes_per_second: f64,
    /// Bytes of appended entries per second, until all of them were durable.
    pub durable_bytes_per_second: f64,
    /// Latency of calls. With `--commit each` a call lasts until its entries are durable.
    pub latency: Latency,
    /// Commits per second.
    pub commits_per_second: f64,
    /// Processor time per append, of the whole process.
    pub processor: Processor,
    /// Resident bytes beyond the bytes before the run.
    pub resident_bytes: u64,
    /// Memory of the pages of the log and of its device buffers, as the log counts them.
    pub log_bytes: [u64; 2],
    /// Bytes written to the device, per byte of entries.
    pub written_per_byte: f64,
    /// The readers beside the appenders.
    pub readers: Vec<ReaderFigures>,
    /// The lag of the slowest reader in entries: the median, and the maximum.
    pub lag: [u64; 2],
    /// The scan after the run.
    pub scan: Option<ScanFigures>,
    /// The comparisons with baselines.
    pub ratios: Vec<Ratio>,
    /// The number of entries that were read and found sound.
    pub verified: u64,
    /// The number of entries that no task appended.
    pub wrong: u64,
    /// The number of entries out of the order of their task.
    pub misplaced: u64,
    /// The number of entries that readers did not find.
    pub missing: u64,
}

/// The figures of one reader.
#[derive(Clone, Debug, Serialize)]
pub struct ReaderFigures {
    /// Entries per second until the appending tasks stopped.
    pub entries_per_second: f64,
    /// Entries read per second, divided by appends per second.
    pub ratio: f64,
    /// Milliseconds from the last append to the last entry read.
    pub catch_up_milliseconds: f64,
}

/// The figures of a scan of a log that was opened again.
#[derive(Clone, Debug, Serialize)]
pub struct ScanFigures {
    /// Milliseconds until the log was open.
    pub open_milliseconds: f64,
    /// Entries per second.
    pub entries_per_second: f64,
    /// Bytes of log per second.
    pub bytes_per_second: f64,
    /// Processor time per entry.
    pub processor: Processor,
}

/// A figure, and the figure of a baseline.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratio {
    /// The baseline.
    pub against: Baseline,
    /// The figure: appends per second, or bytes per second.
    pub figure: f64,
    /// The same figure of the baseline.
    pub baseline: f64,
}

impl Ratio {
    /// Returns the figure divided by the baseline.
    pub fn ratio(&self) -> f64 {
        self.figure / self.baseline
    }
}

impl Figures {
    /// Creates the figures of a run, without comparisons.
    pub fn new(options: &Options, outcome: &Outcome) -> Self {
        let appended = outcome.total();
        let bytes = (appended * options.entry as u64) as f64;
        let per_second = |figure: f64, time: Duration| figure / time.as_secs_f64();
        let written = outcome.stats.device.write_bytes as f64;
        let mut figures = Self {
            appended,
            appends_per_second: per_second(appended as f64, outcome.elapsed),
            bytes_per_second: per_second(bytes, outcome.elapsed),
            durable_bytes_per_second: per_second(bytes, outcome.until_durable),
            latency: Latency::new(&outcome.latency, [options.sample_every(), options.batch]),
            commits_per_second: per_second(outcome.commits as f64, outcome.until_durable),
            processor: Processor::new(outcome.processor, appended, outcome.all),
            resident_bytes: outcome.resident,
            log_bytes: [outcome.stats.frame_bytes, outcome.stats.buffer_bytes],
            written_per_byte: written / bytes.max(1.0),
            readers: Vec::new(),
            lag: outcome.lag,
            scan: None,
            ratios: Vec::new(),
            verified: 0,
            wrong: 0,
            misplaced: 0,
            missing: 0,
        };
        for (tail, read) in outcome.tails.iter().zip(&outcome.read_by_then) {
            figures.add_reader(outcome, tail, *read);
        }
        figures
    }

    fn add_reader(&mut self, outcome: &Outcome, tail: &Tail, read: u64) {
        let entries_per_second = read as f64 / outcome.elapsed.as_secs_f64();
        let behind = tail.ended.saturating_sub(outcome.elapsed);
        self.readers.push(ReaderFigures {
            entries_per_second,
            ratio: entries_per_second / self.appends_per_second,
            catch_up_milliseconds: behind.as_secs_f64() * 1e3,
        });
        self.check(&tail.checks, &outcome.appended);
    }

    pub(super) fn add_scan(&mut self, scan: &ColdScan, appended: &[u64]) {
        let entries = scan.checks.seen();
        let seconds = scan.took.as_secs_f64();
        self.scan = Some(ScanFigures {
            open_milliseconds: scan.opened.as_secs_f64() * 1e3,
            entries_per_second: entries as f64 / seconds,
            bytes_per_second: scan.bytes as f64 / seconds,
            processor: Processor::new(scan.processor, entries, scan.took),
        });
        self.check(&scan.checks, appended);
    }

    pub(super) fn compare(&mut self, against: Baseline, figure: f64, baseline: f64) {
        self.ratios.push(Ratio { against, figure, baseline });
    }

    fn check(&mut self, checks: &Checks, appended: &[u64]) {
        self.verified += checks.sound;
        self.wrong += checks.wrong;
        self.misplaced += checks.misplaced;
        self.missing += checks.missing(appended);
    }

    /// Returns whether every entry was found, and no entry was wrong.
    pub fn is_sound(&self) -> bool {
        self.wrong + self.misplaced + self.missing == 0
    }
}

//! The costs of checkpoints, and of the operations beside them.

use std::fmt;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kvick::checkpoint;
use serde::Serialize;

use super::Latency;
use super::table::rate;
use crate::checkpoints::{Span, Taken};
use crate::options::Options;
use crate::run::Outcome;

/// The time after a checkpoint whose operations are reported separately. After a fold-over, writes
/// copy the records that it made read-only.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The checkpoints of a run, and the operations beside them.
#[derive(Debug, Serialize)]
pub struct Checkpoints {
    /// The checkpoints, in order.
    pub taken: Vec<CheckpointRow>,
    /// Median of the intervals without a checkpoint, operations per second.
    pub without: Option<f64>,
    /// Median of the intervals with a checkpoint, operations per second.
    pub with: Option<f64>,
    /// `with / without`: 1 is no dip.
    pub ratio: Option<f64>,
    /// Median of the whole seconds with a checkpoint, divided by the median of the others.
    pub ratio_of_seconds: Option<f64>,
    /// Median of the intervals before the first checkpoint, operations per second.
    pub before_first: Option<f64>,
    /// Median of the intervals within a second after a checkpoint, operations per second.
    pub after: Option<f64>,
    /// Latency of calls without a checkpoint.
    pub latency_without: Latency,
    /// Latency of calls with a checkpoint.
    pub latency_with: Latency,
}

/// One checkpoint.
#[derive(Debug, Serialize)]
pub struct CheckpointRow {
    /// The number of its token.
    pub token: u64,
    /// Its kind.
    pub kind: checkpoint::Kind,
    /// The begin, in seconds from the start of the run.
    pub at_seconds: f64,
    /// Seconds from the request to the result.
    pub seconds: f64,
    /// Bytes that the store wrote for it.
    pub bytes: u64,
    /// Megabytes written per second.
    pub megabytes_per_second: f64,
    /// Times of the index, the cut, the capture and the publication, in milliseconds.
    pub phases_milliseconds: [f64; 4],
}

impl Checkpoints {
    pub(super) fn new(options: &Options, outcome: &Outcome) -> Self {
        let spans = outcome.checkpoint_spans();
        let timeline = &outcome.timeline;
        let [without, with] = timeline.medians(&spans);
        let seconds = timeline.in_seconds().medians(&spans);
        let first = spans.first().map(|span| Span { from: Duration::ZERO, until: span.from });
        let [_, before_first] = timeline.medians(first.as_slice());
        let ends = spans.iter().map(|span| span.until);
        let afterwards: Vec<Span> =
            ends.map(|end| Span { from: end, until: end + AFTERMATH }).collect();
        let [_, after] = timeline.medians(&afterwards);
        let latency = &outcome.results.latency;
        Self {
            taken: outcome.checkpoints.iter().map(CheckpointRow::new).collect(),
            without,
            with,
            ratio: with.zip(without).map(|(with, without)| with / without),
            ratio_of_seconds: seconds[1].zip(seconds[0]).map(|(with, without)| with / without),
            before_first,
            after,
            latency_without: Latency::new(&latency.quiet, options.calls()),
            latency_with: Latency::new(&latency.during, options.calls()),
        }
    }
}

impl CheckpointRow {
    fn new(taken: &Taken) -> Self {
        let Taken { span, checkpoint } = taken;
        let times = checkpoint.times;
        let phases = [times.index, times.cut, times.capture, times.publish];
        let seconds = span.length().as_secs_f64();
        Self {
            token: checkpoint.token.version(),
            kind: checkpoint.kind,
            at_seconds: span.from.as_secs_f64(),
            seconds,
            bytes: checkpoint.bytes,
            megabytes_per_second: checkpoint.bytes as f64 / 1e6 / seconds,
            phases_milliseconds: phases.map(|time| time.as_secs_f64() * 1e3),
        }
    }

    fn cells(&self) -> [String; 10] {
        let milliseconds = |figure: f64| format!("{figure:.1}");
        let [index, cut, capture, publish] = self.phases_milliseconds;
        [
            self.token.to_string(),
            format!("{:?}", self.kind),
            format!("{:.2}", self.at_seconds),
            format!("{:.2}", self.bytes as f64 / 1e6),
            format!("{:.0}", self.megabytes_per_second),
            milliseconds(index),
            format!("{cut:.3}"),
            milliseconds(capture),
            milliseconds(publish),
            milliseconds(self.seconds * 1e3),
        ]
    }
}

impl fmt::Display for Checkpoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut taken = Table::new();
        taken.load_style(NOTHING);
        taken.add_row(HEADINGS);
        for row in &self.taken {
            taken.add_row(row.cells());
        }
        writeln!(formatter, "{taken}")?;
        let or_none = |figure: Option<f64>| figure.map_or("none".to_owned(), rate);
        let [without, with] = [self.without, self.with].map(or_none);
        let ratio = |ratio: Option<f64>| ratio.map_or("none".to_owned(), |it| format!("{it:.3}"));
        let [intervals, seconds] = [self.ratio, self.ratio_of_seconds].map(ratio);
        let [before, after] = [self.before_first, self.after].map(or_none);
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.add_row(["median without", &without]);
        table.add_row(["median with", &format!("{with}, {intervals} of without")]);
        table.add_row(["seconds with, of without", &seconds]);
        table.add_row(["median before the first", &before]);
        table.add_row(["median within 1 s after one", &after]);
        let [quiet, during] = [&self.latency_without, &self.latency_with];
        table.add_row(["latency us without", &format!("{quiet}  of {}", quiet.samples)]);
        table.add_row(["latency us with", &format!("{during}  of {}", during.samples)]);
        write!(formatter, "{table}")
    }
}

const HEADINGS: [&str; 10] = [
    "token",
    "kind",
    "at s",
    "MB",
    "MB/s",
    "index ms",
    "cut ms",
    "capture ms",
    "publish ms",
    "all ms",
];

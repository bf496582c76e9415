//! Checkpoints beside the lanes: a task that takes them, and a watch by which a lane knows that one
//! is being taken.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{Either, select};
use kvick::checkpoint::Checkpoint;
use kvick::runtime::Handle;
use kvick::{FasterKv, Result, checkpoint};
use serde::Serialize;

use crate::clock::Stopwatch;
use crate::payload::Payload;

/// The task that takes checkpoints looks this often at whether the run has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// How a checkpoint is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The log becomes read-only and is flushed.
    FoldOver,
    /// What is in memory is written beside the log.
    Snapshot,
    /// What has changed since the last one is written beside the log.
    Incremental,
}

impl From<Kind> for checkpoint::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::FoldOver => Self::FoldOver,
            Kind::Snapshot => Self::Snapshot,
            Kind::Incremental => Self::Incremental,
        }
    }
}

/// Which checkpoints are taken during a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Seconds from the start of the run, or the end of one, to the start of the next.
    pub every_seconds: f64,
    /// How they are taken.
    pub kind: Kind,
    /// Whether each has an image of the index.
    pub with_index: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { every_seconds, kind, with_index } = self;
        let index = if *with_index { "" } else { " without index" };
        write!(formatter, "{kind:?}{index} every {every_seconds} s")
    }
}

/// Whether a checkpoint is being taken, for tasks that time something meanwhile.
#[derive(Debug, Default)]
pub struct Watch {
    /// Begins and ends so far: odd while one is being taken. Relaxed: it sorts samples.
    changes: AtomicU64,
}

impl Watch {
    /// What [`has_overlapped`](Self::has_overlapped) is told later.
    #[inline]
    pub fn look(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Whether a checkpoint was being taken at any time since `earlier`.
    #[inline]
    pub fn has_overlapped(&self, earlier: u64) -> bool {
        !earlier.is_multiple_of(2) || self.look() != earlier
    }

    fn turn(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Part of a run, in time since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub from: Duration,
    /// When it ended.
    pub until: Duration,
}

impl Span {
    /// Whether they have some time in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from < other.until && other.from < self.until
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// A checkpoint that was taken during a run.
#[derive(Clone, Debug)]
pub struct Taken {
    /// From the request to the answer.
    pub span: Span,
    /// What the store says of it.
    pub checkpoint: Checkpoint,
}

/// Takes checkpoints until the run is stopped; one that is under way then is waited for.
///
/// # Errors
///
/// The first error of the store.
pub async fn take_regularly<V: Payload + ?Sized>(
    store: FasterKv<u64, V>,
    plan: Plan,
    watch: &Watch,
    stopped: &AtomicBool,
    started: Stopwatch,
) -> Result<Vec<Taken>> {
    let handle = Handle::background().expect("the system grants a benchmark thread");
    let every = Duration::from_secs_f64(plan.every_seconds);
    let mut taken = Vec::new();
    loop {
        let end = std::pin::pin!(until_set(stopped, &handle));
        if let Either::Left(_) = select(end, handle.sleep(every)).await {
            return Ok(taken);
        }
        let mut request = store.checkpoint().kind(plan.kind.into());
        if !plan.with_index {
            request = request.without_index();
        }
        watch.turn();
        let from = started.elapsed();
        let checkpoint = request.await;
        let span = Span { from, until: started.elapsed() };
        watch.turn();
        taken.push(Taken { span, checkpoint: checkpoint? });
    }
}

async fn until_set(flag: &AtomicBool, handle: &Handle) {
    while !flag.load(Ordering::Relaxed) {
        handle.sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_counts_if_a_checkpoint_ran_at_any_time_of_it() {
        let watch = Watch::default();
        let before = watch.look();
        assert!(!watch.has_overlapped(before));
        watch.turn();
        assert!(watch.has_overlapped(before), "begun since");
        let within = watch.look();
        watch.turn();
        assert!(watch.has_overlapped(before), "begun and ended since");
        assert!(watch.has_overlapped(within), "ended since");
        assert!(!watch.has_overlapped(watch.look()));
    }

    #[test]
    fn spans_that_only_touch_do_not_overlap() {
        let span = |from, until| Span {
            from: Duration::from_secs(from),
            until: Duration::from_secs(until),
        };
        assert!(span(1, 3).overlaps(&span(2, 4)));
        assert!(span(1, 4).overlaps(&span(2, 3)));
        assert!(!span(1, 2).overlaps(&span(2, 3)));
    }
}

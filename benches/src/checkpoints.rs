//! Checkpoints during a run: the task that takes them, and a flag that shows a running checkpoint
//! to the workers.

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

/// The period with which the checkpointing task checks whether the run has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// The kind of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The store chooses the kind.
    Auto,
    /// The log becomes read-only and is flushed.
    FoldOver,
    /// The store writes the memory to a separate file.
    Snapshot,
    /// The store writes the changes since the previous checkpoint to a separate file.
    Incremental,
}

impl From<Kind> for checkpoint::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Auto => Self::Auto,
            Kind::FoldOver => Self::FoldOver,
            Kind::Snapshot => Self::Snapshot,
            Kind::Incremental => Self::Incremental,
        }
    }
}

/// The checkpoints of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Seconds from the start of the run, or the end of a checkpoint, to the start of the next.
    pub every_seconds: f64,
    /// The kind of the checkpoints.
    pub kind: Kind,
    /// Whether each checkpoint has an image of the index.
    pub with_index: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { every_seconds, kind, with_index } = self;
        let index = if *with_index { "" } else { " without index" };
        write!(formatter, "{kind:?}{index} every {every_seconds} s")
    }
}

/// Shows whether a checkpoint is running, for tasks that time operations.
#[derive(Debug, Default)]
pub struct Watch {
    /// The number of begins and ends so far: odd while a checkpoint runs. Relaxed: it only sorts
    /// samples.
    changes: AtomicU64,
}

impl Watch {
    /// Returns a reading for a later call of [`has_overlapped`](Self::has_overlapped).
    #[inline]
    pub fn look(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Returns whether a checkpoint was running at any time since the reading `earlier`.
    #[inline]
    pub fn has_overlapped(&self, earlier: u64) -> bool {
        !earlier.is_multiple_of(2) || self.look() != earlier
    }

    fn turn(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stretch of a run, in time since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The begin.
    pub from: Duration,
    /// The end.
    pub until: Duration,
}

impl Span {
    /// Returns whether the two spans have some time in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from < other.until && other.from < self.until
    }

    /// Returns the length.
    pub fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// A checkpoint that was taken during a run.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The time from the request to the result.
    pub span: Span,
    /// The description of the store.
    pub checkpoint: Checkpoint,
}

/// Takes checkpoints until the run is stopped. A running checkpoint still completes.
///
/// # Errors
///
/// Returns the first error of the store.
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

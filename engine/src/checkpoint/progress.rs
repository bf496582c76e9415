//! The progress of a checkpoint, for callers that watch it.

use crate::base::wait::{Event, wait_until};
use futures::stream::{self, Stream};
use kvick_io::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::ops::Deref;
use std::sync::Arc;

/// The current step of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CheckpointPhase {
    /// Waits for the driver.
    Queued,
    /// Writes the image of the index.
    Index,
    /// Ends the version; no operation changes anything meanwhile.
    VersionBarrier,
    /// Writes and syncs the log, or files beside it.
    Capture,
    /// Replaces the manifest.
    Publish,
    /// Has ended, with or without an error.
    Ended,
}

/// The progress of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointProgress {
    /// The current step.
    pub phase: CheckpointPhase,
    /// The number of bytes written so far.
    pub bytes: u64,
}

/// The progress that the driver writes and other tasks read.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    // Any thread, atomic; written by the driver.
    phase: AtomicU8,
    bytes: AtomicU64,
    changed: Event,
}

/// The driver's handle of a [`Progress`]. Dropping it enters the last phase, on every way out.
#[derive(Debug)]
pub(crate) struct Watched(Arc<Progress>);

impl Watched {
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        Self(progress)
    }
}

impl Deref for Watched {
    type Target = Progress;

    fn deref(&self) -> &Progress {
        &self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.enter(CheckpointPhase::Ended);
    }
}

const PHASES: [CheckpointPhase; 6] = [
    CheckpointPhase::Queued,
    CheckpointPhase::Index,
    CheckpointPhase::VersionBarrier,
    CheckpointPhase::Capture,
    CheckpointPhase::Publish,
    CheckpointPhase::Ended,
];

const _: () =
    assert!(PHASES.len() == CheckpointPhase::Ended as usize + 1, "each phase has its number");

impl Progress {
    pub(crate) fn enter(&self, phase: CheckpointPhase) {
        tracing::debug!(target: "kvick::checkpoint", ?phase);
        // Relaxed, also for `bytes`: the values are only displayed, and no other data depends on
        // them.
        let before = self.phase.swap(phase as u8, Ordering::Relaxed);
        debug_assert!(before <= phase as u8, "phases go forward: {before}, then {phase:?}");
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn wrote(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn now(&self) -> CheckpointProgress {
        CheckpointProgress {
            phase: PHASES[usize::from(self.phase.load(Ordering::Relaxed))],
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Returns a stream of changes, which may skip to the latest. It ends with the checkpoint.
    pub(crate) fn watch(self: Arc<Self>) -> impl Stream<Item = CheckpointProgress> + Send + Unpin {
        Box::pin(stream::unfold((self, None), |(progress, shown)| async move {
            let next = wait_until(&progress.changed, || {
                let now = progress.now();
                debug_assert!(
                    shown.is_none_or(|shown: CheckpointProgress| shown.phase <= now.phase),
                    "phases go forward: {shown:?}, then {now:?}"
                );
                let has_ended = now.phase == CheckpointPhase::Ended;
                if shown != Some(now) { Some(Some(now)) } else { has_ended.then_some(None) }
            });
            let now = next.await?;
            Some((now, (progress, Some(now))))
        }))
    }
}

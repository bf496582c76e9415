//! A concurrent reader, from the first entry to the last.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use kvick::{FasterLog, Result};

use super::entries::Checks;
use super::options::Reads;
use super::shared::SharedRun;
use crate::clock::Stopwatch;

/// The number of entries between two updates of the shared count.
const STRETCH: u64 = 64;

/// The results of a reader.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The checks of the entries.
    pub checks: Checks,
    /// The time from the start of the run to the last entry.
    pub ended: Duration,
}

/// Reads until the log is complete.
///
/// # Errors
///
/// Returns the first error of the log.
pub async fn follow(
    log: &FasterLog,
    shared: Arc<SharedRun>,
    number: usize,
    started: Stopwatch,
) -> Result<Tail> {
    let mut checks = Checks::new(shared.appended.len(), shared.entry_bytes);
    let mut entries = log.follow_from(log.begin_address());
    if shared.reads == Reads::Uncommitted {
        entries = entries.uncommitted();
    }
    while let Some(entry) = entries.next().await {
        checks.saw(&entry?.payload);
        if checks.seen().is_multiple_of(STRETCH) {
            shared.read[number].store(checks.seen(), Ordering::Relaxed);
        }
    }
    shared.read[number].store(checks.seen(), Ordering::Relaxed);
    Ok(Tail { checks, ended: started.elapsed() })
}

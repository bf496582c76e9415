//! The state that the tasks of one run share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use super::options::{CommitPolicy, Options, Reads};

/// The shared state of one run.
#[derive(Debug)]
pub struct SharedRun {
    /// Bytes of an entry.
    pub entry_bytes: usize,
    /// The number of entries of a call.
    pub batch: usize,
    /// Whether a call waits until its entries are durable.
    pub waits: bool,
    /// The number of calls of which one is timed.
    pub sample_every: usize,
    /// The entries that readers read.
    pub reads: Reads,
    /// Set when the time is over.
    pub stopped: AtomicBool,
    /// The number of entries that each worker has appended.
    pub appended: Vec<CachePadded<AtomicU64>>,
    /// The number of entries that each reader has read.
    pub read: Vec<CachePadded<AtomicU64>>,
    /// The number of workers that still append.
    pub workers_left: AtomicUsize,
}

impl SharedRun {
    /// Creates the state of a run that has not begun.
    pub fn new(options: &Options) -> Self {
        let counts = |count| (0..count).map(|_| AtomicU64::new(0).into()).collect();
        Self {
            entry_bytes: options.entry,
            batch: options.batch,
            waits: options.commit == CommitPolicy::Each,
            sample_every: options.sample_every(),
            reads: options.read,
            stopped: AtomicBool::new(false),
            appended: counts(options.tasks),
            read: counts(options.readers),
            workers_left: AtomicUsize::new(options.tasks),
        }
    }

    /// Returns whether the time is over.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Returns the number of entries appended so far.
    pub fn total(&self) -> u64 {
        self.appended.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Returns the number of entries that each worker has appended.
    pub fn by_worker(&self) -> Vec<u64> {
        self.appended.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Returns the number of entries that the slowest reader has not read yet.
    pub fn lag(&self) -> u64 {
        let slowest = self.read.iter().map(|count| count.load(Ordering::Relaxed)).min();
        slowest.map_or(0, |read| self.total().saturating_sub(read))
    }
}

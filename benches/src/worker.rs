//! One task of the timed run: a session, a position in the steps, and its results.
//!
//! A worker reads the stop flag and publishes its count once for [`STRETCH`] steps. It times the
//! first of every `sample_every` steps, because two clock readings cost about as much as an
//! operation in memory.
//!
//! Mixes by recency insert records. A worker owns every n-th index after the loaded records, where
//! n is the number of workers. So a step back from the newest record never meets an unfinished
//! insert of another worker.

use std::borrow::Borrow as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use kvick::{Result, Session};

use crate::checkpoints::Watch;
use crate::clock::Stopwatch;
use crate::keys::{Step, key_of};
use crate::latency::Latencies;
use crate::payload::Payload;
use crate::workload::{Operation, Workload};

/// The number of steps between two checks of the stop flag.
pub const STRETCH: usize = 32;

/// The state that all workers of a run share.
#[derive(Debug)]
pub struct SharedRun {
    // Fixed before the run.
    /// The steps. Each worker starts at a different one.
    pub steps: Vec<Step>,
    /// The mix for which the steps were drawn.
    pub workload: Workload,
    /// The number of records loaded before the run.
    pub records: u64,
    /// Bytes of every value.
    pub value_bytes: usize,
    /// The number of steps of one call; 1 means single operations.
    pub batch: usize,
    /// Whether a write, or a batch of them, is done when it is durable.
    pub is_durable: bool,
    /// The number of steps of which one is timed. Batches are always timed.
    pub sample_every: usize,
    // Any thread may use these, relaxed: counts and a flag on which nothing else depends.
    /// Set when the time is over.
    pub stopped: AtomicBool,
    /// The number of finished operations of each worker.
    pub finished: Vec<CachePadded<AtomicU64>>,
    /// Shows whether a checkpoint is running.
    pub watch: CachePadded<Watch>,
}

impl SharedRun {
    /// Returns the number of operations that all workers have finished so far.
    pub fn total(&self) -> u64 {
        self.finished.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// The results of a worker.
#[derive(Clone, Debug)]
pub struct Results {
    /// The number of finished operations.
    pub operations: u64,
    /// The number of records that were read and verified.
    pub reads: u64,
    /// The number of records that were missing.
    pub missing: u64,
    /// The number of values that did not belong to their key.
    pub wrong: u64,
    /// The sampled latencies.
    pub latency: Latencies,
}

impl Results {
    /// Creates empty results.
    pub fn new() -> Self {
        Self { operations: 0, reads: 0, missing: 0, wrong: 0, latency: Latencies::new() }
    }

    /// Adds the results of another worker.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.reads += other.reads;
        self.missing += other.missing;
        self.wrong += other.wrong;
        self.latency.add(&other.latency);
    }

    fn saw(&mut self, found: Option<bool>) {
        self.reads += 1;
        match found {
            Some(true) => {}
            Some(false) => self.wrong += 1,
            None => self.missing += 1,
        }
    }
}

impl Default for Results {
    fn default() -> Self {
        Self::new()
    }
}

/// One task of the run.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<SharedRun>,
    number: u64,
    cursor: usize,
    inserted: u64,
    version: u32,
    results: Results,
}

impl Worker {
    /// Creates worker `number` of a run. The workers start at evenly spaced steps.
    pub fn new(shared: Arc<SharedRun>, number: usize) -> Self {
        let cursor = shared.steps.len() / shared.finished.len() * number;
        let results = Results::new();
        Self { shared, number: number as u64, cursor, inserted: 0, version: 1, results }
    }

    /// Works until the run is stopped.
    pub async fn run<V: Payload + ?Sized>(
        mut self,
        mut session: Session<u64, V>,
    ) -> Result<Results> {
        if self.shared.batch > 1 {
            self.run_batches(&mut session).await?;
        } else {
            self.run_one_by_one(&mut session).await?;
        }
        Ok(self.results)
    }

    async fn run_one_by_one<V: Payload + ?Sized>(
        &mut self,
        session: &mut Session<u64, V>,
    ) -> Result<()> {
        let mut buffer = V::buffer(self.shared.value_bytes);
        let mut until_sample = 0;
        while !self.is_stopped() {
            for _ in 0..STRETCH {
                let (operation, key) = self.advance();
                if until_sample == 0 {
                    until_sample = self.shared.sample_every;
                    let timed = self.begin_sample();
                    self.take(session, operation, key, &mut buffer).await?;
                    self.end_sample(timed);
                } else {
                    self.take(session, operation, key, &mut buffer).await?;
                }
                until_sample -= 1;
            }
            self.publish(STRETCH);
        }
        Ok(())
    }

    async fn take<V: Payload + ?Sized>(
        &mut self,
        session: &mut Session<u64, V>,
        operation: Operation,
        key: u64,
        buffer: &mut V::Buffer,
    ) -> Result<()> {
        let length = self.shared.value_bytes;
        match operation {
            Operation::Read => {
                let verify = |view: V::View<'_>| V::verify_view(&view, key, length);
                let found = session.read_with(&key, verify).await?;
                self.results.saw(found);
            }
            Operation::Update | Operation::Insert => {
                V::stamp(buffer, key, self.version);
                self.version = self.version.wrapping_add(1);
                let upsert = session.upsert(&key, (*buffer).borrow());
                if self.shared.is_durable {
                    upsert.durable().await?;
                } else {
                    upsert.await?;
                }
            }
            Operation::ReadModifyWrite => {
                let rmw = session.rmw(&key, |previous| V::next(previous, key, length));
                if self.shared.is_durable {
                    rmw.durable().await?;
                } else {
                    rmw.await?;
                }
            }
        }
        Ok(())
    }

    async fn run_batches<V: Payload + ?Sized>(
        &mut self,
        session: &mut Session<u64, V>,
    ) -> Result<()> {
        let (batch, length) = (self.shared.batch, self.shared.value_bytes);
        let mut reads: Vec<u64> = Vec::with_capacity(batch);
        let mut changes: Vec<u64> = Vec::with_capacity(batch);
        let mut writes: Vec<(u64, V::Buffer)> = Vec::new();
        writes.resize_with(batch, || (0, V::buffer(length)));
        while !self.is_stopped() {
            reads.clear();
            changes.clear();
            let mut writes_used = 0;
            for _ in 0..batch {
                match self.advance() {
                    (Operation::Read, key) => reads.push(key),
                    (Operation::ReadModifyWrite, key) => changes.push(key),
                    (Operation::Update | Operation::Insert, key) => {
                        let (place, buffer) = &mut writes[writes_used];
                        *place = key;
                        V::stamp(buffer, key, self.version);
                        self.version = self.version.wrapping_add(1);
                        writes_used += 1;
                    }
                }
            }
            let timed = self.begin_sample();
            // Writes come first, because a read back from the newest record may name a record of
            // this batch.
            if writes_used > 0 {
                session.upsert_many(&writes[..writes_used]).await?;
            }
            if !changes.is_empty() {
                let next = |position: usize, previous| V::next(previous, changes[position], length);
                session.rmw_many(&changes, next).await?;
            }
            if self.shared.is_durable && (writes_used > 0 || !changes.is_empty()) {
                session.sync().await?;
            }
            if !reads.is_empty() {
                let values = session.read_many(&reads).await?;
                for (key, value) in reads.iter().zip(&values) {
                    let found = value.as_ref().map(|value| V::verify_owned(value, *key, length));
                    self.results.saw(found);
                }
            }
            self.end_sample(timed);
            self.publish(batch);
        }
        Ok(())
    }

    #[inline]
    fn begin_sample(&self) -> (u64, Stopwatch) {
        (self.shared.watch.look(), Stopwatch::start())
    }

    #[inline]
    fn end_sample(&mut self, (before, started): (u64, Stopwatch)) {
        let met_checkpoint = self.shared.watch.has_overlapped(before);
        self.results.latency.record(started.nanoseconds(), met_checkpoint);
    }

    fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Relaxed)
    }

    fn publish(&mut self, operations: usize) {
        self.results.operations += operations as u64;
        let place = usize::try_from(self.number).expect("workers are counted in usize");
        self.shared.finished[place].store(self.results.operations, Ordering::Relaxed);
    }

    fn advance(&mut self) -> (Operation, u64) {
        let step = self.shared.steps[self.cursor];
        self.cursor = (self.cursor + 1) % self.shared.steps.len();
        let workload = self.shared.workload;
        let operation = if step.is_other() { workload.other() } else { Operation::Read };
        let index = match operation {
            Operation::Insert => {
                self.inserted += 1;
                self.own_index(self.inserted - 1)
            }
            _ if workload.by_recency() => self.recent(step.target()),
            _ => step.target(),
        };
        (operation, key_of(index))
    }

    fn own_index(&self, position: u64) -> u64 {
        self.shared.records + position * self.shared.finished.len() as u64 + self.number
    }

    /// Returns the record `back` steps before the newest that this worker knows: its own, then the
    /// loaded ones.
    fn recent(&self, back: u64) -> u64 {
        if back < self.inserted {
            self.own_index(self.inserted - 1 - back)
        } else {
            self.shared.records - 1 - (back - self.inserted) % self.shared.records
        }
    }
}

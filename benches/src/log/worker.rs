//! One task that appends entries until the time is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;
use kvick::{FasterLog, Result, log};

use super::entries::Entries;
use super::shared::SharedRun;
use crate::clock::Stopwatch;
use crate::latency::Latencies;

/// The number of appends between two checks of the stop flag, if appends do not wait for the
/// device.
const STRETCH: u64 = 64;

/// One appending task.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<SharedRun>,
    number: usize,
    entries: Entries,
    /// The number of appended entries.
    appended: u64,
    /// The address of the newest entry.
    last: Option<log::Address>,
    /// Nanoseconds of the timed calls.
    latency: Histogram<u64>,
}

impl Worker {
    /// Creates worker `number` of a run.
    pub fn new(shared: Arc<SharedRun>, number: usize) -> Self {
        let entries = Entries::new(number, shared.entry_bytes);
        let latency = Latencies::new().quiet;
        Self { shared, number, entries, appended: 0, last: None, latency }
    }

    /// Appends until the time is over, and returns the latencies.
    ///
    /// # Errors
    ///
    /// Returns the first error of the log.
    ///
    /// # Panics
    ///
    /// Panics if the address of an append is not after the previous one.
    pub async fn run(mut self, log: &FasterLog) -> Result<Histogram<u64>> {
        match (self.shared.batch, self.shared.waits) {
            (1, false) => self.append(log).await?,
            (1, true) => self.append_durably(log).await?,
            _ => self.append_batches(log).await?,
        }
        Ok(self.latency)
    }

    async fn append(&mut self, log: &FasterLog) -> Result<()> {
        let sample_every = self.shared.sample_every;
        let mut until_sample = sample_every;
        while !self.shared.is_stopped() {
            for _ in 0..STRETCH {
                let entry = self.entries.entry(self.appended);
                let address = if until_sample == 0 {
                    until_sample = sample_every;
                    let started = Stopwatch::start();
                    let address = log.append(entry).await?;
                    self.latency.saturating_record(started.nanoseconds());
                    address
                } else {
                    log.append(entry).await?
                };
                until_sample -= 1;
                self.appended += 1;
                self.follows(address);
            }
            self.publish();
        }
        Ok(())
    }

    async fn append_durably(&mut self, log: &FasterLog) -> Result<()> {
        while !self.shared.is_stopped() {
            let entry = self.entries.entry(self.appended);
            let started = Stopwatch::start();
            let address = log.append_durable(entry).await?;
            self.latency.saturating_record(started.nanoseconds());
            self.appended += 1;
            self.follows(address);
            self.publish();
        }
        Ok(())
    }

    async fn append_batches(&mut self, log: &FasterLog) -> Result<()> {
        let mut batch = vec![Vec::new(); self.shared.batch];
        while !self.shared.is_stopped() {
            for (entry, number) in batch.iter_mut().zip(self.appended..) {
                entry.clear();
                entry.extend_from_slice(self.entries.entry(number));
            }
            let started = Stopwatch::start();
            let addresses = log.append_many(&batch).await?;
            if self.shared.waits {
                log.commit().await?;
            }
            self.latency.saturating_record(started.nanoseconds());
            self.appended += batch.len() as u64;
            addresses.into_iter().for_each(|address| self.follows(address));
            self.publish();
        }
        Ok(())
    }

    #[inline(always)]
    fn follows(&mut self, address: log::Address) {
        assert!(self.last < Some(address), "an append is after the one before");
        self.last = Some(address);
    }

    fn publish(&self) {
        self.shared.appended[self.number].store(self.appended, Ordering::Relaxed);
    }
}

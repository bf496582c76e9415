//! kvick in the contest: tasks that append, with or without a wait.

use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::clock::Stopwatch;
use benches::log::entries::{Checks, Entries};
use futures::StreamExt as _;
use futures::future::join_all;
use kvick::{FasterLog, Result, log};
use tokio::runtime::Runtime;
use versus::slices::{Slice, Walk, timed};

use crate::Contest;

/// The number of appends between two checks of the stop flag, if the contest does not wait.
const STRETCH: usize = 64;

/// The log, and the number of entries that each caller has appended.
pub struct Ours {
    path: PathBuf,
    log: FasterLog,
    contest: Contest,
    appended: Vec<u64>,
}

/// One caller for one slice.
pub struct Caller {
    log: FasterLog,
    contest: Contest,
    entries: Entries,
    /// The number of entries appended in all slices.
    appended: u64,
}

impl Ours {
    /// Opens a fresh log with default settings.
    ///
    /// # Errors
    ///
    /// Returns any error of the log.
    pub async fn open(path: &Path, contest: Contest) -> Result<Self> {
        let log = FasterLog::open(path, log::Config::default()).await?;
        Ok(Self { path: path.to_owned(), log, contest, appended: vec![0; contest.callers] })
    }

    /// Returns a function that runs the callers of a slice and counts their entries.
    pub fn arm(
        &mut self,
        run: impl Fn(Vec<Caller>, Duration) -> (Slice, Vec<u64>),
    ) -> impl FnMut(usize, Duration) -> Slice {
        move |_, duration| {
            let callers = self.appended.iter().enumerate().map(|(number, appended)| Caller {
                log: self.log.clone(),
                contest: self.contest,
                entries: Entries::new(number, self.contest.entry_bytes),
                appended: *appended,
            });
            let (slice, appended) = run(callers.collect(), duration);
            self.appended = appended;
            slice
        }
    }

    /// Opens the log again and reads all of it. Returns the missing entries, and the wrong or
    /// misplaced ones.
    ///
    /// # Errors
    ///
    /// Returns any error of the log.
    pub async fn verify(self) -> Result<(u64, u64)> {
        let Self { path, log, contest, appended } = self;
        log.close().await?;
        let log = FasterLog::open(&path, log::Config::default()).await?;
        let mut checks = Checks::new(contest.callers, contest.entry_bytes);
        let mut entries = log.scan(..);
        while let Some(entry) = entries.next().await {
            checks.saw(&entry?.payload);
        }
        drop(entries);
        log.close().await?;
        Ok((checks.missing(&appended), checks.wrong + checks.misplaced))
    }
}

/// Runs a slice with a tokio task for every caller. Also returns the entries of each so far.
pub fn on_tokio(runtime: &Runtime, callers: Vec<Caller>, duration: Duration) -> (Slice, Vec<u64>) {
    let begin =
        || -> Vec<_> { callers.into_iter().map(|caller| runtime.spawn(caller.run())).collect() };
    let mut appended = Vec::new();
    let slice = timed(duration, begin, |tasks| {
        let ended = runtime.block_on(join_all(tasks)).into_iter();
        let (walks, counts): (Vec<Walk>, Vec<u64>) =
            ended.map(|ended| ended.expect("no panics").expect("kvick appends")).unzip();
        appended = counts;
        walks
    });
    (slice, appended)
}

impl Caller {
    async fn run(mut self) -> Result<(Walk, u64)> {
        let mut walk = Walk::free();
        match (self.contest.batch, self.contest.durable) {
            (1, false) => self.append(&mut walk).await?,
            (1, true) => self.append_durably(&mut walk).await?,
            _ => self.append_batches(&mut walk).await?,
        }
        Ok((walk, self.appended))
    }

    async fn append(&mut self, walk: &mut Walk) -> Result<()> {
        while walk.goes_on(STRETCH) {
            for _ in 0..STRETCH {
                self.log.append(self.entries.entry(self.appended)).await?;
                self.appended += 1;
            }
        }
        Ok(())
    }

    async fn append_durably(&mut self, walk: &mut Walk) -> Result<()> {
        while walk.goes_on(1) {
            let started = Stopwatch::start();
            self.log.append_durable(self.entries.entry(self.appended)).await?;
            walk.timed(&started);
            self.appended += 1;
        }
        Ok(())
    }

    async fn append_batches(&mut self, walk: &mut Walk) -> Result<()> {
        let mut batch = vec![Vec::new(); self.contest.batch];
        while walk.goes_on(batch.len()) {
            fill(&mut batch, &mut self.entries, self.appended);
            let started = Stopwatch::start();
            self.log.append_many(&batch).await?;
            if self.contest.durable {
                self.log.commit().await?;
            }
            walk.timed(&started);
            self.appended += batch.len() as u64;
        }
        Ok(())
    }
}

/// Fills the batch with the entries from this number on.
pub fn fill(batch: &mut [Vec<u8>], entries: &mut Entries, first: u64) {
    for (entry, number) in batch.iter_mut().zip(first..) {
        entry.clear();
        entry.extend_from_slice(entries.entry(number));
    }
}

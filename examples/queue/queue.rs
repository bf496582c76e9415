//! A durable queue of jobs: each pushed job is done at least once, even after a crash.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kvick::config::ByteSize;
use kvick::runtime::Handle;
use kvick::{Error, ErrorKind, FasterLog, Result, log};
use tokio::task::JoinError;

/// The number of jobs between two commits. A crash repeats at most this many jobs.
const BATCH: usize = 64;
/// The number of concurrent jobs.
const WORKERS: usize = 4;
/// The name of the iterator of the workers.
const PLACE: &str = "workers";
/// The number of attempts to open a directory that is in use, and the pause between two attempts.
const ATTEMPTS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(10);

/// A queue in a directory. It is a cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    log: FasterLog,
}

impl Queue {
    /// Opens the queue when its directory is free. The system may hold the files of a killed
    /// process for a moment.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let mut attempts = 0..ATTEMPTS;
        loop {
            let config = log::Config::default()
                .with_memory(ByteSize::mib(1))
                // The log frees its space one file at a time.
                .with_segment_size(ByteSize::kib(128));
            let runtime = Handle::tokio(tokio::runtime::Handle::current());
            match FasterLog::builder(config).runtime(runtime).open(path).await {
                Err(error) if error.kind() == ErrorKind::InUse => {
                    if attempts.next().is_none() {
                        eprintln!("the directory was in use at each of {ATTEMPTS} attempts");
                        return Err(error);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                opened => return Ok(Self { log: opened? }),
            }
        }
    }

    /// Adds a job, and returns when it can no longer be lost. Producers that wait at the same time
    /// share one commit.
    pub(crate) async fn push(&self, job: &[u8]) -> Result<()> {
        self.log.append_durable(job).await?;
        Ok(())
    }

    /// Ends the input of jobs: [`work`](Self::work) ends with the last job.
    pub(crate) async fn finish(&self) -> Result<()> {
        self.log.complete().await?;
        Ok(())
    }

    /// Does jobs in separate tasks, as they come. Returns their number when the queue is finished
    /// and empty.
    pub(crate) async fn work<W>(&self, work: impl Fn(Vec<u8>) -> W) -> Result<u64, Failed>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let mut jobs = self.log.iterator(PLACE)?;
        let mut done = 0;
        loop {
            let batch = (&mut jobs).ready_chunks(BATCH).next().await;
            let Some(batch) = batch else {
                return Ok(done);
            };
            let batch: Vec<log::Entry> = batch.into_iter().collect::<Result<_>>()?;
            let until = batch[batch.len() - 1].next;
            done += batch.len() as u64;
            futures::stream::iter(batch)
                .map(|job| tokio::spawn(work(job.payload.to_vec())))
                .buffer_unordered(WORKERS)
                .try_collect::<()>()
                .await?;
            // This commit comes after the jobs: a crash before it repeats the batch.
            jobs.complete_until(until).await?;
            self.log.commit().await?;
            self.log.truncate_until(until).await?;
        }
    }

    /// Returns the size of the files in bytes.
    pub(crate) fn bytes_stored(&self) -> u64 {
        self.log.stats().device.bytes_stored
    }

    pub(crate) async fn close(&self) -> Result<()> {
        self.log.close().await
    }
}

/// The reason why the work stopped.
#[derive(Debug)]
pub(crate) enum Failed {
    Log(Error),
    /// A job panicked. The next opening of the queue repeats it and its batch.
    Job(JoinError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Log(error)
    }
}

impl From<JoinError> for Failed {
    fn from(error: JoinError) -> Self {
        Self::Job(error)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(error) => error.fmt(formatter),
            Self::Job(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Failed {}

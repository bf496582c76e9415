//! A scan of a log that was opened again, so that everything comes from the device.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use kvick::{FasterLog, Result};

use super::entries::Checks;
use super::options::Options;
use crate::clock::Stopwatch;
use crate::process::ProcessorTime;

/// The measurements of a scan.
#[derive(Clone, Debug)]
pub struct ColdScan {
    /// The checks of the entries.
    pub checks: Checks,
    /// The time to open the log, including its recovery.
    pub opened: Duration,
    /// The time from the first entry to the last.
    pub took: Duration,
    /// Processor time of the scan.
    pub processor: ProcessorTime,
    /// Bytes of log that were read.
    pub bytes: u64,
}

/// Opens the log in `path`, reads all of it, and closes it.
///
/// # Errors
///
/// Returns the first error of the log.
pub async fn cold(options: &Options, path: &Path) -> Result<ColdScan> {
    let started = Stopwatch::start();
    let log = FasterLog::open(path, options.config()).await?;
    let opened = started.elapsed();
    let bytes = log.committed_until().raw() - log.begin_address().raw();
    let mut checks = Checks::new(options.tasks, options.entry);
    let processor_before = ProcessorTime::now();
    let started = Stopwatch::start();
    let mut entries = log.scan(..);
    while let Some(entry) = entries.next().await {
        checks.saw(&entry?.payload);
    }
    let took = started.elapsed();
    let processor = ProcessorTime::now().since(&processor_before);
    drop(entries);
    log.close().await?;
    Ok(ColdScan { checks, opened, took, processor, bytes })
}

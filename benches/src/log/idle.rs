//! The cost of many logs that do nothing.

use std::path::Path;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kvick::runtime::block_on;
use kvick::{FasterLog, Result};
use serde::Serialize;

use super::options::Options;
use crate::clock::Stopwatch;
use crate::process::{ProcessorTime, resident_bytes};
use crate::run::Beside;

/// The cost of idle logs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IdleCost {
    /// The number of logs.
    pub logs: usize,
    /// Seconds until all logs were open and had one durable entry each.
    pub open_seconds: f64,
    /// Processor time per second of idling, in percent of one processor.
    pub processor_percent: f64,
    /// Resident bytes of one log.
    pub resident_bytes_per_log: f64,
    /// Threads of the process beyond the threads before.
    pub threads: usize,
    /// Seconds until all logs were closed.
    pub close_seconds: f64,
}

/// Opens the logs in directories below `path`, appends an entry to each, and lets them idle.
///
/// # Errors
///
/// Returns the first error of a log.
pub fn idle(options: &Options, logs: usize, path: &Path) -> Result<IdleCost> {
    let (resident_before, threads_before) = (resident_bytes(), threads());
    let started = Stopwatch::start();
    let open = block_on(open_all(options, logs, path))?;
    let open_seconds = started.elapsed().as_secs_f64();
    let processor_before = ProcessorTime::now();
    wait(Duration::from_secs_f64(options.seconds));
    let processor = ProcessorTime::now().since(&processor_before).total();
    let resident = resident_bytes().saturating_sub(resident_before);
    let threads = threads().saturating_sub(threads_before);
    let started = Stopwatch::start();
    for log in open {
        block_on(log.close())?;
    }
    Ok(IdleCost {
        logs,
        open_seconds,
        processor_percent: processor.as_secs_f64() / options.seconds * 100.0,
        resident_bytes_per_log: resident as f64 / logs as f64,
        threads,
        close_seconds: started.elapsed().as_secs_f64(),
    })
}

/// Opens logs, each with drivers of its own.
async fn open_all(options: &Options, logs: usize, path: &Path) -> Result<Vec<FasterLog>> {
    let mut open = Vec::with_capacity(logs);
    for number in 0..logs {
        let log = FasterLog::open(path.join(number.to_string()), options.config()).await?;
        log.append(&vec![1; options.entry]).await?;
        log.commit().await?;
        open.push(log);
    }
    Ok(open)
}

impl std::fmt::Display for IdleCost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::new();
        table.load_style(NOTHING);
        let per_log = self.resident_bytes_per_log / 1024.0;
        table.add_row(["logs", &format!("{}, {} threads", self.logs, self.threads)]);
        table.add_row([
            "open, close",
            &format!("{:.2} s, {:.2} s", self.open_seconds, self.close_seconds),
        ]);
        table.add_row(["processor", &format!("{:.2} % of one", self.processor_percent)]);
        table.add_row(["resident", &format!("{per_log:.0} KiB each")]);
        write!(formatter, "{table}")
    }
}

fn wait(duration: Duration) {
    let (ticked, tick) = std::sync::mpsc::channel();
    let beside = Beside::start("idle", duration, move |_| {
        // The receiver is gone after the first tick.
        let _ = ticked.send(());
    });
    tick.recv().expect("the thread ticks");
    beside.stop();
}

/// Returns the number of threads of the process; zero on a system without `/proc`.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

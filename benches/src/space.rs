//! The space of a store over time, and its cost.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use kvick::FasterKv;
use kvick::stats::Stats;
use plotters::style::{BLUE, RGBColor, full_palette};
use serde::Serialize;

use crate::panels::{Line, Panel, Scale};
use crate::payload::Payload;
use crate::report::rate;
use crate::run::Outcome;

/// Bytes of a key of the benchmarks.
const KEY_BYTES: u64 = 8;

/// The space of a store at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Bytes of all files of the store: the log, and the images of checkpoints.
    pub disk_bytes: u64,
    /// Bytes of the files of the log.
    pub device_bytes: u64,
    /// Bytes of the log, on the device and in memory.
    pub log_bytes: u64,
    /// Bytes of the newest records of all keys.
    pub live_bytes: u64,
}

impl Space {
    /// Returns the bytes of all files over the live bytes.
    pub fn ratio(&self) -> f64 {
        self.disk_bytes as f64 / self.live_bytes.max(1) as f64
    }
}

/// The space at a time of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Seconds from the start of the run.
    pub seconds: f64,
    /// The space.
    #[serde(flatten)]
    pub space: Space,
}

/// Measures the space of a store whose records all have the same length.
#[derive(Debug)]
pub struct Sampler<V: Payload + ?Sized> {
    store: FasterKv<u64, V>,
    directory: PathBuf,
    /// Bytes of the loaded records.
    loaded: u64,
    /// Whether each appended record has a new key.
    is_growing: bool,
}

impl<V: Payload + ?Sized> Sampler<V> {
    /// Creates the sampler of a store that was loaded, and not changed since.
    pub fn new(store: &FasterKv<u64, V>, directory: &Path, is_growing: bool) -> Self {
        let loaded = store.table_stats().appended_bytes;
        Self { store: store.clone(), directory: directory.to_owned(), loaded, is_growing }
    }

    /// Returns the space now.
    pub fn sample(&self) -> Space {
        let Stats { device, log, .. } = self.store.stats();
        let appended = self.store.table_stats().appended_bytes;
        Space {
            // A backend without files has the bytes of the device.
            disk_bytes: bytes_of(&self.directory).unwrap_or(0).max(device.bytes_stored),
            device_bytes: device.bytes_stored,
            log_bytes: log.mutable + log.read_only + log.on_device,
            live_bytes: if self.is_growing { appended } else { self.loaded },
        }
    }

    /// Returns the space at a time of a run.
    pub fn point(&self, at: Duration) -> Point {
        Point { seconds: at.as_secs_f64(), space: self.sample() }
    }
}

/// Returns the bytes that the files of a directory take on the disk.
fn bytes_of(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        // A file that is deleted meanwhile takes nothing.
        bytes += entry?.metadata().map_or(0, |metadata| allocated(&metadata));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn allocated(metadata: &fs::Metadata) -> u64 {
    /// The unit of `st_blocks` on every system.
    const BLOCK_BYTES: u64 = 512;
    std::os::unix::fs::MetadataExt::blocks(metadata) * BLOCK_BYTES
}

#[cfg(not(unix))]
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

/// The cost of a run: of its space, and of its writes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Bytes of all files over the live bytes, at the end.
    pub disk_over_live: f64,
    /// Their largest ratio during the run.
    pub disk_over_live_max: f64,
    /// Bytes written to the device for each byte of keys and values that operations wrote; `None`
    /// without such operations.
    pub written_per_user_byte: Option<f64>,
    /// Operations per second over the whole run.
    pub operations_per_second: f64,
    /// 99.9th percentile of the latency, microseconds.
    pub p999_microseconds: f64,
    /// Operations per second in the worst whole second; `None` for a shorter run.
    pub worst_second: Option<f64>,
}

impl Cost {
    /// Creates the cost of a run with values of this length.
    pub fn new(outcome: &Outcome, value_bytes: usize) -> Self {
        let results = &outcome.results;
        let written = outcome.after.device.write_bytes - outcome.before.device.write_bytes;
        let writes = results.operations - results.reads;
        let user_bytes = writes * (KEY_BYTES + value_bytes as u64);
        let [disk_over_live, disk_over_live_max] = ratios(&outcome.space);
        Self {
            disk_over_live,
            disk_over_live_max,
            written_per_user_byte: (writes > 0).then(|| written as f64 / user_bytes as f64),
            operations_per_second: results.operations as f64 / outcome.elapsed.as_secs_f64(),
            p999_microseconds: results.latency.all().value_at_quantile(0.999) as f64 / 1e3,
            worst_second: outcome.timeline.worst_second(),
        }
    }
}

/// Returns the last and the largest ratio of the space.
fn ratios(points: &[Point]) -> [f64; 2] {
    let ratios = || points.iter().map(|point| point.space.ratio());
    [ratios().next_back().unwrap_or(0.0), ratios().fold(0.0, f64::max)]
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disk_over_live: last, disk_over_live_max: most, .. } = self;
        write!(formatter, "{last:.2}x live on disk ({most:.2}x at most), ")?;
        if let Some(written) = self.written_per_user_byte {
            write!(formatter, "{written:.2} B written per user byte, ")?;
        }
        let (throughput, p999) = (rate(self.operations_per_second), self.p999_microseconds);
        write!(formatter, "{throughput}, p99.9 {p999:.2} us")?;
        match self.worst_second {
            Some(worst) => write!(formatter, ", worst second {}", rate(worst)),
            None => Ok(()),
        }
    }
}

/// Returns the space over time as a panel of a diagram.
pub fn panel(points: &[Point]) -> Panel<'static> {
    let line = |name: &str, color: RGBColor, figure: fn(&Space) -> u64| {
        let points = points.iter().map(|point| (point.seconds, figure(&point.space) as f64 / 1e6));
        Line { name: name.to_owned(), color, width: 2, points: points.collect(), mark: None }
    };
    let lines = vec![
        line("all files", BLUE, |space| space.disk_bytes),
        line("files of the log", full_palette::ORANGE_800, |space| space.device_bytes),
        line("log", full_palette::GREY_600, |space| space.log_bytes),
        line("live records", full_palette::GREEN_800, |space| space.live_bytes),
    ];
    Panel { title: "Space", unit: "MB", scale: Scale::Linear, lines, shaded: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_bytes_of_a_directory_are_allocated_blocks() {
        let scratch = Scratch::new(&std::env::temp_dir(), "space").unwrap();
        assert_eq!(bytes_of(scratch.path()).unwrap(), 0);
        fs::write(scratch.path().join("one"), vec![1; 100_000]).unwrap();
        let bytes = bytes_of(scratch.path()).unwrap();
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        assert!(bytes_of(&scratch.path().join("missing")).is_err());
    }

    #[test]
    fn a_cost_is_one_line() {
        let of = |disk_bytes| Space { disk_bytes, live_bytes: 100, ..Space::default() };
        let points = [300, 400, 150].map(|bytes| Point { seconds: 1.0, space: of(bytes) });
        let [disk_over_live, disk_over_live_max] = ratios(&points);
        let cost = Cost {
            disk_over_live,
            disk_over_live_max,
            written_per_user_byte: Some(2.0),
            operations_per_second: 1_250_000.0,
            p999_microseconds: 12.0,
            worst_second: Some(900_000.0),
        };
        let expected = "1.50x live on disk (4.00x at most), 2.00 B written per user byte, \
                        1.25 M/s, p99.9 12.00 us, worst second 900.0 k/s";
        assert_eq!(cost.to_string(), expected);
    }
}

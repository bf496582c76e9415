//! Stores that are overwritten in uniform order: throughput, space and bytes written, one store
//! after the other with the same data.
//!
//! ```text
//! just overwriteversus --path /var/tmp
//! ```
//!
//! The budget of the disk is for kvick, which takes one. The files of the others take what they
//! take. "written" are the bytes that the system counts for the process, over those of keys and
//! values. A file that is written through the page cache counts when it is written back, or less
//! if a page is written twice before that.

mod engines;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use benches::clock::Stopwatch;
use benches::keys::{Distribution, draw_steps, key_of};
use benches::workload::Workload;
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use hdrhistogram::Histogram;
use kvick::config::ByteSize;
use serde::Serialize;

use crate::engines::{Contestant, Limits, Open, all, record};

#[derive(Debug, Parser)]
#[command(about = "kvick beside redb, fjall and RocksDB, overwritten")]
struct Options {
    /// Number of records.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value: usize,
    /// Number of updates over the number of records.
    #[arg(long, default_value_t = 3)]
    times: u64,
    /// Number of records of a group.
    #[arg(long, default_value_t = 256)]
    group: usize,
    /// Memory of each store, with a unit.
    #[arg(long, default_value = "64MiB")]
    memory: ByteSize,
    /// Budget of the disk for kvick, over the bytes of keys and values.
    #[arg(long, default_value_t = 3.0)]
    disk: f64,
    /// Text in the names of the contestants that run.
    #[arg(long)]
    only: Option<String>,
    /// Directory for the stores. The program makes a fresh directory within it and removes it.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// File for the rows, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The figures of one store.
#[derive(Debug, Serialize)]
struct Row {
    store: &'static str,
    updates_per_second: f64,
    /// The least of all whole seconds, if there were any.
    worst_second: Option<f64>,
    /// Of a group.
    p999_milliseconds: f64,
    /// Bytes of files over those of keys and values, at the end.
    on_disk: f64,
    /// The most of all seconds and of the end.
    on_disk_most: f64,
    /// Bytes written over those of the keys and values of updates.
    written: f64,
    /// The number of records that had not their last value at the end.
    wrong: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut rows = Vec::new();
    for (name, open) in all() {
        if options.only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            let directory = options.path.join(format!("versus-{}", std::process::id()));
            fs::create_dir_all(&directory)?;
            let row = run(&options, (name, open), &directory);
            fs::remove_dir_all(&directory)?;
            rows.push(row?);
        }
    }
    print(&rows);
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

/// Loads a store, overwrites it, and verifies each record.
fn run(
    options: &Options,
    (store, open): (&'static str, Open),
    directory: &Path,
) -> Result<Row, Box<dyn Error>> {
    let pair_bytes = 8 + options.value as u64;
    let live = (options.records * pair_bytes) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a number of bytes")]
    let limits = Limits { memory: options.memory.bytes(), disk: (options.disk * live) as u64 };
    let mut contestant = open(&directory.join("store"), limits)?;
    let mut versions = vec![0_u32; usize::try_from(options.records)?];
    let all: Vec<u64> = (0..options.records).collect();
    for group in all.chunks(options.group) {
        let records: Vec<_> =
            group.iter().map(|index| record(key_of(*index), options.value, 0)).collect();
        contestant.write(&records)?;
    }
    let steps = draw_steps(Workload::C, Distribution::Uniform, options.records, 1);
    let mut targets = steps.iter().cycle().map(|step| step.target());
    let mut updates = Updates::begin(directory, written_bytes()?)?;
    let count = options.records * options.times;
    for first in (0..count).step_by(options.group) {
        let group: Vec<_> = (&mut targets)
            .take(options.group.min(usize::try_from(count - first)?))
            .map(|index| {
                let version = &mut versions[usize::try_from(index).expect("in memory")];
                *version += 1;
                record(key_of(index), options.value, *version)
            })
            .collect();
        updates.time(group.len(), || contestant.write(&group))?;
    }
    let seconds = updates.started.elapsed().as_secs_f64();
    let wrong = wrong_of(options, contestant.as_ref(), &versions)?;
    contestant.close()?;
    let written = written_bytes()? - updates.written_before;
    Ok(Row {
        store,
        updates_per_second: count as f64 / seconds,
        worst_second: updates.worst_second,
        p999_milliseconds: updates.latency.value_at_quantile(0.999) as f64 / 1e6,
        on_disk: bytes_below(directory)? as f64 / live,
        on_disk_most: updates.most_bytes.max(bytes_below(directory)?) as f64 / live,
        written: written as f64 / (count * pair_bytes) as f64,
        wrong,
    })
}

/// Returns the number of records that have not their last value.
fn wrong_of(
    options: &Options,
    contestant: &dyn Contestant,
    versions: &[u32],
) -> Result<u64, Box<dyn Error>> {
    let mut wrong = 0;
    for (index, version) in versions.iter().enumerate() {
        let (key, expected) = record(key_of(index as u64), options.value, *version);
        wrong += u64::from(contestant.read(key)?.as_ref() != Some(&expected));
    }
    Ok(wrong)
}

/// The measurements of the updates.
struct Updates<'d> {
    directory: &'d Path,
    started: Stopwatch,
    latency: Histogram<u64>,
    second: Stopwatch,
    in_second: u64,
    worst_second: Option<f64>,
    most_bytes: u64,
    written_before: u64,
}

impl<'d> Updates<'d> {
    fn begin(directory: &'d Path, written_before: u64) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            directory,
            started: Stopwatch::start(),
            latency: Histogram::new_with_bounds(1, 600_000_000_000, 3)?,
            second: Stopwatch::start(),
            in_second: 0,
            worst_second: None,
            most_bytes: 0,
            written_before,
        })
    }

    fn time(
        &mut self,
        count: usize,
        write: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let started = Stopwatch::start();
        write()?;
        self.latency.saturating_record(started.nanoseconds());
        self.in_second += count as u64;
        let seconds = self.second.elapsed().as_secs_f64();
        if seconds >= 1.0 {
            let rate = self.in_second as f64 / seconds;
            self.worst_second = Some(self.worst_second.map_or(rate, |worst| worst.min(rate)));
            self.most_bytes = self.most_bytes.max(bytes_below(self.directory)?);
            (self.second, self.in_second) = (Stopwatch::start(), 0);
        }
        Ok(())
    }
}

/// Returns the bytes that the process has written to devices so far.
fn written_bytes() -> Result<u64, Box<dyn Error>> {
    let counts = fs::read_to_string("/proc/self/io")?;
    let count = counts.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(count.ok_or("the system does not count what is written")?.parse()?)
}

/// Returns the bytes that files take.
fn bytes_below(path: &Path) -> Result<u64, Box<dyn Error>> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // A file that is deleted meanwhile takes nothing.
        if let Ok(metadata) = entry.metadata() {
            bytes += if metadata.is_dir() {
                bytes_below(&entry.path())?
            } else {
                metadata.blocks() * 512
            };
        }
    }
    Ok(bytes)
}

fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.add_row(
        ["store", "updates/s", "worst second", "p99.9 ms of a group", "on disk", "at most"]
            .into_iter()
            .chain(["written", "wrong"]),
    );
    for row in rows {
        table.add_row([
            row.store.to_owned(),
            format!("{:.0} k", row.updates_per_second / 1e3),
            row.worst_second.map_or_else(String::new, |rate| format!("{:.0} k", rate / 1e3)),
            format!("{:.2}", row.p999_milliseconds),
            format!("{:.2}x", row.on_disk),
            format!("{:.2}x", row.on_disk_most),
            format!("{:.2}", row.written),
            row.wrong.to_string(),
        ]);
    }
    println!("{table}");
}

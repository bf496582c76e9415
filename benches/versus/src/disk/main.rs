//! Stores larger than memory: kvick, RocksDB, redb, fjall, bf-tree, and the raw device.
//!
//! ```text
//! cd benches/versus && cargo run --release --bin disk -- --path /var/tmp --json disk.json
//! ```
//!
//! The contests are uniform point reads of data that is four times as large as the memory. kvick
//! runs as many tasks as the rivals run threads. All files are read once from the device before the
//! first slice. `rivals.rs` has the settings of the rivals.

mod raw;
mod rivals;
mod store;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use benches::clock::Stopwatch;
use benches::keys::{Distribution, Step, draw_steps};
use benches::workload::Workload;
use clap::Parser;
use kvick::config::Backend;
use kvick::runtime::block_on;
use tokio::runtime::Runtime;
use versus::slices::{Arm, Walk, interleave};
use versus::table::{Row, print};

use crate::raw::Raw;
use crate::rivals::Rival;
use crate::store::Store;

/// About how many bytes a record takes besides key and value, for the ratio of data and memory.
const RECORD_OVERHEAD: u64 = 16;

/// The number of records of one `read_many`.
const BATCH: usize = 64;

#[derive(Debug, Parser)]
#[command(about = "kvick beside stores on disk")]
struct Options {
    /// Number of records in every store.
    #[arg(long, default_value_t = 4_000_000)]
    records: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value: usize,
    /// Ratio of the data to the memory.
    #[arg(long, default_value_t = 4)]
    times_memory: u64,
    /// Numbers of concurrent reads.
    #[arg(long, value_delimiter = ',', default_value = "1,64,128")]
    tasks: Vec<usize>,
    /// Number of slices of each contestant in each contest.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 500)]
    slice_milliseconds: u64,
    /// Stores to leave out: rocksdb, redb, fjall, bf-tree, sled.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Sizes of the raw reads, bytes.
    #[arg(long, value_delimiter = ',', default_value = "512,4096")]
    raw_sizes: Vec<usize>,
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

/// The content of every store.
#[derive(Clone, Copy, Debug)]
struct Data {
    records: u64,
    value_bytes: usize,
    /// Bytes that each store may keep in memory.
    memory: u64,
}

/// All contestants, loaded.
struct Field {
    data: Data,
    steps: &'static [Step],
    runtime: Runtime,
    stores: Vec<(&'static str, Store)>,
    rivals: Vec<(&'static str, Box<dyn Rival>)>,
    raw: Raw,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let directory = options.path.join(format!("versus-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let outcome = contests(&options, &directory);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn contests(options: &Options, directory: &Path) -> Result<(), Box<dyn Error>> {
    let field = fill(options, directory)?;
    raw::warm(directory)?;
    let mut rows = Vec::new();
    for &tasks in &options.tasks {
        let name = format!("uniform reads, {tasks} at a time");
        let duration = Duration::from_millis(options.slice_milliseconds);
        let of_contest: Vec<Row> =
            interleave(arms(options, &field, tasks), options.rounds, duration)
                .into_iter()
                .map(|(contestant, slices)| Row::new(&name, contestant, &slices))
                .collect();
        print(&name, &of_contest, &[("x rival", &is_rival), ("x raw", &is_ring)]);
        rows.extend(of_contest);
    }
    for (name, store) in field.stores {
        println!("{name}\n{}", store.stats());
        block_on(store.close())?;
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn arms<'a>(options: &Options, field: &'a Field, tasks: usize) -> Vec<Arm<'a>> {
    let Field { data, steps, runtime, stores, rivals, raw } = field;
    let bytes = data.value_bytes;
    let walks = move |slice: usize, count: usize| -> Vec<Walk> {
        (0..count).map(|number| Walk::new(steps, slice, number, count)).collect()
    };
    let mut arms = Vec::new();
    for (name, store) in stores {
        arms.push(Arm::new(format!("{name}, tokio"), move |slice, duration| {
            store::on_tokio(runtime, store, walks(slice, tasks), bytes, duration)
        }));
        arms.push(Arm::new(format!("{name}, one thread"), move |slice, duration| {
            store::on_one_thread(store, walks(slice, tasks), bytes, duration)
        }));
        if tasks >= BATCH {
            arms.push(Arm::new(format!("{name}, read_many of {BATCH}"), move |slice, duration| {
                let walks = walks(slice, tasks / BATCH);
                store::in_batches(runtime, store, walks, (bytes, BATCH), duration)
            }));
        }
    }
    for (name, rival) in rivals {
        arms.push(Arm::new(*name, move |slice, duration| {
            rivals::run(rival.as_ref(), walks(slice, tasks), duration)
        }));
    }
    for &size in &options.raw_sizes {
        arms.push(Arm::new(format!("raw io_uring, {size} B"), move |slice, duration| {
            raw.uring(Walk::new(steps, slice, 0, 1), size, tasks, duration)
        }));
        arms.push(Arm::new(format!("raw pread, {size} B"), move |slice, duration| {
            raw.blocking(walks(slice, tasks), size, duration)
        }));
    }
    if let Some(only) = &options.only {
        arms.retain(|arm| arm.name().contains(only.as_str()));
    }
    arms
}

fn fill(options: &Options, directory: &Path) -> Result<Field, Box<dyn Error>> {
    let per_record = 8 + options.value as u64 + RECORD_OVERHEAD;
    let bytes = options.records * per_record;
    let data = Data {
        records: options.records,
        value_bytes: options.value,
        memory: bytes / options.times_memory,
    };
    println!("{} MiB of data, {} MiB of memory each", bytes >> 20, data.memory >> 20);
    let wanted = |name: &str| !options.without.iter().any(|without| without == name);
    let mut stores = Vec::new();
    for (name, backend) in [("kvick uring", Backend::Uring), ("kvick threads", Backend::Threads)] {
        let path = directory.join(name.replace(' ', "-"));
        stores.push((name, said(name, || Ok(store::fill(&path, data, backend)?))?));
    }
    let mut rivals: Vec<(&'static str, Box<dyn Rival>)> = Vec::new();
    if wanted("rocksdb") {
        let filled = said("RocksDB", || rivals::Rocks::fill(&directory.join("rocksdb"), data))?;
        rivals.push(("RocksDB", Box::new(filled)));
    }
    if wanted("redb") {
        let filled = said("redb", || rivals::Redb::fill(&directory.join("redb"), data))?;
        rivals.push(("redb", Box::new(filled)));
    }
    if wanted("fjall") {
        let filled = said("fjall", || rivals::Fjall::fill(&directory.join("fjall"), data))?;
        rivals.push(("fjall", Box::new(filled)));
    }
    if wanted("bf-tree") {
        let filled = said("bf-tree", || rivals::Bf::fill(&directory.join("bf-tree"), data))?;
        rivals.push(("bf-tree", Box::new(filled)));
    }
    #[cfg(feature = "sled")]
    if wanted("sled") {
        let filled = said("sled", || rivals::Sled::fill(&directory.join("sled"), data))?;
        rivals.push(("sled", Box::new(filled)));
    }
    let raw = Raw::create(&directory.join("raw"), bytes)?;
    let steps = draw_steps(Workload::C, Distribution::Uniform, options.records, 1).leak();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(Field { data, steps, runtime, stores, rivals, raw })
}

fn said<T>(
    name: &str,
    fill: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let started = Stopwatch::start();
    let filled = fill()?;
    println!("  {name:<14} loaded in {:.1} s", started.elapsed().as_secs_f64());
    Ok(filled)
}

fn is_rival(name: &str) -> bool {
    ["RocksDB", "redb", "fjall", "bf-tree", "sled"].contains(&name)
}

fn is_ring(name: &str) -> bool {
    name.starts_with("raw io_uring")
}

//! A store that is overwritten for long, within a budget for its files.
//!
//! You learn: `Config::disk`, with which a store compacts by itself and never takes more space, and
//! the numbers of `Stats::space` that show it. Each write of a key that has left memory appends to
//! the log. So without compaction the files would be as long as all writes together.
//!
//! ```text
//! cargo run --release --example bounded
//! cargo run --release --example bounded -- --rounds 0
//! ```

use std::error::Error;

use clap::Parser;
use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::runtime::{Handle, block_on};
use kvick::stats::Stats;
use kvick::{Config, FasterKv};

const VALUE_BYTES: usize = 100;
/// The number of writes of one call.
const BATCH: u32 = 256;
/// The columns of the plot that stand for the budget.
const COLUMNS: u64 = 40;

type Value = [u8; VALUE_BYTES];
type Sensors = FasterKv<u32, Value>;

/// Overwrites the values of some sensors, which all report in turn, in a store that compacts by
/// itself.
#[derive(Debug, Parser)]
#[command(name = "bounded")]
struct Options {
    /// The space that the files of the store may take
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    disk: ByteSize,
    /// Memory of the store
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    memory: ByteSize,
    /// Number of sensors, with values of 100 bytes
    #[arg(long, value_name = "N", default_value_t = 150_000)]
    sensors: u32,
    /// Number of reports of each sensor; 0 goes on until the process is killed
    #[arg(long, value_name = "N", default_value_t = 30)]
    rounds: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    block_on(run(&Options::parse()))
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let config = Config::default()
        .with_memory(options.memory)
        .with_disk(options.disk)
        .with_expected_keys(u64::from(options.sensors));
    // The store works on a thread of its own, which also has a clock.
    let runtime = Handle::background()?;
    let builder = FasterKv::builder(config).runtime(runtime.clone());
    let store: Sensors = builder.open(directory.path()).await?;

    report(&store, options, 0).await?;
    let live = store.table_stats().appended_bytes;
    println!("live {}, budget {}\n", size(live), options.disk);
    println!("round  writes/s  compactions  copied   waits  live #, other files =, budget |");
    let mut most = 0;
    for round in (1..).take_while(|round| options.rounds == 0 || *round <= options.rounds) {
        let started = runtime.now();
        let peak = report(&store, options, round).await?;
        let rate = f64::from(options.sensors) / (runtime.now() - started).as_secs_f64();
        let plot = plot([live, peak, options.disk.bytes()]);
        println!("{}", row(round, rate, &store.stats(), &plot));
        most = most.max(peak);
    }
    check(&store, options).await?;
    let written = store.stats().device.write_bytes;
    println!("\n{} were written, and the files had {} at most", size(written), size(most));
    assert!(most <= options.disk.bytes(), "the store stays within its budget");
    store.close().await?;
    Ok(())
}

/// Writes the report of each sensor, and returns the most bytes that the files had meanwhile.
async fn report(store: &Sensors, options: &Options, round: u32) -> kvick::Result<u64> {
    let mut session = store.session()?;
    let mut most = 0;
    for first in (0..options.sensors).step_by(BATCH as usize) {
        let sensors = first..(first + BATCH).min(options.sensors);
        // Waits if the writer is faster than compaction, and the budget is used up.
        session.upsert_each(sensors.map(|sensor| (sensor, value_of(sensor, round)))).await?;
        most = most.max(store.stats().space.used_bytes);
    }
    Ok(most)
}

/// Checks that the store has each sensor once, with its last value.
async fn check(store: &Sensors, options: &Options) -> kvick::Result<()> {
    let mut scan = store.scan();
    let mut sensors = 0;
    while let Some((sensor, value)) = scan.try_next().await? {
        assert_eq!(value, value_of(sensor, options.rounds), "sensor {sensor}");
        sensors += 1;
    }
    assert_eq!(sensors, options.sensors, "compaction loses no key");
    Ok(())
}

fn value_of(sensor: u32, round: u32) -> Value {
    let bytes = (u64::from(sensor) << 32 | u64::from(round)).to_le_bytes();
    std::array::from_fn(|place| bytes[place % bytes.len()])
}

fn row(round: u32, rate: f64, stats: &Stats, plot: &str) -> String {
    let (rounds, waits) = (stats.space.rounds, stats.space.waits);
    let copied = size(stats.space.copied_bytes);
    format!("{round:5}  {rate:8.0}  {rounds:11}  {copied:>7}  {waits:5}  {plot}")
}

/// Draws bytes in columns: the live ones, the rest of the files, and the budget.
fn plot([live, used, budget]: [u64; 3]) -> String {
    let columns = |bytes: u64| (bytes * COLUMNS).div_ceil(budget);
    let sign = |column| match column {
        COLUMNS => '|',
        column if column < columns(live) => '#',
        column if column < columns(used) => '=',
        _ => ' ',
    };
    (0..=COLUMNS).map(sign).collect()
}

fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

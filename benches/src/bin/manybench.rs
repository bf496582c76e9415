//! What many sessions, tables and waiting tasks cost, beside a few.
//!
//! ```text
//! cargo run --release -p benches --bin manybench -- --path target
//! ```

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use benches::clock::Stopwatch;
use benches::keys::key_of;
use benches::process::{ProcessorTime, peak_resident_bytes, reset_peak, resident_bytes};
use benches::runtimes::{Executor, RuntimeKind};
use benches::scratch::Scratch;
use clap::Parser;
use kvick::config::{ByteSize, DurableBy};
use kvick::runtime::block_on;
use kvick::{Config, Database, FasterKv};

/// Many sessions, tables and waiting tasks.
#[derive(Clone, Debug, Parser)]
#[command(name = "manybench", version)]
struct Options {
    /// Directory for the stores. The program makes fresh directories within it and removes them.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// Seconds of each measurement of waiting tasks.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Keys of each table, and of the store with many sessions.
const KEYS: u64 = 1000;
/// Reads until a mean is taken.
const READS: u64 = 1 << 20;
/// Keys of the store whose reads wait for the device. Most of them are not in memory.
const COLD_KEYS: u64 = 2_000_000;
/// Bytes of a value of the stores with waiting tasks.
const VALUE: usize = 100;

fn main() -> Outcome {
    let options = Options::parse();
    let scratch = Scratch::new(&options.path, "manybench")?;
    let at = |name: String| scratch.path().join(name);
    for open in [1, 1_000, 10_000, 100_000] {
        block_on(sessions(&at(format!("sessions-{open}")), open))?;
    }
    for tables in [1, 8, 64] {
        block_on(tables_of(&at(format!("tables-{tables}")), tables))?;
    }
    for tasks in [1, 100, 1_000, 10_000] {
        durable_writers(&at(format!("durable-{tasks}")), tasks, options.seconds)?;
    }
    for tasks in [100, 1_000, 10_000] {
        cold_readers(&at(format!("cold-{tasks}")), tasks, options.seconds)?;
    }
    Ok(())
}

/// Opens sessions, and uses one of them.
async fn sessions(path: &Path, open: usize) -> Outcome {
    let store: FasterKv<u64, u64> = FasterKv::open(path, small()).await?;
    let before = resident_bytes();
    let started = Stopwatch::start();
    let mut all = Vec::with_capacity(open);
    for _ in 0..open {
        all.push(store.session()?);
    }
    let opened = started.elapsed();
    let one = &mut all[0];
    for key in 0..KEYS {
        one.upsert(&key, &key).await?;
    }
    let bytes = resident_bytes().saturating_sub(before);
    let started = Stopwatch::start();
    for read in 0..READS {
        black_box(one.read(&(read % KEYS)).await?);
    }
    let read = started.elapsed();
    let taken = store.checkpoint().await?;
    let started = Stopwatch::start();
    drop(all);
    println!(
        "{open} sessions: {} B of memory and {:.2} us each; a read of one of them {:.1} ns; cut of \
         a checkpoint {:.0} us; closed in {:.2} us each",
        bytes / open as u64,
        micros(opened) / open as f64,
        micros(read) * 1e3 / READS as f64,
        micros(taken.times.cut),
        micros(started.elapsed()) / open as f64,
    );
    Ok(store.close().await?)
}

/// Opens tables in one database, and reads from all in turn.
async fn tables_of(path: &Path, count: usize) -> Outcome {
    let name = |number: usize| format!("table-{number}");
    let database = Database::open(path, small()).await?;
    let before = resident_bytes();
    let started = Stopwatch::start();
    let mut tables = Vec::new();
    for number in 0..count {
        tables.push(database.table::<u64, u64>(&name(number)).await?);
    }
    let created = started.elapsed();
    for table in &tables {
        for key in 0..KEYS {
            table.upsert(&key, &key).await?;
        }
    }
    let bytes = resident_bytes().saturating_sub(before);
    let started = Stopwatch::start();
    for read in 0..READS {
        let table = &tables[usize::try_from(read)? % count];
        black_box(table.read(&(read / count as u64 % KEYS)).await?);
    }
    let read = started.elapsed();
    let taken = database.checkpoint().await?;
    drop(tables);
    database.close().await?;
    let started = Stopwatch::start();
    let database = Database::open(path, small()).await?;
    for number in 0..count {
        database.table::<u64, u64>(&name(number)).await?;
    }
    println!(
        "{count} tables of {KEYS} keys: {} KiB of memory and {:.0} us each to create; a read of \
         one after the other {:.1} ns; cut of a checkpoint {:.0} us; all reopened in {:.1} ms",
        (bytes / count as u64) >> 10,
        micros(created) / count as f64,
        micros(read) * 1e3 / READS as f64,
        micros(taken.times.cut),
        micros(started.elapsed()) / 1e3,
    );
    Ok(database.close().await?)
}

/// Durable writes of tasks that each wait for one.
fn durable_writers(path: &Path, tasks: usize, seconds: f64) -> Outcome {
    let config = small().with_durability(DurableBy::Wal).with_memory(ByteSize::mib(256));
    let store: FasterKv<u64, [u8]> = block_on(FasterKv::open(path, config))?;
    let writes = Arc::new(store.clone());
    waiting("durable writers", tasks, seconds, move |key| {
        let store = Arc::clone(&writes);
        async move { store.upsert(&(key % KEYS), &[1; VALUE]).durable().await.map(drop) }
    });
    Ok(block_on(store.close())?)
}

/// Reads of tasks that each wait for the device.
fn cold_readers(path: &Path, tasks: usize, seconds: f64) -> Outcome {
    let config = small().with_memory(ByteSize::mib(64)).with_read_cache(ByteSize::new(0));
    let store: FasterKv<u64, [u8]> = block_on(FasterKv::open(path, config))?;
    block_on(async {
        let mut session = store.session()?;
        for key in 0..COLD_KEYS {
            session.upsert(&key, &[1; VALUE]).await?;
        }
        store.flush().await
    })?;
    let reads = Arc::new(store.clone());
    waiting("cold readers", tasks, seconds, move |key| {
        let store = Arc::clone(&reads);
        async move { store.read(&(key % COLD_KEYS)).await.map(drop) }
    });
    Ok(block_on(store.close())?)
}

/// Runs `operation` of changing keys in each of many tasks, for some seconds.
fn waiting<F>(
    what: &str,
    tasks: usize,
    seconds: f64,
    operation: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = kvick::Result<()>> + Send + 'static,
{
    let executor = Executor { kind: RuntimeKind::Tokio, threads: 2 };
    let (before, processor) = (resident_bytes(), ProcessorTime::now());
    reset_peak();
    let started = Stopwatch::start();
    let counts = executor.run(tasks, move |task| {
        let operation = operation.clone();
        async move {
            let mut done = 0_u64;
            while started.elapsed().as_secs_f64() < seconds {
                operation(key_of(done * tasks as u64 + task as u64)).await.expect("it is sound");
                done += 1;
            }
            done
        }
    });
    let took = started.elapsed().as_secs_f64();
    let done: u64 = counts.iter().sum();
    let most = counts.iter().max().copied().unwrap_or_default();
    let least = counts.iter().min().copied().unwrap_or_default();
    let processor = ProcessorTime::now().since(&processor).total();
    println!(
        "{tasks} {what}: {:.1} k/s, {:.1} us of processor time each, {least} to {most} a task; {} \
         B of memory a task",
        done as f64 / took / 1e3,
        micros(processor) / done as f64,
        peak_resident_bytes().saturating_sub(before) / tasks as u64,
    );
}

fn small() -> Config {
    Config::default().with_memory(ByteSize::mib(64))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

//! The bytes of a record in the log, with expiry and without. The resident memory of a store over
//! its budget: with more keys than its index was made for, with many cold reads at once, and while
//! the budget changes.

use std::error::Error;
use std::path::PathBuf;

use benches::clock::Stopwatch;
use benches::process::{peak_resident_bytes, reset_peak, resident_bytes};
use benches::scratch::Scratch;
use clap::Parser;
use futures::future::join_all;
use kvick::codec::Expiring;
use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::stats::Stats;
use kvick::{Config, FasterKv, Value};

/// Prints the bytes of records, and the resident memory of stores over their budgets.
#[derive(Parser)]
struct Options {
    /// The directory for the files.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// Keys of the store with little memory.
    #[arg(long, default_value_t = 5_000_000)]
    keys: u64,
    /// Cold keys of one batch.
    #[arg(long, default_value_t = 1_000_000)]
    cold: u64,
    /// The memory from which the budget comes down, and to which it comes down.
    #[arg(long, num_args = 2, default_values = ["1GiB", "64MiB"])]
    shrink: Vec<ByteSize>,
}

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Keys of one batch of writes.
const BATCH: usize = 1000;
/// Reads of single keys at once.
const READERS: usize = 10_000;

fn main() -> Outcome {
    let options = Options::parse();
    let scratch = Scratch::new(&options.path, "memorybench")?;
    let at = |name: &str| scratch.path().join(name);
    block_on(async {
        let bytes = [7; 100];
        record::<u64>("8 B", &7).await?;
        record::<Expiring<u64>>("8 B, expiring", &7).await?;
        record::<[u8]>("100 B", &bytes).await?;
        record::<Expiring<[u8]>>("100 B, expiring", &bytes).await?;
        many_keys(at("keys"), options.keys).await?;
        cold_reads(at("cold"), options.cold).await?;
        shrinking(at("shrink"), [options.shrink[0], options.shrink[1]]).await
    })
}

/// Prints the bytes of the log over the number of records with keys of 8 B.
async fn record<V: Value + ?Sized>(name: &str, value: &V::Item) -> Outcome {
    const RECORDS: u64 = 100_000;
    let config = Config::default().with_backend(Backend::Memory);
    let store: FasterKv<u64, V> = FasterKv::open("memorybench", config).await?;
    for key in 0..RECORDS {
        store.upsert(&key, value).await?;
    }
    let log = store.stats().log;
    let bytes = log.mutable + log.read_only + log.on_device;
    println!("value of {name}: {:.2} B a record", bytes as f64 / RECORDS as f64);
    Ok(store.close().await?)
}

async fn fill(store: &FasterKv<u64, u64>, keys: u64) -> Outcome {
    let mut pairs = Vec::new();
    for first in (0..keys).step_by(BATCH) {
        pairs.clear();
        pairs.extend((first..(first + BATCH as u64).min(keys)).map(|key| (key, key)));
        store.upsert_many(&pairs).await?;
    }
    Ok(())
}

/// Prints the resident memory beyond `before`, over the budget.
fn report(what: &str, stats: &Stats, resident: u64, before: u64) {
    let memory = stats.memory;
    let taken = resident.saturating_sub(before);
    println!(
        "{what}: {:.1} MiB resident, budget {:.1} MiB: {:.2}x; index {:.1}, frames {:.1}, buffers \
         {:.1} MiB; waited {}",
        mib(taken),
        mib(memory.budget),
        taken as f64 / memory.budget as f64,
        mib(memory.index),
        mib(memory.frames),
        mib(memory.buffers),
        memory.waited,
    );
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

async fn many_keys(path: PathBuf, keys: u64) -> Outcome {
    let before = resident_bytes();
    let store = FasterKv::open(path, Config::default().with_memory(ByteSize::mib(8))).await?;
    fill(&store, keys).await?;
    report(&format!("{keys} keys"), &store.stats(), resident_bytes(), before);
    Ok(store.close().await?)
}

async fn cold_reads(path: PathBuf, keys: u64) -> Outcome {
    let wanted: Vec<u64> = (0..keys).collect();
    let before = resident_bytes();
    let memory = ByteSize::mib(48);
    let config = Config::default().with_memory(memory).with_expected_keys(2 * keys);
    let store = FasterKv::open(path, config).await?;
    // The second half fills the memory, and the first half is on the device.
    fill(&store, 2 * keys).await?;
    report("before", &store.stats(), resident_bytes(), before);
    reset_peak();
    let found = store.read_many(&wanted).await?;
    let peak = peak_resident_bytes();
    assert!(found.iter().zip(&wanted).all(|(found, key)| *found == Some(*key)), "all are there");
    let answer = (found.capacity() * size_of::<Option<u64>>()) as u64;
    report(&format!("{keys} cold keys"), &store.stats(), peak, before + answer);
    drop(found);
    reset_peak();
    let tasks = wanted.iter().step_by(wanted.len().div_ceil(READERS));
    let mut reads = Box::pin(join_all(tasks.map(|key| store.read(key))));
    let mut waits = 0;
    let found = std::future::poll_fn(|context| {
        let polled = reads.as_mut().poll(context);
        waits = waits.max(store.stats().memory.waits);
        polled
    });
    for found in found.await {
        assert!(found?.is_some(), "it was written");
    }
    let what = format!("{READERS} readers, {:.1} MiB of waits", mib(waits));
    report(&what, &store.stats(), peak_resident_bytes(), before);
    Ok(store.close().await?)
}

async fn shrinking(path: PathBuf, [from, to]: [ByteSize; 2]) -> Outcome {
    let before = resident_bytes();
    let value = [7; 1000];
    let keys = from.bytes() / 1024;
    let config = Config::default().with_memory(from).with_expected_keys(3 * keys);
    let store: FasterKv<u64, [u8]> = FasterKv::open(path, config).await?;
    for (round, state) in (0..).zip(["not flushed", "flushed"]) {
        store.set_memory(from).await?;
        for key in round * keys..(round + 1) * keys {
            store.upsert(&key, &value).await?;
        }
        if state == "flushed" {
            store.flush().await?;
        }
        report(&format!("{from}, {state}"), &store.stats(), resident_bytes(), before);
        let watch = Stopwatch::start();
        store.set_memory(to).await?;
        let took = watch.elapsed();
        let what = format!("{state}: {to} after {} ms", took.as_millis());
        report(&what, &store.stats(), resident_bytes(), before);
    }
    Ok(store.close().await?)
}

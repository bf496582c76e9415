//! What stands on the write-ahead log: reopening after a crash, a feed of changes after commits,
//! and a backup beside a writer.
//!
//! ```text
//! cargo run --release -p benches --bin walbench -- --path target
//! cargo run --release -p benches --bin walbench -- --path target --log 256MiB --runs 1
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use benches::clock::{Stopwatch, spawn};
use benches::keys::key_of;
use benches::load::{Load, load};
use benches::payload::Payload;
use benches::runtimes::{Executor, RuntimeKind};
use benches::scratch::Scratch;
use benches::sequential::Plain;
use benches::timeline::median;
use clap::Parser;
use futures::StreamExt as _;
use hdrhistogram::Histogram;
use kvick::config::{ByteSize, DurableBy};
use kvick::feed::Start;
use kvick::runtime::{Handle, block_on};
use kvick::{Config, FasterKv};

type Store = FasterKv<u64, [u8]>;
type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes of a value.
const VALUE: usize = 100;
/// Writes until the writer beside a backup looks whether it is over.
const STRETCH: u64 = 256;
/// The writer beside a backup runs alone for so long, before and after it.
const ALONE: Duration = Duration::from_secs(1);
/// The writer beside a feed makes this many durable changes.
const CHANGES: u64 = 2000;

/// Reopening, feed and backup of a store with a write-ahead log.
#[derive(Clone, Debug, Parser)]
#[command(name = "walbench", version)]
struct Options {
    /// Bytes of the write-ahead log that a reopening repeats, with a unit: 256MiB, 1GiB.
    #[arg(long, default_value = "1GiB")]
    log: ByteSize,
    /// Records of the store.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Memory of the store, with a unit.
    #[arg(long, default_value = "1GiB")]
    memory: ByteSize,
    /// Directory for the stores. The program makes fresh directories within it and removes them.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// Number of repetitions.
    #[arg(long, default_value_t = 3)]
    runs: u64,
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    for measure in [reopening, feed, backup] {
        for _ in 0..options.runs {
            let scratch = Scratch::new(&options.path, "walbench")?;
            measure(&options, scratch.path())?;
        }
    }
    Ok(())
}

fn config(options: &Options) -> Config {
    // The next checkpoint comes when the log is full, so the log is never full here.
    let most = ByteSize::new(options.log.bytes() * 4);
    Config::default()
        .with_memory(options.memory)
        .with_expected_keys(options.records)
        .with_durability(DurableBy::Wal)
        .with_wal_size(most)
        .with_checkpoint_on_close(false)
}

/// Writes records in turn, from `first` on. Returns the next one.
async fn write(store: &Store, records: u64, (first, count): (u64, u64)) -> kvick::Result<u64> {
    let mut session = store.session()?;
    let mut buffer = <[u8]>::buffer(VALUE);
    for number in first..first + count {
        let key = key_of(number % records);
        <[u8]>::stamp(&mut buffer, key, 1);
        session.upsert(&key, &buffer).await?;
    }
    Ok(first + count)
}

/// Reopens a store after a crash with a long write-ahead log.
fn reopening(options: &Options, path: &Path) -> Outcome<()> {
    block_on(async {
        let store = Store::open(path, config(options)).await?;
        let mut next = 0;
        while store.stats().wal.map_or(0, |wal| wal.replay_bytes) < options.log.bytes() {
            next = write(&store, options.records, (next, 10_000)).await?;
        }
        store.sync().await?;
        // It ends as a crash ends it: without a checkpoint.
        store.close().await?;
        let started = Stopwatch::start();
        let store = Store::open(path, config(options)).await?;
        let took = started.elapsed().as_secs_f64();
        let report = store.recovery().expect("it was there");
        assert_eq!(report.repeated, next, "{report}");
        let mib = report.wal_bytes as f64 / f64::from(1 << 20);
        let rate = report.repeated as f64 / 1e6 / took;
        println!("reopening: {mib:.0} MiB of log in {took:.2} s, {rate:.2} M changes/s");
        Ok(store.close().await?)
    })
}

/// Measures the time from the end of a durable write to the moment at which a feed shows it.
fn feed(options: &Options, path: &Path) -> Outcome<()> {
    let store = block_on(Store::open(path, config(options)))?;
    let clock = Stopwatch::start();
    let written: Arc<Vec<AtomicU64>> = Arc::new((0..CHANGES).map(|_| AtomicU64::new(0)).collect());
    let mut changes = store.changes(Start::Now)?;
    let ends = Arc::clone(&written);
    let reader = spawn("feed".to_owned(), move || {
        block_on(async {
            let mut shown = Vec::new();
            while shown.len() < ends.len() {
                let change = changes.next().await.expect("the store is open")?;
                shown.push((change.key, clock.nanoseconds()));
            }
            Ok::<_, kvick::Error>(shown)
        })
    });
    block_on(async {
        let mut session = store.session()?;
        for number in 0..CHANGES {
            session.upsert(&number, &[1; VALUE]).durable().await?;
            // Release: pairs with the Acquire below.
            written[index(number)].store(clock.nanoseconds(), Ordering::Release);
        }
        Ok::<_, kvick::Error>(())
    })?;
    let shown = reader.join().expect("it does not panic")?;
    let mut lags = Histogram::<u64>::new(3)?;
    for (number, at) in shown {
        lags.record(at.saturating_sub(written[index(number)].load(Ordering::Acquire)))?;
    }
    let of = |quantile| lags.value_at_quantile(quantile) as f64 / 1e3;
    let (p50, p99, max) = (of(0.5), of(0.99), lags.max() as f64 / 1e3);
    println!("feed: {p50:.0} us after a durable write, p99 {p99:.0} us, at most {max:.0} us");
    Ok(block_on(store.close())?)
}

/// Backs a store up, idle and beside a writer, and compares it with a plain copy.
fn backup(options: &Options, path: &Path) -> Outcome<()> {
    let store = block_on(Store::open(path.join("store"), config(options)))?;
    let executor = Executor { kind: RuntimeKind::Builtin, threads: 1 };
    load(&store, executor, Load { records: options.records, value_bytes: VALUE })?;
    block_on(async { store.checkpoint().await })?;
    let take = |name: &str| -> Outcome<(f64, f64)> {
        let started = Stopwatch::start();
        let backup = block_on(async { store.backup(path.join(name)).await })?;
        let took = started.elapsed().as_secs_f64();
        Ok((backup.bytes as f64 / 1e6 / took, took))
    };
    let (idle, _) = take("idle")?;
    let bytes = options.records * 128;
    let plain = block_on(Plain::open(&path.join("plain"))?.copy(bytes))?.as_secs_f64();
    let plain = bytes as f64 / 1e6 / plain;

    let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (ends, counts, own) = (Arc::clone(&is_over), Arc::clone(&done), store.clone());
    let records = options.records;
    let writer = spawn("writer".to_owned(), move || {
        block_on(async {
            let mut next = 0;
            while !ends.load(Ordering::Relaxed) {
                next = write(&own, records, (next, STRETCH)).await?;
                counts.store(next, Ordering::Relaxed);
            }
            Ok::<_, kvick::Error>(())
        })
    });
    let mut rates = Vec::new();
    let runtime = Handle::background()?;
    let alone = |rates: &mut Vec<f64>| {
        let (started, before) = (Stopwatch::start(), done.load(Ordering::Relaxed));
        block_on(runtime.sleep(ALONE));
        let written = done.load(Ordering::Relaxed) - before;
        rates.push(written as f64 / started.elapsed().as_secs_f64());
    };
    alone(&mut rates);
    let before = done.load(Ordering::Relaxed);
    let (beside, took) = take("beside")?;
    let during = (done.load(Ordering::Relaxed) - before) as f64 / took;
    alone(&mut rates);
    is_over.store(true, Ordering::Relaxed);
    writer.join().expect("it does not panic")?;
    let alone = median(rates).expect("two of them");
    let (ratio, share) = (idle / plain, during / alone);
    println!(
        "backup: {idle:.0} MB/s, a plain copy {plain:.0} MB/s: {ratio:.2}x; beside a writer \
         {beside:.0} MB/s, which goes on at {share:.2}x of {:.2} M/s",
        alone / 1e6
    );
    Ok(block_on(store.close())?)
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("few changes")
}

//! Caches in front of a source: kvick, moka and foyer, with the same keys and about the same
//! resident memory.
//!
//! ```text
//! just cacheversus --value 100 --json cache.json
//! ```
//!
//! Every operation is a `get_or_insert_with` of a key of a Zipf distribution. The source computes
//! the value at once, so the rates are those of the caches; a real source costs a miss far more.
//!
//! The memory of kvick is its setting. moka and foyer limit the sum of weights that their user
//! computes, so the weight of an entry is its key, its value and `--overhead`, the bytes that moka
//! takes beside them, or `--overhead-of-foyer`. The defaults make the resident memory of all about
//! the same, which the table shows. A process measures values of one size, since memory that a
//! dropped map leaves in the allocator would be counted for none of the next ones.

mod kept;
mod report;
mod rival;
mod store;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use benches::keys::{Distribution, Step, draw_steps};
use benches::process::resident_bytes;
use benches::workload::Workload;
use clap::Parser;
use kvick::config::ByteSize;
use kvick::runtime::block_on;
use versus::slices::{Arm, Walk, interleave, on_threads};
use versus::table::Row;

use crate::kept::{Cache, Kept, Limits, get_all, get_each};
use crate::report::{CacheRow, Standing, print, print_promises};
use crate::rival::{Foyer, Moka};
use crate::store::Ours;

type SipHash = std::collections::hash_map::RandomState;
type RapidHash = rapidhash::fast::RandomState;

/// The number of streams of steps, of at least a million each. Fewer steps would come again while
/// their keys are still in the caches, and raise the hit ratio.
const STREAMS: u64 = 8;

/// The number of the first slice. Slices begin far from the steps that filled the caches.
const FIRST_SLICE: usize = 1;

#[derive(Debug, Parser)]
#[command(about = "kvick beside moka and foyer, as caches")]
struct Options {
    /// Number of keys of the source.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of a value; 8 for words.
    #[arg(long, default_value_t = 100)]
    value: usize,
    /// Memory of each cache.
    #[arg(long, default_value = "16MiB")]
    memory: ByteSize,
    /// Bytes that moka takes for an entry beside its key and its value.
    #[arg(long, default_value_t = 330)]
    overhead: usize,
    /// Bytes that foyer takes for an entry beside its key and its value.
    #[arg(long, default_value_t = 155)]
    overhead_of_foyer: usize,
    /// Number of slices of each contestant in each contest.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 500)]
    slice_milliseconds: u64,
    /// Number of gets that fill a cache, and of the next ones whose hits are counted.
    #[arg(long, default_value_t = 2 << 20)]
    gets: usize,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// File for the rows, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A cache that has been filled.
struct Filled<C> {
    name: &'static str,
    cache: C,
    standing: Standing,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let rows = match options.value {
        8 => contests::<u64>(&options)?,
        _ => contests::<[u8]>(&options)?,
    };
    print_promises();
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn contests<V: Kept + ?Sized>(options: &Options) -> Result<Vec<CacheRow>, Box<dyn Error>> {
    // Nothing is freed here: a cache would take the freed memory, and seem small.
    let streams: Vec<&[Step]> = (1..=STREAMS)
        .map(|seed| draw_steps(Workload::C, Distribution::Zipfian, options.records, seed))
        .map(|stream| &*stream.leak())
        .collect();
    let steps: &'static [Step] = streams.concat().leak();
    let limits =
        Limits { memory: options.memory, value: options.value, overhead: options.overhead };
    let ours = filled(options, steps, "kvick", || block_on(Ours::<V>::open(limits)))?;
    let moka = filled(options, steps, "moka", || Ok(Moka::<V, SipHash>::new(limits)))?;
    let rapid =
        filled(options, steps, "moka, rapidhash", || Ok(Moka::<V, RapidHash>::new(limits)))?;
    let of_foyer = Limits { overhead: options.overhead_of_foyer, ..limits };
    let foyer = filled(options, steps, "foyer", || Ok(Foyer::<V>::new(of_foyer)))?;
    let mut rows = Vec::new();
    for &threads in &options.threads {
        let arms = vec![
            arm(ours.name, steps, threads, &ours.cache),
            arm(moka.name, steps, threads, &moka.cache),
            arm(rapid.name, steps, threads, &rapid.cache),
            arm(foyer.name, steps, threads, &foyer.cache),
        ];
        let name = format!("values of {} B, {threads} thread(s)", options.value);
        let duration = Duration::from_millis(options.slice_milliseconds);
        let standings = [ours.standing, moka.standing, rapid.standing, foyer.standing];
        let of_contest: Vec<_> = interleave(arms, options.rounds, duration)
            .into_iter()
            .zip(standings)
            .map(|((contestant, slices), standing)| CacheRow {
                row: Row::new(&name, contestant, &slices),
                standing,
            })
            .collect();
        print(&name, &of_contest);
        rows.extend(of_contest);
    }
    println!("{}\n", ours.cache.summary());
    for cache in [moka.cache.summary(), rapid.cache.summary(), foyer.cache.summary()] {
        println!("{cache}");
    }
    block_on(ours.cache.close())?;
    Ok(rows)
}

/// Makes a cache, fills it from the source, and counts its hits and the memory that it took.
fn filled<C: Cache>(
    options: &Options,
    steps: &'static [Step],
    name: &'static str,
    make: impl FnOnce() -> kvick::Result<C>,
) -> kvick::Result<Filled<C>> {
    let before = resident_bytes();
    let cache = make()?;
    let misses = |steps: &[Step]| {
        let mut walk = Walk::free();
        block_on(get_all(&cache, &mut walk, steps));
        walk.missing
    };
    let (to_fill, counted) = steps[..2 * options.gets].split_at(options.gets);
    misses(to_fill);
    let hit_ratio = 1.0 - misses(counted) as f64 / counted.len() as f64;
    let resident_bytes = resident_bytes().saturating_sub(before);
    Ok(Filled { name, cache, standing: Standing { hit_ratio, resident_bytes } })
}

fn arm<'a>(name: &str, steps: &'static [Step], threads: usize, cache: &'a impl Cache) -> Arm<'a> {
    Arm::new(name, move |slice, duration| {
        let slice = FIRST_SLICE + slice;
        let walks = (0..threads).map(|number| Walk::new(steps, slice, number, threads)).collect();
        on_threads(walks, duration, |walk| block_on(get_each(cache, walk)))
    })
}

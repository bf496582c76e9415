//! Maps in memory: kvick, DashMap, papaya, and the bare probe that none of them can beat.
//!
//! ```text
//! cd benches/versus && cargo run --release --bin memory -- --records 10000000 --json memory.json
//! ```
//!
//! Keys and values have 8 bytes. DashMap and papaya run twice: with their default, the SipHash of
//! the standard library, and with rapidhash, which kvick uses. papaya holds `AtomicU64` values,
//! which are updated in place. Everything else is default.

mod bare;
mod contest;
mod maps;
#[cfg(feature = "oxifaster")]
mod oxi;
mod store;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use benches::keys::{Distribution, Step, draw_steps};
use benches::process::resident_bytes;
use benches::workload::Workload;
use clap::Parser;
use kvick::runtime::block_on;
use versus::slices::{Arm, Slice, Walk, interleave, on_threads};
use versus::table::{Baseline, Row, print};

use crate::bare::Bare;
use crate::contest::Mix;

type SipHash = std::collections::hash_map::RandomState;
type RapidHash = rapidhash::fast::RandomState;

#[derive(Debug, Parser)]
#[command(about = "kvick beside maps in memory")]
struct Options {
    /// Number of records in every map.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// Number of slices of each contestant in each contest.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 300)]
    slice_milliseconds: u64,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Distributions of keys.
    #[arg(long, value_delimiter = ',', default_value = "uniform,zipfian")]
    distributions: Vec<Distribution>,
    /// Mixes of operations.
    #[arg(long, value_delimiter = ',', default_value = "read,half,rmw")]
    mixes: Vec<Mix>,
    /// Text in the names of the contestants that run.
    #[arg(long)]
    only: Option<String>,
    /// Lets kvick choose the size of its index instead of giving it the number of records.
    #[arg(long)]
    grow: bool,
    /// File for the rows, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// All contestants, loaded.
struct Field {
    store: store::Store,
    dash: maps::Dash<SipHash>,
    dash_rapid: maps::Dash<RapidHash>,
    papaya: maps::Papaya<SipHash>,
    papaya_rapid: maps::Papaya<RapidHash>,
    bare: Bare,
    #[cfg(feature = "oxifaster")]
    oxi: oxi::Oxi,
}

/// One contest: the contestant, its workload and its number of threads.
#[derive(Clone, Copy)]
struct Contest {
    steps: &'static [Step],
    mix: Mix,
    threads: usize,
}

impl Contest {
    fn walks(self, slice: usize) -> Vec<Walk> {
        (0..self.threads).map(|number| Walk::new(self.steps, slice, number, self.threads)).collect()
    }

    fn arm<'a>(self, name: &str, body: impl Fn(&mut Walk) + Sync + 'a) -> Arm<'a> {
        Arm::new(name, move |slice, duration| -> Slice {
            on_threads(self.walks(slice), duration, &body)
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let field = load(&options)?;
    let mut rows = Vec::new();
    for distribution in &options.distributions {
        let steps = draw_steps(Workload::A, *distribution, options.records, 1).leak();
        for &threads in &options.threads {
            for &mix in &options.mixes {
                let contest = Contest { steps, mix, threads };
                let name = format!("{distribution:?}, {threads} thread(s), {}", mix.name());
                let of_contest = compete(&options, &field, contest, &name);
                let baselines: [Baseline<'_>; 2] =
                    [("x rival", &maps::is_default_rival), ("x any rival", &maps::is_rival)];
                print(&name, &of_contest, &baselines);
                rows.extend(of_contest);
            }
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    block_on(field.store.close())?;
    Ok(())
}

fn compete(options: &Options, field: &Field, contest: Contest, name: &str) -> Vec<Row> {
    let mix = contest.mix;
    let Field { store, dash, dash_rapid, papaya, papaya_rapid, bare, .. } = field;
    let mut arms = vec![
        contest.arm("kvick, await one by one", move |walk| {
            block_on(store::one_by_one(store, mix, walk)).expect("kvick works");
        }),
        contest.arm("kvick, tokio, one by one", move |walk| {
            on_tokio(store::one_by_one(store, mix, walk)).expect("kvick works");
        }),
        contest.arm("kvick, batches of 32", move |walk| {
            block_on(store::batches(store, mix, walk)).expect("kvick works");
        }),
        contest.arm("DashMap", maps::one_by_one(dash, mix)),
        contest.arm("DashMap, rapidhash", maps::one_by_one(dash_rapid, mix)),
        contest.arm("papaya", move |walk| {
            contest::step_by_step(&maps::PinEach(papaya), mix, walk);
        }),
        contest.arm("papaya, rapidhash", move |walk| {
            contest::step_by_step(&maps::PinEach(papaya_rapid), mix, walk);
        }),
        contest.arm("papaya, rapidhash, pin per 32", move |walk| {
            maps::pin_per_stretch(papaya_rapid, mix, walk);
        }),
        contest.arm("bare probe, one by one", maps::one_by_one(bare, mix)),
        contest.arm("bare probe, batches of 32", move |walk| maps::bare_batches(bare, mix, walk)),
    ];
    if mix == Mix::Read {
        arms.push(contest.arm("kvick, join_all of 16", move |walk| {
            block_on(store::held(store, walk)).expect("kvick works");
        }));
        arms.push(contest.arm("kvick, array of 32", move |walk| {
            block_on(store::held_in_array(store, walk)).expect("kvick works");
        }));
        arms.push(contest.arm("kvick, join_all of 16 on the handle", move |walk| {
            block_on(store::held_on_handle(store, walk)).expect("kvick works");
        }));
    }
    #[cfg(feature = "oxifaster")]
    arms.push(contest.arm("oxifaster", move |walk| field.oxi.one_by_one(mix, walk)));
    if let Some(only) = &options.only {
        arms.retain(|arm| arm.name().contains(only.as_str()));
    }
    let duration = Duration::from_millis(options.slice_milliseconds);
    interleave(arms, options.rounds, duration)
        .into_iter()
        .map(|(contestant, slices)| Row::new(name, contestant, &slices))
        .collect()
}

fn load(options: &Options) -> Result<Field, Box<dyn Error>> {
    let records = options.records;
    println!("{records} records of 8 + 8 B; resident memory of each, loaded:");
    let store = weighed("kvick", || block_on(store::load(records, !options.grow)))?;
    let dash = weighed("DashMap", || maps::load_dash(records));
    let dash_rapid = maps::load_dash(records);
    let papaya = weighed("papaya", || maps::load_papaya(records));
    let papaya_rapid = maps::load_papaya(records);
    let bare = weighed("bare probe", || Bare::load(records));
    #[cfg(feature = "oxifaster")]
    let oxi = weighed("oxifaster", || oxi::Oxi::load(records));
    println!();
    Ok(Field {
        store,
        dash,
        dash_rapid,
        papaya,
        papaya_rapid,
        bare,
        #[cfg(feature = "oxifaster")]
        oxi,
    })
}

fn weighed<T>(name: &str, load: impl FnOnce() -> T) -> T {
    let before = resident_bytes();
    let loaded = load();
    let mebibytes = resident_bytes().saturating_sub(before) >> 20;
    println!("  {name:<12} {mebibytes} MiB");
    loaded
}

fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("tokio starts").block_on(future)
}

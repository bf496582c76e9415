//! Checkpoints and recoveries of an idle store, compared with plain transfers of the disk.
//!
//! ```text
//! cargo run --release -p benches --bin recoverbench -- --records 10000000 --path target
//! cargo run --release -p benches --bin recoverbench -- --records 10000000 --path target --resize
//! ```
//!
//! Measures a checkpoint of the requested kind and the recovery from it. Then it measures an
//! incremental checkpoint after a change of 1 % of the records. The figures are medians. A ratio is
//! of two figures of one repetition. With `--resize` it measures the recovery of an image of the
//! index into other sizes of index instead.

use std::error::Error;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::time::Duration;
use std::{fs, iter};

use benches::checkpoints::Kind;
use benches::load::Load;
use benches::payload::Payload;
use benches::recovery::resized::{self, Resized, Size};
use benches::recovery::{Moved, Results, Subject, measure};
use benches::scratch::Scratch;
use benches::timeline::median;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kvick::config::{Backend, ByteSize};
use kvick::{Config, checkpoint};

/// Checkpoints and recoveries of kvick against sequential transfers of as many bytes.
#[derive(Clone, Debug, Parser)]
#[command(name = "recoverbench", version)]
struct Options {
    /// Number of records to load.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of a value. 8 selects a `FasterKv<u64, u64>`, any other number a `FasterKv<u64,
    /// [u8]>`.
    #[arg(long, default_value_t = 8)]
    value: usize,
    /// Memory of the store, with a unit: 64MiB, 1GiB.
    #[arg(long, default_value = "1GiB")]
    memory: ByteSize,
    /// Expected number of keys. Without it the store chooses the size of its index.
    #[arg(long)]
    expected_keys: Option<u64>,
    /// Kind of the checkpoint.
    #[arg(long, value_enum, default_value_t = Kind::FoldOver)]
    kind: Kind,
    /// Whether the checkpoint has an image of the index: on or off.
    #[arg(long, value_parser = BoolishValueParser::new(), action = ArgAction::Set,
        default_value = "on")]
    index: bool,
    /// The backend that moves bytes to and from the device: auto, uring, threads.
    #[arg(long, default_value = "auto")]
    backend: Backend,
    /// Directory for the stores. The program makes fresh directories within it and removes them.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// Number of repetitions.
    #[arg(long, default_value_t = 3)]
    runs: u64,
    /// Only recovers an image of the index, into an index of the same size, four times larger and
    /// four times smaller.
    #[arg(long)]
    resize: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    if options.records == 0 || options.runs == 0 || options.value < 8 {
        eprintln!("recoverbench: at least one record and run, and values of 8 bytes");
        return Ok(ExitCode::from(2));
    }
    if options.resize {
        return resize(&options);
    }
    let incremental = iter::once(Kind::Incremental).filter(|kind| *kind != options.kind);
    let mut is_sound = true;
    for kind in iter::once(options.kind).chain(incremental) {
        let results = if options.value == 8 {
            repeat::<u64>(&options, kind)?
        } else {
            repeat::<[u8]>(&options, kind)?
        };
        print(&options, kind, &results);
        is_sound &= results.iter().all(|run| run.unsound == 0);
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn resize(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let directory = Scratch::new(&options.path, "recoverbench")?;
    let subject = subject(options, options.kind);
    let measure =
        if options.value == 8 { resized::measure::<u64> } else { resized::measure::<[u8]> };
    let found = measure(&subject, directory.path(), options.runs)?;
    let Options { records, value, memory, runs, kind, .. } = options;
    println!(
        "recovery of an index image, {kind:?}: {records} records of 8 + {value} B in {memory}, \
         medians of {runs} run(s)"
    );
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.add_row(["index", "buckets", "image MB", "log MB", "ms", "ratio", "ratios"]);
    let of = |size| found.iter().filter(move |it: &&Resized| it.size == size);
    for size in Size::ALL {
        let ratio = |(it, base): (&Resized, &Resized)| {
            it.recovered_in.as_secs_f64() / base.recovered_in.as_secs_f64()
        };
        let ratios: Vec<f64> = of(size).zip(of(Size::ALL[0])).map(ratio).collect();
        let texts: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let middle = |figure: fn(&Resized) -> f64| {
            median(of(size).map(figure).collect()).unwrap_or_default()
        };
        table.add_row([
            size.name().to_owned(),
            format!("{:.0}", middle(|it| it.buckets as f64)),
            format!("{:.2}", middle(|it| it.image_bytes as f64 / 1e6)),
            format!("{:.2}", middle(|it| it.replayed_bytes as f64 / 1e6)),
            format!("{:.1}", middle(|it| milliseconds(it.recovered_in))),
            format!("{:.2}x", median(ratios).unwrap_or_default()),
            texts.join(" "),
        ]);
    }
    let unsound: u64 = found.iter().map(|it| it.unsound).sum();
    println!("{table}\n{unsound} records unsound");
    Ok(if unsound == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn repeat<V: Payload + ?Sized>(
    options: &Options,
    kind: Kind,
) -> Result<Vec<Results>, Box<dyn Error>> {
    let subject = subject(options, kind);
    let mut results = Vec::new();
    for run in 0..options.runs {
        let path = options.path.join(format!("recoverbench-{}", process::id()));
        fs::create_dir_all(&path)?;
        let measured = measure::<V>(&subject, &path, run);
        fs::remove_dir_all(&path)?;
        results.push(measured?);
    }
    Ok(results)
}

fn subject(options: &Options, kind: Kind) -> Subject {
    let mut config = Config::default().with_memory(options.memory).with_backend(options.backend);
    config.expected_keys = options.expected_keys;
    config.checkpoint_on_close = false;
    let load = Load { records: options.records, value_bytes: options.value };
    Subject { config, load, kind, with_index: options.index }
}

fn print(options: &Options, kind: Kind, results: &[Results]) {
    let Options { records, value, memory, runs, .. } = options;
    let index = if options.index { "" } else { " without index" };
    println!(
        "{kind:?}{index}: {records} records of 8 + {value} B in {memory}, medians of {runs} run(s)"
    );
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.add_row(["", "MB", "ms", "MB/s", "plain MB/s", "ratio", "ratios"]);
    table.add_row(row("checkpoint, write", results, |run| run.checkpoint));
    table.add_row(row("backup, copy", results, |run| run.backup));
    table.add_row(row("recovery, read", results, |run| run.recovery));
    println!("{table}");
    let phase = |time: fn(&checkpoint::Times) -> Duration| {
        middle(results, |run| milliseconds(time(&run.times)))
    };
    let [index, cut] = [phase(|times| times.index), phase(|times| times.cut)];
    let [capture, publish] = [phase(|times| times.capture), phase(|times| times.publish)];
    println!(
        "  phases ms: index {index:.1}, cut {cut:.3}, capture {capture:.1}, publish {publish:.1}"
    );
    let recovered = middle(results, |run| milliseconds(run.recovered_in));
    let unsound: u64 = results.iter().map(|run| run.unsound).sum();
    println!("  recovery by the store's count {recovered:.1} ms; {unsound} records unsound");
    if kind == Kind::Incremental {
        let base = |run: &Results| run.base_bytes.unwrap_or_default() as f64;
        let share = middle(results, |run| run.checkpoint.bytes as f64 / base(run) * 100.0);
        let megabytes = middle(results, base) / 1e6;
        let copied: u64 = results.iter().map(|run| run.copied).sum();
        println!("  {share:.2} % of the snapshot's {megabytes:.2} MB; {copied} changes copied");
    }
}

fn row(name: &str, results: &[Results], moved: fn(&Results) -> Moved) -> [String; 7] {
    let ratio = |run: &Results| moved(run).rate() / moved(run).plain_rate();
    let ratios: Vec<String> = results.iter().map(|run| format!("{:.2}", ratio(run))).collect();
    [
        name.to_owned(),
        format!("{:.2}", middle(results, |run| moved(run).bytes as f64 / 1e6)),
        format!("{:.1}", middle(results, |run| milliseconds(moved(run).took))),
        format!("{:.0}", middle(results, |run| moved(run).rate())),
        format!("{:.0}", middle(results, |run| moved(run).plain_rate())),
        format!("{:.2}", middle(results, ratio)),
        ratios.join(" "),
    ]
}

fn middle(results: &[Results], figure: impl Fn(&Results) -> f64) -> f64 {
    median(results.iter().map(figure).collect()).unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

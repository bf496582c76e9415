//! YCSB on kvick, from the command line.
//!
//! ```text
//! cargo run --release -p benches --bin kvbench -- --workload b --records 10000000 --batch 32
//! cargo run --release -p benches --bin kvbench -- --workload c --value 100 --records 4000000 \
//!     --memory 128MiB --tasks 64 --distribution uniform --path target --svg reads.svg
//! cargo run --release -p benches --bin kvbench -- --workload a --threads 2 --seconds 30 \
//!     --checkpoint-every 3 --checkpoint-kind snapshot --path target --svg dip.svg
//! ```

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use benches::load::{Load, load};
use benches::options::Options;
use benches::payload::Payload;
use benches::process::resident_bytes;
use benches::report::Report;
use benches::run::{Terms, prepare, run};
use benches::scratch::Scratch;
use kvick::FasterKv;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::from_command_line();
    let directory = Scratch::new(&options.path, "kvbench")?;
    let sound = if options.value == 8 {
        bench::<u64>(&options, &directory)?
    } else {
        bench::<[u8]>(&options, &directory)?
    };
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads, runs and reports. Returns `false` if a record was missing or wrong.
fn bench<V: Payload + ?Sized>(
    options: &Options,
    directory: &Scratch,
) -> Result<bool, Box<dyn Error>> {
    let shared = Arc::new(prepare(options));
    let resident_before = resident_bytes();
    let store: FasterKv<u64, V> =
        kvick::runtime::block_on(FasterKv::open(directory.path(), options.config()))?;
    let what = Load { records: options.records, value_bytes: options.value };
    let load_time = load(&store, options.executor(), what)?;
    let terms = Terms {
        executor: options.executor(),
        duration: Duration::from_secs_f64(options.seconds),
        checkpoints: options.checkpoints(),
    };
    let outcome = run(&store, shared, terms)?;
    let resident = resident_bytes().saturating_sub(resident_before);
    let report = Report::new(options, load_time.as_secs_f64(), &outcome, resident);
    println!("{report}");
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(file) = &options.svg {
        let spans = outcome.checkpoint_spans();
        outcome.timeline.draw(file, &report.setup.to_string(), &spans)?;
    }
    kvick::runtime::block_on(store.close())?;
    Ok(report.is_sound())
}

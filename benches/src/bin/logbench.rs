//! FasterLog under load, from the command line.
//!
//! ```text
//! cargo run --release -p benches --bin logbench -- --backend null --runtime builtin \
//!     --against memcpy --runs 3
//! cargo run --release -p benches --bin logbench -- --commit each --tasks 64 --against lone \
//!     --path target
//! cargo run --release -p benches --bin logbench -- --threads 2 --tasks 1 --commit every=5ms \
//!     --readers 1 --scan cold --against write,read --path target --svg appends.svg
//! ```

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use benches::log::idle::idle;
use benches::log::measure::measure;
use benches::log::options::Options;
use benches::log::report::Report;
use benches::scratch::Scratch;
use benches::timeline::Timeline;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::from_command_line();
    let directory = Scratch::new(&options.path, "logbench")?;
    if let Some(logs) = options.idle {
        let cost = idle(&options, logs, directory.path())?;
        println!("{cost}");
        write_json(&options, &cost)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut timeline = Timeline::new();
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        let (figures, points) = measure(&options, directory.path())?;
        runs.push(figures);
        timeline = points;
    }
    let report = Report::new(&options, runs, &timeline);
    println!("{report}");
    write_json(&options, &report)?;
    if let Some(file) = &options.svg {
        timeline.draw(file, &report.setup.to_string(), &[])?;
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_json(options: &Options, what: &impl serde::Serialize) -> Result<(), Box<dyn Error>> {
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(what)?)?;
    }
    Ok(())
}

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
use std::process::ExitCode;

use benches::log::idle::idle;
use benches::log::measure::measure;
use benches::log::options::Options;
use benches::log::report::Report;
use benches::output::write;
use benches::panels;
use benches::timeline::Timeline;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::from_command_line();
    let directory = options.output.scratch("logbench")?;
    if let Some(logs) = options.idle {
        let cost = idle(&options, logs, directory.path())?;
        println!("{cost}");
        options.output.write_json(&cost)?;
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
    options.output.write_json(&report)?;
    if let Some(file) = &options.svg {
        let title = report.setup.to_string();
        write(file, &panels::draw(&title, (960, 360), &[timeline.panel(&[])])?)?;
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

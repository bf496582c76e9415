//! One repetition: the run, the scan, and the baselines, one after the other.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use kvick::runtime::block_on;

use super::ceilings::{copies_per_second, read_bytes_per_second, write_bytes_per_second};
use super::figures::Figures;
use super::options::{Baseline, Options};
use super::run::run;
use super::scan::{ColdScan, cold};
use crate::timeline::Timeline;

/// Measures in directories below `path`, and removes them.
///
/// # Errors
///
/// Returns an error of the log or of the I/O layer.
pub fn measure(options: &Options, path: &Path) -> Result<(Figures, Timeline), Box<dyn Error>> {
    let log = path.join("log");
    let outcome = run(options, &log)?;
    let mut figures = Figures::new(options, &outcome);
    let scan = if options.scan.is_some() { Some(block_on(cold(options, &log))?) } else { None };
    if let Some(scan) = &scan {
        figures.add_scan(scan, &outcome.appended);
    }
    remove(&log)?;
    for &against in &options.against {
        compare(options, path, against, &mut figures, scan.as_ref())?;
    }
    Ok((figures, outcome.timeline))
}

fn compare(
    options: &Options,
    path: &Path,
    against: Baseline,
    figures: &mut Figures,
    scan: Option<&ColdScan>,
) -> Result<(), Box<dyn Error>> {
    let path = path.join("baseline");
    let appends = figures.appends_per_second;
    match against {
        Baseline::Lone => {
            let lone = options.lone();
            let alone = Figures::new(&lone, &run(&lone, &path)?);
            figures.compare(against, appends, alone.appends_per_second);
        }
        Baseline::Memcpy => {
            let duration = Duration::from_secs_f64(options.seconds);
            let copies = copies_per_second(options.entry, options.memory.bytes(), duration);
            figures.compare(against, appends, copies);
        }
        Baseline::Write => {
            let bytes = figures.appended * options.entry as u64;
            let plain = write_bytes_per_second(&path, bytes)?;
            figures.compare(against, figures.durable_bytes_per_second, plain);
        }
        Baseline::Read => {
            let scan = scan.expect("the command line was checked");
            let plain = read_bytes_per_second(&path, scan.bytes)?;
            figures.compare(against, scan.bytes as f64 / scan.took.as_secs_f64(), plain);
        }
    }
    remove(&path)?;
    Ok(())
}

/// A log in memory has no directory.
fn remove(path: &Path) -> std::io::Result<()> {
    if path.exists() { fs::remove_dir_all(path) } else { Ok(()) }
}

//! Counts the instructions of operations in memory, with `valgrind --tool=callgrind`.
//!
//! A count is the difference of two runs of this program, so opening and loading cancel out. It has
//! the loop of the caller in it, some 20 instructions. All runs of one build have nearly the same,
//! and so do x86-64 machines. `--check` fails if a count is above its limit.

mod operations;
mod text;

use operations::{KINDS, Operation};
use std::env;
use std::error::Error;
use std::process::{Command, ExitCode};

/// The numbers of operations of the two runs of a count.
const OPERATIONS: [u64; 2] = [3_200, 35_200];
/// The drivers of the store take some 400,000 instructions more in some runs. So the least of
/// several runs counts.
const RUNS: usize = 3;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [name, operations] = arguments.as_slice() {
        operations::run(name, operations.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let checks = arguments == ["--check"];
    println!("| operation on one key | instructions | limit |\n|---|---|---|");
    let mut is_good = true;
    for operation in &KINDS {
        let Operation { name, limit, .. } = operation;
        let count = count(name)?;
        println!("| {name} | {count} | {limit} |");
        is_good &= count <= *limit;
    }
    if checks && !is_good {
        eprintln!("an operation takes more instructions than its limit");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the instructions of one operation.
fn count(name: &str) -> Result<u64, Box<dyn Error>> {
    let [few, many] = OPERATIONS;
    Ok((least(name, many)? - least(name, few)?) / (many - few))
}

/// Returns the least instructions of several runs.
fn least(name: &str, operations: u64) -> Result<u64, Box<dyn Error>> {
    let mut least = u64::MAX;
    for _ in 0..RUNS {
        least = least.min(collected(name, operations)?);
    }
    Ok(least)
}

/// Returns the instructions of a run of this program with so many operations.
fn collected(name: &str, operations: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([name, &operations.to_string()])
        .output()
        .map_err(|error| format!("valgrind, which this program needs, does not start: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let count = report.lines().find_map(|line| line.split("Collected : ").nth(1));
    let count = count.ok_or_else(|| format!("valgrind failed:\n{report}"))?;
    Ok(count.trim().parse()?)
}

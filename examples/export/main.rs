//! Exports a store to JSON lines, and imports them into a store.
//!
//! You learn: `scan` as a `Stream`, which takes bounded memory however large the table is; batches
//! of a session; an import that takes effect as a whole, by one checkpoint at its end. The file
//! `transfer.rs` has both directions, and `line.rs` the format. Without a command the program fills
//! a store, exports it, imports the file into another store, and compares both.
//!
//! ```text
//! cargo run --release --example export
//! cargo run --release --example export -- out DIRECTORY FILE
//! cargo run --release --example export -- in DIRECTORY FILE
//! ```

mod line;
mod transfer;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv};
use transfer::{Failed, Table};

/// The number of records of the store that the program makes itself.
const RECORDS: u32 = 200_000;

/// Exports a store of text keys and byte values to JSON lines, or imports them.
#[derive(Debug, Parser)]
#[command(name = "export")]
struct Options {
    /// Memory of the store
    #[arg(long, value_name = "SIZE", default_value = "16MiB", global = true)]
    memory: ByteSize,
    #[command(subcommand)]
    direction: Option<Direction>,
}

#[derive(Debug, Subcommand)]
enum Direction {
    /// Writes all records of a store to a new file
    Out {
        /// Directory of the store, which no other process has open
        directory: PathBuf,
        /// The file [default: the standard output]
        file: Option<PathBuf>,
    },
    /// Adds the records of a file to a store
    In {
        /// Directory of the store; a new store is created
        directory: PathBuf,
        /// The file [default: the standard input]
        file: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let config = Config::default().with_memory(options.memory);
    let result = match options.direction {
        Some(Direction::Out { directory, file }) => block_on(out(config, &directory, file)),
        Some(Direction::In { directory, file }) => block_on(into(config, &directory, file)),
        None => block_on(there_and_back(config)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("export: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn out(config: Config, directory: &Path, file: Option<PathBuf>) -> Result<(), Failed> {
    // Opening would create one.
    if !directory.join("manifest").exists() && !directory.join("manifest.copy").exists() {
        return Err(format!("{} has no store", directory.display()).into());
    }
    let output: Box<dyn Write> = match &file {
        Some(file) => Box::new(File::create_new(file).map_err(|error| naming(file, &error))?),
        None => Box::new(io::stdout().lock()),
    };
    let table: Table = FasterKv::open(directory, config).await?;
    let records = transfer::export(&table, BufWriter::new(output)).await?;
    // This process has the directory alone, so no other task has changed the table.
    let count = table.count().await?;
    table.close().await?;
    if records != count {
        return Err(format!("{records} records were written, but there are {count} keys").into());
    }
    eprintln!("{records} records");
    Ok(())
}

async fn into(config: Config, directory: &Path, file: Option<PathBuf>) -> Result<(), Failed> {
    let input: Box<dyn BufRead> = match &file {
        Some(file) => {
            Box::new(BufReader::new(File::open(file).map_err(|error| naming(file, &error))?))
        }
        None => Box::new(io::stdin().lock()),
    };
    let table: Table = FasterKv::open(directory, config).await?;
    // Without closing after an error: that would take a checkpoint of a part of the records.
    let records = transfer::import(&table, input).await?;
    table.close().await?;
    eprintln!("{records} records");
    Ok(())
}

fn naming(file: &Path, error: &io::Error) -> String {
    format!("{}: {error}", file.display())
}

async fn there_and_back(config: Config) -> Result<(), Failed> {
    let place = tempfile::tempdir()?;
    let [one, other, file] = ["one", "other", "lines"].map(|name| place.path().join(name));
    let table: Table = FasterKv::open(&one, config.clone()).await?;
    let records = (0..RECORDS).map(|number| (key_of(number), value_of(number)));
    table.session()?.upsert_each(records).await?;
    table.close().await?;

    out(config.clone(), &one, Some(file.clone())).await?;
    println!("exported to a file of {} bytes", std::fs::metadata(&file)?.len());
    into(config.clone(), &other, Some(file)).await?;

    let table: Table = FasterKv::open(&other, config).await?;
    let mut scan = table.scan();
    let mut records = 0;
    while let Some((key, value)) = scan.try_next().await? {
        let number = key.trim_start_matches("key ").parse()?;
        assert_eq!((key, value), (key_of(number), value_of(number)));
        records += 1;
    }
    drop(scan);
    let stats = table.stats();
    let memory = stats.memory.index + stats.memory.frames + stats.memory.buffers;
    println!("the other store has the same {records} records, with {memory} bytes of memory");
    assert_eq!(records, RECORDS);
    assert!(memory <= stats.memory.budget);
    table.close().await?;
    Ok(())
}

fn key_of(number: u32) -> String {
    format!("key {number}")
}

/// Returns a text, or bytes that are no text.
fn value_of(number: u32) -> Vec<u8> {
    match number % 4 {
        0 => (0..number % 200).flat_map(|word| (number ^ word).to_le_bytes()).collect(),
        _ => format!("the value of \"{number}\"\n").repeat(5).into_bytes(),
    }
}

//! Inspects the directory of a running or closed store, and checks all files of its checkpoints.
//!
//! You learn: the content of the directory, and how to inspect it without opening the store. The
//! inspection takes no lock, needs no types and changes nothing. The program ends with code 1 if
//! the store is damaged, and with code 2 if the directory cannot be read.
//!
//! ```text
//! cargo run --release --example inspect -- DIRECTORY
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use kvick::inspect::Inspection;
use kvick::io::ReadOnlyDirectory;
use kvick::runtime::block_on;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: inspect DIRECTORY");
        return ExitCode::from(2);
    };
    match look(Path::new(&path)) {
        Ok(inspection) => {
            println!("{inspection}");
            ExitCode::from(u8::from(!inspection.problems.is_empty()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn look(path: &Path) -> Result<Inspection, Box<dyn Error>> {
    let directory = Arc::new(ReadOnlyDirectory::open(path)?);
    // A write-ahead log is here, unless it has a directory of its own.
    let wal = path.join("wal");
    if !wal.is_dir() {
        return Ok(block_on(kvick::inspect(directory))?);
    }
    let wal = Arc::new(ReadOnlyDirectory::open(&wal)?);
    Ok(block_on(kvick::inspect::with_wal(directory, wal))?)
}

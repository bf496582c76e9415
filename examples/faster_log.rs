//! A log whose writer is killed while it works, and its recovery.
//!
//! You learn: appends and commits, the entries that survive a crash, the report of a recovery, and
//! a tail that sees entries as they are committed.
//!
//! ```text
//! cargo run --release --example faster_log
//! ```

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::runtime::{Handle, block_on};
use kvick::{ErrorKind, FasterLog, Result, log};

/// The number of entries between two commits of the writer.
const GROUP: u64 = 1000;
/// The number of attempts to open a directory that is in use, and the pause between two attempts.
const ATTEMPTS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", path] => block_on(write(path.as_ref()))?,
        [] => {
            let directory = tempfile::tempdir()?;
            let acknowledged = crash(directory.path())?;
            println!("the writer was killed; it had seen {acknowledged} entries committed");
            block_on(recover(directory.path(), acknowledged))?;
        }
        _ => return Err("usage: faster_log".into()),
    }
    Ok(())
}

/// Runs a writer in a separate process and kills it. Returns how many entries the writer had
/// reported as durable.
fn crash(path: &Path) -> Result<u64, Box<dyn Error>> {
    let mut writer = Command::new(std::env::current_exe()?);
    let mut writer = writer.arg("write").arg(path).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(writer.stdout.take().ok_or("it is piped")?).lines();
    let mut acknowledged = 0;
    for line in lines.take(20) {
        acknowledged = line?.parse()?;
    }
    writer.kill()?;
    writer.wait()?;
    Ok(acknowledged)
}

/// Appends until the process is killed, and prints how many entries are durable.
async fn write(path: &Path) -> Result<()> {
    let log = open(path).await?;
    for number in 0.. {
        log.append(&entry(number)).await?; // to memory; this waits only while it is full
        if number % GROUP == GROUP - 1 {
            log.commit().await?; // all entries so far now survive a power cut
            println!("{}", number + 1);
        }
    }
    Ok(())
}

async fn recover(path: &Path, acknowledged: u64) -> Result<()> {
    let log = open(path).await?;
    if let Some(report) = log.recovery() {
        println!("{report}");
    }

    // The log has a prefix of the appended entries: no acknowledged entry is missing, and there is
    // no gap.
    let entries: Vec<_> = log.scan(..).try_collect().await?;
    let found = entries.len() as u64;
    println!("{found} entries are there, the newest at {}", entries[entries.len() - 1].address);
    assert!(found >= acknowledged && found.is_multiple_of(GROUP));
    for (number, found) in (0..).zip(&entries) {
        assert_eq!(found.payload, entry(number));
    }
    let half = &entries[entries.len() / 2];
    assert_eq!(log.read(half.address).await?.as_ref(), Some(&half.payload));

    // The log continues from its end, and a reader follows the writer.
    let tail = log.follow();
    let writer = async {
        for number in found..found + 5 {
            let address = log.append_durable(&entry(number)).await?;
            println!("entry {number} is durable at {address}");
        }
        log.complete().await // no entry comes after this, so tails end
    };
    let reader = tail.try_fold(0, |seen, entry| async move {
        println!("the tail has seen: {}", String::from_utf8_lossy(&entry.payload));
        Ok(seen + 1)
    });
    let (seen, commit) = futures::try_join!(reader, writer)?;
    assert_eq!(seen, 5);
    println!("complete with commit {}, which ends at {}", commit.number, commit.until);
    log.close().await
}

/// Opens the log when its directory is free. The system may hold the files of a killed process for
/// a moment.
async fn open(path: &Path) -> Result<FasterLog> {
    let runtime = Handle::background().expect("the system has a thread");
    let mut attempts = 0..ATTEMPTS;
    loop {
        let config = log::Config::default().with_memory(ByteSize::mib(4));
        match FasterLog::builder(config).runtime(runtime.clone()).open(path).await {
            Err(error) if error.kind() == ErrorKind::InUse => {
                if attempts.next().is_none() {
                    eprintln!("the directory was in use at each of {ATTEMPTS} attempts");
                    return Err(error);
                }
                runtime.sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

fn entry(number: u64) -> Vec<u8> {
    format!("this is entry number {number}").into_bytes()
}

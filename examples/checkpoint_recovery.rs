//! A store that is lost between two checkpoints, and its recovery.
//!
//! You learn: checkpoints during operations and how to watch them, the report of a recovery, and
//! how a session finds out which operations it must repeat.
//!
//! ```text
//! cargo run --release --example checkpoint_recovery
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use kvick::checkpoint::Checkpoint;
use kvick::config::ByteSize;
use kvick::{Config, ErrorKind, FasterKv, Result, Session, checkpoint, session};

/// The number of keys of each writer, which it writes in turn.
const KEYS: u64 = 20_000;
const WRITERS: u64 = 2;
/// The number of attempts to open a directory that is in use, and the pause between two attempts.
const ATTEMPTS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = open(directory.path()).await?;
    let is_enough = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(store.clone(), writer, Arc::clone(&is_enough))))
        .collect();
    while store.stats().operations.upserts < WRITERS * KEYS {
        tokio::task::yield_now().await;
    }

    // No writer waits for these checkpoints; the writers continue all the time.
    let snapshot = watch(store.checkpoint().snapshot()).await?;
    let newest = watch(store.checkpoint().incremental()).await?;
    assert!(newest.token > snapshot.token && newest.kind == checkpoint::Kind::Incremental);

    is_enough.store(true, Ordering::Relaxed);
    let mut written: Vec<(u64, session::Id, u64)> = Vec::new();
    for writer in writers {
        let (writer, id, mut session) = writer.await??;
        write_next(&mut session, writer).await?; // in no checkpoint
        written.push((writer, id, session.serial()));
    }
    drop(store); // without `close`, as in a crash: later operations are lost

    let store = open(directory.path()).await?;
    let report = store.recovery().ok_or("there was a store")?;
    println!("{report}");
    assert_eq!(report.chosen, Some(newest.token));
    for (writer, id, serial) in written {
        // The checkpoint has all operations of a session up to a number, and none after it.
        let until = report.sessions[&id].until;
        assert_eq!(until, newest.sessions[&id].until);
        let mut session = store.resume_session(id)?;
        println!("session {id}: {until} of {serial} operations are there");
        assert!(session.next_serial() == until + 1 && until < serial);
        for key in 0..KEYS {
            assert_eq!(session.read(&(writer * KEYS + key)).await?, last_write(key, until));
        }
        while session.next_serial() <= serial {
            write_next(&mut session, writer).await?; // each lost operation is repeated once
        }
    }
    store.close().await?;
    Ok(())
}

/// Opens the store when its directory is free. A dropped store ends in the background.
async fn open(path: &Path) -> Result<FasterKv<u64, u64>> {
    let mut attempts = 0..ATTEMPTS;
    loop {
        let config = Config::default().with_memory(ByteSize::mib(16));
        match FasterKv::open(path, config).await {
            Err(error) if error.kind() == ErrorKind::InUse => {
                if attempts.next().is_none() {
                    eprintln!("the directory was in use at each of {ATTEMPTS} attempts");
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Takes a checkpoint, and shows its progress.
async fn watch(request: checkpoint::Request<'_>) -> Result<Checkpoint> {
    let checkpointing = request.start()?;
    let mut progress = checkpointing.progress();
    while let Some(now) = progress.next().await {
        println!("{:?}, {} bytes", now.phase, now.bytes);
    }
    let checkpoint = checkpointing.await?;
    println!("{:?} {}: {:?}", checkpoint.kind, checkpoint.token, checkpoint.times);
    Ok(checkpoint)
}

async fn write(
    store: FasterKv<u64, u64>,
    writer: u64,
    is_enough: Arc<AtomicBool>,
) -> Result<(u64, session::Id, Session<u64, u64>)> {
    let mut session = store.session()?;
    let id = session.id(); // checkpoints keep this session from now on
    while !is_enough.load(Ordering::Relaxed) {
        write_next(&mut session, writer).await?;
    }
    Ok((writer, id, session))
}

/// Sets the n-th key of a writer to n, and begins again after the last key.
async fn write_next(session: &mut Session<u64, u64>, writer: u64) -> Result<()> {
    let number = session.next_serial();
    session.upsert(&(writer * KEYS + number % KEYS), &number).await?;
    Ok(())
}

/// Returns the value of a key after this many operations.
fn last_write(key: u64, operations: u64) -> Option<u64> {
    let number = operations.checked_sub(key)? / KEYS * KEYS + key;
    (number > 0).then_some(number)
}

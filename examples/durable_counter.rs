//! Counters whose every acknowledged increment survives `kill -9`, and counts once.
//!
//! You learn: a store with a write-ahead log (`durability = "wal"`), writes that are ready when
//! they are durable (`durable()`), tasks that share commits, and named sessions that tell after a
//! crash which of their operations have happened.
//!
//! A client has requests with the numbers 1, 2, 3 and so on; request `n` adds `n` to its counter.
//! The process with the store is killed again and again, at any moment. A later one resumes each
//! client at the next number. So a counter has the sum of all numbers, each exactly once.
//!
//! ```text
//! cargo run --release --example durable_counter
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use kvick::config::{ByteSize, DurableBy};
use kvick::{Config, ErrorKind, FasterKv};

type Failed = Box<dyn Error>;
type Counters = FasterKv<str, u64>;

const CLIENTS: u64 = 16;
/// The number of times that the process with the store is killed.
const LIVES: usize = 5;
/// The number of acknowledged requests after which a life is killed.
const REQUESTS: usize = 2000;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => survive(),
        ["serve", path] => serve(path.as_ref()),
        _ => Err("usage: durable_counter".into()),
    }
}

/// Lets the service live and die, and checks its counters after each death.
fn survive() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for life in 0..LIVES {
        let mut service = start(directory.path())?;
        let mut lines = lines_of(&mut service)?;
        note(lines.by_ref().take(REQUESTS), &mut acknowledged)?;
        service.kill()?;
        // These are the acknowledgements from before its death.
        note(lines, &mut acknowledged)?;
        service.wait()?;
        let (requests, more) = check(directory.path(), &acknowledged)?;
        println!(
            "life {life}: {requests} requests acknowledged so far, none lost, none done twice; \
             {more} more were durable"
        );
    }
    Ok(())
}

/// Opens the store after a crash, and compares each counter with what was acknowledged. Returns the
/// number of acknowledged requests, and of those that are durable without an acknowledgement.
#[tokio::main(flavor = "current_thread")]
async fn check(path: &Path, acknowledged: &BTreeMap<String, u64>) -> Result<(u64, u64), Failed> {
    let store = open(path).await?;
    let (mut requests, mut more) = (0, 0);
    for (client, last) in acknowledged {
        let done = store.session_named(client)?.serial();
        let counter = store.read(client).await?.unwrap_or(0);
        assert!(done >= *last, "{client}: request {last} was acknowledged, {done} are there");
        assert!(done <= last + 1, "{client} waits for each request before it sends another one");
        assert_eq!(counter, done * (done + 1) / 2, "{client}: each of {done} requests counts once");
        (requests, more) = (requests + last, more + done - last);
    }
    store.close().await?;
    Ok((requests, more))
}

/// Serves requests until the process is killed.
#[tokio::main]
async fn serve(path: &Path) -> Result<(), Failed> {
    let store = open(path).await?;
    let clients = (0..CLIENTS).map(|number| tokio::spawn(requests_of(store.clone(), number)));
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    Ok(())
}

/// Makes the requests of one client, from the first that has not happened yet.
async fn requests_of(store: Counters, number: u64) -> kvick::Result<()> {
    let client = format!("client {number}");
    // Each request is one operation of the session, so its numbers are those of the operations.
    let mut session = store.session_named(&client)?;
    loop {
        let request = session.next_serial();
        let add = |sum: Option<u64>| sum.unwrap_or(0) + request;
        // The tasks wait for the same commits of the log.
        session.rmw(client.as_str(), add).durable().await?;
        println!("{request} {client}.");
    }
}

async fn open(path: &Path) -> kvick::Result<Counters> {
    let config = Config::default()
        .with_memory(ByteSize::mib(16))
        .with_durability(DurableBy::Wal)
        // A crash comes before any checkpoint, and after many.
        .with_wal_size(ByteSize::kib(256));
    loop {
        match FasterKv::open(path, config.clone()).await {
            // The kernel still carries out what the killed process has begun.
            Err(error) if error.kind() == ErrorKind::InUse => tokio::task::yield_now().await,
            opened => return opened,
        }
    }
}

fn start(path: &Path) -> Result<Child, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.arg("serve").arg(path).stdout(Stdio::piped()).spawn()?)
}

fn lines_of(process: &mut Child) -> Result<Lines<BufReader<ChildStdout>>, Failed> {
    let output = process.stdout.take().ok_or("it is piped")?;
    Ok(BufReader::new(output).lines())
}

/// Notes the last acknowledged request of each client.
fn note(
    lines: impl Iterator<Item = io::Result<String>>,
    acknowledged: &mut BTreeMap<String, u64>,
) -> Result<(), Failed> {
    for line in lines {
        let line = line?;
        // The last line may be incomplete.
        let whole = line.strip_suffix('.').and_then(|line| line.split_once(' '));
        let Some((request, client)) = whole else { continue };
        let request: u64 = request.parse()?;
        let last = acknowledged.entry(client.to_owned()).or_default();
        assert!(request > *last, "{client}: request {request} was done before");
        *last = request;
    }
    Ok(())
}

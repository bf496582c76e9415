//! A durable queue of jobs on tokio, which is killed again and again and loses no job.
//!
//! You learn: producers that share commits, a named iterator that remembers the done jobs across
//! crashes, and freeing the space of done jobs. `queue.rs` is the queue. This file has the
//! processes that use it, and the process that kills them. It needs the feature `tokio` of kvick.
//!
//! ```text
//! cargo run --release --example queue
//! ```

mod queue;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use queue::Queue;

type Failed = Box<dyn Error>;

const PRODUCERS: u64 = 8;
/// The number of times that the queue is killed.
const LIVES: u64 = 3;
/// The number of lines that a life prints before it is killed.
const LINES: usize = 4000;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => survive(),
        ["live", path, life] => live(path.as_ref(), life),
        ["finish", path] => finish(path.as_ref()),
        _ => Err("usage: queue".into()),
    }
}

/// The knowledge of the outer process about a job.
#[derive(Debug, Default)]
struct Known {
    is_pushed: bool,
    done: u64,
}

/// Lets the queue live and die, then finishes it, and checks that no pushed job is lost.
fn survive() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    let mut jobs: BTreeMap<String, Known> = BTreeMap::new();
    for life in 0..LIVES {
        let mut process = start(&["live".as_ref(), path, life.to_string().as_ref()])?;
        let mut lines = lines_of(&mut process)?;
        let (pushed, done) = note(lines.by_ref().take(LINES), &mut jobs)?;
        process.kill()?;
        // These are the remaining lines from before its death.
        let (pushed_late, done_late) = note(lines, &mut jobs)?;
        process.wait()?;
        let (pushed, done) = (pushed + pushed_late, done + done_late);
        println!("life {life}: killed when {pushed} jobs were pushed and {done} done");
    }
    let mut process = start(&["finish".as_ref(), path])?;
    let (_, done) = note(lines_of(&mut process)?, &mut jobs)?;
    if !process.wait()?.success() {
        return Err("the last life failed".into());
    }
    println!("the last life did {done} jobs");

    let pushed = jobs.values().filter(|job| job.is_pushed).count();
    let again = jobs.values().filter(|job| job.done > 1).count();
    let lost = jobs.values().filter(|job| job.is_pushed && job.done == 0).count();
    println!("{pushed} jobs were pushed: {lost} of them lost, {again} done more than once");
    assert_eq!(lost, 0, "at least once means at least once");
    Ok(())
}

/// Runs one life: producers and workers, until the process is killed.
#[tokio::main]
async fn live(path: &Path, life: &str) -> Result<(), Failed> {
    let queue = Queue::open(path).await?;
    for producer in 0..PRODUCERS {
        let (queue, life) = (queue.clone(), life.to_owned());
        tokio::spawn(async move {
            for number in 0.. {
                let job = format!("{life}/{producer}/{number}");
                queue.push(job.as_bytes()).await.expect("the disk is sound");
                println!("pushed {job}");
            }
        });
    }
    queue.work(work).await?;
    Ok(())
}

/// Runs the last life. It has no producers, so it ends.
#[tokio::main]
async fn finish(path: &Path) -> Result<(), Failed> {
    let queue = Queue::open(path).await?;
    queue.finish().await?;
    queue.work(work).await?;
    queue.close().await?;
    eprintln!("the files of the empty queue have {} bytes", queue.bytes_stored());
    Ok(())
}

/// Prints the job, which may happen twice. Other jobs may set a value, send a message with a
/// number, or write a file.
async fn work(job: Vec<u8>) {
    tokio::task::yield_now().await;
    println!("done {}", String::from_utf8_lossy(&job));
}

fn start(arguments: &[&Path]) -> Result<Child, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(arguments).stdout(Stdio::piped()).spawn()?)
}

fn lines_of(process: &mut Child) -> Result<Lines<BufReader<ChildStdout>>, Failed> {
    let output = process.stdout.take().ok_or("it is piped")?;
    Ok(BufReader::new(output).lines())
}

/// Notes the output of a process. Returns the numbers of pushed and of done jobs.
fn note(
    lines: impl Iterator<Item = io::Result<String>>,
    jobs: &mut BTreeMap<String, Known>,
) -> Result<(u64, u64), Failed> {
    let (mut pushed, mut done) = (0, 0);
    for line in lines {
        match line?.split_once(' ') {
            Some(("pushed", job)) => {
                jobs.entry(job.to_owned()).or_default().is_pushed = true;
                pushed += 1;
            }
            Some(("done", job)) => {
                jobs.entry(job.to_owned()).or_default().done += 1;
                done += 1;
            }
            // The last line may be incomplete.
            _ => {}
        }
    }
    Ok((pushed, done))
}

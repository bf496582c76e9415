//! Counts the words of files, with most of the counts on disk if there are many.
//!
//! You learn: read-modify-write in batches, one session for each task, the same tasks on three
//! runtimes, and the numbers of `Stats`. The counts equal those of `tr`, `sort` and `uniq`;
//! `--help` shows the command for a comparison. It needs the feature `tokio` of kvick.
//!
//! ```text
//! cargo run --release --example count_words -- PATH...
//! cargo run --release --example count_words -- --memory 4MiB --runtime builtin /usr/share/doc
//! cargo run --release -p examples --features glommio --example count_words \
//!     -- --runtime glommio PATH...
//! ```

mod files;
mod top;
mod words;
mod workers;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::stats::Stats;
use kvick::{Config, FasterKv, Session};

use crate::files::{Feed, Input};
use crate::top::Top;
use crate::workers::{RuntimeKind, Workers};

/// The number of words of one call.
const BATCH: usize = 256;

type Failed = Box<dyn Error + Send + Sync>;
type Words = FasterKv<[u8], u64>;

const SAME_AS: &str = r"The list is the output of

  cat FILES | LC_ALL=C tr -cs 'A-Za-z' '\n' | LC_ALL=C tr 'A-Z' 'a-z' | grep -v '^$' \
    | LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2 | head -20

where a directory stands for what `find DIRECTORY -type f | LC_ALL=C sort` prints. As with cat, a
file that does not end with a newline runs on into the next one. A word longer than the store's
limit for keys (64 KiB, less with little memory) is an error.";

/// Counts the words of files in a key-value store that may be much larger than its memory.
#[derive(Debug, Parser)]
#[command(name = "count_words", after_help = SAME_AS)]
struct Options {
    /// Files, and directories in which to look for files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Memory of the store; further counts are on disk. The index takes an eighth, and more if
    /// there are many words
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    memory: ByteSize,
    /// Number of concurrent tasks [default: two for each processor]
    #[arg(long, value_name = "N")]
    tasks: Option<NonZeroUsize>,
    /// The runtime of the tasks
    #[arg(long, value_enum, default_value = "tokio")]
    runtime: RuntimeKind,
    /// Directory of the store, which stays; it must not contain a store [default: temporary,
    /// removed]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Number of the most frequent words to print
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("count_words: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failed> {
    let input = Arc::new(Input::find(&options.paths)?);
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    let tasks = options.tasks.map_or(2 * processors, NonZeroUsize::get);
    let workers = Workers::start(options.runtime, processors.min(tasks))?;

    let temporary = tempfile::tempdir()?;
    let directory = options.dir.as_deref().unwrap_or(temporary.path());
    let store = block_on(open(options, &workers, directory))?;
    let bar = progress_bar(input.length());
    let started = workers.handle(0).now();
    let counting = Counting {
        store: store.clone(),
        feed: Arc::new(Feed::start(Arc::clone(&input))?),
        bar: bar.clone(),
        top: options.top,
    };
    let counted = block_on(count_all(&workers, tasks, counting));
    let elapsed = workers.handle(0).now() - started;
    bar.finish_and_clear();

    let counted = counted?;
    let stats = store.stats();
    assert_eq!(stats.operations.modifies, counted.words, "one operation for each word");
    block_on(store.close())?;
    let files = input.files();
    println!("{}", report(counted, &stats, elapsed));
    println!("{files} files, {}", size(input.length()));
    Ok(())
}

async fn open(options: &Options, workers: &Workers, directory: &Path) -> kvick::Result<Words> {
    let backend = match options.runtime {
        RuntimeKind::Glommio => Backend::Glommio,
        RuntimeKind::Tokio | RuntimeKind::Builtin => Backend::Auto,
    };
    let config = Config::default().with_memory(options.memory).with_backend(backend);
    FasterKv::builder(config).runtime(workers.handle(0).clone()).open(directory).await
}

fn progress_bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
    );
    let bar = ProgressBar::new(bytes);
    bar.with_style(style.expect("the template is correct"))
}

/// The shared state of all tasks.
#[derive(Clone, Debug)]
struct Counting {
    store: Words,
    feed: Arc<Feed>,
    bar: ProgressBar,
    top: usize,
}

/// The counts of a task.
#[derive(Debug)]
struct Counted {
    words: u64,
    distinct: u64,
    top: Top,
}

async fn count_all(workers: &Workers, tasks: usize, counting: Counting) -> Result<Counted, Failed> {
    let spawned: Vec<_> = (0..tasks)
        .map(|task| {
            let counting = counting.clone();
            workers.handle(task).spawn("count words", async move {
                let counted = count(&counting).await;
                if counted.is_err() {
                    counting.feed.stop();
                }
                counted
            })
        })
        .collect();
    let mut all = Counted::new(counting.top);
    for task in spawned {
        all.add(task.await??);
    }
    Ok(all)
}

async fn count(counting: &Counting) -> Result<Counted, Failed> {
    let mut session = counting.store.session()?;
    let mut counted = Counted::new(counting.top);
    while let Some(chunk) = counting.feed.next().await {
        let chunk = chunk?;
        let words: Vec<&[u8]> = words::words(&chunk.text).collect();
        for batch in words.chunks(BATCH) {
            counted.count(&mut session, batch).await?;
        }
        counting.bar.inc(chunk.bytes);
    }
    Ok(counted)
}

impl Counted {
    fn new(top: usize) -> Self {
        Self { words: 0, distinct: 0, top: Top::new(top) }
    }

    async fn count(
        &mut self,
        session: &mut Session<[u8], u64>,
        batch: &[&[u8]],
    ) -> kvick::Result<()> {
        // The closure may run more than once; the last run of each position counts.
        let mut counts = [0; BATCH];
        session
            .rmw_many(batch, |position, count| {
                counts[position] = count.unwrap_or(0) + 1;
                counts[position]
            })
            .await?;
        self.words += batch.len() as u64;
        for (word, &count) in batch.iter().zip(&counts) {
            // This was the first occurrence of the word.
            self.distinct += u64::from(count == 1);
            self.top.saw(word, count);
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.words += other.words;
        self.distinct += other.distinct;
        self.top.merge(other.top);
    }
}

fn report(counted: Counted, stats: &Stats, elapsed: Duration) -> String {
    let Counted { words, distinct, top } = counted;
    let mut lines: Vec<String> = top
        .into_list()
        .iter()
        .map(|(word, count)| format!("{count:7} {}", String::from_utf8_lossy(word)))
        .collect();
    let seconds = elapsed.as_secs_f64();
    let on_disk = 100.0 * share_on_disk(stats, distinct);
    let log = stats.log.mutable + stats.log.read_only + stats.log.on_device;
    lines.push(String::new());
    lines.push(format!("{words} words, {distinct} distinct"));
    lines.push(format!(
        "about {on_disk:.0} % of the keys on disk: a log of {}, {} of it on disk only",
        size(log),
        size(stats.log.on_device)
    ));
    lines.push(format!(
        "{:.0} operations/s for {seconds:.2} s, {} of them met a record on disk",
        words as f64 / seconds,
        stats.hits.on_device
    ));
    let held = stats.memory.index + stats.memory.frames + stats.memory.buffers;
    lines.push(format!(
        "memory of the store: {}, of it {} index",
        size(held),
        size(stats.memory.index)
    ));
    lines.join("\n")
}

/// Returns the share of keys whose newest record is only on disk. Memory holds at most as many keys
/// as records, and the estimate assumes that its records have the average size.
fn share_on_disk(stats: &Stats, keys: u64) -> f64 {
    let in_memory = stats.log.mutable + stats.log.read_only;
    let log = in_memory + stats.log.on_device;
    if log == 0 || keys == 0 {
        return 0.0;
    }
    let records_in_memory = stats.appends as f64 * (in_memory as f64 / log as f64);
    (1.0 - records_in_memory / keys as f64).max(0.0)
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

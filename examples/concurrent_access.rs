//! Many tasks that change the same keys at the same time.
//!
//! You learn: a session belongs to one task and moves between threads with it; all tasks share the
//! handle; and no update is lost, because a read-modify-write is atomic for its key. It needs the
//! feature `tokio` of kvick.
//!
//! ```text
//! cargo run --release --example concurrent_access
//! ```

use kvick::config::ByteSize;
use kvick::runtime::Handle;
use kvick::{Config, FasterKv};
use tokio::task::JoinSet;

const TASKS: u64 = 16;
const ROUNDS: u64 = 20_000;
const COUNTERS: u64 = 100;

type Counters = FasterKv<u64, u64>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let config = Config::default().with_memory(ByteSize::mib(16));
    // The maintenance of the store also runs on this runtime, so the store starts no thread.
    let store: Counters = FasterKv::builder(config)
        .runtime(Handle::tokio(tokio::runtime::Handle::current()))
        .open(directory.path())
        .await?;

    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        if task % 2 == 0 {
            tasks.spawn(with_a_session(store));
        } else {
            tasks.spawn(with_the_handle(store));
        }
    }
    while let Some(finished) = tasks.join_next().await {
        finished??;
    }

    let keys: Vec<u64> = (0..COUNTERS).collect();
    let counts = store.read_many(&keys).await?;
    for (key, count) in keys.iter().zip(&counts) {
        assert_eq!(*count, Some(TASKS * ROUNDS / COUNTERS), "counter {key}");
    }

    // The first task wins, and learns it from the result.
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move { store.insert_if_absent(&COUNTERS, &task).await });
    }
    let mut winners = 0;
    while let Some(won) = tasks.join_next().await {
        winners += u64::from(won??);
    }
    assert_eq!(winners, 1);

    let stats = store.stats();
    assert_eq!(stats.operations.modifies, TASKS * ROUNDS + TASKS);
    println!(
        "{TASKS} tasks counted to {} in {COUNTERS} counters; {} operations had to wait",
        TASKS * ROUNDS,
        stats.suspensions
    );
    store.close().await?;
    Ok(())
}

/// Runs a sequence of operations: the cheapest way for a task with many operations.
async fn with_a_session(store: Counters) -> kvick::Result<()> {
    let mut session = store.session()?;
    for round in 0..ROUNDS {
        let counter = round % COUNTERS;
        session.rmw(&counter, |n| n.unwrap_or(0) + 1).await?;
    }
    Ok(())
}

/// Runs operations without an order, so that one task can have several at a time.
async fn with_the_handle(store: Counters) -> kvick::Result<()> {
    for round in (0..ROUNDS).step_by(2) {
        let (one, other) = (round % COUNTERS, (round + 1) % COUNTERS);
        futures::try_join!(
            store.rmw(&one, |n| n.unwrap_or(0) + 1),
            store.rmw(&other, |n| n.unwrap_or(0) + 1),
        )?;
    }
    Ok(())
}

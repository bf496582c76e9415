//! Loads the records of a run into a store, in index order, divided among the threads of the
//! runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kvick::{FasterKv, Result};

use crate::clock::Stopwatch;
use crate::keys::key_of;
use crate::payload::Payload;
use crate::run::{Bar, Beside};
use crate::runtimes::Executor;

/// The number of records of one call.
const GROUP: u64 = 64;

/// The records to load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of records.
    pub records: u64,
    /// Bytes of every value.
    pub value_bytes: usize,
}

/// Loads the records, and returns the time.
///
/// # Errors
///
/// Returns the first error of the store.
pub fn load<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    executor: Executor,
    what: Load,
) -> Result<Duration> {
    let started = Stopwatch::start();
    let taken = Arc::new(AtomicU64::new(0));
    let bar = Bar::records("load", what.records);
    let progress = Arc::clone(&taken);
    let beside = Beside::start("load-progress", Duration::from_millis(200), move |_| {
        bar.set(progress.load(Ordering::Relaxed).min(what.records));
    });
    let store = store.clone();
    let results =
        executor.run(executor.threads, move |_| fill(store.clone(), Arc::clone(&taken), what));
    beside.stop();
    results.into_iter().collect::<Result<()>>()?;
    Ok(started.elapsed())
}

/// Takes the next group of indexes and loads it, until no group is left.
async fn fill<V: Payload + ?Sized>(
    store: FasterKv<u64, V>,
    taken: Arc<AtomicU64>,
    what: Load,
) -> Result<()> {
    let mut session = store.session()?;
    let mut group: Vec<(u64, V::Buffer)> = Vec::new();
    group.resize_with(group_length(GROUP), || (0, V::buffer(what.value_bytes)));
    loop {
        let first = taken.fetch_add(GROUP, Ordering::Relaxed);
        if first >= what.records {
            return Ok(());
        }
        let count = group_length(GROUP.min(what.records - first));
        for (offset, (key, buffer)) in (first..).zip(&mut group[..count]) {
            *key = key_of(offset);
            V::stamp(buffer, *key, 0);
        }
        session.upsert_many(&group[..count]).await?;
    }
}

fn group_length(records: u64) -> usize {
    usize::try_from(records).expect("a group is small")
}

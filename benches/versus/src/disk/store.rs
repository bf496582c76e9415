//! kvick in the contest: tasks that read single records or batches, on tokio or on a plain thread.

use std::path::Path;
use std::time::Duration;

use benches::clock::{self, Stopwatch};
use benches::keys::key_of;
use benches::load::{Load, load};
use benches::payload::Payload;
use benches::runtimes::{Executor, RuntimeKind};
use futures::future::join_all;
use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Result};
use tokio::runtime::Runtime;
use versus::slices::{Slice, Walk, timed};

use crate::Data;

/// The store under test.
pub type Store = FasterKv<u64, [u8]>;

/// Opens a store with this backend and loads it.
///
/// # Errors
///
/// Returns the first error of the store.
pub fn fill(path: &Path, data: Data, backend: Backend) -> Result<Store> {
    let config = Config::default()
        .with_memory(ByteSize::new(data.memory))
        .with_expected_keys(data.records)
        .with_backend(backend);
    let store = block_on(Store::open(path, config))?;
    let executor = Executor { kind: RuntimeKind::Builtin, threads: 1 };
    load(&store, executor, Load { records: data.records, value_bytes: data.value_bytes })?;
    block_on(store.flush())?;
    Ok(store)
}

/// Reads records one by one, as one task, until the slice is over.
async fn reader(store: Store, mut walk: Walk, value_bytes: usize) -> Walk {
    let mut session = store.session().expect("a session");
    while let Some([step]) = walk.take(1) {
        let key = key_of(step.target());
        let started = Stopwatch::start();
        let verify = |view: &[u8]| <[u8]>::verify_view(&view, key, value_bytes);
        let found = session.read_with(&key, verify).await.expect("kvick reads");
        walk.timed(&started);
        walk.saw(found);
    }
    walk
}

/// Reads batches, as one task, until the slice is over. The time of a batch counts for each record.
async fn batch_reader(store: Store, mut walk: Walk, value_bytes: usize, batch: usize) -> Walk {
    let mut session = store.session().expect("a session");
    while let Some(steps) = walk.take(batch) {
        let keys: Vec<u64> = steps.iter().map(|step| key_of(step.target())).collect();
        let started = Stopwatch::start();
        let values = session.read_many(&keys).await.expect("kvick reads");
        walk.timed(&started);
        for (key, value) in keys.iter().zip(&values) {
            let right = |value: &Vec<u8>| <[u8]>::verify_owned(value, *key, value_bytes);
            walk.saw(value.as_ref().map(right));
        }
    }
    walk
}

/// Runs a slice with a tokio task for every walk.
pub fn on_tokio(
    runtime: &Runtime,
    store: &Store,
    walks: Vec<Walk>,
    value_bytes: usize,
    duration: Duration,
) -> Slice {
    let begin = || -> Vec<_> {
        let task = |walk| runtime.spawn(reader(store.clone(), walk, value_bytes));
        walks.into_iter().map(task).collect()
    };
    timed(duration, begin, |tasks| {
        runtime.block_on(join_all(tasks)).into_iter().map(|walk| walk.expect("no panics")).collect()
    })
}

/// Runs a slice with all walks on one thread, which blocks on them.
pub fn on_one_thread(
    store: &Store,
    walks: Vec<Walk>,
    value_bytes: usize,
    duration: Duration,
) -> Slice {
    let store = store.clone();
    let begin = || {
        clock::spawn("joined-readers".to_owned(), move || {
            let task = |walk| reader(store.clone(), walk, value_bytes);
            block_on(join_all(walks.into_iter().map(task)))
        })
    };
    timed(duration, begin, |thread| thread.join().expect("no panics"))
}

/// Runs a slice with a tokio task for every walk, which reads `batch` records at a time.
pub fn in_batches(
    runtime: &Runtime,
    store: &Store,
    walks: Vec<Walk>,
    (value_bytes, batch): (usize, usize),
    duration: Duration,
) -> Slice {
    let begin = || -> Vec<_> {
        let task = |walk| runtime.spawn(batch_reader(store.clone(), walk, value_bytes, batch));
        walks.into_iter().map(task).collect()
    };
    timed(duration, begin, |tasks| {
        runtime.block_on(join_all(tasks)).into_iter().map(|walk| walk.expect("no panics")).collect()
    })
}

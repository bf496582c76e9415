//! kvick in the contest: single operations, and batches.

use benches::keys::key_of;
use benches::payload::Payload;
use benches::workload::Operation;
use futures::future::join_all;
use kvick::config::{Backend, ByteSize};
use kvick::{Config, FasterKv, Result, Session};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use versus::slices::{STRETCH, Walk};

use crate::contest::{Mix, is_right, value_of};

/// The store under test.
pub type Store = FasterKv<u64, u64>;

/// Returns memory for the log and the index of this many records, and some more.
fn memory_for(records: u64) -> ByteSize {
    ByteSize::new((records * 96).max(64 << 20))
}

/// Opens and loads a store that never uses its device.
///
/// # Errors
///
/// Returns the first error of the store.
pub async fn load(records: u64, expect_keys: bool) -> Result<Store> {
    let mut config =
        Config::default().with_memory(memory_for(records)).with_backend(Backend::Memory);
    config.expected_keys = expect_keys.then_some(records);
    let store = Store::open("versus", config).await?;
    let mut session = store.session()?;
    for index in 0..records {
        session.upsert(&key_of(index), &value_of(key_of(index), 0)).await?;
    }
    drop(session);
    Ok(store)
}

/// Awaits operations one by one.
///
/// # Errors
///
/// Returns the first error of the store.
pub async fn one_by_one(store: &Store, mix: Mix, walk: &mut Walk) -> Result<()> {
    let mut session = store.session()?;
    let mut version = 0u32;
    while let Some(stretch) = walk.stretch() {
        for step in stretch {
            let key = key_of(step.target());
            match mix.operation(*step) {
                Operation::Read => {
                    let found = session.read(&key).await?;
                    walk.saw(found.map(|value| is_right(key, value)));
                }
                Operation::Update | Operation::Insert => {
                    version = version.wrapping_add(1);
                    session.upsert(&key, &value_of(key, version)).await?;
                }
                Operation::ReadModifyWrite => {
                    session.rmw(&key, |previous| u64::next(previous, key, 8)).await?;
                }
            }
        }
    }
    Ok(())
}

/// The number of futures that a task holds.
const HELD: usize = 16;

/// Awaits interleaved reads of several sessions together.
///
/// # Errors
///
/// Returns the first error of the store.
pub async fn held(store: &Store, walk: &mut Walk) -> Result<()> {
    let sessions: Result<Vec<_>> = (0..HELD).map(|_| store.session()).collect();
    let mut sessions = sessions?;
    while let Some(stretch) = walk.stretch() {
        for part in stretch.chunks(HELD) {
            let keys: [u64; HELD] = std::array::from_fn(|at| key_of(part[at].target()));
            let reads = sessions.iter_mut().zip(&keys);
            let reads = reads.map(|(session, key)| session.read(key).interleaved());
            saw(&keys, join_all(reads).await, walk)?;
        }
    }
    Ok(())
}

/// Awaits interleaved reads of the handle together.
///
/// # Errors
///
/// Returns the first error of the store.
pub async fn held_on_handle(store: &Store, walk: &mut Walk) -> Result<()> {
    while let Some(stretch) = walk.stretch() {
        for part in stretch.chunks(HELD) {
            let keys: [u64; HELD] = std::array::from_fn(|at| key_of(part[at].target()));
            let reads = keys.iter().map(|key| store.read(key).interleaved());
            saw(&keys, join_all(reads).await, walk)?;
        }
    }
    Ok(())
}

/// Awaits interleaved reads of several sessions together, in an array.
///
/// # Errors
///
/// Returns the first error of the store.
pub async fn held_in_array(store: &Store, walk: &mut Walk) -> Result<()> {
    let sessions: Result<Vec<_>> = (0..STRETCH).map(|_| store.session()).collect();
    let mut sessions = sessions?;
    while let Some(stretch) = walk.stretch() {
        let keys: [u64; STRETCH] = std::array::from_fn(|at| key_of(stretch[at].target()));
        let mut sessions = sessions.iter_mut();
        let mut reads = keys.each_ref().map(|key| {
            let session = sessions.next().expect("one for each key");
            session.read(key).interleaved()
        });
        let mut answers = [const { None }; STRETCH];
        poll_fn(|context| {
            for (read, answer) in reads.iter_mut().zip(&mut answers) {
                if answer.is_none()
                    && let Poll::Ready(value) = Pin::new(read).poll(context)
                {
                    *answer = Some(value);
                }
            }
            if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        for (key, answer) in keys.iter().zip(answers) {
            let value = answer.expect("all are ready")?;
            walk.saw(value.map(|value| is_right(*key, value)));
        }
    }
    Ok(())
}

fn saw(keys: &[u64], values: Vec<Result<Option<u64>>>, walk: &mut Walk) -> Result<()> {
    for (key, value) in keys.iter().zip(values) {
        walk.saw(value?.map(|value| is_right(*key, value)));
    }
    Ok(())
}

/// Awaits batches, with reads and writes in separate batches.
///
/// # Errors
///
/// Returns the first error of the store.
pub async fn batches(store: &Store, mix: Mix, walk: &mut Walk) -> Result<()> {
    let mut session = store.session()?;
    let mut version = 0u32;
    let (mut keys, mut writes) = (Vec::new(), Vec::new());
    while let Some(stretch) = walk.stretch() {
        keys.clear();
        writes.clear();
        for step in stretch {
            let key = key_of(step.target());
            if mix.operation(*step) == Operation::Update {
                version = version.wrapping_add(1);
                writes.push((key, value_of(key, version)));
            } else {
                keys.push(key);
            }
        }
        if !writes.is_empty() {
            session.upsert_many(&writes).await?;
        }
        match mix {
            Mix::Rmw => {
                let next = |at: usize, previous| u64::next(previous, keys[at], 8);
                session.rmw_many(&keys, next).await?;
            }
            Mix::Read | Mix::Half => read_batch(&mut session, &keys, walk).await?,
        }
    }
    Ok(())
}

async fn read_batch(session: &mut Session<u64, u64>, keys: &[u64], walk: &mut Walk) -> Result<()> {
    let values = session.read_many(keys).await?;
    for (key, value) in keys.iter().zip(values) {
        walk.saw(value.map(|value| is_right(*key, value)));
    }
    Ok(())
}

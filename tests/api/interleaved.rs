//! Interleaved operations: pending once if there is a record to ask for, and otherwise as without.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::try_join_all;
use kvick::runtime::block_on;
use kvick::session::Update;
use kvick::{Config, ErrorKind, Result};
use tests::configs::memory_store;

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls a future to its end. Returns its output, and how often it was pending and woke its task.
fn polled<F: Future>(future: F) -> (F::Output, usize, usize) {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let (mut future, mut pending) = (pin!(future), 0);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return (output, pending, wakes.0.load(Ordering::Relaxed)),
            Poll::Pending => pending += 1,
        }
        assert!(pending < 10, "a future in memory is pending for ever");
    }
}

#[test]
fn an_operation_on_a_record_is_pending_once_and_wakes_its_task() -> Result<()> {
    let store = memory_store::<u64, u64>(Config::default());
    block_on(store.upsert(&1, &10))?;
    let mut session = store.session()?;
    let (value, pending, wakes) = polled(session.read(&1).interleaved());
    assert_eq!((value?, pending, wakes), (Some(10), 1, 1));
    let (value, pending, wakes) = polled(store.read(&1).interleaved());
    assert_eq!((value?, pending, wakes), (Some(10), 1, 1));
    let (value, pending, _) = polled(session.rmw(&1, |old| old.unwrap_or(0) + 1).interleaved());
    assert_eq!((value?, pending), (11, 1));
    let (answer, pending, _) = polled(session.upsert(&1, &20).interleaved());
    answer?;
    let (answer, again, _) = polled(session.compare_and_swap(&1, &20, &21).interleaved());
    assert_eq!((answer?, pending, again), (true, 1, 1));
    let (answer, _, _) = polled(session.read_with(&1, |value| value + 1).interleaved());
    assert_eq!(answer?, Some(22));
    let (old, _, _) = polled(session.replace(&1, &30).interleaved());
    assert_eq!(old?, Some(21));
    let doubled = |old: Option<u64>| Update::Put(old.unwrap_or(0) * 2, ());
    polled(session.update(&1, doubled).interleaved()).0?;
    assert_eq!(polled(session.take(&1).interleaved()).0?, Some(60));
    assert!(!polled(store.contains(&1).interleaved()).0?);
    assert!(polled(store.insert_if_absent(&1, &5).interleaved()).0?);
    polled(store.delete(&1).interleaved()).0?;
    assert_eq!(block_on(store.read(&1))?, None);
    drop(session);
    block_on(store.close())
}

#[test]
fn an_absent_key_is_answered_at_once() -> Result<()> {
    let store = memory_store::<u64, u64>(Config::default());
    let (value, pending, wakes) = polled(store.read(&1).interleaved());
    assert_eq!((value?, pending, wakes), (None, 0, 0));
    block_on(store.close())
}

/// The first poll keeps nothing of what it has found.
#[test]
fn a_change_between_the_polls_is_seen() -> Result<()> {
    let store = memory_store::<u64, u64>(Config::default());
    block_on(store.upsert(&1, &10))?;
    let mut context = Context::from_waker(Waker::noop());
    let mut read = pin!(store.read(&1).interleaved());
    assert!(read.as_mut().poll(&mut context).is_pending());
    block_on(store.delete(&1))?;
    assert!(matches!(read.as_mut().poll(&mut context), Poll::Ready(Ok(None))));
    let mut read = pin!(store.read(&1).interleaved());
    block_on(store.upsert(&1, &11))?;
    assert_eq!(block_on(async { read.as_mut().await })?, Some(11));
    block_on(store.close())
}

/// The future reports what is wrong with a key, not the call that makes it.
#[test]
fn a_key_that_no_record_can_have_is_refused_by_the_future() -> Result<()> {
    let store = memory_store::<[u8], u64>(Config::default());
    let long = vec![0; 64 << 20];
    let (answer, pending, _) = polled(store.read(&long).interleaved());
    assert_eq!((answer.expect_err("too long").kind(), pending), (ErrorKind::InvalidArgument, 0));
    block_on(store.close())
}

#[test]
fn interleaved_reads_of_the_device_come_back() -> Result<()> {
    let store = memory_store::<u64, u64>(Config::default());
    block_on(async {
        for key in 0..100 {
            store.upsert(&key, &(key * 10)).await?;
        }
        store.flush_and_evict().await?;
        let keys: Vec<u64> = (0..100).rev().collect();
        let values = try_join_all(keys.iter().map(|key| store.read(key).interleaved())).await?;
        assert!(keys.iter().zip(values).all(|(key, value)| value == Some(key * 10)));
        store.close().await
    })
}

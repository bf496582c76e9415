//! Values that are computed when they are absent.
//!
//! Invariants: of many callers one computes; a failed, dropped or panicking computation passes the
//! turn to another caller; a value that was set meanwhile stays; each call counts as one read.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use kvick::codec::Expiring;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{Config, Error, ErrorKind, FasterKv};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::configs::memory_store;

/// Returns a future that is pending until `gate` is open.
async fn opened(gate: &Cell<bool>) {
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if gate.get() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn is_ready<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn one_of_many_callers_computes() -> kvick::Result<()> {
    block_on(async {
        let store: FasterKv<u64, str> = memory_store(Config::default());
        let (computed, gate) = (Cell::new(0), Cell::new(false));
        let compute = || async {
            computed.set(computed.get() + 1);
            opened(&gate).await;
            "value".to_owned()
        };
        let callers = join_all((0..100).map(|_| store.get_or_insert_with(&7, compute)));
        let others = async {
            assert_eq!(store.get_or_insert_with(&8, async || "other".to_owned()).await?, "other");
            gate.set(true);
            Ok::<_, Error>(())
        };
        let (answers, other) = futures::join!(callers, others);
        other?;
        for answer in answers {
            assert_eq!(answer?, "value");
        }
        assert_eq!(computed.get(), 1);
        assert_eq!(store.stats().operations.reads, 101, "each call is one read");
        store.close().await
    })
}

#[test]
fn a_failed_computation_passes_the_turn_on() -> kvick::Result<()> {
    block_on(async {
        let store: FasterKv<u64, u64> = memory_store(Config::default());
        let number = Cell::new(0);
        let compute = || async {
            number.set(number.get() + 1);
            let is_up = number.get() == 3;
            if is_up { Ok(5) } else { Err(Box::<dyn std::error::Error>::from("it is down")) }
        };
        let answers = join_all((0..10).map(|_| store.try_get_or_insert_with(&1, compute))).await;
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!((failed, number.get()), (2, 3));
        assert_eq!(store.read(&1).await?, Some(5));
        store.close().await
    })
}

#[test]
fn a_dropped_computation_passes_the_turn_on() -> kvick::Result<()> {
    block_on(async {
        let store: FasterKv<u64, u64> = memory_store(Config::default());
        let mut first = Box::pin(store.get_or_insert_with(&1, std::future::pending));
        assert!(is_ready(first.as_mut()).is_none());
        let mut second = pin!(store.get_or_insert_with(&1, async || 2));
        let mut third = pin!(store.get_or_insert_with(&1, async || 3));
        assert!(is_ready(second.as_mut()).is_none(), "it waits for the first");
        assert!(is_ready(third.as_mut()).is_none(), "it waits for the first");
        drop(first);
        assert_eq!(third.await?, 3);
        assert_eq!(second.await?, 3);
        store.close().await
    })
}

#[test]
fn a_panic_passes_through_and_ends_the_turn() -> kvick::Result<()> {
    block_on(async {
        let store: FasterKv<u64, u64> = memory_store(Config::default());
        let broken = async || panic!("the source panics");
        let mut first = Box::pin(store.get_or_insert_with(&1, broken));
        let caught = catch_unwind(AssertUnwindSafe(|| is_ready(first.as_mut())));
        assert!(caught.is_err());
        assert_eq!(store.get_or_insert_with(&1, async || 2).await?, 2);
        store.close().await
    })
}

#[test]
fn a_value_that_was_set_meanwhile_stays() -> kvick::Result<()> {
    block_on(async {
        let store: FasterKv<u64, u64> = memory_store(Config::default());
        let set = async || {
            store.upsert(&1, &10).await.expect("there is room");
            20
        };
        assert_eq!(store.get_or_insert_with(&1, set).await?, 10);
        assert_eq!(store.read(&1).await?, Some(10));
        store.close().await
    })
}

#[test]
fn waiting_callers_see_that_the_store_is_closed() -> kvick::Result<()> {
    block_on(async {
        let store: FasterKv<u64, u64> = memory_store(Config::default());
        let mut leaked = Box::pin(store.get_or_insert_with(&1, std::future::pending));
        assert!(is_ready(leaked.as_mut()).is_none());
        let mut waiting = pin!(store.get_or_insert_with(&1, async || 2));
        assert!(is_ready(waiting.as_mut()).is_none());
        store.close().await?;
        let error = waiting.await.expect_err("the store is closed");
        assert_eq!(error.kind(), ErrorKind::Closed);
        Ok(())
    })
}

#[test]
fn an_expired_value_is_computed_anew() -> kvick::Result<()> {
    block_on(async {
        let second = Arc::new(AtomicU64::new(1_000_000));
        let clock = Arc::clone(&second);
        let now = move || -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed))
        };
        let store: FasterKv<u64, Expiring<u64>> = FasterKv::builder(Config::default())
            .clock(now)
            .directory(Arc::new(MemoryDirectory::new()))
            .open_in_directory()
            .await?;
        let asked = Rc::new(Cell::new(0));
        let ask = || {
            let asked = Rc::clone(&asked);
            async move {
                asked.set(asked.get() + 1);
                Ok::<_, Error>((asked.get(), Expiry::after(Duration::from_secs(10))))
            }
        };
        assert_eq!(store.try_get_or_insert_expiring(&1, ask).await?, 1);
        assert_eq!(store.try_get_or_insert_expiring(&1, ask).await?, 1);
        second.fetch_add(11, Ordering::Relaxed);
        assert_eq!(store.try_get_or_insert_expiring(&1, ask).await?, 2);
        store.close().await
    })
}

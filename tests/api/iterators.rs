//! Batches of the items of iterators.

use kvick::prelude::*;
use kvick::runtime::block_on;
use kvick::session::Previous;
use tests::configs::memory_store;
use tests::polling::poll_once;
use tests::simulated::small_configs;
// This is the crate `futures`: the prelude does not hide it with the module of kvick.
use futures::FutureExt;

/// More items than any operation takes at once.
const MANY: u64 = 3000;

#[test]
fn every_item_is_done_once_and_answered_in_order() -> kvick::Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, u64> = memory_store(config);
        let check = async {
            let mut session = store.session()?;
            session.upsert_each((0..MANY).map(|n| (n, n))).await?;
            store.flush_and_evict().await?;
            session.rmw_each(0..MANY, |place, old| old.unwrap_or(0) * 10 + place as u64).await?;
            let values = session.read_each((0..=MANY).rev()).await?;
            let expected = |n| (n < MANY).then_some(n * 11);
            assert_eq!(values, (0..=MANY).rev().map(expected).collect::<Vec<_>>());

            let inserted = store.insert_each((MANY - 2..MANY + 2).map(|n| (n, 7))).await?;
            assert_eq!(inserted, [false, false, true, true]);
            let previous = store.delete_each([MANY + 1, MANY + 2]).await?;
            assert_eq!((previous.len(), previous[0]), (2, Previous::Present));
            assert_ne!(previous[1], Previous::Present);
            store.upsert_each([(1, 5), (1, 6)]).await?;
            store.rmw_each([1, 1], |place, old| old.unwrap_or(0) + 1 + place as u64).await?;
            assert_eq!(store.read_each([1]).await?, [Some(9)]);
            Ok::<_, Error>(())
        };
        block_on(check.boxed_local())?;
    }
    Ok(())
}

/// A key of text may be borrowed or owned.
#[test]
fn items_may_be_borrowed_or_owned() -> kvick::Result<()> {
    let store: FasterKv<str, str> = memory_store(small_configs()[0].clone());
    block_on(async {
        let words = ["one".to_owned(), "two".to_owned()];
        store.upsert_each(words.iter().map(|word| (word.as_str(), "borrowed"))).await?;
        store.upsert_each([("three".to_owned(), "owned".to_owned())]).await?;
        let values = store.read_each(words.iter().map(String::as_str).chain(["three"])).await?;
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values, [Some("borrowed"), Some("borrowed"), Some("owned")]);
        Ok(())
    })
}

/// The answers reserved the lower bound of `size_hint`, and panicked for an endless iterator.
#[test]
fn an_endless_iterator_goes_on_until_its_future_is_dropped() {
    let store: FasterKv<u64, u64> = memory_store(small_configs()[0].clone());
    let mut upsert = Box::pin(store.upsert_each((0..).map(|n| (n % 100, n))));
    assert!(poll_once(&mut upsert).is_pending(), "it lets other tasks run");
    let mut read = Box::pin(store.read_each(0..));
    assert!(poll_once(&mut read).is_pending());
    let mut delete = Box::pin(store.delete_each(0..));
    assert!(poll_once(&mut delete).is_pending());
    let mut insert = Box::pin(store.insert_each((0..).map(|n| (n % 100, n))));
    assert!(poll_once(&mut insert).is_pending());
    let mut rmw = Box::pin(store.rmw_each((0..).map(|n| n % 100), |_, old| old.unwrap_or(0)));
    assert!(poll_once(&mut rmw).is_pending());
}

/// The next batch began with another call of `next`, after the end.
#[test]
fn an_iterator_is_not_asked_again_after_its_end() -> kvick::Result<()> {
    let store: FasterKv<u64, u64> = memory_store(small_configs()[0].clone());
    // Ends after three items, and would begin anew.
    let mut calls = 0;
    let pairs = std::iter::from_fn(|| {
        calls += 1;
        (calls % 4 != 0).then_some((calls, calls))
    });
    block_on(store.upsert_each(pairs))?;
    assert_eq!(calls, 4);
    Ok(())
}

//! Updates with a result, and removals that report the removed value.

use std::cell::Cell;

use kvick::runtime::block_on;
use kvick::session::{Previous, Update};
use kvick::{FasterKv, Result};
use tests::configs::memory_store;
use tests::polling::poll_once;
use tests::samples::{SampleValue, pattern};
use tests::simulated::{small_configs, two_pages};

/// The places of the current value at the begin of the operation.
const PLACES: [&str; 3] = ["mutable", "flushed", "evicted"];

async fn move_to<V: SampleValue + ?Sized>(store: &FasterKv<u64, V>, place: &str) -> Result<()> {
    match place {
        "flushed" => store.flush().await,
        "evicted" => store.flush_and_evict().await,
        _ => Ok(()),
    }
}

/// Returns values that are stored in a word, in a page, and in pieces.
fn texts() -> Vec<Vec<u8>> {
    [0, 5, 300, 20_000].map(|length| pattern(9, length)).to_vec()
}

/// Calls `check` for each store, each place of the value and each value. It must remove the value.
fn everywhere<V: SampleValue + ?Sized>(
    values: &[V::Owned],
    check: impl AsyncFn(&FasterKv<u64, V>, &V::Owned) -> Result<()>,
) {
    for config in small_configs() {
        let store = memory_store::<u64, V>(config);
        for place in PLACES {
            for value in values {
                let outcome = block_on(async {
                    store.upsert(&1, std::borrow::Borrow::borrow(value)).await?;
                    move_to(&store, place).await?;
                    check(&store, value).await?;
                    move_to(&store, place).await?;
                    assert_eq!(store.read(&1).await?, None, "{place}");
                    assert_eq!(store.take(&1).await?, None, "{place}");
                    Ok::<_, kvick::Error>(())
                });
                outcome.unwrap_or_else(|error| panic!("{place}: {error}"));
            }
        }
    }
}

#[test]
fn a_value_is_taken() {
    everywhere::<[u8]>(&texts(), async |store, value| {
        assert_eq!(store.take(&1).await?.as_ref(), Some(value));
        Ok(())
    });
    everywhere::<u64>(&[0, 7], async |store, value| {
        assert_eq!(store.session()?.take(&1).await?.as_ref(), Some(value));
        Ok(())
    });
}

#[test]
fn a_decision_removes() {
    let remove = |old: Option<Vec<u8>>| Update::Remove(old);
    everywhere::<[u8]>(&texts(), async |store, value| {
        assert_eq!(store.update(&1, remove).await?.as_ref(), Some(value));
        assert_eq!(store.update(&1, remove).await?, None);
        Ok(())
    });
    everywhere::<u64>(&[0, 7], async |store, value| {
        assert_eq!(store.update(&1, Update::Remove).await?.as_ref(), Some(value));
        assert_eq!(store.update(&1, Update::Remove).await?, None);
        Ok(())
    });
}

#[test]
fn a_decision_keeps_and_puts() {
    everywhere::<[u8]>(&texts(), async |store, value| {
        assert_eq!(store.update(&1, Update::Keep).await?.as_ref(), Some(value));
        for new in texts() {
            let put = |old: Option<Vec<u8>>| Update::Put(new.clone(), old.is_some());
            assert!(store.update(&1, put).await?);
            assert_eq!(store.take(&1).await?.as_ref(), Some(&new));
            assert!(!store.update(&1, put).await?);
            assert_eq!(store.replace(&1, value).await?.as_ref(), Some(&new));
        }
        store.delete(&1).await?;
        Ok(())
    });
}

#[test]
fn a_condition_removes() {
    everywhere::<[u8]>(&texts(), async |store, value| {
        assert!(!store.delete_if(&1, |view| view.len() != value.len()).await?);
        assert!(!store.compare_and_delete(&1, b"another").await?);
        assert_eq!(store.read(&1).await?.as_ref(), Some(value));
        assert!(store.compare_and_delete(&1, value).await?);
        assert!(!store.compare_and_delete(&1, value).await?);
        store.upsert(&1, value).await?;
        assert!(store.delete_if(&1, |view| view == &value[..]).await?);
        assert!(!store.delete_if(&1, |_| unreachable!("it is absent")).await?);
        Ok(())
    });
    everywhere::<u64>(&[0, 7], async |store, value| {
        assert!(!store.delete_if(&1, |seen| seen != *value).await?);
        assert!(!store.compare_and_delete(&1, &(value + 1)).await?);
        assert!(store.compare_and_delete(&1, value).await?);
        assert_eq!(store.replace(&1, value).await?, None);
        assert!(store.delete_if(&1, |seen| seen == *value).await?);
        Ok(())
    });
}

#[test]
fn one_of_many_takes_gets_the_value() -> Result<()> {
    for config in small_configs() {
        let store = memory_store::<u64, u64>(config);
        block_on(async {
            for place in PLACES {
                store.upsert(&1, &5).await?;
                move_to(&store, place).await?;
                let takes = (0..20).map(|_| store.take(&1));
                let taken = futures::future::try_join_all(takes).await?;
                let taken: Vec<u64> = taken.into_iter().flatten().collect();
                assert_eq!(taken, [5], "{place}");
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn an_upsert_knows_what_memory_shows() -> Result<()> {
    for config in small_configs() {
        let store = memory_store::<u64, u64>(config);
        block_on(async {
            assert_eq!(store.upsert(&1, &5).await?, Previous::Absent);
            assert_eq!(store.upsert(&1, &6).await?, Previous::Present);
            store.flush().await?;
            assert_eq!(store.upsert(&1, &7).await?, Previous::Present);
            store.delete(&1).await?;
            assert_eq!(store.upsert(&1, &8).await?, Previous::Absent);
            store.flush_and_evict().await?;
            assert_eq!(store.upsert(&1, &9).await?, Previous::Unknown);
            assert_eq!(store.read(&1).await?, Some(9));
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn a_delete_reports_a_value_in_memory() -> Result<()> {
    for config in small_configs() {
        let store = memory_store::<u64, u64>(config);
        block_on(async {
            assert_eq!(store.delete(&1).await?, Previous::Absent);
            store.upsert(&1, &5).await?;
            assert_eq!(store.delete(&1).await?, Previous::Present);
            assert_eq!(store.delete(&1).await?, Previous::Absent);
            store.upsert(&1, &7).await?;
            store.flush().await?;
            assert_eq!(store.delete(&1).await?, Previous::Present);
            assert_eq!(store.delete(&1).await?, Previous::Absent);
            store.upsert(&1, &9).await?;
            store.flush_and_evict().await?;
            assert_eq!(store.delete(&1).await?, Previous::Unknown);
            assert_eq!(store.delete(&1).await?, Previous::Absent);
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

/// An operation on key 1. It returns the value that the key must have afterwards.
type Next = fn(&FasterKv<u64, u64>) -> Result<Option<u64>>;

/// A guard delays the removal of a word, and the removal is dropped meanwhile. The value stays, and
/// every operation continues with it.
#[test]
fn a_dropped_removal_of_a_word_leaves_the_value() -> Result<()> {
    let next: [Next; 7] = [
        |store| Ok(Some(5).filter(|_| block_on(store.read(&1)).is_ok_and(|it| it == Some(5)))),
        |store| block_on(store.rmw(&1, |old| old.unwrap_or(0) + 1)).map(Some),
        |store| block_on(store.upsert(&1, &9)).map(|_| Some(9)),
        |store| block_on(store.delete(&1)).map(|_| None),
        |store| block_on(store.take(&1)).map(|taken| taken.filter(|it| *it != 5)),
        |store| block_on(store.replace(&1, &4)).map(|old| old.filter(|it| *it == 5).map(|_| 4)),
        |store| block_on(store.compare_and_delete(&1, &5)).map(|done| (!done).then_some(0)),
    ];
    for next in next {
        let store = memory_store::<u64, u64>(two_pages());
        block_on(store.upsert(&1, &5))?;
        block_on(store.upsert(&2, &0))?;
        let was_pending = Cell::new(false);
        block_on(store.read_with(&2, |_| {
            let mut take = store.take(&1);
            was_pending.set(poll_once(&mut take).is_pending());
        }))?;
        assert!(was_pending.get(), "the reader is still protected");
        assert_eq!(block_on(store.read(&1))?, Some(5));
        let expected = next(&store)?;
        assert_eq!(block_on(store.read(&1))?, expected);
        block_on(store.flush_and_evict())?;
        assert_eq!(block_on(store.read(&1))?, expected);
        block_on(store.close())?;
    }
    Ok(())
}

/// A look-up of an absent key creates no entry in the index, and a decision to keep appends
/// nothing.
#[test]
fn a_decision_to_keep_nothing_appends_nothing() -> Result<()> {
    let store = memory_store::<u64, u64>(two_pages());
    block_on(async {
        for key in 0..1000 {
            assert!(store.update(&key, |old| Update::Keep(old.is_none())).await?);
            store.update(&key, |_| Update::Remove(())).await?;
        }
        let stats = store.stats();
        assert_eq!((stats.appends, stats.operations.modifies), (0, 2000));
        assert_eq!(stats.hits.absent, 2000);
        store.close().await
    })
}

//! Writes with a condition: insert if absent, and compare and swap.

use kvick::runtime::block_on;
use kvick::{FasterKv, Result};
use tests::configs::memory_store;
use tests::samples::pattern;
use tests::simulated::small_configs;

/// The places of the current value at the time of the comparison.
const PLACES: [&str; 3] = ["mutable", "flushed", "evicted"];

async fn move_to(store: &FasterKv<u64, [u8]>, place: &str) -> Result<()> {
    match place {
        "flushed" => store.flush().await,
        "evicted" => store.flush_and_evict().await,
        _ => Ok(()),
    }
}

fn stores() -> impl Iterator<Item = FasterKv<u64, [u8]>> {
    small_configs().into_iter().map(memory_store)
}

/// Values that are stored in a word, in a page, and in pieces.
fn values() -> [Vec<u8>; 3] {
    [5, 300, 20_000].map(|length| pattern(9, length))
}

#[test]
fn only_absent_keys_are_inserted() -> Result<()> {
    for store in stores() {
        block_on(async {
            for place in PLACES {
                for (key, value) in (0..).zip(values()) {
                    store.delete(&key).await?;
                    move_to(&store, place).await?;
                    assert!(store.insert_if_absent(&key, &value).await?, "{place}");
                    move_to(&store, place).await?;
                    assert!(!store.insert_if_absent(&key, b"other").await?, "{place}");
                    assert_eq!(store.read(&key).await?, Some(value));
                }
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn only_the_expected_value_is_swapped() -> Result<()> {
    for store in stores() {
        block_on(async {
            let mut session = store.session()?;
            for place in PLACES {
                for old in values() {
                    for new in values() {
                        session.upsert(&1, &old).await?;
                        move_to(&store, place).await?;
                        let almost = [&old[..old.len() - 1], &[!old[old.len() - 1]]].concat();
                        assert!(!session.compare_and_swap(&1, &almost, &new).await?, "{place}");
                        assert!(!session.compare_and_swap(&1, &old[1..], &new).await?, "{place}");
                        assert_eq!(session.read(&1).await?.as_ref(), Some(&old));
                        assert!(session.compare_and_swap(&1, &old, &new).await?, "{place}");
                        assert_eq!(session.read(&1).await?.as_ref(), Some(&new));
                    }
                }
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn an_absent_key_equals_no_expected_value() -> Result<()> {
    for store in stores() {
        block_on(async {
            for place in PLACES {
                assert!(!store.compare_and_swap(&1, b"", b"new").await?);
                store.upsert(&1, b"there").await?;
                move_to(&store, place).await?;
                store.delete(&1).await?;
                move_to(&store, place).await?;
                assert!(!store.compare_and_swap(&1, b"there", b"new").await?, "{place}");
                assert!(!store.compare_and_swap(&1, b"", b"new").await?, "{place}");
                assert_eq!(store.read(&1).await?, None);
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn one_of_many_swaps_wins() -> Result<()> {
    for store in stores() {
        block_on(async {
            for place in PLACES {
                store.upsert(&1, b"start").await?;
                move_to(&store, place).await?;
                let new: Vec<Vec<u8>> = (0..20).map(|n| pattern(n, 50)).collect();
                let swaps = new.iter().map(|new| store.compare_and_swap(&1, b"start", new));
                let swapped = futures::future::try_join_all(swaps).await?;
                let winners: Vec<_> = (0..).zip(swapped).filter(|(_, won)| *won).collect();
                let [(winner, _)] = winners[..] else {
                    panic!("{place}: {winners:?} won");
                };
                let winner: usize = winner;
                assert_eq!(store.read(&1).await?.as_ref(), Some(&new[winner]));
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

//! Batches of keys: a batch has the same result as its operations one after the other.

use kvick::runtime::block_on;
use kvick::session::Previous;
use kvick::{Config, ErrorKind, FasterKv, Result};
use tests::configs::memory_store;
use tests::simulated::small_configs;

#[test]
fn answers_are_in_the_order_of_the_keys() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, u64> = memory_store(config);
        block_on(async {
            for key in (0..300).step_by(2) {
                store.upsert(&key, &(key * 3)).await?;
            }
            store.flush_and_evict().await?;
            for key in (0..300).step_by(5) {
                store.upsert(&key, &(key * 7)).await?;
            }
            let expected = |key: u64| match key {
                _ if key.is_multiple_of(5) && key < 300 => Some(key * 7),
                _ if key.is_multiple_of(2) && key < 300 => Some(key * 3),
                _ => None,
            };
            let mut session = store.session()?;
            for length in [0, 1, 2, 31, 32, 33, 64, 65, 400] {
                // The keys are in no order, and some occur twice.
                let keys: Vec<u64> = (0..length).map(|n| n * 77 % 350).collect();
                let expected: Vec<_> = keys.iter().map(|&key| expected(key)).collect();
                assert_eq!(session.read_many(&keys).await?, expected);
                assert_eq!(store.read_many(&keys).await?, expected);
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn the_later_of_two_pairs_with_one_key_stays() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<str, [u8]> = memory_store(config);
        block_on(async {
            let pairs: Vec<(String, Vec<u8>)> = (0..200_u8)
                .map(|n| (format!("key {}", n % 40), vec![n; usize::from(n) * 20]))
                .collect();
            store.upsert_many(&pairs).await?;
            for n in 160..200_u8 {
                let found = store.read(&format!("key {}", n % 40)).await?;
                assert_eq!(found, Some(vec![n; usize::from(n) * 20]));
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn every_key_is_modified_once_for_each_time_it_is_named() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, u64> = memory_store(config);
        block_on(async {
            let mut session = store.session()?;
            for round in 0..4 {
                let keys: Vec<u64> = (0..300).map(|n| n % 100).collect();
                let mut places = vec![0; keys.len()];
                let update = |place: usize, value: Option<u64>| {
                    places[place] += 1;
                    value.unwrap_or(0) + 1
                };
                session.rmw_many(&keys, update).await?;
                assert!(
                    places.iter().all(|&count| count > 0),
                    "the closure did not get every position"
                );
                if round % 2 == 1 {
                    store.flush_and_evict().await?;
                }
            }
            for key in 0..100 {
                assert_eq!(session.read(&key).await?, Some(12));
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

/// The chain of a key begins elsewhere after its value has outgrown its record, also for the next
/// change of the same group, which has looked the chain up before and fits in the old record.
#[test]
fn a_value_grows_and_shrinks_within_a_batch() -> Result<()> {
    // A sum over all changes so far, and padding that grows and shrinks.
    let change = |place: usize, value: Option<Vec<u8>>| {
        let sum = value.map_or([0; 8], |value| *value.first_chunk().expect("a sum"));
        let sum = u64::from_le_bytes(sum).wrapping_mul(31).wrapping_add(place as u64);
        let mut value = sum.to_le_bytes().to_vec();
        value.resize(8 + if place / 5 % 2 == 1 { place } else { 0 }, 0);
        value
    };
    // All records stay in memory: those on the device follow in no particular order.
    let store: FasterKv<str, [u8]> = memory_store(Config::default());
    block_on(async {
        let mut session = store.session()?;
        let keys: Vec<String> = (0..200).map(|n| format!("key {}", n % 5)).collect();
        session.rmw_many(&keys, change).await?;
        store.rmw_many(&keys, |place, value| change(place + 200, value)).await?;
        for (n, key) in keys[..5].iter().enumerate() {
            let places = (0..400).filter(|place| place % 5 == n);
            let expected = places.fold(None, |value, place| Some(change(place, value)));
            assert_eq!(store.read(key).await?, expected);
        }
        Ok(())
    })
}

#[test]
fn the_position_identifies_the_key() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(small_configs().swap_remove(0));
    block_on(async {
        let keys: Vec<u64> = (0..500).rev().collect();
        store.rmw_many(&keys, |place, _| keys[place] * 2).await?;
        store.flush_and_evict().await?;
        store.rmw_many(&keys, |place, value| value.unwrap_or(0) + keys[place]).await?;
        for key in keys {
            assert_eq!(store.read(&key).await?, Some(key * 3));
        }
        Ok(())
    })
}

#[test]
fn only_keys_without_a_value_are_inserted() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            let mut session = store.session()?;
            // Every third key has a value; half of these values are on the device.
            for key in (0..150).step_by(3) {
                session.upsert(&key, b"old").await?;
            }
            store.flush_and_evict().await?;
            for key in (150..300).step_by(3) {
                session.upsert(&key, b"old").await?;
            }
            let pairs: Vec<(u64, &[u8])> = (0..300).map(|key| (key, &b"new"[..])).collect();
            let before = session.serial();
            let inserted = session.insert_many(&pairs).await?;
            assert_eq!(session.serial(), before + 300, "each pair is an operation");
            assert!(inserted.into_iter().eq((0..300).map(|key| key % 3 != 0)));
            assert_eq!(store.insert_many(&pairs).await?, vec![false; 300]);
            for (key, _) in &pairs {
                let expected = if key % 3 == 0 { b"old" } else { b"new" };
                assert_eq!(session.read(key).await?.as_deref(), Some(&expected[..]));
            }
            assert_eq!(store.insert_many::<u64, Vec<u8>>(&[]).await?, [false; 0]);
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn one_of_two_pairs_with_one_key_is_inserted() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, u64> = memory_store(config);
        block_on(async {
            let keys: Vec<u64> = (0..100).collect();
            store.upsert_many(&keys.iter().map(|key| (*key, 0)).collect::<Vec<_>>()).await?;
            store.delete_many(&keys).await?;
            for on_device in [false, true] {
                if on_device {
                    store.delete_many(&keys).await?;
                    store.flush_and_evict().await?;
                }
                let pairs: Vec<(u64, u64)> = (0..300).map(|n| (n % 100, n + 1)).collect();
                let inserted = store.insert_many(&pairs).await?;
                let winners = pairs.iter().zip(inserted).filter(|(_, inserted)| *inserted);
                let winners: Vec<&(u64, u64)> = winners.map(|(pair, _)| pair).collect();
                assert_eq!(winners.len(), 100);
                for (key, value) in winners {
                    assert_eq!(store.read(key).await?, Some(*value));
                }
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn keys_are_removed_in_their_order() -> Result<()> {
    // A store with two pages may evict a record before its deletion.
    for config in small_configs().into_iter().skip(1) {
        let store: FasterKv<str, u64> = memory_store(config);
        block_on(async {
            let mut session = store.session()?;
            for n in 0..100 {
                session.upsert(&format!("key {n}"), &n).await?;
            }
            // Each present key twice, and each absent key twice.
            let keys: Vec<String> = (0..400).map(|n| format!("key {}", n % 200)).collect();
            let previous = session.delete_many(&keys).await?;
            let expected = |n| if n < 100 { Previous::Present } else { Previous::Absent };
            assert!(previous.into_iter().eq((0..400).map(expected)));
            assert_eq!(session.serial(), 500);
            assert!(session.read_many(&keys).await?.iter().all(Option::is_none));
            assert_eq!(store.delete_many::<String>(&[]).await?, []);
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn removing_many_does_not_read_the_device() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(small_configs().swap_remove(1));
    block_on(async {
        let keys: Vec<u64> = (0..100).collect();
        let pairs: Vec<(u64, u64)> = keys.iter().map(|key| (*key, 1)).collect();
        store.upsert_many(&pairs).await?;
        store.flush_and_evict().await?;
        let before = store.stats().device.reads;
        assert_eq!(store.delete_many(&keys).await?, vec![Previous::Unknown; 100]);
        assert_eq!(store.stats().device.reads, before);
        assert_eq!(store.delete_many(&keys).await?, vec![Previous::Absent; 100]);
        Ok(())
    })
}

/// The keys of a group were encoded first, and none of the pairs before a refused key was set.
#[test]
fn the_items_before_a_refused_key_are_done() -> Result<()> {
    let long = "k".repeat(100_000);
    for config in small_configs() {
        let store: FasterKv<str, u64> = memory_store(config);
        block_on(async {
            let pairs = [("a", 1), ("b", 2), (long.as_str(), 3), ("c", 4)];
            let keys = ["a", "b", "c"];
            let error = store.upsert_many(&pairs).await.expect_err("the key is too long");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert_eq!(store.read_many(&keys).await?, [Some(1), Some(2), None]);
            store.upsert_each(keys.map(|key| (key, 5))).await?;
            store.upsert_each(pairs).await.expect_err("the key is too long");
            assert_eq!(store.read_many(&keys).await?, [Some(1), Some(2), Some(5)]);
            let refused = store.delete_many(&["a", long.as_str(), "b"]).await;
            refused.expect_err("the key is too long");
            assert_eq!(store.read_many(&keys).await?, [None, Some(2), Some(5)]);
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

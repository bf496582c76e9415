//! Many keys in one call: the same as one after the other.

use kvick::runtime::block_on;
use kvick::{FasterKv, Result};
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
                // In no order, some of them twice.
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
fn of_two_pairs_with_one_key_the_later_stays() -> Result<()> {
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
                assert!(places.iter().all(|&count| count > 0), "a place was left out");
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

#[test]
fn the_position_tells_which_key() -> Result<()> {
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

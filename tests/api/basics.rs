//! The basic operations, through a session, through a handle, and through both at once.

use kvick::futures::TryRead;
use kvick::runtime::block_on;
use kvick::{FasterKv, Result};
use tests::configs::memory_store;
use tests::simulated::small_configs;

fn stores() -> Vec<FasterKv<u64, u64>> {
    small_configs().into_iter().map(memory_store).collect()
}

#[test]
fn a_written_value_is_read() -> Result<()> {
    for store in stores() {
        block_on(async {
            let mut session = store.session()?;
            for key in 0..256 {
                assert_eq!(session.read(&key).await?, None);
                assert!(!session.contains(&key).await?);
                session.upsert(&key, &(key + 1)).await?;
                assert_eq!(session.read(&key).await?, Some(key + 1));
                session.upsert(&key, &(key + 2)).await?;
            }
            for key in 0..256 {
                assert_eq!(session.read(&key).await?, Some(key + 2));
                assert_eq!(session.read_with(&key, |view| view * 2).await?, Some(key * 2 + 4));
                assert!(session.contains(&key).await?);
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn a_modification_gets_the_present_value() -> Result<()> {
    for store in stores() {
        block_on(async {
            let mut session = store.session()?;
            for round in 0..3 {
                for key in 0..100 {
                    let add = |value: Option<u64>| {
                        assert_eq!(value, (round > 0).then_some(round * key));
                        value.unwrap_or(0) + key
                    };
                    session.rmw(&key, add).await?;
                }
                store.flush_and_evict().await?;
            }
            assert_eq!(session.read(&7).await?, Some(21));
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn a_deleted_key_is_absent_and_can_come_back() -> Result<()> {
    for store in stores() {
        block_on(async {
            let mut session = store.session()?;
            for evict in [false, true] {
                for key in 0..100 {
                    session.upsert(&key, &1).await?;
                }
                if evict {
                    store.flush_and_evict().await?;
                }
                for key in 0..100 {
                    session.delete(&key).await?;
                    assert_eq!(session.read(&key).await?, None);
                    // A delete of an absent key succeeds.
                    session.delete(&key).await?;
                    session.delete(&(key + 1000)).await?;
                }
                if evict {
                    store.flush_and_evict().await?;
                }
                for key in 0..100 {
                    assert!(!session.contains(&key).await?);
                    session.rmw(&key, |value| value.map_or(5, |_| 6)).await?;
                    assert_eq!(session.read(&key).await?, Some(5));
                }
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn sessions_and_handles_see_each_other() -> Result<()> {
    for store in stores() {
        block_on(async {
            let (mut one, mut other) = (store.session()?, store.session()?);
            let handle = store.clone();
            one.upsert(&1, &10).await?;
            assert_eq!(other.read(&1).await?, Some(10));
            other.rmw(&1, |value| value.unwrap_or(0) + 1).await?;
            assert_eq!(handle.read(&1).await?, Some(11));
            handle.delete(&1).await?;
            assert_eq!(one.read(&1).await?, None);
            handle.upsert(&1, &3).await?;
            drop(one);
            assert_eq!(other.read_with(&1, |view| view).await?, Some(3));
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn operations_of_a_handle_run_side_by_side() -> Result<()> {
    for store in stores() {
        block_on(async {
            for key in 0..200 {
                store.upsert(&key, &key).await?;
            }
            store.flush_and_evict().await?;
            let reads = (0..200).map(|key| {
                let store = &store;
                async move { store.read(&key).await.map(|value| (key, value)) }
            });
            for (key, value) in futures::future::try_join_all(reads).await? {
                assert_eq!(value, Some(key));
            }
            let adds = (0..200).map(|_| store.rmw(&1, |value| value.unwrap_or(0) + 1));
            futures::future::try_join_all(adds).await?;
            assert_eq!(store.read(&1).await?, Some(201));
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn a_try_is_ready_in_memory_and_pending_on_the_device() -> Result<()> {
    for store in stores() {
        block_on(async {
            let mut session = store.session()?;
            assert!(matches!(session.try_read(&1), TryRead::Ready(Ok(None))));
            session.upsert(&1, &10).await?;
            assert!(matches!(session.try_read(&1), TryRead::Ready(Ok(Some(10)))));
            store.flush().await?;
            assert!(matches!(store.try_read(&1), TryRead::Ready(Ok(Some(10)))));
            store.flush_and_evict().await?;
            for _ in 0..3 {
                let TryRead::Pending(read) = session.try_read(&1) else {
                    panic!("the record is on the device");
                };
                assert_eq!(read.await?, Some(10));
            }
            // A blind write needs no read, so the next read is ready again.
            session.upsert(&1, &11).await?;
            assert!(matches!(session.try_read(&1), TryRead::Ready(Ok(Some(11)))));
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

//! User code that panics or refuses: the panic passes through, the value stays, and the store stays
//! usable.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use futures::FutureExt;
use kvick::codec::Expiring;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterKv, Key, Result, Value, codec};
use tests::configs::memory_store;
use tests::simulated::small_configs;

/// A codec that panics or fails on some numbers.
struct Moody<const WORD: bool>;

const PANICS_IN_ENCODE: u64 = 601;
const REFUSES_ENCODE: u64 = 602;
const PANICS_IN_DECODE: u64 = 603;
const REFUSES_DECODE: u64 = 604;

impl<const WORD: bool> Value for Moody<WORD> {
    type Item = u64;
    type Owned = u64;
    type View<'a> = u64;
    type Bytes<'a> = [u8; 8];
    const WIDTH: Option<usize> = if WORD { Some(8) } else { None };

    fn type_name() -> Cow<'static, str> {
        "tests.moody".into()
    }

    fn encode(item: &u64) -> Result<[u8; 8], codec::Error> {
        assert_ne!(*item, PANICS_IN_ENCODE, "encode panics");
        if *item == REFUSES_ENCODE {
            return Err(codec::Error::new("encode refuses"));
        }
        Ok(item.to_le_bytes())
    }

    fn view(bytes: &[u8]) -> Result<u64, codec::Error> {
        let bytes = bytes.try_into();
        let item = u64::from_le_bytes(bytes.map_err(|_| codec::Error::new("not 8 bytes"))?);
        assert_ne!(item, PANICS_IN_DECODE, "decode panics");
        if item == REFUSES_DECODE {
            return Err(codec::Error::new("decode refuses"));
        }
        Ok(item)
    }

    fn decode(bytes: &[u8]) -> Result<u64, codec::Error> {
        Self::view(bytes)
    }
}

impl<const WORD: bool> Key for Moody<WORD> {}

type Store<const WORD: bool> = FasterKv<Moody<WORD>, Moody<WORD>>;

/// The number of attempts. Each one works on key 1, which holds 10, and each one fails.
const ATTEMPTS: u32 = 9;

async fn attempt<const WORD: bool>(store: &Store<WORD>, number: u32) -> Result<()> {
    let mut session = store.session()?;
    match number {
        0 => session.rmw(&1, |_| panic!("the closure panics")).await.map(drop),
        1 => store.rmw(&1, |_| panic!("the closure panics")).await.map(drop),
        2 => session.rmw(&1, |_| PANICS_IN_ENCODE).await.map(drop),
        3 => store.rmw(&1, |_| REFUSES_ENCODE).await.map(drop),
        4 => session.read_with(&1, |_| panic!("the view panics")).await.map(drop),
        5 => store.upsert(&1, &PANICS_IN_ENCODE).await.map(drop),
        6 => session.compare_and_swap(&1, &10, &REFUSES_ENCODE).await.map(drop),
        7 => {
            store
                .rmw_many(&[2, 1], |place, value| {
                    assert_ne!(place, 1, "the closure panics");
                    value.expect("it is there")
                })
                .await
        }
        _ => store.upsert(&REFUSES_ENCODE, &1).await.map(drop),
    }
}

fn value_survives<const WORD: bool>() -> Result<()> {
    for config in small_configs() {
        let store: Store<WORD> = memory_store(config);
        for evicted in [false, true] {
            for number in 0..ATTEMPTS {
                block_on(async {
                    store.upsert(&1, &10).await?;
                    store.upsert(&2, &20).await?;
                    if evicted {
                        store.flush_and_evict().await?;
                    }
                    let attempt = AssertUnwindSafe(attempt(&store, number));
                    match attempt.catch_unwind().await {
                        Ok(Ok(())) => panic!("attempt {number} succeeds"),
                        Ok(Err(error)) => assert_eq!(error.kind(), ErrorKind::Codec, "{error}"),
                        Err(_) => {}
                    }
                    assert_eq!(store.read(&1).await?, Some(10), "after attempt {number}");
                    assert_eq!(store.read(&2).await?, Some(20), "after attempt {number}");
                    // No attempt kept a guard: the log can still move its boundaries.
                    store.flush_and_evict().await?;
                    store.rmw(&1, |value| value.unwrap_or(0) + 1).await?;
                    assert_eq!(store.read(&1).await?, Some(11));
                    Ok::<_, kvick::Error>(())
                })?;
            }
        }
        block_on(store.close())?;
    }
    Ok(())
}

#[test]
fn a_word_survives_failed_operations() -> Result<()> {
    value_survives::<true>()
}

#[test]
fn bytes_survive_failed_operations() -> Result<()> {
    value_survives::<false>()
}

/// Checks that an unreadable value can be replaced.
fn unreadable<const WORD: bool>() -> Result<()> {
    let store: Store<WORD> = memory_store(small_configs().swap_remove(0));
    block_on(async {
        for evicted in [false, true] {
            for value in [PANICS_IN_DECODE, REFUSES_DECODE] {
                store.upsert(&1, &value).await?;
                if evicted {
                    store.flush_and_evict().await?;
                }
                let read = AssertUnwindSafe(store.read(&1)).catch_unwind().await;
                let view = AssertUnwindSafe(store.read_with(&1, |view| view)).catch_unwind().await;
                let modify = AssertUnwindSafe(store.rmw(&1, |_| 5)).catch_unwind().await;
                if value == REFUSES_DECODE {
                    let errors = [
                        read.expect("no panic").expect_err("it refuses"),
                        view.expect("no panic").expect_err("it refuses"),
                        modify.expect("no panic").expect_err("it refuses"),
                    ];
                    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Codec));
                } else {
                    assert!(read.is_err() && view.is_err() && modify.is_err());
                }
                assert!(store.contains(&1).await?, "it is there, readable or not");
                store.upsert(&1, &7).await?;
                assert_eq!(store.read(&1).await?, Some(7));
            }
        }
        store.close().await
    })
}

#[test]
fn an_unreadable_value_can_be_replaced() -> Result<()> {
    unreadable::<true>()?;
    unreadable::<false>()
}

#[test]
fn a_key_that_panics_harms_no_other_operation() -> Result<()> {
    let store: Store<true> = memory_store(small_configs().swap_remove(0));
    let key = PANICS_IN_ENCODE;
    let panics = |operation: &dyn Fn() -> Result<()>| {
        let caught = catch_unwind(AssertUnwindSafe(operation));
        assert!(caught.is_err(), "the key panics");
    };
    block_on(store.upsert(&1, &10))?;
    panics(&|| block_on(store.read(&key)).map(drop));
    panics(&|| block_on(store.upsert(&key, &1)).map(drop));
    panics(&|| block_on(store.rmw(&key, |_| 1)).map(drop));
    panics(&|| block_on(store.delete(&key)).map(drop));
    panics(&|| block_on(store.read_many(&[1, key])).map(drop));
    panics(&|| block_on(store.upsert_many(&[(2, 20), (key, 1)])));
    block_on(store.flush_and_evict())?;
    assert_eq!(block_on(store.read(&1))?, Some(10));
    block_on(store.close())
}

/// Each key of a write that failed got an entry of the index.
#[test]
fn a_key_whose_first_write_fails_has_no_entry() -> Result<()> {
    let store: Store<false> = memory_store(small_configs().swap_remove(2));
    block_on(store.upsert(&1, &10))?;
    for key in 1000..1004 {
        let writes: [&dyn Fn() -> Result<()>; 4] = [
            &|| block_on(store.rmw(&key, |_| panic!("the closure panics"))).map(drop),
            &|| block_on(store.rmw(&key, |_| REFUSES_ENCODE)).map(drop),
            &|| block_on(store.insert_if_absent(&key, &PANICS_IN_ENCODE)).map(drop),
            &|| block_on(store.rmw_many(&[key], |_, _| PANICS_IN_ENCODE)),
        ];
        for write in writes {
            let failed = catch_unwind(AssertUnwindSafe(write)).map_or(true, |it| it.is_err());
            assert!(failed, "key {key}");
        }
    }
    assert_eq!(store.stats().index.entries, 1);
    block_on(store.close())
}

/// The caller was told that the store is closed.
#[test]
fn a_caller_learns_that_a_driver_panicked() {
    let broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&broken);
    let clock = move || {
        assert!(!seen.load(Ordering::Relaxed), "the clock panics");
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    };
    let builder = FasterKv::<u64, Expiring<u64>>::builder(small_configs().swap_remove(0));
    let builder = builder.clock(clock).directory(Arc::new(MemoryDirectory::new()));
    block_on(async {
        let store = builder.open_in_directory().await.expect("sound memory");
        store.upsert(&1, &1).await.expect("sound memory");
        broken.store(true, Ordering::Relaxed);
        let error = store.checkpoint().await.expect_err("the clock panics");
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        assert!(error.to_string().contains("the clock panics"), "{error}");
    });
}

/// A closure may use the store itself, because it runs without any lock.
#[test]
fn a_closure_may_call_the_store() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(small_configs().swap_remove(0));
    block_on(async {
        store.upsert(&1, &10).await?;
        store.upsert(&2, &20).await?;
        let sum = |value: Option<u64>| {
            let other = block_on(store.read(&2)).expect("sound memory");
            value.unwrap_or(0) + other.unwrap_or(0)
        };
        store.rmw(&1, sum).await?;
        assert_eq!(store.read(&1).await?, Some(30));
        store.close().await
    })
}

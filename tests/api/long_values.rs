//! Values of all lengths from zero to several MiB, in small pages.

use kvick::config::ByteSize;
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv, Result};
use tests::configs::memory_store;
use tests::samples::pattern;
use tests::simulated::small_configs;

/// Lengths around every boundary: of a word, half a page, a page, and a piece.
const LENGTHS: [usize; 20] = [
    0, 1, 7, 8, 9, 100, 500, 1975, 1983, 1984, 1991, 1992, 2000, 2016, 2017, 4032, 4097, 10_000,
    100_000, 400_000,
];

#[test]
fn a_value_of_any_length_comes_back() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            let mut session = store.session()?;
            for (key, length) in (0..).zip(LENGTHS) {
                let value = pattern(key, length);
                session.upsert(&key, &value).await?;
                assert_eq!(session.read(&key).await?.as_ref(), Some(&value), "{length} bytes");
            }
            store.flush_and_evict().await?;
            for (key, length) in (0..).zip(LENGTHS) {
                let value = pattern(key, length);
                assert_eq!(session.read(&key).await?.as_ref(), Some(&value), "{length} bytes");
                let is_same = session.read_with(&key, |view| view == value).await?;
                assert_eq!(is_same, Some(true), "{length} bytes");
                assert!(session.contains(&key).await?);
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn a_value_grows_and_shrinks_over_every_boundary() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<[u8], [u8]> = memory_store(config);
        block_on(async {
            for evict in [false, true] {
                let mut before = None;
                for length in LENGTHS.into_iter().chain(LENGTHS.into_iter().rev()) {
                    if length > 100_000 {
                        continue;
                    }
                    let modify = |value: Option<Vec<u8>>| {
                        assert_eq!(value, before, "before {length} bytes");
                        pattern(7, length)
                    };
                    store.rmw(b"key", modify).await?;
                    before = store.read(b"key").await?;
                    assert_eq!(before.as_ref(), Some(&pattern(7, length)));
                    if evict {
                        store.flush_and_evict().await?;
                    }
                }
                store.delete(b"key").await?;
                assert_eq!(store.read(b"key").await?, None);
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

#[test]
fn several_mebibytes_pass_through_a_memory_of_64_kibibytes() -> Result<()> {
    let config = Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(16))
        .with_index_buckets(4)
        .with_huge_pages(false);
    let store: FasterKv<u64, [u8]> = memory_store(config);
    block_on(async {
        let value = pattern(1, 5 << 20);
        store.upsert(&1, &value).await?;
        store.upsert(&2, &value[1..]).await?;
        assert!(store.read(&1).await? == Some(value.clone()), "the first differs");
        assert!(store.read(&2).await?.as_deref() == Some(&value[1..]), "the second differs");
        let appended = store.rmw(&1, |value| [value.unwrap_or_default(), vec![1, 2, 3]].concat());
        appended.await?;
        let length = store.read_with(&1, <[u8]>::len).await?;
        assert_eq!(length, Some((5 << 20) + 3));
        assert!(store.compare_and_swap(&2, &value[1..], b"short").await?);
        assert_eq!(store.read(&2).await?.as_deref(), Some(&b"short"[..]));
        store.close().await
    })
}

#[test]
fn an_error_names_the_limit_of_values() -> Result<()> {
    let config = small_configs().swap_remove(0).with_max_value(ByteSize::new(10_000));
    let store: FasterKv<[u8], [u8]> = memory_store(config);
    block_on(async {
        store.upsert(b"key", &[1; 10_000]).await?;
        let value = vec![2; 10_001];
        let refusals = [
            store.upsert(b"key", &value).await.expect_err("too long"),
            store.rmw(b"key", |_| value.clone()).await.expect_err("too long"),
            store.compare_and_swap(b"key", &[1; 10_000], &value).await.expect_err("too long"),
            store.insert_if_absent(b"new", &value).await.expect_err("too long"),
        ];
        for error in refusals {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            let text = error.to_string();
            assert!(text.contains("10001 bytes") && text.contains("10000"), "{text}");
        }
        assert_eq!(store.read(b"key").await?, Some(vec![1; 10_000]));
        assert_eq!(store.read(b"new").await?, None);

        let key = vec![b'k'; 5000];
        let error = store.upsert(&key, b"value").await.expect_err("the key is too long");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("key of 5000 bytes"), "{error}");
        let error = store.read(&key).await.expect_err("the key is too long");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        store.close().await
    })
}

/// The operation writes the new value in pieces while it waits for its record, and returns it
/// whole.
#[test]
fn a_modification_returns_a_value_of_any_length() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            for evict in [false, true] {
                for (at, length) in LENGTHS.into_iter().enumerate() {
                    let new = store.rmw(&1, |_| pattern(7, length)).await?;
                    assert!(new == pattern(7, length), "{length} bytes, number {at}");
                    if evict {
                        store.flush_and_evict().await?;
                    }
                }
            }
            Ok::<_, kvick::Error>(())
        })?;
    }
    Ok(())
}

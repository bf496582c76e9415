//! Scans of tables, with memory of some pages and with memory for everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use futures::{FutureExt, StreamExt, TryStreamExt};
use kvick::codec::Expiring;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{Database, ErrorKind, FasterKv, Result};
use tests::configs::{memory_store, sizes, two_buckets};
use tests::polling::poll_once;
use tests::samples::pattern;

const KEYS: u64 = 700;

/// A value whose length depends on the key and the version; some are longer than pages.
fn value(key: u64, version: u64) -> Vec<u8> {
    let length = if key.is_multiple_of(97) { 20_000 } else { key % 50 + version % 3 };
    pattern(key * 1000 + version, usize::try_from(length).expect("small"))
}

#[test]
fn a_scan_shows_each_live_key_once() -> Result<()> {
    for config in sizes() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            assert_eq!(store.scan().count().await, 0);
            let mut model = BTreeMap::new();
            for version in 0..3 {
                for key in (0..KEYS).filter(|key| key % 3 >= version) {
                    store.upsert(&key, &value(key, version)).await?;
                    model.insert(key, value(key, version));
                }
                for key in (0..KEYS).filter(|key| key % 11 == version) {
                    store.delete(&key).await?;
                    model.remove(&key);
                }
                let mut found: Vec<_> = store.scan().try_collect().await?;
                found.sort();
                let expected = model.iter().map(|(key, value)| (*key, value.clone()));
                assert!(found.into_iter().eq(expected), "version {version}");
                assert_eq!(store.count().await?, model.len() as u64);
                if version == 1 {
                    store.flush_and_evict().await?;
                }
            }
            store.close().await
        })?;
    }
    Ok(())
}

/// Values that changed in place after the moment showed in the scan.
#[test]
fn a_scan_shows_the_moment_of_its_first_key() -> Result<()> {
    for config in sizes() {
        let store: FasterKv<u64, u64> = memory_store(config);
        block_on(async {
            store.upsert_each((0..KEYS).map(|key| (key, key))).await?;
            let mut scan = store.scan();
            let mut found = BTreeMap::from_iter(scan.try_next().await?);
            for key in 0..KEYS {
                match key % 3 {
                    0 => _ = store.upsert(&key, &u64::MAX).await?,
                    1 => _ = store.delete(&key).await?,
                    _ => _ = store.take(&key).await?,
                }
                store.upsert(&(key + KEYS), &key).await?;
            }
            while let Some((key, value)) = scan.try_next().await? {
                assert_eq!(found.insert(key, value), None, "{key} comes once");
            }
            assert!(found.into_iter().eq((0..KEYS).map(|key| (key, key))));
            assert_eq!(store.count().await?, KEYS.div_ceil(3) + KEYS);
            store.close().await
        })?;
    }
    Ok(())
}

#[test]
fn retain_deletes_the_other_keys_and_clear_all() -> Result<()> {
    for config in sizes() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            for version in 0..2 {
                for key in (0..KEYS).filter(|key| key % 3 >= version) {
                    store.upsert(&key, &value(key, version)).await?;
                }
                if version == 0 {
                    store.flush_and_evict().await?;
                }
            }
            let removed =
                store.retain(|key, value| key.is_multiple_of(2) || value.len() > 1000).await?;
            let is_kept = |key: &u64| key.is_multiple_of(2) || key.is_multiple_of(97);
            assert_eq!(removed, KEYS - (0..KEYS).filter(is_kept).count() as u64);
            for key in 0..KEYS {
                assert_eq!(store.contains(&key).await?, is_kept(&key), "{key}");
            }
            assert_eq!(store.retain(|_key, _value| true).await?, 0);
            assert_eq!(store.clear().await?, KEYS - removed);
            assert_eq!((store.count().await?, store.clear().await?), (0, 0));
            store.upsert(&1, b"again").await?;
            assert_eq!(store.count().await?, 1);
            store.close().await
        })?;
    }
    Ok(())
}

/// The tables share chains: the index has two buckets.
#[test]
fn a_scan_is_of_one_table() -> Result<()> {
    block_on(async {
        let builder = Database::builder(two_buckets());
        let builder = builder.directory(Arc::new(MemoryDirectory::new()));
        let database: Database = builder.open_in_directory().await?;
        let words: FasterKv<u64, u64> = database.table("words").await?;
        let texts: FasterKv<str, str> = database.table("texts").await?;
        for key in 0..KEYS {
            words.upsert(&(key % 300), &key).await?;
            texts.upsert(&(key % 200).to_string(), &key.to_string()).await?;
        }
        let mut found: Vec<_> = words.scan().try_collect().await?;
        found.sort_unstable();
        let newest = |key: u64, keys: u64| key + (KEYS - 1 - key) / keys * keys;
        assert!(found.into_iter().eq((0..300).map(|key| (key, newest(key, 300)))));
        let sum = texts.scan_with(|_key, text| text.parse::<u64>().ok());
        let sum = sum.try_fold(0, async |sum, number| Ok(sum + number)).await?;
        assert_eq!(sum, (0..200).map(|key| newest(key, 200)).sum::<u64>());
        database.drop_table("words").await?;
        let refused = words.scan().try_next().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert_eq!(texts.count().await?, 200);
        database.close().await
    })
}

#[test]
fn a_cursor_is_of_one_table_and_opening() -> Result<()> {
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let open = async || {
            let builder = Database::builder(two_buckets().with_checkpoint_on_close(true));
            builder.directory(Arc::clone(&directory) as _).open_in_directory().await
        };
        let database: Database = open().await?;
        let words: FasterKv<u64, u64> = database.table("words").await?;
        let others: FasterKv<u64, u64> = database.table("others").await?;
        words.upsert_each((0..KEYS).map(|key| (key, key))).await?;
        let begin = words.scan().cursor();
        let mut scan = words.scan();
        scan.try_next().await?;
        let cursor = scan.cursor();
        assert!(scan.count().await as u64 >= KEYS - 1);
        let rest = words.scan_from(cursor.clone())?.count().await as u64;
        assert!((KEYS - 1..=KEYS).contains(&rest));
        assert_eq!(words.scan_from(begin)?.count().await as u64, KEYS);
        // After the end, only later keys show.
        let mut scan = words.scan();
        while scan.try_next().await?.is_some() {}
        words.upsert(&KEYS, &1).await?;
        let later: Vec<_> = words.scan_from(scan.cursor())?.try_collect().await?;
        assert_eq!(later, [(KEYS, 1)]);
        drop(scan);
        let refused = others.scan_from(cursor.clone()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        database.close().await?;
        let words: FasterKv<u64, u64> = open().await?.table("words").await?;
        let refused = words.scan_from(cursor).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert_eq!(words.count().await?, KEYS + 1);
        words.close().await
    })
}

/// A panic of the closure passes through, and the stream continues with the next key.
#[test]
fn a_panic_of_the_closure_leaves_the_scan_as_it_was() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(two_buckets());
    block_on(async {
        store.upsert_each((0..100).map(|key| (key, key))).await?;
        let mut shown = Vec::new();
        let mut scan = store.scan_with(|key, _value| {
            assert_ne!(key, 42, "the closure panics");
            Some(key)
        });
        loop {
            let next = std::panic::AssertUnwindSafe(scan.try_next());
            match next.catch_unwind().await {
                Ok(Ok(Some(key))) => shown.push(key),
                Ok(end) => break assert_eq!(end?, None),
                Err(_panic) => {}
            }
        }
        shown.sort_unstable();
        assert!(shown.into_iter().eq((0..100).filter(|key| *key != 42)));
        drop(scan);
        store.upsert(&42, &0).await?;
        store.close().await
    })
}

/// A scan that is never polled again holds up nothing: not the writers, and not the end.
#[test]
fn a_leaked_scan_stops_no_task() -> Result<()> {
    for config in sizes() {
        let store: FasterKv<u64, u64> = memory_store(config);
        block_on(async {
            for round in 0..20 {
                store.upsert_each((0..KEYS).map(|key| (key, key))).await?;
                let mut scan = Box::pin(store.scan());
                for _ in 0..round {
                    let next = scan.next();
                    drop(poll_once(&mut Box::pin(next)));
                }
                std::mem::forget(scan);
            }
            assert_eq!(store.count().await?, KEYS);
            store.close().await
        })?;
    }
    Ok(())
}

/// Half of the keys expire in the second of the scan. A clock that moves at each look is no
/// obstacle.
#[test]
fn expired_keys_do_not_show() -> Result<()> {
    let second = Arc::new(AtomicU64::new(1000));
    let step = Arc::new(AtomicU64::new(0));
    let (clock, clock_step) = (Arc::clone(&second), Arc::clone(&step));
    let time = move || {
        let step = clock_step.load(Ordering::Relaxed);
        UNIX_EPOCH + Duration::from_secs(clock.fetch_add(step, Ordering::Relaxed))
    };
    block_on(async {
        let builder = Database::builder(two_buckets()).clock(time);
        let builder = builder.directory(Arc::new(MemoryDirectory::new()));
        let database: Database = builder.open_in_directory().await?;
        let words: FasterKv<u64, Expiring<u64>> = database.table("words").await?;
        let bytes: FasterKv<u64, Expiring<[u8]>> = database.table("bytes").await?;
        for key in 0..KEYS {
            let at = Expiry::at(UNIX_EPOCH + Duration::from_secs(2000 + key % 2));
            words.upsert_with(&key, &key, at).await?;
            bytes.upsert_with(&key, &value(key, 0), at).await?;
        }
        for (now, left) in [(1999, KEYS), (2000, KEYS / 2), (2001, 0)] {
            second.store(now, Ordering::Relaxed);
            assert_eq!(words.count().await?, left);
            let found: BTreeMap<_, _> = bytes.scan().try_collect().await?;
            assert!(found.into_iter().all(|(key, found)| found == value(key, 0)));
            assert_eq!(bytes.count().await?, left);
        }
        step.store(1, Ordering::Relaxed);
        assert_eq!(words.count().await?, 0);
        database.close().await
    })
}

#[test]
fn a_closed_store_refuses_scans() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(two_buckets());
    block_on(async {
        store.upsert_each((0..KEYS).map(|key| (key, key))).await?;
        let mut scan = store.scan();
        scan.try_next().await?;
        store.close().await?;
        let ended = scan.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Closed);
        assert_eq!(store.scan().try_next().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(store.count().await.unwrap_err().kind(), ErrorKind::Closed);
        Ok(())
    })
}

//! Space comes back: what is overwritten, deleted, expired or of a dropped table goes by
//! compaction, and everything else is as before, also after the next opening.

use kvick::config::{Backend, ByteSize};
use kvick::io::MemoryDirectory;
use kvick::{Config, Database, ErrorKind, FasterKv, Result, checkpoint};
use std::sync::Arc;

const KEYS: u64 = 2_000;
const SEGMENT: u64 = 64 << 10;

fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::new(SEGMENT))
        .with_keep_checkpoints(1)
        .with_huge_pages(false)
}

async fn open<V: kvick::Value + ?Sized>(directory: &MemoryDirectory) -> FasterKv<u64, V> {
    let builder = FasterKv::builder(config()).directory(Arc::new(directory.clone()));
    builder.open_in_directory().await.expect("a sound directory")
}

fn run(body: impl Future<Output = Result<()>>) {
    kvick::runtime::block_on(body).expect("a sound directory");
}

#[test]
fn overwritten_values_go() {
    run(async {
        let directory = MemoryDirectory::new();
        let store = open::<u64>(&directory).await;
        let live = KEYS * 24;
        for round in 0..40 {
            for key in 0..KEYS {
                store.upsert(&key, &(key + round)).await?;
            }
            store.flush().await?;
            if round % 4 == 3 {
                store.compact().await?;
                let stored = store.stats().device.bytes_stored;
                assert!(stored <= live * 2 + (128 << 10), "{stored} bytes for {live} live");
            }
        }
        for key in 0..KEYS {
            assert_eq!(store.read(&key).await?, Some(key + 39), "key {key}");
        }
        store.close().await?;
        let store = open::<u64>(&directory).await;
        for key in 0..KEYS {
            assert_eq!(store.read(&key).await?, Some(key + 39), "key {key} after an opening");
        }
        store.close().await
    });
}

#[test]
fn deleted_keys_leave_neither_files_nor_entries() {
    run(async {
        let directory = MemoryDirectory::new();
        let store = open::<u64>(&directory).await;
        for key in 0..20 * KEYS {
            store.upsert(&key, &key).await?;
        }
        store.flush_and_evict().await?;
        for key in 0..20 * KEYS {
            store.delete(&key).await?;
        }
        let compacted = store.compact().await?;
        assert_eq!(compacted.copied_records, 0, "{compacted:?}");
        // The second one takes the deletions that the first one was too early for.
        store.compact().await?;
        let stats = store.stats();
        assert!(stats.device.bytes_stored <= 2 << 16, "{:?}", stats.device);
        assert!(stats.index.entries <= KEYS, "{:?}", stats.index);
        assert_eq!(store.read(&7).await?, None);
        store.upsert(&7, &8).await?;
        assert_eq!(store.read(&7).await?, Some(8));
        store.close().await
    });
}

/// Lists and pieces are in different pages, and some lists change in place of being copied.
#[test]
fn long_values_stay_whole() {
    run(async {
        let directory = MemoryDirectory::new();
        let store = open::<[u8]>(&directory).await;
        let value = |key: u64, round: u64| {
            let byte = u8::try_from((key * 7 + round) % 251).expect("small");
            vec![byte; usize::try_from(100 + key * 997 % 30_000).expect("small")]
        };
        for round in 0..6 {
            for key in 0..40 {
                if key % 5 != 0 || round == 0 {
                    store.upsert(&key, &value(key, round)).await?;
                }
            }
            store.compact().await?;
            for key in 0..40 {
                let round = if key % 5 == 0 { 0 } else { round };
                let found = store.read(&key).await?;
                assert_eq!(found.as_deref(), Some(&*value(key, round)), "key {key}");
            }
        }
        let stored = store.stats().device.bytes_stored;
        assert!(stored < 2_000_000, "{stored} bytes");
        store.close().await?;
        let store = open::<[u8]>(&directory).await;
        for key in 0..40 {
            let round = if key % 5 == 0 { 0 } else { 5 };
            assert_eq!(store.read(&key).await?.as_deref(), Some(&*value(key, round)));
        }
        store.close().await
    });
}

#[test]
fn a_dropped_table_goes() {
    run(async {
        let directory = MemoryDirectory::new();
        let builder = Database::builder(config().with_backend(Backend::Memory));
        let database = builder.directory(Arc::new(directory)).open_in_directory().await?;
        let kept = database.table::<u64, u64>("kept").await?;
        let gone = database.table::<u64, [u8]>("gone").await?;
        for key in 0..KEYS {
            kept.upsert(&key, &key).await?;
            gone.upsert(&key, &[7; 500]).await?;
        }
        gone.upsert(&1, &[8; 20_000]).await?;
        database.drop_table("gone").await?;
        let some = database.compact().oldest(ByteSize::kib(64)).await?;
        assert!((1..=64 << 10).contains(&some.log_bytes), "{some:?}");
        let mut compacted = database.compact().await?;
        compacted.copied_records += some.copied_records;
        compacted.copied_bytes += some.copied_bytes;
        assert_eq!(compacted.copied_records, KEYS, "{compacted:?}");
        assert!(compacted.copied_bytes <= KEYS * 32, "{compacted:?}");
        for key in 0..KEYS {
            assert_eq!(kept.read(&key).await?, Some(key));
        }
        assert!(database.stats().device.bytes_stored < 400_000);
        database.close().await
    });
}

/// A scan that began before sees its moment. Its range stays until it is over.
#[test]
fn a_scan_sees_its_moment_beside_compaction() {
    use futures::stream::TryStreamExt;
    run(async {
        let directory = MemoryDirectory::new();
        let store = open::<u64>(&directory).await;
        for key in 0..KEYS {
            store.upsert(&key, &1).await?;
        }
        let mut scan = store.scan();
        let mut found = vec![scan.try_next().await?.expect("some")];
        for key in 0..KEYS {
            store.upsert(&key, &2).await?;
        }
        let refused = store.compact().await.expect_err("a scan is in progress");
        assert_eq!(refused.kind(), ErrorKind::Busy);
        found.extend(scan.try_collect::<Vec<_>>().await?);
        found.sort_unstable();
        let expected: Vec<_> = (0..KEYS).map(|key| (key, 1)).collect();
        assert_eq!(found, expected);
        let compacted = store.compact().await?;
        assert!(compacted.log_bytes > 0, "{compacted:?}");
        store.close().await
    });
}

#[test]
fn an_older_checkpoint_keeps_its_records() {
    run(async {
        let directory = MemoryDirectory::new();
        let builder = || {
            let config = config().with_keep_checkpoints(3);
            FasterKv::<u64, u64>::builder(config).directory(Arc::new(directory.clone()))
        };
        let store = builder().open_in_directory().await?;
        for key in 0..KEYS {
            store.upsert(&key, &1).await?;
        }
        let first = store.checkpoint().await?.token;
        for key in 0..KEYS {
            store.upsert(&key, &2).await?;
        }
        store.compact().await?;
        store.close().await?;
        let store = builder().recover(first).open_in_directory().await?;
        for key in 0..KEYS {
            assert_eq!(store.read(&key).await?, Some(1), "key {key}");
        }
        store.close().await
    });
}

/// A copy was once linked in front of a newer value: the tail that bounded the proof had been
/// loaded before the entry.
#[test]
fn no_increment_is_lost_beside_compaction() {
    const TASKS: u64 = 4;
    const ROUNDS: u64 = 60;
    const HOT: u64 = 300;
    run(async {
        let directory = MemoryDirectory::new();
        let store = open::<u64>(&directory).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let store = store.clone();
                let work = move || {
                    kvick::runtime::block_on(async {
                        for _ in 0..ROUNDS {
                            for key in 0..HOT {
                                store.rmw(&key, |count| count.unwrap_or(0) + 1).await?;
                            }
                        }
                        Ok::<_, kvick::Error>(())
                    })
                };
                std::thread::Builder::new().name("writer".to_owned()).spawn(work).expect("a thread")
            })
            .collect();
        while tasks.iter().any(|task| !task.is_finished()) {
            store.compact().await?;
            for key in 0..HOT {
                assert!(store.read(&key).await?.is_none_or(|count| count <= TASKS * ROUNDS));
            }
        }
        for task in tasks {
            task.join().expect("the task ends well")?;
        }
        store.compact().await?;
        for key in 0..HOT {
            assert_eq!(store.read(&key).await?, Some(TASKS * ROUNDS), "key {key}");
        }
        store.close().await
    });
}

#[test]
fn expired_values_go_whatever_their_length() {
    use kvick::codec::Expiring;
    use kvick::session::Expiry;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, UNIX_EPOCH};
    run(async {
        let second = Arc::new(AtomicU64::new(1_000));
        let shown = Arc::clone(&second);
        let now = move || UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed));
        let builder = FasterKv::<u64, Expiring<[u8]>>::builder(config()).clock(now);
        let builder = builder.directory(Arc::new(MemoryDirectory::new()));
        let store = builder.open_in_directory().await?;
        for key in 0..60 {
            let expiry =
                if key % 3 == 0 { Expiry::never() } else { Expiry::after(Duration::from_secs(9)) };
            let value = vec![7; if key % 2 == 0 { 20_000 } else { 100 }];
            store.upsert_with(&key, &value, expiry).await?;
        }
        second.store(2_000, Ordering::Relaxed);
        let compacted = store.compact().await?;
        assert!(compacted.copied_bytes < 250_000, "a third is live: {compacted:?}");
        assert!(store.stats().device.bytes_stored < 500_000, "{}", store.stats());
        for key in 0..60 {
            assert_eq!(store.read(&key).await?.is_some(), key % 3 == 0, "key {key}");
        }
        store.close().await
    });
}

/// Compaction with a closure removes keys of its table without a record for each.
#[test]
fn a_closure_decides_which_keys_stay() {
    run(async {
        let directory = MemoryDirectory::new();
        let builder = Database::builder(config()).directory(Arc::new(directory.clone()));
        let database = builder.open_in_directory().await?;
        let texts: FasterKv<u64, [u8]> = database.table("texts").await?;
        let words: FasterKv<u64, u64> = database.table("words").await?;
        let text = |key: u64| vec![7; if key % 10 < 2 { 9_000 } else { 100 }];
        for key in 0..200 {
            texts.upsert(&key, &text(key)).await?;
            words.upsert(&key, &key).await?;
        }
        let before = texts.table_stats().appended_records;
        let compacted =
            texts.compact().keep(|key, text| key.is_multiple_of(2) && text[0] == 7).await?;
        // What is in the last page is not compacted.
        assert!((90..=100).contains(&compacted.removed_keys), "{compacted:?}");
        assert_eq!(texts.table_stats().appended_records, before, "a removal appends nothing");
        assert_eq!(texts.count().await?, 200 - compacted.removed_keys);
        for key in (0..180).step_by(2) {
            assert_eq!(texts.read(&key).await?, Some(text(key)), "key {key}");
            assert!(!texts.contains(&(key + 1)).await?, "key {}", key + 1);
        }
        assert_eq!(words.count().await?, 200, "another table is as it was");
        database.close().await?;
        let builder = Database::builder(config()).directory(Arc::new(directory.clone()));
        let database = builder.open_in_directory().await?;
        let texts: FasterKv<u64, [u8]> = database.table("texts").await?;
        assert_eq!(texts.count().await?, 200 - compacted.removed_keys);
        database.close().await
    });
}

#[test]
fn only_the_oldest_part_is_compacted() {
    run(async {
        let store = open::<u64>(&MemoryDirectory::new()).await;
        for key in 0..20 * KEYS {
            store.upsert(&(key % KEYS), &key).await?;
            if key % KEYS == 0 {
                store.flush().await?;
            }
        }
        let compacted = store.compact().oldest(ByteSize::kib(100)).await?;
        assert!((90 << 10..=100 << 10).contains(&compacted.log_bytes), "{compacted:?}");
        assert_eq!(store.compact().oldest(ByteSize::kib(1)).await?.log_bytes, 0, "no page");
        store.close().await
    });
}

#[test]
fn a_panic_of_the_closure_passes_on() {
    run(async {
        let store = open::<u64>(&MemoryDirectory::new()).await;
        for key in 0..KEYS {
            store.upsert(&key, &key).await?;
        }
        let compaction = store.compact().keep(|key, _value| {
            assert!(key != 700, "not this one");
            key.is_multiple_of(2)
        });
        let compaction = std::panic::AssertUnwindSafe(compaction.into_future());
        let panic = futures::FutureExt::catch_unwind(compaction).await.expect_err("it panics");
        let text = panic.downcast_ref::<&str>().copied();
        assert_eq!(text, Some("not this one"));
        assert_eq!(store.read(&700).await?, Some(700));
        // The store works as before.
        store.compact().keep(|key, _value| key.is_multiple_of(2)).await?;
        assert_eq!(store.read(&701).await?, None);
        assert_eq!(store.read(&702).await?, Some(702));
        store.close().await
    });
}

/// All live records were in files beside the log, and no file of the log was left. The next opening
/// took the log for lost.
#[test]
fn a_log_whose_live_records_are_beside_it_keeps_a_file() {
    run(async {
        for keys in (8..400).step_by(8) {
            let directory = MemoryDirectory::new();
            for life in 0..3 {
                // Each page of the log has a file of its own.
                let config = config()
                    .with_segment_size(ByteSize::kib(4))
                    .with_checkpoint_kind(checkpoint::Kind::Snapshot)
                    .with_checkpoint_on_close(false);
                let builder = FasterKv::<u64, u64>::builder(config);
                let builder = builder.directory(Arc::new(directory.clone()));
                let store = builder.open_in_directory().await?;
                if life == 0 {
                    for key in 0..keys {
                        store.upsert(&key, &key).await?;
                    }
                    store.compact().await?;
                }
                for key in 0..keys {
                    assert_eq!(store.read(&key).await?, Some(key), "life {life}, {keys} keys");
                }
                store.checkpoint().snapshot().await?;
                store.close().await?;
            }
        }
        Ok(())
    });
}

/// Threads overwrite keys faster than compaction works, and wait for it. Then new keys fill the
/// budget.
#[test]
fn a_budget_makes_writers_wait_and_refuses_only_more_live_data() {
    const THREADS: u64 = 3;
    run(async {
        let disk = ByteSize::kib(512);
        let builder = FasterKv::<u64, [u8]>::builder(config().with_disk(disk));
        let builder = builder.directory(Arc::new(MemoryDirectory::new()));
        let store = builder.open_in_directory().await?;
        let tasks: Vec<_> = (0..THREADS)
            .map(|number| {
                let store = store.clone();
                let work = move || {
                    kvick::runtime::block_on(async {
                        for round in 0..60_u64 {
                            for key in 0..200 {
                                let value = round.to_le_bytes().repeat(20);
                                store.upsert(&(number * 200 + key), &value).await?;
                            }
                        }
                        Ok::<_, kvick::Error>(())
                    })
                };
                std::thread::Builder::new().name("writer".to_owned()).spawn(work).expect("a thread")
            })
            .collect();
        for task in tasks {
            task.join().expect("the task ends well")?;
        }
        for key in 0..THREADS * 200 {
            let found = store.read(&key).await?;
            assert_eq!(found.as_deref(), Some(&*59_u64.to_le_bytes().repeat(20)), "key {key}");
        }
        let mut next = 10_000;
        let error = loop {
            match store.upsert(&next, &[7; 160]).await {
                Ok(_) => next += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        let space = store.stats().space;
        assert!(space.used_bytes <= disk.bytes(), "{}", store.stats());
        assert!(space.refused == 1 && space.waiting == 0, "{}", store.stats());
        assert!((next - 10_000 + THREADS * 200) * 184 > disk.bytes() / 2, "{}", store.stats());
        for key in 10_000..next {
            store.delete(&key).await?;
        }
        store.upsert(&next, &[7; 3000]).await?;
        store.close().await
    });
}

/// Nothing is written after the last key has gone, and no caller compacts.
#[test]
fn an_emptied_store_gets_small_by_itself() {
    let simulation = kvick::runtime::Simulation::new(1);
    let handle = simulation.handle();
    let directory = MemoryDirectory::new();
    simulation.run(async {
        let builder = FasterKv::builder(config().with_space_ratio(2.0)).runtime(handle.clone());
        let builder = builder.directory(Arc::new(directory.clone()));
        let store: FasterKv<u64, [u8]> = builder.open_in_directory().await.expect("memory");
        let bytes = || store.stats().device.bytes_stored;
        for key in 0..KEYS {
            store.upsert(&key, &[7; 300]).await.expect("memory");
        }
        let full = bytes();
        assert!(full > 8 * SEGMENT, "{full}");
        for key in 0..KEYS {
            assert!(store.take(&key).await.expect("memory").is_some(), "key {key}");
        }
        handle.sleep(std::time::Duration::from_secs(60)).await;
        assert!(bytes() <= 2 * SEGMENT, "{} of {full}: {:?}", bytes(), store.stats().space);
        store.close().await.expect("memory");
    });
}

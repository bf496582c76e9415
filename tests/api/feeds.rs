//! Readers of the log, and subscribers to it, with memory of some pages and with memory for
//! everything.

mod places;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures::{FutureExt, StreamExt, TryStreamExt};
use kvick::checkpoint::Kind;
use kvick::codec::Expiring;
use kvick::feed::{Address, Content, LogRecord, LogRecords};
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{Config, Database, ErrorKind, FasterKv, Key, Result, Value};
use tests::configs::{hosts_and_backends, memory_store, sizes, two_buckets};
use tests::samples::pattern;
use tests::simulated::small_configs;

const KEYS: u64 = 700;

type Contents = BTreeMap<u64, Vec<u8>>;

/// A value whose length depends on the key and the version; some are longer than pages.
fn value(key: u64, version: u64) -> Vec<u8> {
    let length = if key.is_multiple_of(97) { 20_000 } else { key % 50 + version % 3 };
    pattern(key * 1000 + version, usize::try_from(length).expect("small"))
}

fn apply(contents: &mut Contents, record: LogRecord<u64, Vec<u8>>) {
    match record.content {
        Content::Value(value) => _ = contents.insert(record.key, value),
        Content::Tombstone => _ = contents.remove(&record.key),
        other => panic!("a change has a whole value: {other:?}"),
    }
}

/// Returns the end of the last record.
async fn end_of<K, V>(store: &FasterKv<K, V>) -> Result<Address>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
{
    let records = store.database().log_records(..);
    records.try_fold(Address::FIRST, async |_, record| Ok(record.next)).await
}

/// Asserts that a subscription shows nothing more for the moment.
fn assert_waits<K, V>(changes: &mut LogRecords<K, V>, why: &str)
where
    K: Key + ?Sized,
    V: Value + ?Sized,
{
    // It yields between its reads.
    for _ in 0..100 {
        assert!(changes.next().now_or_never().is_none(), "{why}");
    }
}

/// Writes and deletes keys in several versions. Returns the contents.
async fn write_versions(store: &FasterKv<u64, [u8]>) -> Result<Contents> {
    let mut contents = Contents::new();
    for version in 0..3 {
        for key in (0..KEYS).filter(|key| key % 3 >= version) {
            store.upsert(&key, &value(key, version)).await?;
            contents.insert(key, value(key, version));
        }
        for key in (0..KEYS).filter(|key| key % 11 == version) {
            store.delete(&key).await?;
            contents.remove(&key);
        }
        if version == 1 {
            store.flush_and_evict().await?;
        }
    }
    Ok(contents)
}

#[test]
fn the_records_of_the_log_lead_to_the_contents() -> Result<()> {
    for config in sizes() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            assert_eq!(store.log_records(..).count().await, 0);
            let contents = write_versions(&store).await?;
            let mut found = Contents::new();
            let mut before = Address::FIRST;
            let mut records = store.log_records(..);
            while let Some(record) = records.try_next().await? {
                assert!(record.address >= before && record.next > record.address, "{record:?}");
                assert_eq!((record.table, record.expires_at, record.is_invalid), (0, None, false));
                before = record.next;
                assert_eq!(records.position(), before);
                apply(&mut found, record);
            }
            assert_eq!(found, contents);
            assert!(records.next().await.is_none());
            assert_eq!(store.stats().scans.log_readers, 0, "it has ended");
            store.close().await
        })?;
    }
    Ok(())
}

#[test]
fn all_records_show_as_they_are_stored() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, [u8]> = memory_store(config);
        block_on(async {
            write_versions(&store).await?;
            let all: Vec<_> = store.database().log_records(..).try_collect().await?;
            let is_piece = |record: &&LogRecord<_, _>| matches!(record.content, Content::Piece(_));
            let appended = all.iter().filter(|record| !is_piece(record)).count() as u64;
            assert_eq!(appended, store.stats().appends, "each appended record is there");
            let pieces: BTreeMap<_, _> = all
                .iter()
                .filter_map(|record| match &record.content {
                    Content::Piece(piece) => Some((record.address, piece)),
                    _ => None,
                })
                .collect();
            let mut long = 0;
            for record in &all {
                if let Content::InPieces { bytes, pieces: list } = &record.content {
                    let value: Vec<u8> =
                        list.iter().flat_map(|at| pieces[at].iter().copied()).collect();
                    assert_eq!((value.len() as u64, *bytes), (20_000, 20_000));
                    long += 1;
                }
            }
            assert!(long > 0 && pieces.len() > long, "some values are in pieces");
            // Any part of the log, wherever it begins and ends.
            for place in 0..20 {
                let start = Address::new(all[place * 31].address.raw() + place as u64 % 3);
                let end = all[place * 37 + 100].address;
                let end = Address::new(end.raw() - place as u64 % 2);
                let part: Vec<_> = store.database().log_records(start..end).try_collect().await?;
                let is_within =
                    |record: &&LogRecord<_, _>| record.address >= start && record.address < end;
                assert!(part.iter().eq(all.iter().filter(is_within)), "{start} to {end}");
            }
            let last = all.last().expect("records");
            let one: Vec<_> =
                store.database().log_records(last.address..=last.address).try_collect().await?;
            assert_eq!(one, std::slice::from_ref(last));
            assert_eq!(store.database().log_records(last.next..).count().await, 0);
            store.close().await
        })?;
    }
    Ok(())
}

#[test]
fn tables_expiries_and_deletions_show() -> Result<()> {
    block_on(async {
        let builder = Database::builder(two_buckets()).clock(|| UNIX_EPOCH);
        let builder = builder.directory(Arc::new(MemoryDirectory::new()));
        let database: Database = builder.open_in_directory().await?;
        let words: FasterKv<u64, Expiring<u64>> = database.table("words").await?;
        let texts: FasterKv<str, str> = database.table("texts").await?;
        let at = UNIX_EPOCH + Duration::from_secs(77);
        words.upsert_with(&1, &10, Expiry::at(at)).await?;
        texts.upsert("key", "value").await?;
        words.upsert(&2, &20).await?;
        words.delete(&2).await?;
        let words_shown: Vec<_> = words.log_records(..).try_collect().await?;
        assert_eq!(words_shown[0].content, Content::Value(10));
        assert_eq!(words_shown[0].expires_at, Some(at));
        assert!(words_shown[1].content.is_tombstone() && words_shown[1].expires_at.is_none());
        let all: Vec<_> = database.log_records(..).try_collect().await?;
        let tables: Vec<_> = all.iter().map(|record| record.table).collect();
        let numbers = database.tables();
        assert_eq!(tables, [0, 1, 0].map(|table: usize| numbers[table].number));
        assert_eq!((&all[1].key[..], &all[1].content), (&b"key"[..], &value_of(b"value")));
        let mut changes = words.subscribe_from(Address::FIRST);
        database.drop_table("words").await?;
        let refused = changes.try_next().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert_eq!(database.log_records(..).count().await, 3, "its records are still there");
        database.close().await
    })
}

fn value_of(bytes: &[u8]) -> Content<Vec<u8>> {
    Content::Value(bytes.to_vec())
}

#[test]
fn a_subscriber_sees_each_record_once_on_all_backends() -> Result<()> {
    for (host, backend) in hosts_and_backends() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        host.run(async move |handle| {
            let builder = FasterKv::<u64, [u8]>::builder(two_buckets().with_backend(backend));
            let store = builder.runtime(handle).open(path).await?;
            let mut changes = store.subscribe();
            let mut found = Contents::new();
            let contents = write_versions(&store).await?;
            store.flush().await?;
            let appends = store.stats().appends;
            let end = end_of(&store).await?;
            while changes.position() < end {
                apply(&mut found, changes.try_next().await?.expect("it never ends"));
            }
            assert_eq!(found, contents, "{backend:?}");
            assert_waits(&mut changes, "nothing comes twice");
            assert_eq!(store.stats().appends, appends, "a reader appends nothing");
            store.close().await
        })?;
    }
    Ok(())
}

/// The kinds of checkpoints differ: a fold-over makes everything immutable, the others nothing.
#[test]
fn changes_show_when_they_are_immutable() -> Result<()> {
    let config =
        Config::default().with_memory(kvick::config::ByteSize::mib(8)).with_huge_pages(false);
    let store: FasterKv<u64, u64> = memory_store(config);
    block_on(async {
        let mut changes = store.subscribe();
        for value in 0..10 {
            store.upsert(&1, &value).await?;
        }
        for kind in [Kind::Incremental, Kind::Snapshot] {
            store.checkpoint().kind(kind).await?;
            assert_waits(&mut changes, &format!("{kind:?} leaves it mutable"));
        }
        // A scan freezes it for a while.
        let mut scan = store.scan();
        scan.try_next().await?;
        assert_waits(&mut changes, "it will change in place again");
        drop(scan);
        store.checkpoint().kind(Kind::FoldOver).await?;
        let first = changes.try_next().await?.expect("it never ends");
        assert_eq!((first.key, first.content), (1, Content::Value(9)));
        store.delete(&1).await?;
        store.flush().await?;
        assert!(changes.try_next().await?.expect("it never ends").content.is_tombstone());
        drop(changes);
        store.close().await
    })
}

#[test]
fn a_subscription_goes_on_after_an_opening() -> Result<()> {
    let directory = Arc::new(MemoryDirectory::new());
    let open = async || {
        let config = two_buckets().with_checkpoint_on_close(true);
        let builder = FasterKv::<u64, u64>::builder(config);
        builder.directory(Arc::clone(&directory) as _).open_in_directory().await
    };
    block_on(async {
        let mut position = Address::FIRST;
        let mut shown = Vec::new();
        for opening in 0..4 {
            let store = open().await?;
            let mut changes = store.subscribe_from(position);
            for key in 0..100 {
                store.upsert(&(opening * 100 + key), &opening).await?;
            }
            if opening % 2 == 0 {
                store.flush().await?;
                let end = end_of(&store).await?;
                while changes.position() < end {
                    shown.push(changes.try_next().await?.expect("it never ends").key);
                }
            }
            let refused = store.subscribe_from(Address::new(1 << 40)).try_next().await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
            store.close().await?;
            let closed = loop {
                match changes.try_next().await {
                    Ok(record) => shown.push(record.expect("it never ends").key),
                    Err(error) => break error,
                }
            };
            assert_eq!(closed.kind(), ErrorKind::Closed, "{closed}");
            position = changes.position();
        }
        let store = open().await?;
        let rest = store.log_records(position..);
        shown.extend(rest.map_ok(|record| record.key).try_collect::<Vec<_>>().await?);
        assert!(shown.into_iter().eq(0..400), "each record shows once");
        store.close().await
    })
}

#[test]
fn a_range_before_the_begin_is_refused() -> Result<()> {
    for config in small_configs() {
        let store: FasterKv<u64, u64> = memory_store(config);
        block_on(async {
            for round in 0..20 {
                store.upsert_each((0..KEYS).map(|key| (key, round))).await?;
                store.flush().await?;
            }
            store.compact().await?;
            let begin = store.log_records(..).try_next().await?.expect("records").address;
            assert!(begin > Address::FIRST);
            for mut refused in
                [store.log_records(Address::FIRST..), store.subscribe_from(Address::FIRST)]
            {
                let error = refused.try_next().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
                // A scan alone would leave keys that were deleted.
                assert!(error.to_string().contains("by a scan into an empty one"), "{error}");
                assert!(refused.next().await.is_none(), "an error is the last item");
            }
            store.close().await
        })?;
    }
    Ok(())
}

/// A reader of a cache keeps nothing, and sees what is still there.
#[test]
fn a_cache_in_memory_shows_what_it_has() -> Result<()> {
    let config = Config::cache()
        .with_memory(kvick::config::ByteSize::kib(256))
        .with_page_size(kvick::config::ByteSize::kib(4))
        .with_huge_pages(false);
    let store: FasterKv<u64, u64> = memory_store(config);
    block_on(async {
        let mut slow = store.log_records(..);
        store.upsert_each((0..100_000).map(|key| (key, key))).await?;
        let shown: Vec<_> = store.log_records(..).map_ok(|it| it.key).try_collect().await?;
        assert!(shown.is_sorted() && shown.last() == Some(&99_999) && shown.len() < 100_000);
        assert_eq!(slow.try_next().await?, None, "the log was empty then");
        let mut slow = store.subscribe_from(store.log_records(..).position());
        store.upsert_each((0..100_000).map(|key| (key, key))).await?;
        let refused = slow.try_next().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Truncated, "{refused}");
        // What it waits for has left memory by the time that it goes on, and cannot be read.
        store.flush().await?;
        let mut waiting = store.subscribe();
        assert_waits(&mut waiting, "everything was immutable before");
        store.upsert_each((0..100_000).map(|key| (key, key))).await?;
        let refused = waiting.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Truncated, "{refused}");
        store.close().await
    })
}

/// Values change in place while they are read, on other threads. None is torn.
#[test]
fn no_value_is_torn() -> Result<()> {
    let config =
        Config::default().with_memory(kvick::config::ByteSize::mib(8)).with_huge_pages(false);
    let store: FasterKv<u64, [u8]> = memory_store(config);
    block_on(store.upsert(&0, &[0; 4000]))?;
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new().name("writer".to_owned());
        let writer = writer.spawn_scoped(scope, || {
            for round in 0..20_000_u32 {
                block_on(store.upsert(&0, &[round.to_le_bytes()[0]; 4000])).expect("room");
                block_on(store.upsert(&u64::from(round % 100), &[7; 40])).expect("room");
            }
        });
        let writer = writer.expect("a thread");
        while !writer.is_finished() {
            let records: Vec<_> = block_on(store.log_records(..).try_collect()).expect("sound");
            for record in records {
                let value: Vec<u8> = record.content.into_value().expect("a value");
                assert!(value.iter().all(|byte| *byte == value[0]), "torn: {value:?}");
            }
        }
    });
    block_on(store.close())
}

#[test]
fn a_closed_store_refuses_readers() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(two_buckets());
    block_on(async {
        store.upsert_each((0..10 * KEYS).map(|key| (key, key))).await?;
        let mut records = store.log_records(..);
        records.try_next().await?;
        let mut changes = store.subscribe();
        store.close().await?;
        let ended = records.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Closed);
        assert_eq!(changes.try_next().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(store.log_records(..).try_next().await.unwrap_err().kind(), ErrorKind::Closed);
        Ok(())
    })
}

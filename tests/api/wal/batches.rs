//! Batches with an offset, which are recovered whole.

use super::{Place, config};
use futures::StreamExt;
use kvick::config::{Acknowledge, ByteSize, DurableBy};
use kvick::feed::Start;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::session::WriteBatch;
use kvick::{Config, Database, Error, ErrorKind, FasterKv, Session};
use std::future::IntoFuture;
use std::sync::Arc;
use tests::batches::batch_of;

/// Of several changes of a key the last one counts. Each takes a number.
#[test]
fn a_durable_batch_comes_back_with_its_offset() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        session.set_acknowledge(Acknowledge::Durable).expect("it has a log");
        let long = vec![5; 2000];
        let changes = [
            (2, None),
            (1, Some(&b"one"[..])),
            (2, Some(&long)),
            (3, Some(b"x")),
            (3, None),
            (4, None),
            (4, Some(b"four")),
        ];
        session.write_batch(&batch_of(&changes), b"17").await.expect("durable");
        assert_eq!((session.serial(), session.offset().expect("set").serial), (7, 7));
        drop((session, store));
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.recovery().expect("recovered").repeated, 4);
        let session = store.session_named("input").expect("it waits");
        let offset = session.offset().expect("set");
        assert_eq!((&*offset.bytes, offset.serial, session.serial()), (&b"17"[..], 7, 7));
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"one"[..]));
        assert_eq!(store.read(&2).await.expect("read"), Some(long));
        assert_eq!(store.read(&3).await.expect("read"), None);
        assert_eq!(store.read(&4).await.expect("read").as_deref(), Some(&b"four"[..]));
        drop(session);
        store.close().await.expect("closes");
    });
}

#[test]
fn a_batch_works_without_a_log() {
    block_on(async {
        let place = Place::default();
        let without = config().with_durability(DurableBy::Checkpoint);
        let store = place.open(without.clone()).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        session.write_batch(&batch_of(&[(1, Some(b"one"))]), b"1").await.expect("written");
        store.checkpoint().await.expect("taken");
        session.write_batch(&batch_of(&[(1, Some(b"two"))]), b"2").await.expect("written");
        let two = batch_of(&[(1, Some(b"three"))]);
        let refused = session.write_batch(&two, b"3").durable().await.expect_err("without a log");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert_eq!(session.offset().expect("set").bytes, b"2", "nothing was written");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"two"[..]));
        drop(session);
        store.close().await.expect("closes");
        let store = place.open(without).await.expect("opens");
        let session = store.session_named("input").expect("it waits");
        assert_eq!(session.offset().expect("set").bytes, b"1");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"one"[..]));
        drop(session);
        store.close().await.expect("closes");
    });
}

/// A copy that stops within a batch takes it in whole again.
#[test]
fn a_feed_has_its_place_before_a_batch_until_the_last_change() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        let mut changes = store.changes(Start::Oldest).expect("it has a log");
        // The first change of key 2 is replaced. The removal of an absent key is a change, too.
        let three = [(1, Some(&b"a"[..])), (2, Some(b"b")), (2, None), (3, Some(b"c"))];
        session.write_batch(&batch_of(&three), b"1").await.expect("written");
        session.write_batch(&batch_of::<&[u8]>(&[]), b"2").await.expect("written");
        session.write_batch(&batch_of(&[(4, Some(b"d"))]), b"3").await.expect("written");
        session.sync().await.expect("durable");
        let before = changes.token();
        for key in 1..=2 {
            assert_eq!(changes.next().await.expect("more").expect("sound").key, key);
            assert_eq!(changes.token(), before, "within the batch");
        }
        let mut again = store.changes(before).expect("kept");
        for key in 1..=4 {
            assert_eq!(again.next().await.expect("more").expect("sound").key, key);
        }
        assert_eq!(changes.next().await.expect("more").expect("sound").key, 3);
        assert!(changes.token() > before);
        let mut after = store.changes(changes.token()).expect("kept");
        assert_eq!(after.next().await.expect("more").expect("sound").key, 4);
        let last = [(5, Some(&b"e"[..])), (6, Some(b"f")), (7, Some(b"g"))];
        session.write_batch(&batch_of(&last), b"4").await.expect("written");
        session.sync().await.expect("durable");
        let mut keys = Vec::new();
        while changes.lag() > 0 {
            keys.push(changes.next().await.expect("more").expect("sound").key);
        }
        assert_eq!(keys, [4, 5, 6, 7], "it lags until the last change of a batch was shown");
        drop((changes, again, after, session));
        store.close().await.expect("closes");
    });
}

/// Replaced changes are operations, too. An opening that repeats them makes none.
#[test]
fn operations_of_batches_are_counted_once() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        let changes =
            [(1, Some(&b"a"[..])), (1, None), (1, Some(b"b")), (2, Some(b"c")), (3, None)];
        session.write_batch(&batch_of(&changes), b"1").durable().await.expect("durable");
        drop(session);
        let stats = store.stats().operations;
        assert_eq!((stats.upserts, stats.deletes), (3, 2));
        drop(store);
        let store = place.open(config()).await.expect("opens");
        let stats = store.stats().operations;
        assert_eq!((stats.upserts, stats.deletes), (0, 0));
        store.close().await.expect("closes");
    });
}

/// Hundreds of large batches took no turn of other tasks.
#[test]
fn a_batch_counts_for_its_keys_in_the_turn_of_its_task() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config().with_yield_every(64)).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        let changes: Vec<_> = (0..100).map(|key| (key, Some(&b"a"[..]))).collect();
        let large = batch_of(&changes);
        let mut write = Box::pin(session.write_batch(&large, b"1").into_future());
        assert!(futures::poll!(&mut write).is_pending(), "other tasks have a turn first");
        write.await.expect("written");
        drop(session);
        store.close().await.expect("closes");
    });
}

type Texts = Session<[u8], [u8]>;

/// Writes two changes, of which the store refuses the second. Returns the error.
async fn refused(session: &mut Texts, key: &[u8], value: Option<&[u8]>, offset: &[u8]) -> Error {
    let mut batch = WriteBatch::<[u8], [u8]>::new();
    batch.upsert(b"first", b"value").expect("bytes");
    match value {
        Some(value) => batch.upsert(key, value).expect("bytes"),
        None => batch.delete(key).expect("bytes"),
    };
    session.write_batch(&batch, offset).await.expect_err("too long")
}

/// A key that was too long for a removal once stopped each opening, since the log had it.
#[test]
fn a_batch_is_refused_before_anything_happens() {
    for durability in [DurableBy::Wal, DurableBy::Checkpoint] {
        block_on(async {
            let place = Place::default();
            let config = config().with_durability(durability).with_page_size(ByteSize::kib(4));
            let open = || {
                FasterKv::<[u8], [u8]>::builder(config.clone())
                    .directory(Arc::new(place.store.clone()))
                    .wal_directory(Arc::new(place.wal.clone()))
                    .open_in_directory()
            };
            let store = open().await.expect("opens");
            let mut session = store.session_named("input").expect("new");
            let long = vec![1; 3000];
            let errors = [
                (refused(&mut session, b"k", Some(b"v"), &[0; 257]).await, "offset of 257 bytes"),
                (refused(&mut session, &long, Some(b"v"), &[0; 257]).await, "offset of 257 bytes"),
                (refused(&mut session, &long, Some(b"v"), b"1").await, "key of 3000 bytes"),
                (refused(&mut session, &long, None, b"1").await, "key of 3000 bytes"),
                (refused(&mut session, b"k", Some(&long), b"1").await, "value of 3000 bytes"),
            ];
            for (error, expected) in errors {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
                assert!(error.to_string().contains(expected), "{error}");
            }
            let mut large = WriteBatch::<[u8], [u8]>::new();
            for key in 0..2_u64 {
                large.upsert(&key.to_le_bytes(), &long[..1000]).expect("bytes");
            }
            let error = session.write_batch(&large, b"1").await.expect_err("more than half");
            assert!(error.to_string().contains("at most 2016 bytes"), "{error}");
            let mut many = WriteBatch::<[u8], [u8]>::new();
            for key in 0..4097_u64 {
                many.delete(&key.to_le_bytes()).expect("bytes");
            }
            let error = session.write_batch(&many, b"1").await.expect_err("more than 4096");
            assert!(error.to_string().contains("at most 4096"), "{error}");
            assert_eq!((session.serial(), session.offset().is_none()), (0, true));
            assert_eq!(store.read(b"first").await.expect("read"), None);
            assert_eq!(store.stats().index.entries, 0, "no entry is left");
            drop(session);
            store.close().await.expect("closes");
            let store = open().await.expect("opens");
            assert_eq!(store.read(b"first").await.expect("read"), None);
            store.close().await.expect("closes");
        });
    }
}

/// An entry of the write-ahead log has all changes, so they must fit there.
#[test]
fn a_batch_fits_in_the_write_ahead_log() {
    block_on(async {
        let place = Place::default();
        let large = config().with_memory(ByteSize::mib(16)).with_page_size(ByteSize::kib(256));
        let store = place.open(large).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        let value = vec![1; 30_000];
        let changes: Vec<_> = (0..4).map(|key| (key, Some(&value[..]))).collect();
        let error = session.write_batch(&batch_of(&changes), b"1").await.expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("larger `wal_memory`"), "{error}");
        session.write_batch(&batch_of(&changes[..3]), b"1").await.expect("it fits");
        drop(session);
        store.close().await.expect("closes");
    });
}

/// Some of so many keys share an index entry, and the index grows for them.
#[test]
fn keys_of_a_batch_may_share_index_entries() {
    const KEYS: u64 = 4096;
    for durability in [DurableBy::Wal, DurableBy::Checkpoint] {
        block_on(async {
            let directories = [MemoryDirectory::new(), MemoryDirectory::new()];
            let config = Config::default()
                .with_memory(ByteSize::mib(4))
                .with_page_size(ByteSize::kib(256))
                .with_index_min(ByteSize::new(128))
                .with_durability(durability)
                .with_wal_memory(ByteSize::mib(2));
            let open = || {
                let [store, wal] = directories.clone().map(Arc::new);
                let builder = FasterKv::<u64, u64>::builder(config.clone());
                builder.directory(store).wal_directory(wal).open_in_directory()
            };
            let store = open().await.expect("opens");
            let mut session = store.session_named("input").expect("new");
            for round in 1..=4_u64 {
                let mut batch = WriteBatch::<u64, u64>::new();
                for key in 0..KEYS {
                    match (key + round) % 4 {
                        0 => batch.delete(&key).expect("a number"),
                        _ => batch.upsert(&key, &(key * 10 + round)).expect("a number"),
                    };
                }
                session.write_batch(&batch, &[1]).await.expect("written");
                if round == 2 {
                    store.flush_and_evict().await.expect("sound");
                }
            }
            let stats = store.stats();
            assert!(stats.index.entries < KEYS, "keys share entries: {:?}", stats.index);
            assert!(stats.index.buckets > 100, "the index has grown: {:?}", stats.index);
            assert_eq!(stats.operations.upserts, 4 * KEYS * 3 / 4);
            assert_eq!(stats.operations.deletes, KEYS);
            let check = async |store: &FasterKv<u64, u64>| {
                for key in 0..KEYS {
                    let expected = (key % 4 != 0).then_some(key * 10 + 4);
                    assert_eq!(store.read(&key).await.expect("read"), expected, "key {key}");
                }
            };
            check(&store).await;
            store.checkpoint().await.expect("taken");
            drop(session);
            store.close().await.expect("closes");
            let store = open().await.expect("opens");
            check(&store).await;
            store.close().await.expect("closes");
        });
    }
}

/// A session writes batches of each table of its store.
#[test]
fn a_batch_of_another_table_has_the_offset_of_the_session() {
    block_on(async {
        let place = Place::default();
        let database = place.open_database().await.expect("opens");
        let first = database.table::<u64, [u8]>("first").await.expect("new");
        let second = database.table::<u64, [u8]>("second").await.expect("new");
        let mut session = first.session_named("input").expect("new");
        session.write_batch(&batch_of(&[(1, Some(b"one"))]), b"1").await.expect("written");
        let other = batch_of(&[(1, Some(b"two"))]);
        let mut on_second = session.on(&second).expect("the same store");
        on_second.write_batch(&other, b"2").durable().await.expect("durable");
        assert_eq!(session.offset().expect("set").bytes, b"2");
        drop((session, first, second, database));
        let database: Database = place.open_database().await.expect("opens");
        let first = database.table::<u64, [u8]>("first").await.expect("known");
        let second = database.table::<u64, [u8]>("second").await.expect("known");
        assert_eq!(first.read(&1).await.expect("read").as_deref(), Some(&b"one"[..]));
        assert_eq!(second.read(&1).await.expect("read").as_deref(), Some(&b"two"[..]));
        let session = first.session_named("input").expect("it waits");
        assert_eq!(session.offset().expect("set").bytes, b"2");
        drop((session, first, second));
        database.close().await.expect("closes");
    });
}

//! The files of the log: whose they are, whether they are whole, and when they go.

use super::{Place, config, ended};
use futures::StreamExt;
use kvick::config::ByteSize;
use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv, FasterLog, log};
use std::sync::Arc;

/// The second store repeated the changes of the first.
#[test]
fn two_stores_cannot_share_an_empty_log() {
    block_on(async {
        let first = Place::default();
        let store = first.open(config()).await.expect("opens");
        store.close().await.expect("closes");
        let second = Place { store: MemoryDirectory::new(), wal: first.wal.clone() };
        let store = second.open(config()).await.expect("the log never had an entry");
        store.upsert(&1, b"second").durable().await.expect("durable");
        drop(store);
        let error = ended(async || match first.open(config()).await {
            Err(error) if error.kind() != ErrorKind::InUse => Ok(error),
            opened => opened.map(|_| panic!("it is the log of the second store")),
        });
        assert_eq!(error.await.expect("refused").kind(), ErrorKind::AlreadyExists);
        let store = second.open(config()).await.expect("opens");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"second"[..]));
        store.close().await.expect("closes");
    });
}

/// A store without its own log took the empty one of another store.
#[test]
fn a_recovery_by_token_begins_a_log_of_its_own() {
    block_on(async {
        let (first, second) = (Place::default(), Place::default());
        let store = first.open(config()).await.expect("opens");
        let token = store.checkpoint().await.expect("taken").token;
        store.close().await.expect("closes");
        second.open(config()).await.expect("opens").close().await.expect("closes");
        let mixed = Place { store: first.store.clone(), wal: second.wal.clone() };
        let store = mixed.recover(token).await.expect("it gives up its own");
        store.upsert(&1, b"first").durable().await.expect("durable");
        store.close().await.expect("closes");
        let error = second.open(config()).await.expect_err("the log is another one");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    });
}

/// An opening repeated the changes after a gap without a word.
#[test]
fn a_log_with_a_gap_is_refused() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let token = store.checkpoint().await.expect("taken").token;
        for key in 0..10 {
            store.upsert(&key, b"value").durable().await.expect("durable");
        }
        drop(store);
        let log = ended(async || {
            FasterLog::builder(log::Config::default())
                .directory(Arc::new(place.wal.clone()))
                .open_in_directory()
                .await
        });
        let log = log.await.expect("it is a log");
        let last = log.scan(..).collect::<Vec<_>>().await.pop().expect("entries").expect("sound");
        log.truncate_suffix(last.address).await.expect("truncated");
        log.append(&last.payload).await.expect("appended");
        log.close().await.expect("closes");
        let error = place.open(config()).await.expect_err("an entry is missing");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("token"), "it says what to do: {error}");
        let store = place.recover(token).await.expect("as told");
        store.close().await.expect("closes");
    });
}

/// Removed checkpoints left their entries until the next one was taken.
#[test]
fn entries_go_with_the_checkpoints_that_need_them() {
    block_on(async {
        let place = Place::default();
        // With files of 2 MiB.
        let config = config().with_memory(ByteSize::mib(16)).with_wal_size(ByteSize::mib(16));
        let store = place.open(config).await.expect("opens");
        for _ in 0..2 {
            for key in 0..60 {
                store.upsert(&key, &[7; 60_000]).await.expect("written");
            }
            store.checkpoint().await.expect("taken");
        }
        let files = async || place.wal.list().await.expect("listed");
        let file = "log.000001".to_owned();
        assert!(files().await.contains(&file), "the older checkpoint needs it");
        store.prune_checkpoints(1).await.expect("removed");
        assert!(!files().await.contains(&file), "{:?}", files().await);
        store.close().await.expect("closes");
    });
}

/// The longest possible key, half a page, left no byte for a value of any table.
#[test]
fn small_log_memory_limits_keys_and_values_together() {
    block_on(async {
        let place = Place::default();
        let large = config().with_memory(ByteSize::mib(256));
        let store = place.open(large.clone()).await.expect("keys of 8 bytes");
        store.upsert(&1, &[1; 80_000]).await.expect("it fits");
        let refused = store.upsert(&1, &[1; 100_000]).await.expect_err("it does not");
        assert!(refused.to_string().contains("wal_memory"), "{refused}");
        store.close().await.expect("closes");
        let other = Place::default();
        let refused = FasterKv::<str, u64>::builder(large)
            .directory(Arc::new(other.store.clone()))
            .wal_directory(Arc::new(other.wal.clone()))
            .open_in_directory()
            .await
            .expect_err("long keys");
        assert!(refused.to_string().contains("wal_memory"), "{refused}");
    });
}

#[test]
fn the_log_must_be_that_of_the_store() {
    block_on(async {
        let (place, other) = (Place::default(), Place::default());
        for place in [&place, &other] {
            let store = place.open(config()).await.expect("opens");
            store.upsert(&1, b"one").await.expect("written");
            store.close().await.expect("closes");
        }
        let without = FasterKv::<u64, [u8]>::builder(Config::default())
            .directory(Arc::new(place.store.clone()))
            .open_in_directory()
            .await;
        let error = without.expect_err("it is not known where the log is");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let mixed = Place { store: place.store.clone(), wal: other.wal.clone() };
        let error = mixed.open(config()).await.expect_err("of another store");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        let lost = Place { store: place.store.clone(), wal: MemoryDirectory::new() };
        let error = lost.open(config()).await.expect_err("it is missing");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"one"[..]));
        store.close().await.expect("closes");
    });
}

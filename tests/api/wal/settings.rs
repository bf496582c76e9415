//! Stores that get the write-ahead log late, or leave it.

use super::{Place, config};
use crate::changes::put;
use kvick::config::DurableBy;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv};
use std::sync::Arc;
use tests::cramped::Space;

fn without_log() -> Config {
    config().with_durability(DurableBy::Checkpoint)
}

/// The device of the new log is full, and the store could not go back.
#[test]
fn a_store_that_has_got_a_full_log_can_leave_it() {
    block_on(async {
        let place = Place::default();
        let store = place.open(without_log()).await.expect("opens");
        store.upsert(&1, b"one").await.expect("written");
        store.checkpoint().await.expect("taken");
        store.close().await.expect("closes");
        let full = Space::of(0).within(Arc::new(place.wal.clone()));
        let store: FasterKv<u64, [u8]> = FasterKv::builder(config())
            .directory(Arc::new(place.store.clone()))
            .wal_directory(full)
            .open_in_directory()
            .await
            .expect("its checkpoint has everything");
        store.upsert(&2, b"two").await.expect("in memory");
        let refused = store.upsert(&3, b"three").durable().await.expect_err("not durable");
        assert_eq!(refused.kind(), ErrorKind::StorageFull, "{refused}");
        let token = store.checkpoint().await.expect("only the log is full").token;
        store.close().await.expect("the checkpoint has everything");

        let refused = place.open(without_log()).await.expect_err("it has a log");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert!(refused.to_string().contains("by its token"), "it says what to do: {refused}");
        let store: FasterKv<u64, [u8]> = FasterKv::builder(without_log())
            .directory(Arc::new(place.store.clone()))
            .recover(token)
            .open_in_directory()
            .await
            .expect("as told");
        store.close().await.expect("closes");
        let store = place.open(without_log()).await.expect("it has no log any more");
        for (key, value) in [(1, &b"one"[..]), (2, b"two"), (3, b"three")] {
            assert_eq!(store.read(&key).await.expect("read").as_deref(), Some(value));
        }
        store.close().await.expect("closes");
        // It may get another one.
        let place = Place { wal: MemoryDirectory::new(), ..place };
        let store = place.open(config()).await.expect("opens");
        put(&store, 4, b"four").await;
        store.close().await.expect("closes");
    });
}

//! Stores that get the write-ahead log late, leave it, or give it other memory.

use super::{Place, config};
use crate::changes::put;
use kvick::config::{ByteSize, DurableBy};
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
        store.upsert(&3, b"three").durable().await.expect("a checkpoint has it");
        let token = store.checkpoint().await.expect("only the log is full").token;
        store.close().await.expect("the checkpoint has everything");

        let builder = || {
            let builder = FasterKv::<u64, [u8]>::builder(without_log());
            builder.directory(Arc::new(place.store.clone()))
        };
        let refused = builder().open_in_directory().await.expect_err("it has a log");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert!(refused.to_string().contains("by its token"), "it says what to do: {refused}");
        let store = builder().recover(token).open_in_directory().await.expect("as told");
        store.close().await.expect("closes");
        let store = place.open(without_log()).await.expect("it has no log any more");
        for (key, value) in [(1, &b"one"[..]), (2, b"two"), (3, b"three")] {
            assert_eq!(store.read(&key).await.expect("read").as_deref(), Some(value));
        }
        store.close().await.expect("closes");
        // It may get another one.
        let store = place.open(config()).await.expect("opens");
        put(&store, 4, b"four").await;
        store.close().await.expect("closes");
    });
}

/// The report was that of the second part of the opening, which found all in one checkpoint.
#[test]
fn an_opening_that_leaves_the_log_reports_what_it_has_repeated() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        store.upsert(&1, b"one").await.expect("written");
        let kept = store.checkpoint().cookie(b"mine".to_vec()).await.expect("taken").token;
        for key in 2..5 {
            store.upsert(&key, b"more").durable().await.expect("durable");
        }
        drop(store);
        let store = place.open(without_log()).await.expect("opens");
        let report = store.recovery().expect("it was there").clone();
        assert_eq!((report.chosen, &*report.cookie), (Some(kept), &b"mine"[..]), "{report}");
        assert_eq!(report.repeated, 3, "{report}");
        assert!(report.wal_bytes > 0, "{report}");
        store.close().await.expect("closes");
    });
}

/// Pages of a log keep their size. With few of them, the log itself refused the longest values.
#[test]
fn less_memory_of_the_log_limits_values_with_its_name() {
    block_on(async {
        let place = Place::default();
        let with =
            |kib| config().with_memory(ByteSize::mib(256)).with_wal_memory(ByteSize::kib(kib));
        let store = place.open(with(32 << 10)).await.expect("opens");
        put(&store, 1, b"one").await;
        store.close().await.expect("closes");
        let mut opened = 0;
        for kib in (6 << 10..18 << 10).step_by(512) {
            let store = match place.open(with(kib)).await {
                Ok(store) => store,
                Err(error) => {
                    assert!(error.to_string().starts_with("wal_memory = "), "{error}");
                    continue;
                }
            };
            let length = usize::try_from(kib << 10).expect("small");
            let refused = store.upsert(&1, &vec![1; length]).await.expect_err("too long");
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
            let text = refused.to_string();
            assert!(text.contains("`wal_memory`"), "{text}");
            let most = text.split("at most ").nth(1).and_then(|rest| rest.split(';').next());
            let most: usize = most.expect("a number").parse().expect("a number");
            // It fits, wherever its entry begins.
            for length in [most, most - 1, most / 3, most, most - 4000, most] {
                store.upsert(&1, &vec![2; length]).await.expect("it fits");
            }
            store.close().await.expect("closes");
            opened += 1;
        }
        assert!(opened > 10, "{opened} sizes");
    });
}

//! Writes that are ready when they are durable, or when they are in memory.

use super::{Place, config};
use kvick::ErrorKind;
use kvick::config::{Acknowledge, DurableBy};
use kvick::runtime::block_on;

/// Each of these waits for a commit of its own, so nothing is lost with the store.
#[test]
fn a_store_acknowledges_only_durable_writes_if_asked() {
    block_on(async {
        let place = Place::default();
        let durable = config().with_acknowledge(Acknowledge::Durable);
        let store = place.open(durable.clone()).await.expect("opens");
        store.upsert_many(&[(1, b"one".to_vec()), (2, b"two".to_vec())]).await.expect("written");
        let counted = |value: Option<Vec<u8>>| [value.unwrap_or_default(), b"!".to_vec()].concat();
        let mut session = store.session().expect("opens");
        assert_eq!(session.rmw(&1, counted).await.expect("written"), b"one!");
        assert_eq!(session.commit_point().until, 1);
        session.rmw_many(&[2, 3], |_, value| counted(value)).await.expect("written");
        session.upsert_each([(4, b"four".to_vec()), (5, b"five".to_vec())]).await.expect("written");
        assert_eq!(session.commit_point().until, 5, "of a batch, too");
        assert_eq!(store.retain(|key, _| key != 4).await.expect("removes"), 1);
        session.upsert(&6, b"lost").in_memory().await.expect("written");
        assert_eq!(session.commit_point().until, 5);
        session.set_acknowledge(Acknowledge::Memory).expect("set");
        session.delete_many(&[6]).await.expect("written");
        assert_eq!((session.serial(), session.commit_point().until), (7, 5));
        drop((session, store));
        let store = place.open(durable).await.expect("opens");
        let expected: [(u64, Option<&[u8]>); 6] = [
            (1, Some(b"one!")),
            (2, Some(b"two!")),
            (3, Some(b"!")),
            (4, None),
            (5, Some(b"five")),
            (6, None),
        ];
        for (key, value) in expected {
            assert_eq!(store.read(&key).await.expect("read").as_deref(), value, "key {key}");
        }
        store.close().await.expect("closes");
    });
}

/// Pairs before a failing one are set. They were not durable.
#[test]
fn the_part_of_a_failed_batch_is_durable() {
    block_on(async {
        let place = Place::default();
        let durable = config().with_acknowledge(Acknowledge::Durable);
        let store = place.open(durable.clone()).await.expect("opens");
        let too_long = vec![0; 300_000];
        let pairs = [(1, b"one".to_vec()), (2, too_long), (3, b"three".to_vec())];
        let refused = store.upsert_many(&pairs).await.expect_err("too long");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        drop(store);
        let store = place.open(durable).await.expect("opens");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"one"[..]));
        assert_eq!(store.read(&3).await.expect("read"), None);
        store.close().await.expect("closes");
    });
}

#[test]
fn a_session_waits_for_durable_batches() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session().expect("opens");
        session.upsert_many(&[(1, b"one".to_vec())]).await.expect("written");
        assert_eq!(session.commit_point().until, 0);
        session.set_acknowledge(Acknowledge::Durable).expect("set");
        assert_eq!(session.insert_many(&[(1, b"two".to_vec())]).await.expect("done"), [false]);
        assert_eq!(session.commit_point().until, 2);
        drop(session);
        store.close().await.expect("closes");
    });
}

#[test]
fn a_store_without_the_log_says_so() {
    block_on(async {
        let store = Place::default().open(config().with_durability(DurableBy::Checkpoint)).await;
        let store = store.expect("opens");
        let refused = store.upsert(&1, b"one").durable().await.expect_err("no log");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert!(refused.to_string().contains("durability"), "{refused}");
        assert_eq!(store.read(&1).await.expect("read"), None, "nothing was written");
        let taken_back = store.upsert(&1, b"one").durable().in_memory();
        taken_back.await.expect("it is not asked for any more");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"one"[..]));
        let mut session = store.session().expect("opens");
        let refused = session.set_acknowledge(Acknowledge::Durable).expect_err("no log");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        drop(session);
        assert_eq!(store.sync().await.expect_err("no log").kind(), ErrorKind::InvalidArgument);
        store.close().await.expect("closes");
        let impossible =
            config().with_durability(DurableBy::Checkpoint).with_acknowledge(Acknowledge::Durable);
        let refused = Place::default().open(impossible).await.expect_err("no log");
        assert!(refused.to_string().contains("acknowledge"), "{refused}");
    });
}

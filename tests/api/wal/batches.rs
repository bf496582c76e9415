//! Batches with an offset, which are recovered whole.

use super::{Place, config};
use futures::StreamExt;
use kvick::ErrorKind;
use kvick::config::{Acknowledge, DurableBy};
use kvick::feed::Start;
use kvick::runtime::block_on;
use kvick::session::WriteBatch;

fn batch(changes: &[(u64, Option<&[u8]>)]) -> WriteBatch<u64, [u8]> {
    let mut batch = WriteBatch::new();
    for (key, value) in changes {
        match value {
            Some(value) => batch.upsert(key, *value).expect("bytes"),
            None => batch.delete(key).expect("a number"),
        };
    }
    batch
}

#[test]
fn a_durable_batch_comes_back_with_its_offset() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        session.set_acknowledge(Acknowledge::Durable).expect("it has a log");
        let long = vec![5; 90_000];
        let changes = [(1, Some(&b"one"[..])), (2, Some(&long)), (3, Some(b"x")), (3, None)];
        session.write_batch(&batch(&changes), b"17").await.expect("durable");
        assert_eq!((session.serial(), session.offset().expect("set").serial), (4, 4));
        drop((session, store));
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.recovery().expect("recovered").repeated, 4);
        let session = store.session_named("input").expect("it waits");
        let offset = session.offset().expect("set");
        assert_eq!((&*offset.bytes, offset.serial, session.serial()), (&b"17"[..], 4, 4));
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"one"[..]));
        assert_eq!(store.read(&2).await.expect("read"), Some(long));
        assert_eq!(store.read(&3).await.expect("read"), None);
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
        session.write_batch(&batch(&[(1, Some(b"one"))]), b"1").await.expect("written");
        store.checkpoint().await.expect("taken");
        session.write_batch(&batch(&[(1, Some(b"two"))]), b"2").await.expect("written");
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
        let three = [(1, Some(&b"a"[..])), (2, None), (3, Some(b"c"))];
        session.write_batch(&batch(&three), b"1").await.expect("written");
        session.write_batch(&batch(&[]), b"2").await.expect("written");
        session.write_batch(&batch(&[(4, Some(b"d"))]), b"3").await.expect("written");
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
        drop((changes, again, after, session));
        store.close().await.expect("closes");
    });
}

#[test]
fn a_batch_is_refused_before_anything_happens() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("input").expect("new");
        let long = vec![1; 200_000];
        let refused = [
            session.write_batch(&batch(&[(1, Some(b"a"))]), &[0; 257]).await,
            session.write_batch(&batch(&[(1, Some(b"a")), (2, Some(&long))]), b"1").await,
            session.write_batch(&batch(&[(1, Some(&long[..60_000])); 20]), b"1").await,
        ];
        for error in refused {
            let error = error.expect_err("too long");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        }
        assert_eq!((session.serial(), session.offset().is_none()), (0, true));
        assert_eq!(store.read(&1).await.expect("read"), None);
        drop(session);
        store.close().await.expect("closes");
    });
}

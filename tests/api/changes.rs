//! The changes in a write-ahead log, as users read them.

mod copies;

use crate::wal::{Place, config};
use futures::{FutureExt, StreamExt};
use kvick::codec::Expiring;
use kvick::config::{ByteSize, DurableBy};
use kvick::feed::{Change, ChangeKind, ChangeToken, Changes, Start};
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{ErrorKind, FasterKv, Key, Result, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) type Store = FasterKv<u64, [u8]>;

/// Returns every change that is durable by now.
pub(crate) async fn durable<K: Key + ?Sized, V: Value + ?Sized>(
    changes: &mut Changes<K, V>,
) -> Vec<Change<K::Owned, V::Owned>> {
    let mut shown = Vec::new();
    while let Some(change) = changes.next_durable().await.expect("sound") {
        shown.push(change);
    }
    assert_eq!(changes.lag(), 0);
    shown
}

/// Returns the keys and values of the changes from `from` on, without the value of a deletion.
pub(crate) async fn values(
    store: &Store,
    from: impl Into<Start>,
) -> Result<Vec<(u64, Option<Vec<u8>>)>> {
    let shown = durable(&mut store.changes(from)?).await;
    Ok(shown.into_iter().map(|change| (change.key, change.kind.into_value())).collect())
}

pub(crate) fn some(key: u64, value: &[u8]) -> (u64, Option<Vec<u8>>) {
    (key, Some(value.to_vec()))
}

pub(crate) async fn put(store: &Store, key: u64, value: &[u8]) {
    store.upsert(&key, value).durable().await.expect("durable");
}

/// Returns the kind of a refusal. `Changes` has no text for `expect_err`.
pub(crate) fn refusal<T>(refused: Result<T>) -> (ErrorKind, String) {
    let error = refused.err().expect("refused");
    (error.kind(), error.to_string())
}

#[test]
fn every_kind_of_write_shows_in_order_with_its_whole_value() {
    block_on(async {
        let store = Place::default().open(config()).await.expect("opens");
        let mut changes = store.changes(Start::Oldest).expect("it has a log");
        let long = vec![7; 90_000];
        store.upsert(&1, b"one").await.expect("written");
        let more = |value: Option<Vec<u8>>| [value.unwrap_or_default(), b"!".to_vec()].concat();
        store.rmw(&1, more).await.expect("written");
        assert!(store.insert_if_absent(&2, b"two").await.expect("written"));
        assert!(!store.insert_if_absent(&2, b"no").await.expect("not written"));
        assert!(store.compare_and_swap(&2, b"two", b"2").await.expect("written"));
        store.upsert(&3, &long).await.expect("written");
        store.rmw(&3, more).await.expect("written");
        store.delete(&1).await.expect("deleted");
        store.delete(&77).await.expect("absent before");
        store.take(&2).await.expect("taken");
        let pairs: Vec<_> = (10..14_u64).map(|key| (key, vec![key.to_le_bytes()[0]])).collect();
        store.upsert_many(&pairs).await.expect("all");
        store.delete_many(&[11, 12]).await.expect("all");
        let mut session = store.session_named("worker").expect("new");
        session.upsert(&20, b"").await.expect("written");
        session.set_offset(b"1").expect("set");
        assert_eq!(store.retain(|key, _| key == 10).await.expect("removes"), 3);
        assert!(changes.next().now_or_never().is_none(), "nothing is durable");
        session.sync().await.expect("durable");
        drop(session);

        let shown = durable(&mut changes).await;
        let found: Vec<_> = shown.iter().map(|it| (it.key, it.kind.clone().into_value())).collect();
        let mut expected = vec![some(1, b"one"), some(1, b"one!"), some(2, b"two"), some(2, b"2")];
        expected.extend([some(3, &long), some(3, &[&long[..], b"!"].concat()), (1, None)]);
        let mut found = found;
        found.retain(|(key, _)| *key != 77);
        expected.push((2, None));
        let batch = pairs.iter().map(|(key, value)| (*key, Some(value.clone())));
        expected.extend(batch.chain([(11, None), (12, None), some(20, b"")]));
        // A scan has no order.
        let mut removed = found.split_off(expected.len());
        removed.sort();
        assert_eq!((found, removed), (expected, vec![(3, None), (13, None), (20, None)]));
        assert!(shown.windows(2).all(|pair| pair[0].token < pair[1].token));
        let last = shown.last().expect("some");
        assert_eq!(last.table, 0);
        assert!(last.token <= changes.token(), "the entry of the session is after it");
        // Each token is the place of what follows.
        for (count, change) in shown.iter().enumerate() {
            let rest = durable(&mut store.changes(change.token).expect("kept")).await;
            assert_eq!(rest, shown[count + 1..]);
        }
        drop(changes);
        store.close().await.expect("closes");
    });
}

#[test]
fn a_database_shows_all_tables_and_a_table_only_its_own() {
    block_on(async {
        let place = Place::default();
        let database = place.open_database().await.expect("opens");
        let words = database.table::<u64, Expiring<u64>>("words").await.expect("opens");
        let texts = database.table::<str, str>("texts").await.expect("opens");
        let mut all = database.changes(Start::Now).expect("it has a log");
        let mut of_words = words.changes(Start::Now).expect("it has a log");
        let mut of_texts = texts.changes(Start::Now).expect("it has a log");
        let hour = Expiry::after(Duration::from_secs(3600));
        words.upsert_with(&1, &10, hour).await.expect("written");
        texts.upsert("a", "b").await.expect("written");
        words.upsert(&2, &20).await.expect("written");
        assert!(words.set_expiry(&2, hour).await.expect("set"));
        assert!(words.set_expiry(&1, Expiry::never()).await.expect("set"));
        texts.delete("a").await.expect("deleted");
        let expires_at = words.expiry(&2).await.expect("read").expect("there").time();
        database.sync().await.expect("durable");

        let kinds: Vec<_> = durable(&mut of_words).await.into_iter().map(|it| it.kind).collect();
        let [first, rest @ ..] = &kinds[..] else { panic!("{kinds:?}") };
        let ChangeKind::Upsert { value: 10, expires_at: Some(_) } = first else {
            panic!("{first:?}")
        };
        let expected = [
            ChangeKind::Upsert { value: 20, expires_at: None },
            ChangeKind::SetExpiry(expires_at),
            ChangeKind::SetExpiry(None),
        ];
        assert!(expires_at.is_some());
        assert_eq!(rest, expected);
        let texts_shown = durable(&mut of_texts).await;
        let kinds: Vec<_> = texts_shown.iter().map(|it| it.kind.clone()).collect();
        let value = "b".to_owned();
        assert_eq!(kinds, [ChangeKind::Upsert { value, expires_at: None }, ChangeKind::Delete]);
        assert_eq!(of_words.token(), of_texts.token(), "both have looked at everything");

        let shown = durable(&mut all).await;
        let numbers = database.tables().into_iter().map(|table| (table.name, table.number));
        let numbers: BTreeMap<_, _> = numbers.collect();
        let tables: Vec<_> = shown.iter().map(|it| it.table).collect();
        let [first, second] = ["words", "texts"].map(|name| numbers[name]);
        assert_eq!(tables, [first, second, first, first, first, second]);
        assert_eq!(shown[1].key, b"a");
        assert_eq!(shown[1].kind.clone().into_value().as_deref(), Some(&b"b"[..]));
        assert!(shown[5].kind.is_delete());

        // What a dropped table had does not show any more.
        database.drop_table("texts").await.expect("drops");
        let rest = durable(&mut database.changes(Start::Oldest).expect("kept")).await;
        assert!(rest.iter().all(|change| change.table == first), "{rest:?}");
        let dropped = of_texts.next().await.expect("an error").expect_err("dropped");
        assert_eq!(dropped.kind(), ErrorKind::InvalidArgument, "{dropped}");
        assert!(of_texts.next().await.is_none());
        assert_eq!(refusal(texts.changes(Start::Now)).0, ErrorKind::InvalidArgument);
        drop((all, of_words, of_texts, words, texts));
        database.close().await.expect("closes");
    });
}

#[test]
fn a_token_goes_on_after_crashes_and_closings() {
    block_on(async {
        let place = Place::default();
        let mut token: Option<ChangeToken> = None;
        let mut shown = Vec::new();
        let mut written = Vec::new();
        for life in 0..12_u64 {
            let store = place.open(config()).await.expect("opens");
            let start = token.map_or(Start::Oldest, Start::Token);
            let mut changes = store.changes(start).expect("kept");
            for step in 0..7 {
                let key = life * 10 + step;
                put(&store, key, b"value").await;
                written.push(key);
                if step == 3 {
                    shown.extend(durable(&mut changes).await.iter().map(|it| it.key));
                    token = Some(changes.token());
                }
                // Its place must stay, although the log is truncated there.
                if life % 3 == 1 && step == 3 {
                    store.checkpoint().await.expect("taken");
                }
            }
            if life % 2 == 1 {
                shown.extend(durable(&mut changes).await.iter().map(|it| it.key));
                token = Some(changes.token());
            }
            store.upsert(&999, b"lost").await.expect("written");
            drop(changes);
            if life % 4 == 3 {
                store.delete(&999).await.expect("deleted");
                written.extend([999, 999]);
                store.close().await.expect("closes");
            }
        }
        let store = place.open(config()).await.expect("opens");
        let mut changes = store.changes(token.expect("some")).expect("kept");
        shown.extend(durable(&mut changes).await.iter().map(|it| it.key));
        assert_eq!(shown, written);
        drop(changes);
        store.close().await.expect("closes");
    });
}

/// A closing checkpoint removes all entries. A reader that has seen them all need not begin anew.
#[test]
fn who_has_read_everything_goes_on_after_a_checkpoint_has_removed_it() {
    block_on(async {
        let place = Place::default();
        let config = config().with_checkpoint_on_close(true).with_keep_checkpoints(1);
        let mut token = None;
        for life in 0..5_u64 {
            let store = place.open(config.clone()).await.expect("opens");
            let mut changes = store.changes(token.map_or(Start::Now, Start::Token)).expect("kept");
            let mut session = store.session_named("worker").expect("new, or waits");
            session.upsert(&life, b"value").await.expect("written");
            drop(session);
            store.sync().await.expect("durable");
            let shown = durable(&mut changes).await;
            assert_eq!(shown.iter().map(|it| it.key).collect::<Vec<_>>(), [life]);
            token = Some(changes.token());
            drop(changes);
            store.close().await.expect("closes");
        }
    });
}

#[test]
fn removed_changes_are_an_error_that_names_the_oldest() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config().with_keep_checkpoints(1)).await.expect("opens");
        let mut slow = store.changes(Start::Oldest).expect("it has a log");
        let before = slow.token();
        for key in 0..20 {
            put(&store, key, b"value").await;
        }
        assert_eq!(slow.next().await.expect("shown").expect("sound").key, 0);
        let middle = slow.token();
        store.checkpoint().await.expect("taken");
        let oldest = store.changes(Start::Oldest).expect("from here").token();
        assert!(middle < oldest);
        put(&store, 20, b"value").await;

        for token in [before, middle] {
            let (kind, text) = refusal(store.changes(token));
            assert_eq!(kind, ErrorKind::Truncated, "{text}");
            let address = oldest.to_string();
            let address = address.rsplit(':').next().expect("an address");
            assert!(text.contains(&format!("the oldest is at {address}; begin anew")), "{text}");
        }
        // It may have read ahead, and shows none of that.
        let error = slow.next().await.expect("an error").expect_err("removed");
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        assert!(error.to_string().contains("the oldest is at"), "{error}");
        assert!(slow.next().await.is_none());
        assert_eq!(values(&store, oldest).await.expect("kept"), [some(20, b"value")]);
        drop(slow);
        store.close().await.expect("closes");
    });
}

#[test]
fn tokens_of_other_stores_and_of_lost_changes_are_refused() {
    block_on(async {
        let (place, other) = (Place::default(), Place::default());
        let store = place.open(config()).await.expect("opens");
        let stranger = other.open(config()).await.expect("opens");
        put(&store, 1, b"one").await;
        put(&stranger, 1, b"one").await;
        let token = store.changes(Start::Now).expect("a log").token();
        let (kind, text) = refusal(stranger.changes(token));
        assert_eq!(kind, ErrorKind::InvalidArgument, "{text}");
        assert!(text.contains("of another store"), "{text}");
        // The copy of a store is another store.
        let copy = Place::default();
        store.backup_to_directory(Arc::new(copy.store.clone())).await.expect("copied");
        let copied = copy.open(config()).await.expect("opens");
        assert!(refusal(copied.changes(token)).1.contains("of another store"));
        copied.close().await.expect("closes");
        // Bytes of the right store that no token had.
        let mut bytes = token.to_bytes();
        bytes[8] = 1;
        let (kind, text) = refusal(store.changes(ChangeToken::from_bytes(bytes)));
        assert_eq!(kind, ErrorKind::InvalidArgument, "{text}");
        assert!(text.contains("lost"), "{text}");
        for store in [store, stranger] {
            store.close().await.expect("closes");
        }
        let without = config().with_durability(DurableBy::Checkpoint);
        let store = Place::default().open(without).await.expect("opens");
        let (kind, text) = refusal(store.changes(Start::Oldest));
        assert_eq!(kind, ErrorKind::InvalidArgument);
        assert!(text.contains("durability"), "{text}");
        store.close().await.expect("closes");
    });
}

/// The write-ahead log still has what a recovery by a token gave up, until a checkpoint removes it.
#[test]
fn changes_that_were_given_up_do_not_show() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        put(&store, 1, b"kept").await;
        let checkpoint = store.checkpoint().await.expect("taken").token;
        let kept = store.changes(Start::Now).expect("a log").token();
        put(&store, 2, b"given up").await;
        let mut changes = store.changes(kept).expect("a log");
        assert_eq!(durable(&mut changes).await.len(), 1);
        let tokens = [kept, changes.token(), store.changes(Start::Now).expect("a log").token()];
        drop(changes);
        store.close().await.expect("closes");

        let mut store = place.recover(checkpoint).await.expect("opens");
        for life in 0..3 {
            for token in tokens {
                let (kind, text) = refusal(store.changes(token));
                assert_eq!(kind, ErrorKind::Truncated, "{text}");
            }
            let shown = values(&store, Start::Oldest).await.expect("kept");
            let expected: Vec<_> = (0..life).map(|life| some(10 + life, b"new")).collect();
            assert_eq!(shown, expected);
            put(&store, 10 + life, b"new").await;
            drop(store);
            store = place.open(config()).await.expect("opens");
        }
        assert_eq!(store.read(&2).await.expect("read"), None);
        store.close().await.expect("closes");
    });
}

/// The end of the log was the same after both, so a token between them was accepted.
#[test]
fn a_token_between_two_recoveries_by_token_is_refused() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        put(&store, 1, b"kept").await;
        let checkpoint = store.checkpoint().await.expect("taken").token;
        put(&store, 2, b"given up").await;
        let first = store.changes(Start::Now).expect("it has a log").token();
        store.close().await.expect("closes");
        let mut tokens = vec![first];
        for _ in 0..2 {
            let store = place.recover(checkpoint).await.expect("opens");
            for token in &tokens {
                assert_eq!(refusal(store.changes(*token)).0, ErrorKind::Truncated, "{token}");
            }
            let now = store.changes(Start::Now).expect("it has a log").token();
            drop(store.changes(now).expect("of this store"));
            tokens.push(now);
            store.close().await.expect("closes");
        }
    });
}

/// Nothing woke it before the next commit.
#[test]
fn a_waiting_stream_ends_with_its_table() {
    block_on(async {
        let database = Place::default().open_database().await.expect("opens");
        let table = database.table::<u64, u64>("table").await.expect("opens");
        let mut changes = table.changes(Start::Oldest).expect("it has a log");
        assert!(changes.next().now_or_never().is_none(), "there is no change");
        drop(table);
        let (next, dropped) = futures::join!(changes.next(), database.drop_table("table"));
        dropped.expect("dropped");
        assert_eq!(refusal(next.expect("an error")).0, ErrorKind::InvalidArgument);
        drop(changes);
        database.close().await.expect("closes");
    });
}

#[test]
fn a_reader_waits_for_a_commit_and_ends_with_the_store() {
    block_on(async {
        let store = Place::default().open(config()).await.expect("opens");
        let mut changes = store.changes(Start::Now).expect("a log");
        let first = async { changes.next().await.expect("shown").expect("sound") };
        let (first, ()) = futures::join!(first, put(&store, 1, b"one"));
        assert_eq!(first.key, 1);
        assert!(changes.next_durable().await.expect("sound").is_none());
        let end = async { changes.next().await.expect("an error").expect_err("closed") };
        let closing = async { store.close().await.expect("closes") };
        let (error, ()) = futures::join!(end, closing);
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().starts_with("the store is closed"), "{error}");
        assert!(changes.next().await.is_none());
        assert_eq!(refusal(store.changes(Start::Now)).0, ErrorKind::Closed);
    });
}

/// A stream is a handle, too: the store stays open for it.
#[test]
fn a_store_ends_with_its_last_stream() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        put(&store, 1, b"one").await;
        let mut changes = store.changes(Start::Oldest).expect("a log");
        drop(store);
        assert_eq!(changes.next().await.expect("shown").expect("sound").key, 1);
        drop(changes);
        let store = place.open(config()).await.expect("opens");
        store.close().await.expect("closes");
    });
}

/// What is old comes from the device, while the newest is in memory.
#[test]
fn a_slow_reader_misses_nothing() {
    block_on(async {
        let place = Place::default();
        let config = config().with_wal_size(ByteSize::mib(64));
        let store = place.open(config).await.expect("opens");
        let mut slow = store.changes(Start::Oldest).expect("a log");
        let mut expected = Vec::new();
        for round in 0..6_u64 {
            for key in 0..2000_u64 {
                let value =
                    vec![round.to_le_bytes()[0]; 100 + usize::try_from(key % 90).expect("small")];
                store.upsert(&key, &value).await.expect("written");
                expected.push((key, Some(value)));
            }
            store.sync().await.expect("durable");
        }
        let shown = durable(&mut slow).await;
        let shown: Vec<_> = shown.into_iter().map(|it| (it.key, it.kind.into_value())).collect();
        assert!(shown == expected, "{} of {}", shown.len(), expected.len());
        drop(slow);
        store.close().await.expect("closes");
    });
}

//! Operations that are durable by the write-ahead log.

mod acknowledged;
mod batches;
mod ending_threads;
mod files;
mod inspected;
mod lost;
mod partial;
mod settings;
mod statistics;

use kvick::checkpoint::Token;
use kvick::codec::Expiring;
use kvick::config::{ByteSize, DurableBy};
use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::block_on;
use kvick::session::{Expiry, Update};
use kvick::{Config, Database, ErrorKind, FasterKv};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::mib(1))
        .with_durability(DurableBy::Wal)
        .with_wal_memory(ByteSize::kib(256))
        .with_checkpoint_on_close(false)
        .with_commit_every(None)
}

/// The directories of a store and of its write-ahead log.
#[derive(Clone, Default)]
pub(crate) struct Place {
    pub(crate) store: MemoryDirectory,
    pub(crate) wal: MemoryDirectory,
}

impl Place {
    /// Opens the store. A dropped store ends in the background, so it waits for that.
    pub(crate) async fn open(&self, config: Config) -> kvick::Result<FasterKv<u64, [u8]>> {
        ended(async || {
            FasterKv::builder(config.clone())
                .directory(Arc::new(self.store.clone()))
                .wal_directory(Arc::new(self.wal.clone()))
                .open_in_directory()
                .await
        })
        .await
    }

    /// As [`open`](Self::open), at a checkpoint.
    pub(crate) async fn recover(&self, token: Token) -> kvick::Result<FasterKv<u64, [u8]>> {
        ended(async || {
            FasterKv::builder(config())
                .directory(Arc::new(self.store.clone()))
                .wal_directory(Arc::new(self.wal.clone()))
                .recover(token)
                .open_in_directory()
                .await
        })
        .await
    }

    /// As [`open`](Self::open), for any tables.
    pub(crate) async fn open_database(&self) -> kvick::Result<Database> {
        ended(async || {
            Database::builder(config())
                .directory(Arc::new(self.store.clone()))
                .wal_directory(Arc::new(self.wal.clone()))
                .open_in_directory()
                .await
        })
        .await
    }
}

/// Opens a store as soon as it is closed elsewhere.
async fn ended<T>(open: impl AsyncFn() -> kvick::Result<T>) -> kvick::Result<T> {
    loop {
        match open().await {
            Err(error) if error.kind() == ErrorKind::InUse => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

#[test]
fn every_kind_of_write_comes_back_without_a_checkpoint() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        store.upsert(&1, b"one").durable().await.expect("durable");
        let twice = |value: Option<Vec<u8>>| [value.unwrap_or_default(), b"!".to_vec()].concat();
        store.rmw(&1, twice).durable().await.expect("durable");
        store.upsert(&2, b"two").await.expect("written");
        store.delete(&2).durable().await.expect("durable");
        assert!(store.insert_if_absent(&3, b"three").durable().await.expect("durable"));
        assert!(!store.insert_if_absent(&3, b"four").durable().await.expect("durable"));
        assert!(store.compare_and_swap(&3, b"three", b"3").durable().await.expect("durable"));
        store.upsert(&4, b"four").await.expect("written");
        assert!(store.compare_and_delete(&4, b"four").durable().await.expect("durable"));
        store.upsert(&5, b"five").await.expect("written");
        assert!(store.delete_if(&5, |value| value == b"five").durable().await.expect("durable"));
        store.upsert(&6, b"six").await.expect("written");
        let taken = store.take(&6).durable().await.expect("durable");
        assert_eq!(taken.as_deref(), Some(&b"six"[..]));
        store.replace(&7, b"seven").durable().await.expect("durable");
        let put = |_| Update::Put(b"eight".to_vec(), ());
        store.update(&8, put).durable().await.expect("durable");
        let long = vec![7; 90_000];
        store.upsert(&9, &long).durable().await.expect("durable");
        let longer = |value: Option<Vec<u8>>| [value.expect("there"), vec![8; 5]].concat();
        store.rmw(&9, longer).durable().await.expect("durable");
        store.upsert_many(&[(10, b"ten".to_vec()), (11, b"eleven".to_vec())]).await.expect("all");
        store.delete_many(&[11]).await.expect("all");
        store.sync().await.expect("durable");
        drop(store);

        let store = place.open(config()).await.expect("opens");
        let report = store.recovery().cloned().expect("recovered");
        assert!(report.chosen.is_none() && report.repeated > 15, "{report}");
        let expected: [(u64, Option<Vec<u8>>); 11] = [
            (1, Some(b"one!".to_vec())),
            (2, None),
            (3, Some(b"3".to_vec())),
            (4, None),
            (5, None),
            (6, None),
            (7, Some(b"seven".to_vec())),
            (8, Some(b"eight".to_vec())),
            (9, Some([long, vec![8; 5]].concat())),
            (10, Some(b"ten".to_vec())),
            (11, None),
        ];
        for (key, value) in expected {
            assert_eq!(store.read(&key).await.expect("read"), value, "key {key}");
        }
        store.close().await.expect("closes");
    });
}

#[test]
fn operations_that_are_not_durable_may_be_lost_and_closing_keeps_all() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        store.upsert(&1, b"durable").durable().await.expect("durable");
        store.upsert(&2, b"in memory").await.expect("written");
        drop(store);
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"durable"[..]));
        assert_eq!(store.read(&2).await.expect("read"), None);
        store.upsert(&2, b"in memory").await.expect("written");
        store.close().await.expect("closes");
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.read(&2).await.expect("read").as_deref(), Some(&b"in memory"[..]));
        store.close().await.expect("closes");
    });
}

#[test]
fn a_checkpoint_has_what_is_below_its_cut() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        for key in 0..100 {
            store.upsert(&key, b"before").await.expect("written");
        }
        let token = store.checkpoint().await.expect("taken").token;
        store.upsert(&1, b"after").durable().await.expect("durable");
        drop(store);
        let store = place.open(config()).await.expect("opens");
        let report = store.recovery().cloned().expect("recovered");
        assert_eq!((report.chosen, report.repeated), (Some(token), 1), "{report}");
        assert_eq!(store.read(&0).await.expect("read").as_deref(), Some(&b"before"[..]));
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"after"[..]));
        store.close().await.expect("closes");
        // The token gives up what came after it, for ever.
        let store = place.recover(token).await.expect("opens");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"before"[..]));
        drop(store);
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"before"[..]));
        store.close().await.expect("closes");
    });
}

#[test]
fn sessions_come_back_with_their_last_durable_operation() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("worker").expect("new");
        session.upsert(&1, b"one").await.expect("written");
        session.set_offset(b"7").expect("set");
        session.upsert(&2, b"two").durable().await.expect("durable");
        assert_eq!(session.commit_point().until, 2);
        // It changes nothing, and counts.
        assert!(!session.insert_if_absent(&2, b"three").await.expect("done"));
        session.sync().await.expect("durable");
        session.upsert(&4, b"four").await.expect("written");
        drop(session);
        drop(store);
        let store = place.open(config()).await.expect("opens");
        let session = store.session_named("worker").expect("waits");
        assert_eq!(session.serial(), 3);
        assert_eq!(
            session.offset().map(|offset| (offset.bytes, offset.serial)),
            Some((b"7".to_vec(), 1))
        );
        drop(session);
        store.close().await.expect("closes");
    });
}

/// A forgotten session that began again came back as its former self.
#[test]
fn a_name_that_begins_again_does_so_after_a_crash() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("worker").expect("new");
        for key in 0..100 {
            session.upsert(&key, b"old").await.expect("written");
        }
        session.set_offset(b"100").expect("set");
        session.sync().await.expect("durable");
        drop(session);
        let id =
            kvick::session::Id::clone(store.recovered_sessions().keys().next().expect("waits"));
        assert!(store.forget_session(id));
        let mut session = store.session_named("worker").expect("begins again");
        session.upsert(&1, b"new").await.expect("written");
        session.sync().await.expect("durable");
        drop((session, store));
        for _ in 0..2 {
            let store = place.open(config()).await.expect("opens");
            let session = store.session_named("worker").expect("waits");
            assert_eq!((session.serial(), session.offset()), (1, None));
            drop(session);
            // The second opening finds it in a checkpoint.
            store.checkpoint().await.expect("taken");
            store.close().await.expect("closes");
        }
    });
}

/// The name was in an entry below the cut of a checkpoint that had no operation of the session.
#[test]
fn a_session_that_has_done_nothing_at_a_checkpoint_keeps_its_name() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session_named("worker").expect("new");
        session.sync().await.expect("durable");
        store.upsert(&1, b"other").await.expect("written");
        store.checkpoint().await.expect("taken");
        session.upsert(&2, b"two").await.expect("written");
        session.sync().await.expect("durable");
        drop((session, store));
        let store = place.open(config()).await.expect("opens");
        let session = store.session_named("worker").expect("it has its name");
        assert_eq!(session.serial(), 1);
        drop(session);
        store.close().await.expect("closes");
    });
}

/// The log had no entry with the id of a session that got it late, and was resumed.
#[test]
fn a_session_that_is_resumed_is_durable_as_a_whole() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut session = store.session().expect("opens");
        for key in 0..5 {
            session.upsert(&key, b"value").await.expect("written");
        }
        let id = session.id();
        drop(session);
        let session = store.resume_session(id).expect("waits");
        session.sync().await.expect("durable");
        drop((session, store));
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.resume_session(id).expect("waits").serial(), 5);
        store.close().await.expect("closes");
    });
}

/// Only one checkpoint may be older than the log: changes between two of them are not in it.
#[test]
fn a_store_may_get_the_log_later() {
    block_on(async {
        let place = Place::default();
        let before = config().with_durability(DurableBy::Checkpoint);
        let store = place.open(before).await.expect("opens");
        for value in [b"1", b"2"] {
            store.upsert(&1, value).await.expect("written");
            store.checkpoint().await.expect("taken");
        }
        store.close().await.expect("closes");
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.checkpoints().len(), 1, "it has all that the log lacks");
        store.upsert(&2, b"3").durable().await.expect("durable");
        drop(store);
        let store = place.open(config()).await.expect("opens");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"2"[..]));
        assert_eq!(store.read(&2).await.expect("read").as_deref(), Some(&b"3"[..]));
        // A backup has no log, and opens with a new one.
        let copy = Place::default();
        store.backup_to_directory(Arc::new(copy.store.clone())).await.expect("copied");
        store.close().await.expect("closes");
        let store = copy.open(config()).await.expect("opens");
        assert_eq!(store.read(&2).await.expect("read").as_deref(), Some(&b"3"[..]));
        store.close().await.expect("closes");
    });
}

/// An opening without the log was refused, although a checkpoint can have all that the log has.
#[test]
fn a_store_may_leave_the_log() {
    block_on(async {
        let place = Place::default();
        let without = config().with_durability(DurableBy::Checkpoint);
        for round in 0..3_u8 {
            let store = place.open(config()).await.expect("opens");
            store.upsert(&u64::from(round), &[round]).durable().await.expect("durable");
            drop(store);
            let store = place.open(without.clone()).await.expect("opens");
            assert_eq!(place.wal.list().await.expect("listed"), ["lock"], "the log is gone");
            assert!(store.stats().wal.is_none());
            store.upsert(&100, &[round]).await.expect("written");
            store.checkpoint().await.expect("taken");
            store.close().await.expect("closes");
            let store = place.open(without.clone()).await.expect("opens");
            for key in 0..=round {
                let value = store.read(&u64::from(key)).await.expect("read");
                assert_eq!(value.as_deref(), Some(&[key][..]));
            }
            assert_eq!(store.read(&100).await.expect("read").as_deref(), Some(&[round][..]));
            store.close().await.expect("closes");
        }
    });
}

#[test]
fn expiries_come_back() {
    block_on(async {
        let place = Place::default();
        let hour = Expiry::after(Duration::from_secs(3600));
        let database = place.open_database().await.expect("opens");
        let words = database.table::<u64, Expiring<u64>>("words").await.expect("opens");
        let texts = database.table::<u64, Expiring<str>>("texts").await.expect("opens");
        words.upsert_with(&1, &10, hour).durable().await.expect("durable");
        words.upsert(&2, &20).await.expect("written");
        assert!(words.set_expiry(&2, hour).durable().await.expect("durable"));
        texts.upsert(&1, "one").await.expect("written");
        assert!(texts.set_expiry(&1, hour).durable().await.expect("durable"));
        assert!(texts.insert_with(&2, "two", hour).durable().await.expect("durable"));
        let expected =
            [words.expiry(&1).await.expect("read"), words.expiry(&2).await.expect("read")];
        drop((words, texts, database));
        let database = place.open_database().await.expect("opens");
        let words = database.table::<u64, Expiring<u64>>("words").await.expect("opens");
        let texts = database.table::<u64, Expiring<str>>("texts").await.expect("opens");
        assert_eq!(words.read(&1).await.expect("read"), Some(10));
        for (key, expiry) in [1, 2].into_iter().zip(expected) {
            assert!(expiry.is_some_and(|expiry| expiry != Expiry::never()));
            assert_eq!(words.expiry(&key).await.expect("read"), expiry, "key {key}");
            let text = texts.expiry(&key).await.expect("read").expect("there");
            assert_ne!(text, Expiry::never(), "key {key}");
        }
        database.close().await.expect("closes");
    });
}

#[test]
fn removals_of_a_scan_and_a_dropped_table_come_back() {
    block_on(async {
        let place = Place::default();
        let database = place.open_database().await.expect("opens");
        let (first, second) = ("first", "second");
        let table = database.table::<u64, u64>(first).await.expect("opens");
        for key in 0..100 {
            table.upsert(&key, &key).await.expect("written");
        }
        assert_eq!(table.retain(|key, _| key % 2 == 0).await.expect("removes"), 50);
        let gone = database.table::<u64, u64>(second).await.expect("opens");
        gone.upsert(&1, &1).durable().await.expect("durable");
        drop(gone);
        database.drop_table(second).await.expect("drops");
        let new = database.table::<u64, [u8]>("new").await.expect("opens");
        new.upsert(&2, b"2").durable().await.expect("durable");
        drop((table, new, database));
        let database = place.open_database().await.expect("opens");
        let table = database.table::<u64, u64>(first).await.expect("opens");
        for key in 0..100 {
            let expected = (key % 2 == 0).then_some(key);
            assert_eq!(table.read(&key).await.expect("read"), expected, "key {key}");
        }
        let new = database.table::<u64, [u8]>("new").await.expect("opens");
        assert_eq!(new.read(&1).await.expect("read"), None);
        assert_eq!(new.read(&2).await.expect("read").as_deref(), Some(&b"2"[..]));
        database.close().await.expect("closes");
    });
}

//! Parts of a store that are lost, damaged or older than the rest.

use super::{Place, config};
use crate::changes::{durable, put, refusal, some, values};
use kvick::feed::Start;
use kvick::io::{BoxFuture, Device, DeviceOptions, Directory};
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterKv, log};
use std::io;
use std::sync::Arc;
use tests::files::Files;

/// The addresses of the lost commits are used again. A reader that went on at one of them missed
/// the changes before it.
#[test]
fn a_token_of_commits_that_a_repair_has_discarded_is_refused() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        let mut tokens = Vec::new();
        for key in 0..60 {
            put(&store, key, &[7; 100]).await;
            if key % 20 == 10 {
                tokens.push(store.changes(Start::Now).expect("it has a log").token());
            }
        }
        store.close().await.expect("closes");
        let files = Files::of(&place.wal).await;
        let half = files.with("log.000000", |bytes| bytes.truncate(bytes.len() / 8192 * 4096));
        let place = Place { wal: half.restore().await, ..place };
        let lost = place.open(config()).await.expect_err("half of the log is lost");
        assert_eq!(lost.kind(), ErrorKind::Corrupt, "{lost}");
        let check = log::repair(Arc::new(place.wal.clone())).await.expect("repaired");
        assert!(!check.damage.is_empty(), "{check:?}");

        let store = place.open(config()).await.expect("opens");
        for key in 100..200 {
            put(&store, key, &[8; 100]).await;
        }
        for token in tokens {
            let (kind, text) = refusal(store.changes(token));
            assert_eq!(kind, ErrorKind::Truncated, "{text}");
        }
        let shown = values(&store, Start::Oldest).await.expect("kept");
        assert_eq!(shown.last(), Some(&some(199, &[8; 100])));
        let token = store.changes(Start::Now).expect("it has a log").token();
        store.close().await.expect("closes");
        // That counts once.
        let store = place.open(config()).await.expect("opens");
        assert!(values(&store, token).await.expect("of this store").is_empty());
        store.close().await.expect("closes");
    });
}

/// The value of an entry between two checkpoints is damaged. The newer one does not need it.
#[test]
fn a_feed_does_not_jump_over_what_a_repair_gave_up() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        put(&store, 5, b"before").await;
        let older = store.checkpoint().await.expect("taken").token;
        for key in 10..20_u8 {
            put(&store, key.into(), &[key; 5000]).await;
        }
        store.checkpoint().await.expect("taken");
        put(&store, 30, b"after").await;
        let mut changes = store.changes(older).expect("kept");
        assert_eq!(durable(&mut changes).await.len(), 11);
        let early = store.changes(older).expect("kept").token();
        drop(changes);
        store.close().await.expect("closes");
        let damaged = Files::of(&place.wal).await.with("log.000000", |bytes| {
            let of_15: Vec<usize> =
                (0..bytes.len() - 300).filter(|at| bytes[*at..*at + 300] == [15; 300]).collect();
            bytes[of_15[of_15.len() / 2]] = 0;
        });
        let place = Place { wal: damaged.restore().await, ..place };
        log::repair(Arc::new(place.wal.clone())).await.expect("repaired");
        let store = place.open(config()).await.expect("the newest checkpoint has it");
        assert_eq!(store.read(&15).await.expect("read").as_deref(), Some(&[15; 5000][..]));
        for start in [Start::from(early), Start::from(older)] {
            assert_eq!(refusal(store.changes(start)).0, ErrorKind::Truncated);
        }
        let shown = values(&store, Start::Oldest).await.expect("kept");
        let keys: Vec<u64> = shown.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [16, 17, 18, 19, 30]);
        store.close().await.expect("closes");
    });
}

/// The entries of such a table were dropped in silence.
#[test]
fn entries_of_an_unknown_table_are_refused() {
    block_on(async {
        let place = Place::default();
        let database = place.open_database().await.expect("opens");
        let first = database.table::<u64, u64>("first").await.expect("opens");
        first.upsert(&1, &1).durable().await.expect("durable");
        let older = Files::of(&place.store).await;
        let second = database.table::<u64, u64>("second").await.expect("opens");
        second.upsert(&2, &2).durable().await.expect("durable");
        drop((first, second, database));
        let mixed = Place { store: older.restore().await, ..place.clone() };
        let error = mixed.open_database().await.expect_err("it has another table");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("of table number"), "{error}");
        place.open_database().await.expect("opens").close().await.expect("closes");
    });
}

/// A directory that has no space for the copy of a manifest.
#[derive(Debug)]
struct NoCopies {
    inner: Arc<dyn Directory>,
}

impl Directory for NoCopies {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        self.inner.open_device(name, options)
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        if name == "manifest.copy" {
            return Box::pin(async { Err(io::ErrorKind::StorageFull.into()) });
        }
        self.inner.write_file(name, bytes)
    }

    kvick::io::forward_directory!(
        list,
        read_file,
        rename,
        exchange,
        remove_file,
        lock,
        sync,
        describe
    );
}

/// The copy of before brought back what a recovery by token had given up.
#[test]
fn an_older_copy_of_the_manifest_brings_back_no_change() {
    for has_space in [true, false] {
        block_on(async {
            let place = Place::default();
            let store = place.open(config()).await.expect("opens");
            put(&store, 1, b"kept").await;
            let token = store.checkpoint().await.expect("taken").token;
            put(&store, 2, b"given up").await;
            store.close().await.expect("closes");
            let inner: Arc<dyn Directory> = Arc::new(place.store.clone());
            let directory = if has_space { inner } else { Arc::new(NoCopies { inner }) };
            let store: FasterKv<u64, [u8]> = FasterKv::builder(config())
                .directory(directory)
                .wal_directory(Arc::new(place.wal.clone()))
                .recover(token)
                .open_in_directory()
                .await
                .expect("opens");
            assert_eq!(store.read(&2).await.expect("read"), None);
            store.close().await.expect("closes");
            let damaged = Files::of(&place.store).await.with("manifest", |bytes| bytes[0] ^= 1);
            let place = Place { store: damaged.restore().await, ..place };
            let opened = place.open(config().with_allow_fallback(true)).await;
            let store = match opened {
                Err(error) => {
                    assert!(!has_space, "{error}");
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    return;
                }
                Ok(store) => store,
            };
            assert_eq!(store.read(&2).await.expect("read"), None);
            assert!(has_space, "there is no copy");
            store.close().await.expect("closes");
        });
    }
}

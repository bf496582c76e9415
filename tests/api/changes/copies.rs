//! Copies that begin as a backup, and go on with the changes after it.

use super::{durable, put, refusal, some, values};
use crate::wal::{Place, config};
use kvick::ErrorKind;
use kvick::config::ByteSize;
use kvick::runtime::block_on;
use std::sync::Arc;

#[test]
fn changes_after_a_checkpoint_complete_its_backup() {
    block_on(async {
        let place = Place::default();
        let database = place.open_database().await.expect("opens");
        let table = database.table::<u64, u64>("words").await.expect("opens");
        for key in 0..50 {
            table.upsert(&key, &1).await.expect("written");
        }
        let taken = database.checkpoint().await.expect("taken").token;
        for key in 25..75 {
            table.rmw(&key, |count| count.unwrap_or(0) + 1).await.expect("written");
        }
        database.sync().await.expect("durable");
        let copy = Place::default();
        let directory = Arc::new(copy.store.clone());
        let backup = database.backup_to_directory(directory).of(taken);
        assert_eq!(backup.await.expect("copied").token, taken);
        let mut changes = table.changes(taken).expect("kept");
        let shown = durable(&mut changes).await;
        assert_eq!(shown.len(), 50, "those after the checkpoint, and no other");

        let replica = copy.open_database().await.expect("opens");
        let copied = replica.table::<u64, u64>("words").await.expect("opens");
        assert_eq!(copied.count().await.expect("counts"), 50);
        for change in shown {
            let value = change.kind.into_value().expect("only values");
            copied.upsert(&change.key, &value).await.expect("written");
        }
        for key in 0..75 {
            let [a, b] = [table.read(&key).await, copied.read(&key).await];
            assert_eq!(a.expect("read"), b.expect("read"), "key {key}");
        }
        let unknown = kvick::checkpoint::Token::new(77);
        let (kind, text) = refusal(table.changes(unknown));
        assert_eq!(kind, ErrorKind::InvalidArgument, "{text}");
        drop((changes, table, copied));
        replica.close().await.expect("closes");
        database.close().await.expect("closes");
    });
}

/// The copy of a large, busy store found that the changes after its backup were gone.
#[test]
fn a_copy_goes_on_from_its_backup_without_the_checkpoint() {
    for keeps in [true, false] {
        block_on(async {
            let kept = if keeps { ByteSize::mib(1) } else { ByteSize::new(0) };
            let config = config().with_keep_checkpoints(1).with_wal_keep(kept);
            let store = Place::default().open(config).await.expect("opens");
            put(&store, 1, b"one").await;
            let copy = Arc::new(Place::default().store);
            let backup = store.backup_to_directory(copy).await.expect("copied");
            put(&store, 2, b"two").await;
            assert_eq!(values(&store, &backup).await.expect("kept"), [some(2, b"two")]);
            for _ in 0..2 {
                store.checkpoint().await.expect("taken");
                put(&store, 3, b"three").await;
            }
            assert_eq!(refusal(store.changes(backup.token)).0, ErrorKind::InvalidArgument);
            let after = [some(2, b"two"), some(3, b"three"), some(3, b"three")];
            match keeps {
                true => assert_eq!(values(&store, &backup).await.expect("kept"), after),
                false => assert_eq!(refusal(store.changes(&backup)).0, ErrorKind::Truncated),
            }
            store.close().await.expect("closes");
        });
    }
}

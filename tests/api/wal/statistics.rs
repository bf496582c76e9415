//! What a user sees of a write-ahead log from outside.

use std::sync::{Arc, Mutex};

use kvick::FasterKv;
use kvick::recovery::{Phase, Progress};
use kvick::runtime::block_on;

use super::{Place, config};

#[test]
fn statistics_follow_entries_commits_and_checkpoints() {
    block_on(async {
        let store = Place::default().open(config().with_keep_checkpoints(1)).await.expect("opens");
        let wal = || store.stats().wal.expect("there is a log");
        let before = wal();
        assert_eq!((before.replay_bytes, before.uncommitted_bytes), (0, 0));
        assert!(before.memory_bytes > 0 && before.memory_bytes <= 300 << 10, "{before:?}");
        store.upsert(&1, &[7; 1000]).await.expect("written");
        let written = wal();
        assert!((1000..1200).contains(&written.uncommitted_bytes), "{written:?}");
        assert_eq!(written.replay_bytes, written.kept_bytes);
        assert_eq!((written.commits, written.device.write_bytes), (before.commits, 0));
        store.sync().await.expect("durable");
        let durable = wal();
        assert_eq!(durable.uncommitted_bytes, 0);
        assert_eq!(durable.commits, before.commits + 1);
        assert!(durable.replay_bytes >= written.replay_bytes);
        assert!(durable.device.write_bytes >= 1000 && durable.device.bytes_stored >= 1000);
        store.checkpoint().await.expect("taken");
        let taken = wal();
        assert!(taken.replay_bytes < 1000, "commits have entries of their own: {taken:?}");
        let table = store.stats().to_string();
        assert!(table.lines().any(|line| line.starts_with("wal ")), "{table}");
        store.close().await.expect("closes");
    });
}

#[test]
fn a_recovery_tells_how_far_the_replay_is() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config()).await.expect("opens");
        for key in 0..1000 {
            store.upsert(&key, b"value").await.expect("written");
        }
        store.sync().await.expect("durable");
        drop(store);
        drop(place.open(config()).await.expect("waits for the end of the first"));
        let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let tell = Arc::clone(&told);
        let opening = super::ended(async || {
            let tell = Arc::clone(&tell);
            FasterKv::<u64, [u8]>::builder(config())
                .directory(Arc::new(place.store.clone()))
                .wal_directory(Arc::new(place.wal.clone()))
                .on_recovery_progress(move |progress| tell.lock().expect("fine").push(progress))
                .open_in_directory()
                .await
        });
        let store = opening.await.expect("opens");
        let bytes = store.recovery().expect("recovered").wal_bytes;
        let told = told.lock().expect("fine").clone();
        let of_log = told.iter().filter(|progress| progress.phase == Phase::WriteAheadLog);
        assert!(of_log.clone().count() > 3, "{told:?}");
        assert!(told.is_sorted_by_key(|progress| progress.bytes), "{told:?}");
        assert!(of_log.clone().all(|progress| progress.total == bytes), "{told:?}");
        assert_eq!(told.last().map(|progress| progress.bytes), Some(bytes));
        store.close().await.expect("closes");
    });
}

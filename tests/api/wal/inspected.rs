//! The inspection of a store together with its write-ahead log.

use super::{Place, config};
use kvick::config::ByteSize;
use kvick::inspect::{Inspection, with_wal};
use kvick::io::{AlignedBuf, DeviceOptions, Directory};
use kvick::runtime::block_on;
use std::sync::Arc;

async fn look(store: &Place, wal: &Place) -> Inspection {
    let [store, wal] = [&store.store, &wal.wal].map(|it| Arc::new(it.clone()));
    with_wal(store, wal).await.expect("memory can be read")
}

/// Makes a store with entries before and after a checkpoint.
async fn with_entries() -> Place {
    let place = Place::default();
    let store = place.open(config()).await.expect("opens");
    for key in 0..20 {
        store.upsert(&key, &[7; 400]).durable().await.expect("durable");
        if key == 9 {
            store.checkpoint().await.expect("taken");
        }
    }
    let inspection = look(&place, &place).await;
    assert!(inspection.problems.is_empty(), "a running store: {inspection}");
    store.close().await.expect("closes");
    place
}

/// Changes a byte of the log.
async fn damage(place: &Place, offset: u64) {
    let options = DeviceOptions { segment_bytes: 2 << 20, create: false };
    let device = place.wal.open_device("log", options).await.expect("it is there");
    let read = device.read_at(offset, AlignedBuf::zeroed(512)).await;
    read.result.expect("memory can be read");
    let mut unit = read.buf.expect("it comes back");
    unit[100] ^= 1;
    device.write_at(offset, unit).await.result.expect("memory can be written");
}

#[test]
fn a_sound_log_has_its_entries_and_the_cuts_of_its_checkpoints() {
    block_on(async {
        let place = with_entries().await;
        let inspection = look(&place, &place).await;
        assert!(inspection.problems.is_empty(), "{inspection}");
        let wal = inspection.wal.as_ref().expect("it was checked");
        let cut = inspection.checkpoints.last().and_then(|checkpoint| checkpoint.wal);
        assert!(wal.log.contains(&cut.expect("the checkpoint has a cut")), "{inspection}");
        // Those before the checkpoint have gone with the state before it.
        assert!((10..=20).contains(&wal.entries), "{inspection}");
        assert!(wal.entry_bytes > wal.entries * 400 && wal.torn_bytes == 0, "{inspection}");
        assert!(inspection.to_string().contains("write-ahead log 0x"), "{inspection}");
        // The store alone says nothing of the log.
        let alone = kvick::inspect(Arc::new(place.store.clone())).await.expect("readable");
        assert!(alone.wal.is_none() && alone.problems.is_empty(), "{alone}");
    });
}

#[test]
fn lost_changes_of_the_log_are_problems() {
    block_on(async {
        let place = with_entries().await;
        let end = look(&place, &place).await.wal.expect("it was checked").log.end;
        damage(&place, end / 512 * 512 - 1024).await;
        let inspection = look(&place, &place).await;
        let problem = inspection.problems.first().expect("a change is lost");
        assert!(problem.file.starts_with("wal/log."), "{inspection}");
        assert!(problem.message.contains("are lost"), "{inspection}");
    });
}

#[test]
fn another_log_or_none_is_a_problem() {
    block_on(async {
        let (place, other) = (with_entries().await, with_entries().await);
        let inspection = look(&place, &other).await;
        assert!(inspection.problems[0].message.contains("of another store"), "{inspection}");
        let inspection = look(&place, &Place::default()).await;
        assert_eq!((inspection.problems.len(), inspection.wal), (1, None));
        // A store without one needs none.
        let plain = Place::default();
        let config = kvick::Config::default().with_memory(ByteSize::mib(1));
        plain.open(config).await.expect("opens").close().await.expect("closes");
        let inspection = look(&plain, &Place::default()).await;
        assert!(inspection.problems.is_empty() && inspection.wal.is_none(), "{inspection}");
    });
}

//! Compaction beside a session that counts, and beside a reader.

use kvick::{FasterKv, Session, WeakSpots};
use shuttle::future::block_on;
use tests::samples::SampleValue;

use super::{count_twice, many_schedules, open, random_schedules};

/// More than a quarter of a page, and less than a half.
const FILLER: [u8; 1300] = [7; 1300];

/// Opens a store in which key 1 has the count 1, in a whole page on the device.
async fn with_a_cold_key<V: SampleValue + ?Sized>() -> FasterKv<u64, V> {
    let store = open::<u64, V>().await;
    store.rmw(&1, V::counted).await.expect("sound memory");
    let filler: FasterKv<u64, [u8]> = store.database().table("filler").await.expect("a new name");
    for _ in 0..4 {
        filler.upsert(&1, &FILLER).await.expect("sound memory");
        // Otherwise the next one would change it in place.
        store.flush().await.expect("sound memory");
    }
    store.flush_and_evict().await.expect("sound memory");
    store
}

/// A session counts while the page of the record is compacted, and what it has counted leaves
/// memory.
fn count_beside_compaction<V: SampleValue + ?Sized>(copies_anew: bool) {
    let pauses = if copies_anew { 100 } else { 4 };
    WeakSpots { copies_anew, pauses, ..WeakSpots::NONE }.set();
    let store = block_on(with_a_cold_key::<V>());
    let session = store.session().expect("open");
    let counter = shuttle::thread::spawn(move || block_on(count_twice::<V>(session)));
    let compacting = store.clone();
    let compactor = shuttle::thread::spawn(move || {
        block_on(async { compacting.compact().await }).expect("sound memory");
    });
    block_on(store.flush_and_evict()).expect("sound memory");
    let session = counter.join().expect("no panic");
    compactor.join().expect("no panic");
    WeakSpots::NONE.set();
    let found = block_on(store.read(&1)).expect("sound memory");
    drop(session);
    block_on(store.close()).expect("closes");
    assert_eq!(found.as_ref().map(V::count), Some(3), "an update is lost");
}

#[test]
fn no_update_is_lost_beside_compaction() {
    many_schedules(|| count_beside_compaction::<u64>(false));
    many_schedules(|| count_beside_compaction::<[u8]>(false));
}

/// The negative control: a copy that is linked under a later entry than that of its proof hides
/// what was linked in between.
#[test]
#[should_panic(expected = "an update is lost")]
fn a_copy_needs_the_entry_of_its_proof() {
    random_schedules(|| count_beside_compaction::<u64>(true));
}

/// A reader looks for the key while its page is compacted.
fn read_beside_compaction<V: SampleValue + ?Sized>(begins_at_once: bool) {
    WeakSpots { begins_at_once, pauses: 60, ..WeakSpots::NONE }.set();
    let store = block_on(with_a_cold_key::<V>());
    let mut session: Session<u64, V> = store.session().expect("open");
    let reader = shuttle::thread::spawn(move || {
        let mut are_found = true;
        for _ in 0..6 {
            let found = block_on(session.read(&1)).expect("sound memory");
            are_found &= found.as_ref().map(V::count) == Some(1);
        }
        (session, are_found)
    });
    block_on(async { store.compact().await }).expect("sound memory");
    let (session, are_found) = reader.join().expect("no panic");
    WeakSpots::NONE.set();
    drop(session);
    block_on(store.close()).expect("closes");
    assert!(are_found, "a present key was not found");
}

#[test]
fn a_present_key_is_found_beside_compaction() {
    many_schedules(|| read_beside_compaction::<u64>(false));
    many_schedules(|| read_beside_compaction::<[u8]>(false));
}

/// The negative control: a reader that has found an entry before the copy was linked compares its
/// address with a begin that has moved since.
#[test]
#[should_panic(expected = "a present key was not found")]
fn the_log_begins_later_only_after_a_drain() {
    random_schedules(|| read_beside_compaction::<u64>(true));
}

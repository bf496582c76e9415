//! Reads of a cache that move old records to the front, beside a session that counts.

use std::sync::Arc;

use kvick::io::MemoryDirectory;
use kvick::runtime::Handle;
use kvick::{FasterKv, WeakSpots};
use shuttle::future::block_on;
use tests::samples::SampleValue;
use tests::simulated::two_pages;

use super::{OnShuttle, count_twice, many_schedules, random_schedules};

async fn open<V: SampleValue + ?Sized>() -> FasterKv<u64, V> {
    let config = two_pages().with_cache(true).with_mutable_fraction(0.5);
    let store = FasterKv::builder(config.with_checkpoint_on_close(false))
        .runtime(Handle::custom(Arc::new(OnShuttle)))
        .directory(Arc::new(MemoryDirectory::new()))
        .seed(1)
        .open_in_directory();
    store.await.expect("a store in memory opens")
}

/// Key 1 has the count 1, in a record that is old. A session counts it while reads give it a second
/// chance.
fn count_beside_reads<V: SampleValue + ?Sized>(copies_anew: bool) {
    let pauses = if copies_anew { 60 } else { 4 };
    let store = block_on(open::<V>());
    block_on(store.rmw(&1, V::counted)).expect("sound memory");
    block_on(store.flush()).expect("sound memory");
    let [mut reading, counting] = [0; 2].map(|_| store.session().expect("open"));
    WeakSpots { copies_anew, pauses, ..WeakSpots::NONE }.set();
    let reader = shuttle::thread::spawn(move || {
        let mut seen = Vec::new();
        for _ in 0..3 {
            let found = block_on(reading.read(&1)).expect("sound memory");
            seen.push(found.as_ref().map_or(0, V::count));
        }
        (reading, seen)
    });
    let counter = shuttle::thread::spawn(move || block_on(count_twice::<V>(counting)));
    // What is counted becomes old, too.
    block_on(store.flush()).expect("sound memory");
    let (reading, seen) = reader.join().expect("no panic");
    let counting = counter.join().expect("no panic");
    WeakSpots::NONE.set();
    let found = block_on(store.read(&1)).expect("sound memory");
    drop((reading, counting));
    block_on(store.close()).expect("closes");
    assert_eq!(found.as_ref().map(V::count), Some(3), "an update is lost");
    assert!(seen.is_sorted() && seen[0] > 0, "a read went back: {seen:?}");
}

#[test]
fn no_update_is_lost_beside_promotions() {
    many_schedules(|| count_beside_reads::<u64>(false));
    many_schedules(|| count_beside_reads::<[u8]>(false));
}

/// The negative control: a copy that is linked under a later entry than that of its record hides
/// what was counted in between.
#[test]
#[should_panic(expected = "an update is lost")]
fn a_promotion_needs_the_entry_of_its_record() {
    random_schedules(|| count_beside_reads::<u64>(true));
}

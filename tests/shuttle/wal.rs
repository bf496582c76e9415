//! The write-ahead log repeats the changes of a key in their order, whatever the schedule.

use super::{OnShuttle, SCHEDULES, many_schedules, shuttle_config};
use kvick::config::{ByteSize, DurableBy};
use kvick::io::{BoxFuture, MemoryDirectory};
use kvick::runtime::Handle;
use kvick::session::WriteBatch;
use kvick::{Config, FasterKv, Session, WeakSpots};
use shuttle::future::block_on;
use shuttle::scheduler::RandomScheduler;
use std::sync::Arc;
use tests::numbers::{Growing, Number};
use tests::simulated::two_pages;

fn config() -> Config {
    two_pages()
        .with_durability(DurableBy::Wal)
        .with_wal_memory(ByteSize::kib(256))
        .with_commit_every(None)
        .with_checkpoint_on_close(false)
}

async fn open<V: Number>([store, wal]: &[MemoryDirectory; 2], seed: u64) -> FasterKv<u64, V> {
    let store = FasterKv::builder(config())
        .runtime(Handle::custom(Arc::new(OnShuttle)))
        .directory(Arc::new(store.clone()))
        .wal_directory(Arc::new(wal.clone()))
        .seed(seed)
        .open_in_directory();
    store.await.expect("a store in memory opens")
}

/// Updates key 1, and then sets it twice.
async fn change<V: Number>(mut session: Session<u64, V>, which: u64) -> Session<u64, V> {
    let raise = |value: Option<V>| V::of(1 + value.map_or(0, V::get));
    session.rmw(&1, raise).await.expect("sound memory");
    for step in 0..2 {
        session.upsert(&1, &V::of(10 * which + step)).await.expect("sound memory");
    }
    session
}

type Work<V> = fn(Session<u64, V>, u64) -> BoxFuture<'static, Session<u64, V>>;

fn change_boxed<V: Number>(
    session: Session<u64, V>,
    which: u64,
) -> BoxFuture<'static, Session<u64, V>> {
    Box::pin(change(session, which))
}

/// Sets key 1 twice, in place: all these values have the length of the first one.
fn set_in_place<V: Number>(
    mut session: Session<u64, V>,
    which: u64,
) -> BoxFuture<'static, Session<u64, V>> {
    Box::pin(async move {
        for step in 0..2 {
            let value = V::of(50 * which + 5 * step);
            session.upsert(&1, &value).await.expect("sound memory");
        }
        session
    })
}

/// The first thread updates key 1, or takes its value. The second one replaces or deletes its
/// record meanwhile.
fn update_what_is_replaced<V: Number>(
    mut session: Session<u64, V>,
    which: u64,
) -> BoxFuture<'static, Session<u64, V>> {
    Box::pin(async move {
        if which == 1 {
            let raise = |value: Option<V>| V::of(5 + value.map_or(0, V::get));
            session.rmw(&1, raise).await.expect("sound memory");
            session.take(&1).await.expect("sound memory");
            session.rmw(&1, raise).await.expect("sound memory");
        } else {
            // Each value is longer than the one before.
            for number in [11, 12, 13] {
                session.upsert(&1, &V::of(number)).await.expect("sound memory");
            }
            session.delete(&1).await.expect("sound memory");
        }
        session
    })
}

/// Returns the values of the keys 1 and 2.
fn values<V: Number>(store: &FasterKv<u64, V>) -> [Option<u64>; 2] {
    [1, 2].map(|key| block_on(store.read(&key)).expect("sound memory").map(V::get))
}

/// The first thread writes batches of both keys. The second one changes each of them by itself.
fn write_batches<V: Number>(
    mut session: Session<u64, V>,
    which: u64,
) -> BoxFuture<'static, Session<u64, V>> {
    Box::pin(async move {
        let raise = |value: Option<V>| V::of(1 + value.map_or(0, V::get));
        for step in 0..2 {
            if which == 2 {
                session.rmw(&(1 + step), raise).await.expect("sound memory");
                session.upsert(&2, &V::of(50 + 5 * step)).await.expect("sound memory");
                continue;
            }
            let mut batch = WriteBatch::new();
            batch.upsert(&1, &V::of(100 + 5 * step)).expect("a number");
            batch.upsert(&2, &V::of(101 + 5 * step)).expect("a number");
            session.write_batch(&batch, &[]).await.expect("sound memory");
        }
        session
    })
}

/// Two threads change keys. Then the store opens again from its write-ahead log alone.
fn repeated<V: Number>(work: Work<V>, no_stripe: bool) {
    let places = [MemoryDirectory::new(), MemoryDirectory::new()];
    let store = block_on(open::<V>(&places, 1));
    block_on(store.upsert(&1, &V::of(10))).expect("sound memory");
    WeakSpots { no_stripe, pauses: 3, ..WeakSpots::NONE }.set();
    let sessions = [1, 2].map(|which| (which, store.session().expect("open")));
    let threads = sessions
        .map(|(which, session)| shuttle::thread::spawn(move || block_on(work(session, which))));
    let sessions = threads.map(|thread| thread.join().expect("no panic"));
    WeakSpots::NONE.set();
    drop(sessions);
    let found = values(&store);
    block_on(store.close()).expect("closes");
    let store = block_on(open::<V>(&places, 2));
    let again = values(&store);
    assert!(found == again, "the changes are in another order: {found:?}, then {again:?}");
    block_on(store.close()).expect("closes");
}

fn schedules<V: Number>(work: Work<V>, no_stripe: bool) {
    // A control ends with its first failure.
    let schedules = if no_stripe { 4 * SCHEDULES } else { SCHEDULES / 4 };
    let runner = shuttle::Runner::new(RandomScheduler::new(schedules), shuttle_config());
    runner.run(move || repeated::<V>(work, no_stripe));
}

#[test]
fn words_are_repeated_in_their_order() {
    schedules::<u64>(change_boxed, false);
}

#[test]
fn bytes_are_repeated_in_their_order() {
    schedules::<Growing>(change_boxed, false);
    schedules::<Growing>(set_in_place, false);
}

/// A modification found its record before it took the stripe of its key. A longer value or a
/// deletion replaced the record meanwhile, and was logged before the modification in place.
#[test]
fn a_replaced_record_takes_no_change() {
    many_schedules(|| repeated::<u64>(update_what_is_replaced, false));
    many_schedules(|| repeated::<Growing>(update_what_is_replaced, false));
}

/// The entry of a batch has a place among the entries of each of its keys.
#[test]
fn batches_are_repeated_in_their_order() {
    many_schedules(|| repeated::<u64>(write_batches, false));
    schedules::<Growing>(write_batches, false);
}

#[test]
#[should_panic(expected = "the changes are in another order")]
fn batches_need_the_stripes() {
    schedules::<u64>(write_batches, true);
}

#[test]
#[should_panic(expected = "the changes are in another order")]
fn words_need_the_stripe() {
    schedules::<u64>(set_in_place, true);
}

#[test]
#[should_panic(expected = "the changes are in another order")]
fn bytes_need_the_stripe() {
    schedules::<Growing>(set_in_place, true);
}

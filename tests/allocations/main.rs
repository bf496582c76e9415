//! The allocations of operations: none in memory, small futures, and a bound for long values.

mod expiry;
mod idle_sessions;
mod long_values;

use std::fmt::Debug;
use std::task::Poll;

use kvick::config::{Backend, ByteSize};
use kvick::{Config, FasterKv, Result, Session};
use tests::allocations::{Counting, counted, peak};
use tests::configs::memory_store;
use tests::polling::poll_once;
use tests::simulated::World;

#[global_allocator]
static COUNTING: Counting = Counting;

const ROUNDS: u64 = 5000;
const KEYS: u64 = 1000;

fn config() -> Config {
    // A yield would make a hit pending now and then.
    Config::default().with_backend(Backend::Memory).with_yield_every(0)
}

/// Returns the result of a future that is ready at once.
fn now<T: Debug>(mut future: impl Future<Output = Result<T>> + Unpin) -> T {
    match poll_once(&mut future) {
        Poll::Ready(Ok(output)) => output,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => panic!("the operation is not ready at once"),
    }
}

/// Checks that `operation` allocates nothing on many keys, after one call as preparation.
#[track_caller]
fn allocates_nothing<R>(operation: impl FnMut(u64) -> R) {
    allocates_at_most(0, operation);
}

/// Checks that deletions allocate nothing. Each 64th wakes the driver of the index, and the queue
/// of the executor takes memory for 31 tasks at once.
#[track_caller]
fn deletes_allocate_nothing<R>(operation: impl FnMut(u64) -> R) {
    const { assert!(KEYS / 64 < 31, "one block of the queue is enough") };
    allocates_at_most(1, operation);
}

#[track_caller]
fn allocates_at_most<R>(most: u64, mut operation: impl FnMut(u64) -> R) {
    drop(operation(0));
    let ((), allocations) = counted(|| {
        for round in 0..ROUNDS {
            drop(operation(round % KEYS));
        }
    });
    assert!(allocations <= most, "{allocations} allocations in {ROUNDS} operations");
}

#[test]
fn the_counter_counts() {
    let (boxed, allocations) = counted(|| Box::new(1));
    assert_eq!((*boxed, allocations), (1, 1));
    let ((), allocations) = counted(|| drop(boxed));
    assert_eq!(allocations, 0, "freeing is not allocating");
}

#[test]
fn words_in_a_session_allocate_nothing() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(config());
    let mut session = store.session()?;
    allocates_nothing(|key| now(session.upsert(&key, &key)));
    allocates_nothing(|key| assert_eq!(now(session.read(&key)), Some(key)));
    allocates_nothing(|key| assert!(now(session.contains(&key))));
    allocates_nothing(|key| {
        assert_eq!(now(session.read_with(&key, |view| view + 1)), Some(key + 1))
    });
    allocates_nothing(|key| now(session.rmw(&key, |value| value.unwrap_or(0) + 1)));
    allocates_nothing(|key| assert!(!now(session.compare_and_swap(&key, &u64::MAX, &1))));
    allocates_nothing(|key| assert!(!now(session.insert_if_absent(&key, &1))));
    deletes_allocate_nothing(|key| now(session.delete(&key)));
    allocates_nothing(|key| assert_eq!(now(session.read(&key)), None));
    Ok(())
}

#[test]
fn words_through_the_handle_allocate_nothing() {
    let store: FasterKv<u64, u64> = memory_store(config());
    allocates_nothing(|key| now(store.upsert(&key, &key)));
    allocates_nothing(|key| assert_eq!(now(store.read(&key)), Some(key)));
    allocates_nothing(|key| assert_eq!(now(store.read_with(&key, |view| view + 1)), Some(key + 1)));
    allocates_nothing(|key| now(store.rmw(&key, |value| value.unwrap_or(0) + 1)));
    deletes_allocate_nothing(|key| now(store.delete(&key)));
}

#[test]
fn bytes_are_seen_without_an_allocation() -> Result<()> {
    let store: FasterKv<u64, [u8]> = memory_store(config());
    let mut session = store.session()?;
    let value = [7; 300];
    allocates_nothing(|key| now(session.upsert(&key, &value)));
    for flushed in [false, true] {
        if flushed {
            kvick::runtime::block_on(store.flush())?;
        }
        let look = |view: &[u8]| view.len();
        allocates_nothing(|key| assert_eq!(now(session.read_with(&key, look)), Some(300)));
        allocates_nothing(|key| assert_eq!(now(store.read_with(&key, look)), Some(300)));
        allocates_nothing(|key| assert!(now(session.contains(&key))));
    }
    // The operations append copies and tombstones at the tail.
    allocates_nothing(|key| now(session.upsert(&key, &value)));
    deletes_allocate_nothing(|key| now(session.delete(&key)));
    Ok(())
}

/// An owned result is the only allocation of a read.
#[test]
fn an_owned_answer_is_one_allocation() -> Result<()> {
    let store: FasterKv<str, [u8]> = memory_store(config());
    let mut session = store.session()?;
    now(session.upsert("key", &[7; 300]));
    drop(now(session.read("key")));
    let (answer, allocations) = counted(|| now(session.read("key")));
    assert_eq!(answer.map(|answer| answer.len()), Some(300));
    assert_eq!(allocations, 1);
    Ok(())
}

/// Checks that a future takes at most 64 bytes, beyond a captured key of 8.
#[track_caller]
fn fits<F: Future>(future: F) {
    let bytes = size_of_val(&future);
    assert!(bytes <= 64 + 8, "{bytes} bytes");
    drop(future);
}

fn futures_of(session: &mut Session<u64, [u8]>) {
    let key = 1;
    fits(session.read(&key));
    fits(session.contains(&key));
    fits(session.read_with(&key, <[u8]>::len));
    fits(session.upsert(&key, b"value"));
    fits(session.rmw(&key, move |_| vec![0; usize::try_from(key).expect("small")]));
    fits(session.delete(&key));
    fits(session.insert_if_absent(&key, b"value"));
}

#[test]
fn futures_of_operations_are_small() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(config());
    let mut session = store.session()?;
    let key = 1;
    fits(session.read(&key));
    fits(session.upsert(&key, &1));
    fits(session.rmw(&key, move |value| value.unwrap_or(0) + key));
    fits(session.delete(&key));
    fits(store.read(&key));
    fits(store.upsert(&key, &1));
    fits(store.rmw(&key, move |value| value.unwrap_or(0) + key));
    fits(store.delete(&key));
    fits(store.compare_and_swap(&key, &1, &2));
    futures_of(&mut memory_store::<u64, [u8]>(config()).session()?);
    Ok(())
}

fn small(memory: ByteSize, keys: u64) -> Config {
    Config::default()
        .with_memory(memory)
        .with_page_size(ByteSize::kib(16))
        .with_segment_size(ByteSize::mib(1))
        .with_expected_keys(keys)
        .with_huge_pages(false)
}

/// A batch of cold keys started all its reads at once, with 8 KiB for each. A million keys took 8
/// GiB in a store of 32 MiB. A batch may now take its share for I/O, and at most a twentieth of the
/// memory, besides its results.
#[test]
fn a_batch_of_cold_keys_stays_within_the_memory_of_the_store() {
    const KEYS: u64 = 20_000;
    let memory = ByteSize::mib(1);
    let world = World::new(1);
    let site = world.site.clone();
    let (store, keys) = world.simulation.run(async move {
        let store: FasterKv<u64, u64> = site.open(small(memory, KEYS)).await;
        let keys: Vec<u64> = (0..KEYS).collect();
        store.rmw_many(&keys, |place, _| place as u64).await.expect("writes");
        store.flush_and_evict().await.expect("evicts");
        (store, keys)
    });
    let allowed = memory.bytes() / 16 + memory.bytes() / 20;
    let answers = KEYS * size_of::<Option<u64>>() as u64;
    let (store, keys) = (&store, &keys);
    let (found, bytes) = peak(|| world.simulation.run(store.read_many(keys)));
    assert_eq!(found.expect("reads").iter().flatten().sum::<u64>(), KEYS * (KEYS - 1) / 2);
    assert!(bytes - answers <= allowed, "read_many: {bytes} bytes, {allowed} beside {answers}");
    for _ in 0..2 {
        let update = |_: usize, value: Option<u64>| value.unwrap_or(0) + 1;
        let (done, bytes) = peak(|| world.simulation.run(store.rmw_many(keys, update)));
        done.expect("writes");
        assert!(bytes <= allowed, "rmw_many: {bytes} bytes, {allowed} allowed");
        world.simulation.run(store.flush_and_evict()).expect("evicts");
    }
}

/// Each modification of a batch that waited for the device held its long value: a batch of 1500
/// values of 1 MiB took 500 of them at once.
#[test]
fn a_batch_holds_one_long_value_at_a_time() {
    const KEYS: u64 = 40;
    const LENGTH: usize = 100_000;
    let memory = ByteSize::mib(1);
    let world = World::new(1);
    let site = world.site.clone();
    let disk = &world.site.disk;
    let store = world.simulation.run(async move {
        let store: FasterKv<u64, [u8]> = site.open(small(memory, KEYS)).await;
        store.upsert_each((0..KEYS).map(|key| (key, vec![1; LENGTH]))).await.expect("writes");
        store.flush_and_evict().await.expect("evicts");
        store
    });
    let keys: Vec<u64> = (0..KEYS).collect();
    let update = |_: usize, value: Option<Vec<u8>>| {
        let mut value = value.expect("it was written");
        value[0] += 1;
        value
    };
    let on_disk = disk.bytes_used();
    let (done, bytes) = peak(|| world.simulation.run(store.rmw_many(&keys, update)));
    done.expect("writes");
    let bytes = bytes.saturating_sub(disk.bytes_used() - on_disk);
    // The bytes of the old and the new value, decoded and encoded, and the memory of the store.
    let allowed = 6 * LENGTH as u64 + memory.bytes();
    assert!(bytes <= allowed, "rmw_many: {bytes} bytes, {allowed} allowed");
    let values = world.simulation.run(store.read_many(&keys)).expect("reads");
    assert!(values.iter().flatten().all(|value| value[0] == 2 && value.len() == LENGTH));
}

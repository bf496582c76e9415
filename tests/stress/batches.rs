//! Batches with an offset, beside threads that change the same keys.

use std::thread;

use kvick::config::{ByteSize, DurableBy};
use kvick::io::sim::Random;
use kvick::runtime::block_on;
use kvick::session::WriteBatch;
use kvick::{Config, FasterKv};
use tests::configs::memory_store;
use tests::simulated::two_pages;

const ROUNDS: u64 = 400;
const OTHERS: u64 = 2;
/// The keys that all threads change. The others delete even ones alone.
const SHARED: u64 = 6;
/// The first of the keys that only batches change.
const OWN: u64 = 100;
/// Values of batches are at least this, and those of other threads are below.
const OF_BATCH: u64 = 1 << 32;

/// Returns what a batch makes of a key.
fn change(round: u64, key: u64) -> Option<u64> {
    (!(key + round).is_multiple_of(3)).then_some(OF_BATCH + round)
}

fn keys() -> impl Iterator<Item = u64> {
    (0..SHARED).chain(OWN..OWN + SHARED)
}

/// Writes batches, each of which is there when it has returned, unless its values were replaced.
fn write_batches(store: &FasterKv<u64, u64>) {
    let mut session = store.session_named("input").expect("new");
    block_on(async {
        for round in 1..=ROUNDS {
            let mut batch = WriteBatch::<u64, u64>::new();
            for key in keys() {
                match change(round, key) {
                    Some(value) => batch.upsert(&key, &value).expect("a number"),
                    None => batch.delete(&key).expect("a number"),
                };
            }
            session.write_batch(&batch, &round.to_le_bytes()).await.expect("sound memory");
            for key in keys() {
                let (expected, found) =
                    (change(round, key), store.read(&key).await.expect("sound memory"));
                let is_replaced = key < SHARED
                    && match found {
                        Some(value) => value < OF_BATCH,
                        None => key.is_multiple_of(2),
                    };
                assert!(found == expected || is_replaced, "round {round}, key {key}: {found:?}");
            }
        }
    });
}

fn change_one_by_one(store: &FasterKv<u64, u64>, random: &mut Random) {
    for step in 0..ROUNDS * SHARED {
        let key = random.below(SHARED);
        block_on(async {
            match random.below(3) {
                0 if key.is_multiple_of(2) => drop(store.delete(&key).await),
                1 => drop(store.upsert(&key, &step).await.expect("sound memory")),
                _ => {
                    let kept = |value: Option<u64>| value.unwrap_or(step) % OF_BATCH;
                    store.rmw(&key, kept).await.expect("sound memory");
                }
            }
        });
        if step.is_multiple_of(50) {
            block_on(store.flush_and_evict()).expect("sound memory");
        }
    }
}

fn beside_others(config: &Config) {
    for seed in 0..5 {
        let store: FasterKv<u64, u64> = memory_store(config.clone());
        thread::scope(|scope| {
            for number in 0..OTHERS {
                let (store, mut random) = (&store, Random::new(seed * OTHERS + number));
                scope.spawn(move || change_one_by_one(store, &mut random));
            }
            write_batches(&store);
        });
        block_on(store.close()).expect("closes");
    }
}

#[test]
fn batches_are_there_beside_threads_that_change_their_keys() {
    let small = two_pages().with_index_buckets(1);
    let growing = two_pages().with_index_buckets(None).with_index_min(ByteSize::new(128));
    for config in [small, growing] {
        beside_others(&config);
        beside_others(&config.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256)));
    }
}

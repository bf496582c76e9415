//! Threads that modify the same few values while the log moves its boundaries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kvick::config::Backend;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv};
use tests::configs::memory_store;
use tests::model::item;
use tests::samples::{SampleKey, SampleValue, pattern};
use tests::simulated::{small_configs, two_pages};

const THREADS: u64 = 4;
const KEYS: u64 = 3;

/// Runs `body` on some threads, and repeats `disturb` on one more until they end.
fn hammer(threads: u64, body: impl Fn(u64) + Sync, disturb: impl Fn() + Sync) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let disturber = scope.spawn(|| {
            // Relaxed: a hint; the scope joins the thread.
            while !done.load(Ordering::Relaxed) {
                disturb();
            }
        });
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let body = &body;
                scope.spawn(move || body(number))
            })
            .collect();
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        disturber.join().expect("the disturbing thread does not panic");
        for outcome in outcomes {
            outcome.expect("a worker does not panic");
        }
    });
}

/// Checks that every modification counts, although flushes make the value immutable all the time.
fn count_exactly<K, V>(config: Config, rounds: u64, evict: bool)
where
    K: SampleKey + ?Sized,
    V: SampleValue + ?Sized,
{
    let store: FasterKv<K, V> = memory_store(config);
    let work = |number: u64| {
        let mut session = store.session().expect("open");
        block_on(async {
            for round in 0..rounds {
                let key = K::numbered((number + round) % KEYS);
                let key = item::<K>(&key);
                let counted = if round % 4 == 0 {
                    store.rmw(key, V::counted).await
                } else {
                    session.rmw(key, V::counted).await
                };
                counted.expect("sound memory");
            }
        });
    };
    let disturb = || {
        let flushed =
            if evict { block_on(store.flush_and_evict()) } else { block_on(store.flush()) };
        flushed.expect("sound memory");
    };
    hammer(THREADS, work, disturb);
    let sum: u64 = (0..KEYS)
        .map(|key| {
            let found = block_on(store.read(item::<K>(&K::numbered(key))));
            let found = found.expect("sound memory").expect("it was counted");
            V::count(&found)
        })
        .sum();
    assert_eq!(sum, THREADS * rounds, "updates were lost, or made twice");
    block_on(store.close()).expect("closes");
}

#[test]
fn no_word_update_is_lost_in_the_fuzzy_region() {
    for config in small_configs() {
        count_exactly::<u64, u64>(config, 8000, false);
    }
}

#[test]
fn no_word_update_is_lost_on_the_device() {
    for config in small_configs() {
        count_exactly::<u64, u64>(config, 4000, true);
    }
}

/// The values grow out of their place, and then beyond the size of a page.
#[test]
fn no_growing_value_loses_an_update() {
    for config in small_configs() {
        count_exactly::<u64, [u8]>(config.clone(), 600, false);
        count_exactly::<[u8], [u8]>(config, 600, true);
    }
    count_exactly::<u64, [u8]>(two_pages(), 2500, false);
}

/// Readers meet writers in the middle of a copy, and must see a value that one writer wrote.
#[test]
fn no_reader_sees_a_torn_value() {
    let config = small_configs().swap_remove(3);
    let store: FasterKv<u64, [u8]> = memory_store(config);
    let whole = |value: &[u8]| {
        let Some((&seed, rest)) = value.split_first() else {
            panic!("an empty value was never written");
        };
        assert_eq!(rest, pattern(seed.into(), rest.len()), "torn");
    };
    let write = |seed: u8, length: usize| [vec![seed], pattern(seed.into(), length)].concat();
    block_on(store.upsert(&1, &write(0, 100))).expect("sound memory");
    let work = |number: u64| {
        let mut session = store.session().expect("open");
        let mut random = kvick::io::sim::Random::new(number);
        block_on(async {
            for _ in 0..10_000 {
                if random.chance(0.3) {
                    let seed = random.next_u64().to_le_bytes()[0];
                    let length = random.index(700);
                    let value = write(seed, length);
                    session.upsert(&1, &value).await.expect("sound memory");
                } else if random.chance(0.5) {
                    let read = session.read_with(&1, whole).await;
                    read.expect("sound memory").expect("it is there");
                } else {
                    let read = store.read(&1).await.expect("sound memory");
                    whole(&read.expect("it is there"));
                }
            }
        });
    };
    hammer(THREADS, work, || block_on(store.flush()).expect("sound memory"));
    block_on(store.close()).expect("closes");
}

/// Uses more threads than pooled places, and more data than memory, on real files.
#[test]
fn many_threads_share_a_handle() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = small_configs().swap_remove(1).with_backend(Backend::Auto);
    let opened = block_on(FasterKv::<u64, u64>::open(directory.path(), config));
    let store = opened.expect("opens");
    let work = |number: u64| {
        block_on(async {
            for key in 0..300 {
                let key = number * 1000 + key;
                store.upsert(&key, &key).await.expect("a sound disk");
                store.rmw(&0, u64::counted).await.expect("a sound disk");
                let early = number * 1000;
                let read = store.read(&early).await.expect("a sound disk");
                assert!(read >= Some(early));
            }
        });
    };
    let threads = 24;
    hammer(threads, work, || block_on(async {}));
    // The first thread also set key 0 to 0 once.
    let counted = block_on(store.read(&0)).expect("a sound disk");
    assert!(counted <= Some(threads * 300) && counted >= Some(threads), "{counted:?}");
    for number in 1..threads {
        for key in number * 1000..number * 1000 + 300 {
            assert_eq!(block_on(store.read(&key)).expect("a sound disk"), Some(key));
        }
    }
    block_on(store.close()).expect("closes");
}

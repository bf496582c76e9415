//! What waits for the device takes a bounded part of the memory, and waits for no task.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use kvick::config::ByteSize;
use kvick::{Config, FasterKv};
use tests::polling::poll_once;
use tests::simulated::{Site, World, seeds};

const KEYS: u64 = 6000;

fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::mib(1))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::mib(1))
        .with_index_buckets(KEYS / 12)
        .with_huge_pages(false)
}

/// The share of the memory that is for I/O.
fn io_share() -> u64 {
    config().memory.bytes() / 16
}

async fn cold_store(site: &Site) -> (FasterKv<u64, [u8]>, Vec<u64>) {
    let store = site.open(config()).await;
    let keys: Vec<u64> = (0..KEYS).collect();
    let pairs: Vec<(u64, Vec<u8>)> = keys.iter().map(|key| (*key, value(*key))).collect();
    store.upsert_many(&pairs).await.expect("sound disk");
    store.flush_and_evict().await.expect("sound disk");
    (store, keys)
}

fn value(key: u64) -> Vec<u8> {
    vec![key.to_le_bytes()[0]; usize::try_from(key % 50).expect("small")]
}

/// Ends `future`, and says how many bytes of buffers there were at once, as seen after each poll.
async fn most_buffers<F: Future>(store: &FasterKv<u64, [u8]>, future: F) -> (F::Output, u64) {
    let mut future = pin!(future);
    let mut most = 0;
    let output = poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        most = most.max(store.stats().memory.buffers);
        polled
    })
    .await;
    (output, most)
}

/// The items that wait for the device are bounded, so an iterator may be of any length.
#[test]
fn an_iterator_is_not_collected() {
    seeds(2, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let (store, keys) = cold_store(&site).await;
            let taken = Cell::new(0);
            let keys = keys.into_iter().inspect(|_| taken.set(taken.get() + 1));
            let mut read = Box::pin(store.read_each(keys));
            assert!(poll_once(&mut read).is_pending(), "the keys are on the device");
            assert!((1..KEYS / 4).contains(&taken.get()), "{} keys were taken", taken.get());
            assert_eq!(read.await.expect("sound disk").len() as u64, KEYS);
            assert_eq!(taken.get(), KEYS);
            store.close().await.expect("nothing stands in the way");
        });
    });
}

/// One batch had as many buffers of 4 KiB as it had cold keys.
#[test]
fn batches_of_cold_keys_have_few_buffers_at_once() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let (store, keys) = cold_store(&site).await;
            let (found, most) = most_buffers(&store, store.read_many(&keys)).await;
            let found = found.expect("sound disk");
            assert!(keys.iter().zip(found).all(|(key, found)| found == Some(value(*key))));
            assert!(most <= io_share(), "{most} bytes of buffers to read");
            let update = |_: usize, found: Option<Vec<u8>>| {
                let mut found = found.expect("was written");
                found.push(1);
                found
            };
            let mut session = store.session().expect("open");
            let modified = most_buffers(&store, session.rmw_many(&keys, update));
            let (modified, most) = modified.await;
            modified.expect("sound disk");
            // Pages are written meanwhile, too.
            assert!(most <= 2 * io_share(), "{most} bytes of buffers to modify");
            drop(session);
            store.close().await.expect("sound disk");
        });
    });
}

/// The same of tasks that read one key each.
#[test]
fn many_readers_have_few_buffers_at_once() {
    seeds(4, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let (store, keys) = cold_store(&site).await;
            let reads = join_all(keys.iter().step_by(3).map(|key| store.read(key)));
            let (found, most) = most_buffers(&store, reads).await;
            for (key, found) in keys.iter().step_by(3).zip(found) {
                assert_eq!(found.expect("sound disk"), Some(value(*key)));
            }
            // Those on their way, and those that their tasks have not been polled to take.
            assert!(most <= 2 * io_share(), "{most} bytes of buffers");
            store.close().await.expect("sound disk");
        });
    });
}

/// Readers that are never polled again, as those that lost a `select!` and were kept, have their
/// buffers and stop no other task.
#[test]
fn readers_that_are_parked_stop_no_others() {
    seeds(8, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let (store, keys) = cold_store(&site).await;
            let before = store.stats().memory;
            let mut parked: Vec<_> = keys[..1000].iter().map(|key| store.read(key)).collect();
            for read in &mut parked {
                assert!(poll_once(read).is_pending(), "the key is on the device");
            }
            let found = store.read_many(&keys[1000..2000]).await.expect("sound disk");
            assert!(keys[1000..].iter().zip(found).all(|(key, found)| found == Some(value(*key))));
            site.handle.sleep(Duration::from_secs(1)).await;
            let memory = store.stats().memory;
            assert!(memory.waits >= 1000 << 10, "they take memory: {memory:?}");
            assert!(memory.frames < before.frames / 2, "pages make room for them: {memory:?}");
            assert_eq!(store.read(&keys[5000]).await.expect("sound disk"), Some(value(5000)));
            // Some go on after all, others are dropped, others leak.
            for (number, read) in parked.into_iter().enumerate() {
                match number % 3 {
                    0 => {
                        let found = read.await.expect("sound disk");
                        assert_eq!(found, Some(value(keys[number])));
                    }
                    1 => drop(read),
                    _ => std::mem::forget(read),
                }
            }
            let found = store.read_many(&keys).await.expect("sound disk");
            assert!(keys.iter().zip(found).all(|(key, found)| found == Some(value(*key))));
            store.close().await.expect("sound disk");
        });
    });
}

/// A read of a large record had no answer for seconds while other tasks read small ones without a
/// pause: they took what came back before it was enough.
#[test]
fn a_large_read_gets_its_turn_beside_small_ones() {
    seeds(3, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let config = config().with_page_size(ByteSize::kib(64));
            let store: FasterKv<u64, [u8]> = site.open(config).await;
            for key in 0..2000 {
                store.upsert(&key, &[1; 100]).await.expect("a sound disk");
            }
            store.upsert(&KEYS, &[2; 15_000]).await.expect("a sound disk");
            store.flush_and_evict().await.expect("a sound disk");
            let is_over = Rc::new(Cell::new(false));
            let small = |task: u64| {
                let (store, is_over) = (store.clone(), Rc::clone(&is_over));
                async move {
                    let mut key = task;
                    while !is_over.get() {
                        key = (key * 7 + 3) % 2000;
                        store.read(&key).await.expect("sound");
                    }
                }
            };
            let large = async {
                site.handle.sleep(Duration::from_millis(20)).await;
                let begun = site.handle.now();
                let read = store.read(&KEYS).await.expect("sound");
                is_over.set(true);
                assert_eq!(read.map(|value| value.len()), Some(15_000));
                site.handle.now() - begun
            };
            let (took, _) = futures::join!(large, join_all((0..64).map(small)));
            assert!(took < Duration::from_millis(50), "{took:?}");
            store.close().await.expect("closes");
        });
    });
}

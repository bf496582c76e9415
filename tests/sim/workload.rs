//! Several tasks on one store: each is alone on its keys, and all add to shared counters.

use kvick::io::sim::Random;
use kvick::{FasterKv, Session};
use tests::budgets::set_some_memory;
use tests::model::{EntryPoints, Mix, Model, item};
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, World, seeds};

const WORKERS: u64 = 4;
const STEPS: u64 = 60;
/// The first shared key.
const SHARED: u64 = 1_000_000;
const COUNTERS: usize = 6;

#[test]
fn words_of_several_tasks() {
    seeds(240, |seed| {
        run::<u64, u64>(seed);
    });
}

/// The memory of waiting reads changed the wanted limit of pages while `set_memory` waited for the
/// former one, back to the present limit: nothing moved then, and it waited for ever.
#[test]
fn a_limit_that_is_wanted_again_ends_a_wait() {
    run::<u64, u64>(144);
}

#[test]
fn bytes_of_several_tasks() {
    seeds(240, |seed| {
        run::<[u8], [u8]>(seed);
    });
}

#[test]
fn bytes_under_numbers_of_several_tasks() {
    seeds(120, |seed| {
        run::<u64, [u8]>(seed);
    });
}

#[test]
fn words_under_texts_of_several_tasks() {
    seeds(120, |seed| {
        run::<str, u64>(seed);
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    seeds(40, |seed| {
        assert_eq!(run::<u64, u64>(seed), run::<u64, u64>(seed));
        assert_eq!(run::<[u8], [u8]>(seed), run::<[u8], [u8]>(seed));
        assert_ne!(run::<u64, u64>(seed), run::<u64, u64>(seed + 1));
    });
}

/// Runs the tasks once. Returns the hash of all steps.
fn run<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) -> (u64, u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(site.small_config()).await;
        let workers = (0..WORKERS).map(|number| {
            let worker = worker(store.clone(), site.clone(), number);
            site.handle.spawn("worker", worker)
        });
        let workers: Vec<_> = workers.collect();
        let disturber = disturb(store.clone(), site.clone());
        let disturber = site.handle.spawn("disturber", disturber);
        let mut models = Vec::new();
        let mut expected = [0; COUNTERS];
        for worker in workers {
            let (model, counts) = worker.await.expect("the worker ends well");
            models.push(model);
            for (sum, count) in expected.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        disturber.await.expect("the disturber ends well");
        check(&store, &models, &expected).await;
        store.flush_and_evict().await.expect("flushes");
        check(&store, &models, &expected).await;
        store.close().await.expect("closes");
    });
    (world.simulation.trace_hash(), world.simulation.steps())
}

/// Works on keys of its own, and counts its additions to the shared ones.
async fn worker<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
) -> (Model<K, V>, [u64; COUNTERS]) {
    let mut random = site.random(100 + number);
    let mix = Mix { first_key: number * 1000, keys: 30, longest: 9000, batches: true, flush: 0.01 };
    let mut model = Model::new(mix, random.fork());
    let mut entry_points = EntryPoints::new(&store).expect("the store is open");
    let mut session = store.session().expect("the store is open");
    let mut counts = [0; COUNTERS];
    for _ in 0..STEPS {
        match random.below(10) {
            0..7 => model.step(&mut entry_points).await.expect("a sound disk"),
            7..9 => {
                let counter = random.index(COUNTERS);
                let times = count(&store, &mut session, counter, &mut random).await;
                counts[counter] += times;
            }
            _ => pause(&site, &mut random).await,
        }
    }
    (model, counts)
}

/// Adds to a shared counter. Returns the added number.
async fn count<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
    session: &mut Session<K, V>,
    counter: usize,
    random: &mut Random,
) -> u64 {
    let key = K::numbered(SHARED + counter as u64);
    match random.below(3) {
        0 => {
            let counted = store.rmw(item::<K>(&key), V::counted).await;
            counted.expect("a sound disk");
            1
        }
        1 => {
            let counted = session.rmw(item::<K>(&key), V::counted).await;
            counted.expect("a sound disk");
            1
        }
        _ => {
            let keys = [key.clone(), key];
            let counted = session.rmw_many(&keys, |_, value| V::counted(value)).await;
            counted.expect("a sound disk");
            2
        }
    }
}

/// Flushes and evicts pages, and changes the memory, while the workers work.
async fn disturb<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
) {
    let mut random = site.random(2);
    for _ in 0..10 {
        pause(&site, &mut random).await;
        match random.below(3) {
            0 => store.flush().await.expect("a sound disk"),
            1 => store.flush_and_evict().await.expect("a sound disk"),
            _ => set_some_memory(&store, &mut random).await,
        }
    }
}

async fn pause(site: &Site, random: &mut Random) {
    let pause = std::time::Duration::from_micros(random.below(2000));
    site.handle.sleep(pause).await;
}

async fn check<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &FasterKv<K, V>,
    models: &[Model<K, V>],
    expected: &[u64],
) {
    let mut entry_points = EntryPoints::new(store).expect("the store is open");
    for model in models {
        model.check(&mut entry_points).await.expect("a sound disk");
    }
    let keys: Vec<K::Owned> = (SHARED..).take(COUNTERS).map(K::numbered).collect();
    let found = store.read_many(&keys).await.expect("a sound disk");
    for ((found, &expected), key) in found.iter().zip(expected).zip(keys) {
        let count = found.as_ref().map_or(0, V::count);
        assert_eq!(count, expected, "the counter {key:?}");
    }
}

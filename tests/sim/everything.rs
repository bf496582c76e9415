//! All disturbances at once: tasks that drop or leak operations, reads that fail, and a disk that
//! stalls and fills. An operation took effect if, and only if, the store acknowledged it.

use std::cell::Cell;
use std::time::Duration;

use kvick::io::sim::{FaultRates, Random, SimOptions};
use kvick::{Error, ErrorKind, FasterKv};
use tests::model::{EntryPoints, Mix, Model};
use tests::polling::AtMost;
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, World, seeds};

const WORKERS: u64 = 4;
const STEPS: u32 = 120;

#[test]
fn words_come_through() {
    all_ends(200, |seed| run::<u64, u64>(seed).1);
}

#[test]
fn bytes_come_through() {
    all_ends(200, |seed| run::<[u8], [u8]>(seed).1);
}

/// The numbers of acknowledged, failed and dropped operations.
type Ends = [u32; 3];

/// Runs `run` under many seeds. Operations must have ended in each way, or the test tested little.
fn all_ends(usual: u64, run: impl Fn(u64) -> Ends) {
    let sum = Cell::new([0; 3]);
    seeds(usual, |seed| sum.set(add(sum.get(), run(seed))));
    let sum = sum.get();
    assert!(sum.iter().all(|&count| count > 0), "{sum:?}");
}

fn add(sum: Ends, more: Ends) -> Ends {
    std::array::from_fn(|end| sum[end] + more[end])
}

#[test]
fn chaos_replays() {
    seeds(10, |seed| {
        assert_eq!(run::<u64, [u8]>(seed), run::<u64, [u8]>(seed));
    });
}

/// Runs the workers once. Returns the hash of all steps, and how the operations ended.
fn run<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) -> (u64, Ends) {
    let mut random = Random::new(seed);
    let options = SimOptions {
        fault_rates: FaultRates {
            read: [0.0, 0.02, 0.2][random.index(3)],
            ..FaultRates::default()
        },
        latency: Duration::from_micros(1)..=Duration::from_micros([20, 500, 5000][random.index(3)]),
        block: [512, 4096][random.index(2)],
        ..SimOptions::default()
    };
    let world = World::with(seed, options);
    let site = world.site.clone();
    let ends = world.simulation.run(async move {
        let store = site.open::<K, V>(site.small_config()).await;
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let worker = worker(store.clone(), site.clone(), number);
                site.handle.spawn("worker", worker)
            })
            .collect();
        disturb(&site).await;
        let mut entry_points = EntryPoints::new(&store).expect("the store is open");
        let (mut models, mut ends) = (Vec::new(), [0; 3]);
        for worker in workers {
            let (model, more) = worker.await.expect("the worker ends well");
            models.push(model);
            ends = add(ends, more);
        }
        site.disk.heal();
        for model in &models {
            model.check(&mut entry_points).await.expect("a sound disk");
        }
        // The store notices free space on a full disk within half a second.
        site.handle.sleep(Duration::from_secs(1)).await;
        store.flush_and_evict().await.expect("a sound disk");
        for model in &models {
            model.check(&mut entry_points).await.expect("a sound disk");
        }
        store.close().await.expect("closes");
        ends
    });
    (world.simulation.trace_hash(), ends)
}

async fn worker<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    number: u64,
) -> (Model<K, V>, Ends) {
    let mut random = site.random(100 + number);
    let mix = Mix {
        first_key: number * 1000,
        keys: 30,
        longest: 9000,
        // A batch may end half done, and no model knows which half.
        batches: false,
        flush: 0.01,
    };
    let mut model = Model::new(mix, random.fork());
    let mut entry_points = EntryPoints::new(&store).expect("the store is open");
    let [mut acknowledged, mut refused, mut given_up] = [0; 3];
    for _ in 0..STEPS {
        let polls = if random.chance(0.3) {
            1 + u32::try_from(random.below(4)).expect("small")
        } else {
            u32::MAX
        };
        let step = AtMost::new(polls, model.step(&mut entry_points)).leaking(random.chance(0.5));
        match step.await {
            Some(Ok(())) => acknowledged += 1,
            Some(Err(error)) => {
                assert_allowed(&error);
                refused += 1;
            }
            None => given_up += 1,
        }
        if random.chance(0.1) {
            // The old session is dropped or leaked.
            let session =
                std::mem::replace(&mut entry_points, EntryPoints::new(&store).expect("open"));
            if random.chance(0.5) {
                std::mem::forget(session);
            }
        }
    }
    (model, [acknowledged, refused, given_up])
}

fn assert_allowed(error: &Error) {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::StorageFull => {}
        ErrorKind::Io => assert!(text.contains("simulated fault"), "{text}"),
        _ => panic!("{text}"),
    }
}

/// Stalls and fills the disk, and releases it in the end.
async fn disturb(site: &Site) {
    let mut random = site.random(2);
    for _ in 0..15 {
        match random.below(4) {
            0 => site.disk.stall(),
            1 => site.disk.set_capacity(Some(site.disk.bytes_used() + random.below(8192))),
            2 => site.disk.set_capacity(None),
            _ => site.disk.release(),
        }
        let pause = Duration::from_micros(random.below(5000));
        site.handle.sleep(pause).await;
    }
    site.disk.set_capacity(None);
    site.disk.release();
}

//! Compaction beside everything else: a model of each key, while the oldest part of the log goes
//! again and again, by hand and by a budget.

use std::time::Duration;

use kvick::config::ByteSize;
use kvick::{FasterKv, checkpoint};
use tests::model::{EntryPoints, Mix, Model};
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, World, seeds};

#[test]
fn words() {
    seeds(60, beside_models::<u64, u64>);
}

#[test]
fn bytes() {
    seeds(60, beside_models::<[u8], [u8]>);
}

#[test]
fn bytes_under_numbers() {
    seeds(60, beside_models::<u64, [u8]>);
}

/// Several models work while a task compacts, with values that are now and then in pieces.
fn beside_models<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = site.small_config().with_keep_checkpoints(1);
        let disk = site.random(7).chance(0.5).then_some(ByteSize::mib(1));
        let store = site.open::<K, V>(config.with_disk(disk)).await;
        let models: Vec<_> = (0..3)
            .map(|number| {
                let (site, store) = (site.clone(), store.clone());
                let model = model::<K, V>(site.clone(), store, number);
                site.handle.spawn("model", model)
            })
            .collect();
        let compactor = compact_often(site.clone(), store.clone());
        let compactor = site.handle.spawn("compactor", compactor);
        for model in models {
            model.await.expect("the model ends well");
        }
        compactor.await.expect("the compactor ends well");
        store.close().await.expect("closes");
    });
}

async fn model<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    store: FasterKv<K, V>,
    number: u64,
) {
    let mut entry_points = EntryPoints::new(&store).expect("the store is open");
    let mix = Mix { first_key: 100 * number, keys: 30, longest: 9000, batches: true, flush: 0.02 };
    let mut model = Model::new(mix, site.random(10 + number));
    let mut random = site.random(20 + number);
    for _ in 0..150 {
        model.step(&mut entry_points).await.expect("a sound disk");
        if random.chance(0.1) {
            site.handle.sleep(Duration::from_micros(random.below(500))).await;
        }
    }
    model.check(&mut entry_points).await.expect("a sound disk");
}

async fn compact_often<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    store: FasterKv<K, V>,
) {
    let mut random = site.random(30);
    for _ in 0..10 {
        site.handle.sleep(Duration::from_micros(random.below(2000))).await;
        if random.chance(0.3) {
            store.flush_and_evict().await.expect("a sound disk");
        }
        store.compact().await.expect("a sound disk");
    }
}

/// Values are overwritten two hundred times beside others that stay. All files stay within the
/// budget, although no task asks for compaction, and no writer is refused.
#[test]
fn a_budget_holds() {
    const KEYS: u64 = 300;
    let world = World::new(7);
    let site = world.site.clone();
    world.simulation.run(async move {
        let disk = ByteSize::kib(512);
        let config = site.small_config().with_disk(disk);
        let store = site.open::<u64, [u8]>(config).await;
        let mut most = 0;
        for key in KEYS..2 * KEYS {
            store.upsert(&key, &[7; 160]).await.expect("a sound disk");
        }
        for round in 0..200_u64 {
            for key in 0..KEYS {
                store.upsert(&key, &round.to_le_bytes().repeat(20)).await.expect("a sound disk");
            }
            // The drivers run meanwhile.
            site.handle.sleep(Duration::from_millis(20)).await;
            most = most.max(site.disk.files().iter().map(|(_, bytes)| bytes).sum());
        }
        assert!(most <= disk.bytes(), "{most} bytes of {disk}: {}", store.stats());
        let space = store.stats().space;
        assert!(space.refused == 0 && space.waiting == 0, "{}", store.stats());
        assert!(space.rounds > 10 && space.copied_records > 10 * KEYS, "{}", store.stats());
        for key in 0..KEYS {
            let found = store.read(&key).await.expect("a sound disk");
            assert_eq!(found.as_deref(), Some(&*199_u64.to_le_bytes().repeat(20)), "key {key}");
            let found = store.read(&(KEYS + key)).await.expect("a sound disk");
            assert_eq!(found.as_deref(), Some(&[7; 160][..]), "key {}", KEYS + key);
        }
        store.close().await.expect("closes");
    });
}

/// Without a budget a space ratio keeps the log short, and the number of checkpoints follows from
/// the bytes that are written.
#[test]
fn a_space_ratio_holds() {
    const KEYS: u64 = 600;
    let world = World::new(8);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = site.small_config().with_space_ratio(2.0).with_keep_checkpoints(1);
        let config = config.with_checkpoint_kind(checkpoint::Kind::FoldOver);
        let config = config.with_segment_size(ByteSize::kib(16));
        let store = site.open::<u64, [u8]>(config).await;
        let mut most = 0;
        for round in 0..100_u64 {
            for key in 0..KEYS {
                let value = round.to_le_bytes().repeat(20);
                store.upsert(&key, &value).await.expect("a sound disk");
            }
            // The drivers run meanwhile.
            site.handle.sleep(Duration::from_millis(100)).await;
            most = most.max(store.stats().space.used_bytes);
        }
        let live = KEYS * 184;
        assert!(most < live * 4, "{most} bytes for {live}: {}", store.stats());
        let space = store.stats().space;
        assert!(space.budget.is_none() && space.waits == 0, "{}", store.stats());
        // Each byte is copied at most once, on an average.
        assert!(space.rounds > 10 && space.copied_bytes < 100 * live, "{}", store.stats());
        for key in 0..KEYS {
            let found = store.read(&key).await.expect("a sound disk");
            assert_eq!(found.as_deref(), Some(&*99_u64.to_le_bytes().repeat(20)), "key {key}");
        }
        store.close().await.expect("closes");
    });
}

/// A store that was always closed before its log had grown by a 16th never compacted.
#[test]
fn a_space_ratio_holds_over_openings() {
    const KEYS: u64 = 600;
    let world = World::new(9);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = site.small_config().with_space_ratio(2.0).with_keep_checkpoints(1);
        let config = config.with_segment_size(ByteSize::kib(16));
        let (live, mut rounds) = (KEYS * 184, 0);
        for life in 0..200_u64 {
            let store = site.open::<u64, [u8]>(config.clone()).await;
            let space = store.stats().space;
            // What earlier lives have learned is known at once.
            let is_known = space.live_bytes < live * 3 / 2;
            assert!(rounds < 10 || is_known, "life {life}: {space:?}");
            let keys = if life == 0 { KEYS } else { KEYS / 24 };
            for key in 0..keys {
                let key = (key + life * keys) % KEYS;
                let value = life.to_le_bytes().repeat(20);
                store.upsert(&key, &value).await.expect("a sound disk");
            }
            // The drivers run meanwhile.
            site.handle.sleep(Duration::from_millis(100)).await;
            let space = store.stats().space;
            assert!(space.used_bytes < live * 4, "life {life}: {space:?}");
            rounds += space.rounds;
            store.close().await.expect("closes");
        }
        assert!(rounds > 10, "{rounds} rounds");
    });
}

/// Each round took a fold-over. From then on every record that was still in memory was copied at
/// its next change.
#[test]
fn rounds_leave_hot_records_mutable() {
    let world = World::new(7);
    let site = world.site.clone();
    world.simulation.run(async move {
        let config = site.small_config().with_disk(ByteSize::mib(2)).with_keep_checkpoints(9);
        let store = site.open::<u64, [u8]>(config).await;
        for round in 0..100 {
            for key in 0..300 {
                store.upsert(&key, &[round; 160]).await.expect("a sound disk");
                store.upsert(&(300 + key % 3), &[round; 160]).await.expect("a sound disk");
            }
            // The drivers run meanwhile.
            site.handle.sleep(Duration::from_millis(20)).await;
        }
        assert!(store.stats().space.rounds > 10, "{}", store.stats());
        let kinds: Vec<_> = store.checkpoints().iter().map(|kept| kept.kind).collect();
        assert!(kinds.len() == 9 && !kinds.contains(&checkpoint::Kind::FoldOver), "{kinds:?}");
        store.close().await.expect("closes");
    });
}

//! A budget for the device: the files never take more, writers wait for space, and a writer without
//! a chance gets an error.

use std::cell::Cell;
use std::time::Duration;

use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::{Config, ErrorKind, FasterKv, checkpoint};
use tests::gauge::Gauge;
use tests::model::{EntryPoints, Mix, Model};
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{Site, seeds, two_pages};

/// Returns the smallest budget of a configuration.
fn least(config: &Config) -> ByteSize {
    let page = config.page_size.expect("small pages").bytes();
    (1..).map(|pages| ByteSize::new(pages * page)).find(|disk| accepts(config, *disk)).expect("one")
}

fn accepts(config: &Config, disk: ByteSize) -> bool {
    let config = config.clone().with_disk(disk);
    kvick::runtime::block_on(async {
        let memory = kvick::config::Backend::Memory;
        let opened = FasterKv::<u64, u64>::open("unused", config.with_backend(memory)).await;
        match opened {
            Ok(store) => store.close().await.is_ok(),
            Err(_) => false,
        }
    })
}

#[test]
fn no_io_takes_more_words_than_the_budget() {
    seeds(40, never_more::<u64, u64>);
}

/// Of eight writers that waited, six had pages from compaction, and filled them. The other two were
/// refused as if all data were live, in one run of seventy.
#[test]
fn no_io_takes_more_bytes_than_the_budget() {
    seeds(160, never_more::<[u8], [u8]>);
}

/// Models work beside checkpoints of all kinds. Many writers wait, and all of them end.
fn never_more<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let (simulation, site, gauge) = Gauge::world(seed);
    let mut random = site.random(9);
    let kept = 1 + u32::try_from(random.below(3)).expect("small");
    let config = site.small_config().with_keep_checkpoints(kept);
    let kinds = [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot];
    let config = config.with_checkpoint_kind(kinds[random.index(2)]);
    let disk = ByteSize::new(least(&config).bytes() + random.below(200 << 10));
    let room = disk.bytes() / 2;
    simulation.run(async {
        let store = site.open::<K, V>(config.with_disk(disk)).await;
        let longest = usize::try_from(room / 200).expect("small");
        let models: Vec<_> = (0..2)
            .map(|number| {
                let (site, store) = (site.clone(), store.clone());
                site.handle.clone().spawn("model", model(site, store, (number, longest)))
            })
            .collect();
        let checkpoints = checkpoint_often(site.clone(), store.clone());
        let checkpoints = site.handle.spawn("checkpoints", checkpoints);
        for model in models {
            model.await.expect("the model ends well");
        }
        checkpoints.await.expect("the checkpoints end well");
        store.close().await.expect("closes");
    });
    gauge.check(disk);
}

async fn model<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    store: FasterKv<K, V>,
    (number, longest): (u64, usize),
) {
    let mut entry_points = EntryPoints::new(&store).expect("the store is open");
    let mix = Mix { first_key: 100 * number, keys: 30, longest, batches: true, flush: 0.01 };
    let mut model = Model::new(mix, site.random(10 + number));
    for _ in 0..300 {
        model.step(&mut entry_points).await.expect("there is space");
    }
    model.check(&mut entry_points).await.expect("a sound disk");
}

async fn checkpoint_often<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    site: Site,
    store: FasterKv<K, V>,
) {
    let kinds = {
        use checkpoint::Kind as K;
        [K::FoldOver, K::Snapshot, K::Incremental, K::IndexOnly]
    };
    let mut random = site.random(30);
    for _ in 0..10 {
        site.handle.sleep(Duration::from_micros(random.below(5000))).await;
        let request = store.checkpoint().kind(kinds[random.index(4)]);
        let request = if random.chance(0.3) { request.with_index() } else { request };
        if let Err(error) = request.await {
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            assert!(error.to_string().contains("image of the index"), "{error}");
        }
    }
}

fn config() -> Config {
    two_pages().with_segment_size(ByteSize::kib(8)).with_keep_checkpoints(2)
}

/// Fills a store with new keys until it refuses one. Returns the number of keys.
async fn fill(store: &FasterKv<u64, [u8]>, from: u64) -> u64 {
    for key in from.. {
        match store.upsert(&key, &[7; 200]).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                let text = error.to_string();
                let expected = "the live data leave no space for more; raise `disk`, or delete";
                assert!(text.starts_with("disk = ") && text.contains(expected), "{text}");
                return key;
            }
        }
    }
    unreachable!("a budget is finite")
}

/// Live data fill the budget. Deletions have room, and after them writers have it again.
#[test]
fn only_live_data_are_refused() {
    seeds(8, |seed| {
        let (simulation, site, gauge) = Gauge::world(seed);
        let disk = ByteSize::kib(256);
        simulation.run(async {
            let store = site.open::<u64, [u8]>(config().with_disk(disk)).await;
            let mut from = 0;
            let mut full = Vec::new();
            for _ in 0..4 {
                let end = fill(&store, from).await;
                full.push(end - from);
                for key in from..end {
                    let found = store.read(&key).await.expect("a sound disk");
                    assert_eq!(found.as_deref(), Some(&[7; 200][..]), "key {key} of {end}");
                }
                for key in from..end {
                    store.delete(&key).await.expect("deletions have room");
                }
                from = end;
            }
            let least = *full.iter().min().expect("four");
            assert!(least * 224 > disk.bytes() / 2, "{full:?} keys: {}", store.stats());
            let space = store.stats().space;
            assert!(space.refused >= 4 && space.waits > 4 && space.waiting == 0, "{space:?}");
            store.close().await.expect("closes");
        });
        gauge.check(disk);
    });
}

/// A full store has room for its first cookies, however long.
#[test]
fn the_first_cookie_has_room() {
    seeds(8, |seed| {
        let (simulation, site, gauge) = Gauge::world(seed);
        let disk = ByteSize::new((256 << 10) + 512 * (seed % 8));
        simulation.run(async {
            let config = config().with_keep_checkpoints(1).with_checkpoint_on_close(false);
            let store = site.open::<u64, [u8]>(config.with_disk(disk)).await;
            fill(&store, 0).await;
            for kind in [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot] {
                let taken = store.checkpoint().kind(kind).cookie(vec![7; 512]).await;
                taken.expect("there is room");
            }
            store.close().await.expect("closes");
        });
        gauge.check(disk);
    });
}

/// Keys are overwritten in a random order, and the last ones rarely, far more often than the budget
/// has room for, by tasks that never pause. None of them is refused.
#[test]
fn writers_wait_and_go_on() {
    const KEYS: u64 = 60;
    seeds(8, |seed| {
        let (simulation, site, gauge) = Gauge::world(seed);
        let disk = ByteSize::kib(256);
        simulation.run(async {
            let store = site.open::<u64, [u8]>(config().with_disk(disk)).await;
            let writers: Vec<_> = (0..4_u64)
                .map(|number| {
                    let (store, mut random) = (store.clone(), site.random(10 + number));
                    site.handle.spawn("writer", async move {
                        let mut last = [0; 60];
                        for step in 0..2400_u64 {
                            let below = random.below(KEYS);
                            let key = if step < KEYS { step } else { random.below(below + 1) };
                            last[usize::try_from(key).expect("small")] = step;
                            let value = step.to_le_bytes().repeat(25);
                            store.upsert(&(number * KEYS + key), &value).await?;
                        }
                        Ok::<_, kvick::Error>(last)
                    })
                })
                .collect();
            let mut last = Vec::new();
            for writer in writers {
                last.extend(writer.await.expect("the task ends well").expect("there is space"));
            }
            let space = store.stats().space;
            assert!(space.waits > 10 && space.refused == 0 && space.waiting == 0, "{space:?}");
            for (key, step) in (0..).zip(last) {
                let found = store.read(&key).await.expect("a sound disk");
                assert_eq!(found.as_deref(), Some(&*step.to_le_bytes().repeat(25)), "key {key}");
            }
            store.close().await.expect("closes");
        });
        gauge.check(disk);
    });
}

/// The task of a scan writes while it scans, so it would wait for itself.
#[test]
fn a_scan_that_waits_for_a_writer_does_not_hang_it() {
    let (simulation, site, gauge) = Gauge::world(3);
    let disk = ByteSize::kib(256);
    simulation.run(async {
        let store = site.open::<u64, [u8]>(config().with_disk(disk)).await;
        for key in 0..300 {
            store.upsert(&key, &[1; 200]).await.expect("there is space");
        }
        let mut scan = store.scan();
        assert!(scan.try_next().await.expect("a sound disk").is_some());
        let refused = async {
            loop {
                for key in 0..300 {
                    if let Err(error) = store.upsert(&key, &[2; 200]).await {
                        return error;
                    }
                }
            }
        };
        let error = refused.await;
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert!(error.to_string().contains("a scan in progress holds compaction up"), "{error}");
        drop(scan);
        for key in 0..300 {
            store.upsert(&key, &[3; 200]).await.expect("there is space again");
        }
        store.close().await.expect("closes");
    });
    gauge.check(disk);
}

/// A store is opened with a budget that its data exceed. It may be read, and gets below by
/// deletions.
#[test]
fn a_smaller_budget_than_the_data_never_grows() {
    let (simulation, site, gauge) = Gauge::world(4);
    simulation.run(async {
        let store = site.open::<u64, [u8]>(config()).await;
        for key in 0..2000 {
            store.upsert(&key, &[1; 200]).await.expect("there is space");
        }
        store.close().await.expect("closes");
        let before = site.disk.files().iter().map(|(_, bytes)| bytes).sum::<u64>();
        gauge.forget();
        let disk = ByteSize::kib(200);
        assert!(before > 2 * disk.bytes(), "{before} bytes are too few");
        let store = site.open::<u64, [u8]>(config().with_disk(disk)).await;
        let error = store.upsert(&5000, &[2; 3000]).await.expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        for key in 100..2000 {
            store.delete(&key).await.expect("deletions have room");
        }
        store.upsert(&5000, &[2; 3000]).await.expect("there is space");
        let most = gauge.most();
        assert!(most <= before + (48 << 10), "{most} bytes after {before}");
        store.compact().await.expect("there is space");
        let used = store.stats().space.used_bytes;
        assert!(used <= disk.bytes(), "{}", store.stats());
        for key in 0..100 {
            assert!(store.read(&key).await.expect("a sound disk").is_some(), "key {key}");
        }
        store.close().await.expect("closes");
    });
}

/// A value in pieces is larger than what is left, again and again.
#[test]
fn a_value_that_never_fits_is_refused() {
    let (simulation, site, gauge) = Gauge::world(5);
    let disk = ByteSize::kib(256);
    let refused = Cell::new(0);
    simulation.run(async {
        let store = site.open::<u64, [u8]>(config().with_disk(disk)).await;
        for key in 0..200 {
            store.upsert(&key, &[1; 200]).await.expect("there is space");
        }
        for kib in [16, 64, 90, 100, 110, 120, 128, 140, 150, 160, 400] {
            match store.upsert(&1000, &vec![7; kib << 10]).await {
                Ok(_) => {
                    let found = store.read(&1000).await.expect("a sound disk").expect("a value");
                    assert!(found.len() == kib << 10 && found.iter().all(|byte| *byte == 7));
                    store.delete(&1000).await.expect("deletions have room");
                }
                Err(error) => {
                    println!("{kib} KiB: {error}");
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                    refused.set(refused.get() + 1);
                }
            }
            for key in 0..200 {
                store.upsert(&key, &[2; 200]).await.expect("there is space again");
            }
        }
        store.close().await.expect("closes");
    });
    assert!((2..9).contains(&refused.get()), "{} values are refused", refused.get());
    gauge.check(disk);
}

//! Damaged bytes on the disk. A reader never gets wrong data, and the error names file and offset.

use futures::{StreamExt, TryStreamExt};
use kvick::{Error, ErrorKind};
use tests::model::item;
use tests::samples::{SampleKey, SampleValue};
use tests::simulated::{World, seeds};

/// The bytes of a block of the device, which one checksum covers.
const UNIT: u64 = 512;
const SEGMENT: u64 = 32 << 10;

#[test]
fn a_rotten_byte_is_found_and_named() {
    seeds(300, rot::<u64, u64>);
}

#[test]
fn a_rotten_byte_of_bytes_is_found_and_named() {
    seeds(300, rot::<[u8], [u8]>);
}

fn rot<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        // A read fetches only its own record, since no keys collide.
        let config =
            tests::simulated::two_pages().with_segment_size(kvick::config::ByteSize::new(SEGMENT));
        let store = site.open::<K, V>(config).await;
        let mut random = site.random(3);
        let mut written = Vec::new();
        for number in 0..200 {
            let (key, value) = (K::numbered(number), V::sample(&mut random, 3000));
            let upserted = store.upsert(item::<K>(&key), item::<V>(&value)).await;
            upserted.expect("a sound disk");
            written.push((key, value));
        }
        store.flush_and_evict().await.expect("a sound disk");
        let files = site.disk.files();
        let logs: Vec<_> = files.iter().filter(|(name, _)| name.starts_with("db/log.")).collect();
        let (file, length) = logs[random.index(logs.len())];
        let rotten = random.below(*length);
        site.disk.corrupt(file, rotten, 1 << random.below(8));

        for (key, value) in &written {
            match store.read(item::<K>(key)).await {
                Ok(found) => assert_eq!(found.as_ref(), Some(value), "wrong data for {key:?}"),
                Err(error) => assert_names(&error, file, rotten),
            }
        }
        let damaged = damaged(&store, &written).await;
        for key in &damaged {
            let modify = store.rmw(item::<K>(key), |value| V::updated(value, 1));
            let error = modify.await.expect_err("it needs the old value");
            assert_names(&error, file, rotten);
        }
        for key in damaged {
            let value = V::sample(&mut random, 100);
            let (key, value) = (item::<K>(&key), item::<V>(&value));
            store.upsert(key, value).await.expect("a blind write reads nothing");
            assert!(store.contains(key).await.expect("the new record is sound"));
        }
        store.close().await.expect("closes");
    });
}

async fn damaged<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: &kvick::FasterKv<K, V>,
    written: &[(K::Owned, V::Owned)],
) -> Vec<K::Owned> {
    let mut damaged = Vec::new();
    for (key, _) in written {
        if store.read(item::<K>(key)).await.is_err() {
            damaged.push(key.clone());
        }
    }
    damaged
}

/// Checks that the error names the file and the unit of the byte.
fn assert_names(error: &Error, file: &str, rotten: u64) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let text = error.to_string();
    let name = file.strip_prefix("db/").expect("it is in the store's directory");
    let place = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(" at offset "));
    let offset = place.and_then(|rest| rest.split(':').next());
    let offset: u64 = offset.and_then(|offset| offset.parse().ok()).unwrap_or(u64::MAX);
    assert_eq!(offset / UNIT, rotten / UNIT, "byte {rotten} of {file}, but: {text}");
}

#[test]
fn damage_is_met_where_there_is_some() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<u64, u64>(tests::simulated::two_pages()).await;
        for number in 0..500 {
            store.upsert(&number, &number).await.expect("a sound disk");
        }
        store.flush_and_evict().await.expect("a sound disk");
        let error = {
            site.disk.corrupt("db/log.000000", 100, 1);
            let keys: Vec<u64> = (0..500).collect();
            store.read_many(&keys).await.expect_err("the first unit is damaged")
        };
        assert_names(&error, "db/log.000000", 100);
        store.close().await.expect("closes");
    });
}

/// A reader of the log passes over no damage: it shows what is before, and ends with the place.
#[test]
fn a_reader_of_the_log_ends_at_damage() {
    seeds(100, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async move {
            let store = site.open::<u64, [u8]>(tests::simulated::two_pages()).await;
            let mut random = site.random(3);
            for number in 0..300 {
                let value = <[u8]>::sample(&mut random, 300);
                store.upsert(&number, &value).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
            let all: Vec<_> = store.log_records(..).try_collect().await.expect("a sound disk");
            let files = site.disk.files();
            let logs = files.iter().filter(|(name, _)| name.starts_with("db/log."));
            let logs: Vec<_> = logs.collect();
            let (file, length) = logs[random.index(logs.len())];
            let rotten = random.below(*length);
            site.disk.corrupt(file, rotten, 1 << random.below(8));
            for mut records in [store.log_records(..), store.subscribe_from(all[0].address)] {
                let mut shown = Vec::new();
                let error = loop {
                    match records.try_next().await {
                        Ok(Some(record)) => shown.push(record),
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                };
                let error = error.expect("damage is never passed over");
                assert_names(&error, file, rotten);
                assert_eq!(shown, all[..shown.len()]);
                assert!(records.next().await.is_none(), "an error is the last item");
            }
            store.close().await.expect("closes");
        });
    });
}

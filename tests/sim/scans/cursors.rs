//! Scans that are dropped, and continue later at a cursor.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use kvick::scan::Cursor;
use kvick::{ErrorKind, FasterKv};
use tests::samples::{SampleKey, SampleValue, item};
use tests::simulated::{Site, World, seeds, two_pages};

use super::{KEYS, LONGEST, STEPS, Write, Writes, disturb, pause, some_config};

/// Scans in several stretches, with pauses in which nothing holds up the writers. No key is missed,
/// and each has a value that was written.
#[test]
fn scans_that_continue_later_miss_no_key() {
    seeds(40, continuing::<u64, u64>);
    seeds(40, continuing::<[u8], [u8]>);
}

fn continuing<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(seed: u64) {
    let world = World::new(seed);
    let site = world.site.clone();
    world.simulation.run(async move {
        let store = site.open::<K, V>(some_config(&site)).await;
        let writes = Writes::<K, V>(Arc::default());
        let mut random = site.random(5);
        for number in 0..KEYS {
            let (key, value) = (K::numbered(number), V::sample(&mut random, LONGEST));
            store.upsert(item::<K>(&key), item::<V>(&value)).await.expect("a sound disk");
            writes.note(key, Some(value));
        }
        let overwriter = overwrite(store.clone(), site.clone(), writes.clone());
        let overwriter = site.handle.spawn("overwriter", overwriter);
        let disturber = site.handle.spawn("disturber", disturb(store.clone(), site.clone()));
        for _ in 0..4 {
            let mut found = Vec::new();
            let mut scan = store.scan();
            while !random.chance(0.2) {
                for _ in 0..random.index(40) {
                    found.extend(scan.try_next().await.expect("a sound disk"));
                }
                let cursor = scan.cursor().to_bytes();
                drop(scan);
                pause(&site, &mut random).await;
                let cursor = Cursor::from_bytes(&cursor).expect("a cursor");
                scan = store.scan_from(cursor).expect("the same opening");
            }
            found.extend(scan.try_collect::<Vec<_>>().await.expect("a sound disk"));
            let keys: BTreeSet<_> = found.iter().map(|(key, _value)| key).collect();
            assert_eq!(keys.len() as u64, KEYS, "a key is missed");
            let written = writes.0.lock().expect("one thread");
            for (key, value) in &found {
                let is_written =
                    |write: &Write<K, V>| write.0 == *key && write.1.as_ref() == Some(value);
                assert!(written.iter().any(is_written), "{key:?} never had this value");
            }
        }
        overwriter.await.expect("the task ends well");
        disturber.await.expect("the task ends well");
        store.close().await.expect("closes");
    });
}

async fn overwrite<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
    store: FasterKv<K, V>,
    site: Site,
    writes: Writes<K, V>,
) {
    let mut random = site.random(6);
    for _ in 0..2 * STEPS {
        if random.chance(0.2) {
            pause(&site, &mut random).await;
        }
        let key = K::numbered(random.below(KEYS));
        let value = V::sample(&mut random, LONGEST);
        // Noted first: a scan may show it before this task continues.
        writes.note(key.clone(), Some(value.clone()));
        store.upsert(item::<K>(&key), item::<V>(&value)).await.expect("a sound disk");
    }
}

/// An export has its cursor in a file. A cursor is of one opening: after a power cut the log goes
/// on with other records under the same addresses. So it is refused, and an export begins again.
#[test]
fn a_cursor_from_before_a_power_cut_is_refused() {
    seeds(10, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let [first, last] = world.simulation.run(async {
            let store = site.open::<u64, u64>(two_pages()).await;
            for key in 0..KEYS {
                store.upsert(&key, &1).await.expect("a sound disk");
            }
            store.checkpoint().await.expect("a sound disk");
            let mut scan = store.scan();
            let mut cursors = [scan.cursor().to_bytes(), Vec::new()];
            scan.try_next().await.expect("a sound disk").expect("there are keys");
            cursors[1] = scan.cursor().to_bytes();
            // Not durable.
            for key in 0..2 * KEYS {
                store.upsert(&key, &2).await.expect("a sound disk");
            }
            cursors
        });
        let crashed = World::on(seed + 100, site.disk.crash(seed));
        let site = crashed.site.clone();
        crashed.simulation.run(async {
            let store = site.open::<u64, u64>(two_pages()).await;
            for key in 0..3 * KEYS {
                store.upsert(&(KEYS + key), &3).await.expect("a sound disk");
            }
            for bytes in [first, last] {
                let cursor = Cursor::from_bytes(&bytes).expect("a cursor");
                let refused = store.scan_from(cursor).expect_err("another opening");
                assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
            }
            let found: Vec<_> = store.scan().try_collect().await.expect("a sound disk");
            let known = |(key, value): &(u64, u64)| *value == if *key < KEYS { 1 } else { 3 };
            assert!(found.len() as u64 == 4 * KEYS && found.iter().all(known), "{found:?}");
            store.close().await.expect("closes");
        });
    });
}
